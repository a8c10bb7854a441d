//! The OTLP messages as tables: what the walk expects under each field number.

/// How a field's value is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// No field of the schema: skipped, and kept.
    Unknown,
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    Str,
    PackedFixed64,
    PackedVarint,
    Message(&'static Schema),
}

/// What the walk knows of one field number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What may occur once: the field's own bit and, in a oneof, [`ONEOF`]. Two fields of
    /// a regular message never share a bit. Zero for repeated fields.
    pub(super) once: u32,
    /// Whether each occurrence is a data point, a span or a log record.
    pub(super) item: bool,
}

/// The bit that the members of a oneof share; OTLP has one per message at most.
pub(super) const ONEOF: u32 = 1 << 31;

/// One message type.
#[derive(Debug)]
pub(super) struct Schema {
    fields: [Field; Self::SLOTS],
    /// The bits of all oneof members, with [`ONEOF`].
    pub(super) oneof: u32,
    pub(super) shape: Shape,
}

/// Which messages the walk may tell at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Any,
    Attribute,
    NumberPoint,
}

impl Schema {
    /// OTLP's highest field number is 16 (`Span.flags`).
    const SLOTS: usize = 17;

    #[inline(always)]
    pub(super) fn field(&self, number: u32) -> &Field {
        // Number 0 has been refused, so its slot stands for all that is unknown.
        self.fields.get(number as usize).unwrap_or(&self.fields[0])
    }

    const fn new(fields: &[(u32, Field)]) -> Self {
        let mut schema = Self {
            fields: [UNKNOWN; Self::SLOTS],
            oneof: 0,
            shape: Shape::Any,
        };
        let mut index = 0;
        while index < fields.len() {
            let (number, mut field) = fields[index];
            if field.once != 0 {
                let group = field.once & ONEOF;
                field.once = group | 1 << number;
                if group != 0 {
                    schema.oneof |= field.once;
                }
            }
            schema.fields[number as usize] = field;
            index += 1;
        }
        schema
    }

    const fn shaped(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }
}

const UNKNOWN: Field = Field {
    name: "",
    kind: Kind::Unknown,
    once: 0,
    item: false,
};

/// A singular field.
const fn one(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        once: 1,
        item: false,
    }
}

/// A member of the message's oneof.
const fn member(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        once: ONEOF,
        item: false,
    }
}

/// A repeated message or string. Packed numbers are [`one`] record.
const fn many(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        once: 0,
        item: false,
    }
}

/// A repeated message that is counted.
const fn items(name: &'static str, schema: &'static Schema) -> Field {
    Field {
        name,
        kind: Kind::Message(schema),
        once: 0,
        item: true,
    }
}

use Kind::{Bytes, Fixed32, Fixed64, Message, PackedFixed64, PackedVarint, Str, Varint};

pub(super) static METRICS_REQUEST: Schema =
    Schema::new(&[(1, many("resource_metrics", Message(&RESOURCE_METRICS)))]);
pub(super) static TRACES_REQUEST: Schema =
    Schema::new(&[(1, many("resource_spans", Message(&RESOURCE_SPANS)))]);
pub(super) static LOGS_REQUEST: Schema =
    Schema::new(&[(1, many("resource_logs", Message(&RESOURCE_LOGS)))]);

static RESOURCE_METRICS: Schema = Schema::new(&[
    (1, one("resource", Message(&RESOURCE))),
    (2, many("scope_metrics", Message(&SCOPE_METRICS))),
    (3, one("schema_url", Str)),
]);
static RESOURCE_SPANS: Schema = Schema::new(&[
    (1, one("resource", Message(&RESOURCE))),
    (2, many("scope_spans", Message(&SCOPE_SPANS))),
    (3, one("schema_url", Str)),
]);
static RESOURCE_LOGS: Schema = Schema::new(&[
    (1, one("resource", Message(&RESOURCE))),
    (2, many("scope_logs", Message(&SCOPE_LOGS))),
    (3, one("schema_url", Str)),
]);
static RESOURCE: Schema = Schema::new(&[
    (1, many("attributes", Message(&KEY_VALUE))),
    (2, one("dropped_attributes_count", Varint)),
    (3, many("entity_refs", Message(&ENTITY_REF))),
]);
static ENTITY_REF: Schema = Schema::new(&[
    (1, one("schema_url", Str)),
    (2, one("type", Str)),
    (3, many("id_keys", Str)),
    (4, many("description_keys", Str)),
]);
static SCOPE_METRICS: Schema = Schema::new(&[
    (1, one("scope", Message(&SCOPE))),
    (2, many("metrics", Message(&METRIC))),
    (3, one("schema_url", Str)),
]);
static SCOPE_SPANS: Schema = Schema::new(&[
    (1, one("scope", Message(&SCOPE))),
    (2, items("spans", &SPAN)),
    (3, one("schema_url", Str)),
]);
static SCOPE_LOGS: Schema = Schema::new(&[
    (1, one("scope", Message(&SCOPE))),
    (2, items("log_records", &LOG_RECORD)),
    (3, one("schema_url", Str)),
]);
static SCOPE: Schema = Schema::new(&[
    (1, one("name", Str)),
    (2, one("version", Str)),
    (3, many("attributes", Message(&KEY_VALUE))),
    (4, one("dropped_attributes_count", Varint)),
]);

static KEY_VALUE: Schema = Schema::new(&[
    (1, one("key", Str)),
    (2, one("value", Message(&ANY_VALUE))),
    (3, one("key_strindex", Varint)),
])
.shaped(Shape::Attribute);
static ANY_VALUE: Schema = Schema::new(&[
    (1, member("string_value", Str)),
    (2, member("bool_value", Varint)),
    (3, member("int_value", Varint)),
    (4, member("double_value", Fixed64)),
    (5, member("array_value", Message(&ARRAY_VALUE))),
    (6, member("kvlist_value", Message(&KEY_VALUE_LIST))),
    (7, member("bytes_value", Bytes)),
    (8, member("string_value_strindex", Varint)),
]);
static ARRAY_VALUE: Schema = Schema::new(&[(1, many("values", Message(&ANY_VALUE)))]);
static KEY_VALUE_LIST: Schema = Schema::new(&[(1, many("values", Message(&KEY_VALUE)))]);

static METRIC: Schema = Schema::new(&[
    (1, one("name", Str)),
    (2, one("description", Str)),
    (3, one("unit", Str)),
    (5, member("gauge", Message(&GAUGE))),
    (7, member("sum", Message(&SUM))),
    (9, member("histogram", Message(&HISTOGRAM))),
    (
        10,
        member("exponential_histogram", Message(&EXPONENTIAL_HISTOGRAM)),
    ),
    (11, member("summary", Message(&SUMMARY))),
    (12, many("metadata", Message(&KEY_VALUE))),
]);
static GAUGE: Schema = Schema::new(&[(1, items("data_points", &NUMBER_POINT))]);
static SUM: Schema = Schema::new(&[
    (1, items("data_points", &NUMBER_POINT)),
    (2, one("aggregation_temporality", Varint)),
    (3, one("is_monotonic", Varint)),
]);
static HISTOGRAM: Schema = Schema::new(&[
    (1, items("data_points", &HISTOGRAM_POINT)),
    (2, one("aggregation_temporality", Varint)),
]);
static EXPONENTIAL_HISTOGRAM: Schema = Schema::new(&[
    (1, items("data_points", &EXPONENTIAL_HISTOGRAM_POINT)),
    (2, one("aggregation_temporality", Varint)),
]);
static SUMMARY: Schema = Schema::new(&[(1, items("data_points", &SUMMARY_POINT))]);
static NUMBER_POINT: Schema = Schema::new(&[
    (2, one("start_time_unix_nano", Fixed64)),
    (3, one("time_unix_nano", Fixed64)),
    (4, member("as_double", Fixed64)),
    (5, many("exemplars", Message(&EXEMPLAR))),
    (6, member("as_int", Fixed64)),
    (7, many("attributes", Message(&KEY_VALUE))),
    (8, one("flags", Varint)),
])
.shaped(Shape::NumberPoint);
static HISTOGRAM_POINT: Schema = Schema::new(&[
    (2, one("start_time_unix_nano", Fixed64)),
    (3, one("time_unix_nano", Fixed64)),
    (4, one("count", Fixed64)),
    (5, one("sum", Fixed64)),
    (6, one("bucket_counts", PackedFixed64)),
    (7, one("explicit_bounds", PackedFixed64)),
    (8, many("exemplars", Message(&EXEMPLAR))),
    (9, many("attributes", Message(&KEY_VALUE))),
    (10, one("flags", Varint)),
    (11, one("min", Fixed64)),
    (12, one("max", Fixed64)),
]);
static EXPONENTIAL_HISTOGRAM_POINT: Schema = Schema::new(&[
    (1, many("attributes", Message(&KEY_VALUE))),
    (2, one("start_time_unix_nano", Fixed64)),
    (3, one("time_unix_nano", Fixed64)),
    (4, one("count", Fixed64)),
    (5, one("sum", Fixed64)),
    (6, one("scale", Varint)),
    (7, one("zero_count", Fixed64)),
    (8, one("positive", Message(&BUCKETS))),
    (9, one("negative", Message(&BUCKETS))),
    (10, one("flags", Varint)),
    (11, many("exemplars", Message(&EXEMPLAR))),
    (12, one("min", Fixed64)),
    (13, one("max", Fixed64)),
    (14, one("zero_threshold", Fixed64)),
]);
static BUCKETS: Schema = Schema::new(&[
    (1, one("offset", Varint)),
    (2, one("bucket_counts", PackedVarint)),
]);
static SUMMARY_POINT: Schema = Schema::new(&[
    (2, one("start_time_unix_nano", Fixed64)),
    (3, one("time_unix_nano", Fixed64)),
    (4, one("count", Fixed64)),
    (5, one("sum", Fixed64)),
    (6, many("quantile_values", Message(&VALUE_AT_QUANTILE))),
    (7, many("attributes", Message(&KEY_VALUE))),
    (8, one("flags", Varint)),
]);
static VALUE_AT_QUANTILE: Schema =
    Schema::new(&[(1, one("quantile", Fixed64)), (2, one("value", Fixed64))]);
static EXEMPLAR: Schema = Schema::new(&[
    (2, one("time_unix_nano", Fixed64)),
    (3, member("as_double", Fixed64)),
    (4, one("span_id", Bytes)),
    (5, one("trace_id", Bytes)),
    (6, member("as_int", Fixed64)),
    (7, many("filtered_attributes", Message(&KEY_VALUE))),
]);

static SPAN: Schema = Schema::new(&[
    (1, one("trace_id", Bytes)),
    (2, one("span_id", Bytes)),
    (3, one("trace_state", Str)),
    (4, one("parent_span_id", Bytes)),
    (5, one("name", Str)),
    (6, one("kind", Varint)),
    (7, one("start_time_unix_nano", Fixed64)),
    (8, one("end_time_unix_nano", Fixed64)),
    (9, many("attributes", Message(&KEY_VALUE))),
    (10, one("dropped_attributes_count", Varint)),
    (11, many("events", Message(&SPAN_EVENT))),
    (12, one("dropped_events_count", Varint)),
    (13, many("links", Message(&SPAN_LINK))),
    (14, one("dropped_links_count", Varint)),
    (15, one("status", Message(&STATUS))),
    (16, one("flags", Fixed32)),
]);
static SPAN_EVENT: Schema = Schema::new(&[
    (1, one("time_unix_nano", Fixed64)),
    (2, one("name", Str)),
    (3, many("attributes", Message(&KEY_VALUE))),
    (4, one("dropped_attributes_count", Varint)),
]);
static SPAN_LINK: Schema = Schema::new(&[
    (1, one("trace_id", Bytes)),
    (2, one("span_id", Bytes)),
    (3, one("trace_state", Str)),
    (4, many("attributes", Message(&KEY_VALUE))),
    (5, one("dropped_attributes_count", Varint)),
    (6, one("flags", Fixed32)),
]);
static STATUS: Schema = Schema::new(&[(2, one("message", Str)), (3, one("code", Varint))]);

static LOG_RECORD: Schema = Schema::new(&[
    (1, one("time_unix_nano", Fixed64)),
    (2, one("severity_number", Varint)),
    (3, one("severity_text", Str)),
    (5, one("body", Message(&ANY_VALUE))),
    (6, many("attributes", Message(&KEY_VALUE))),
    (7, one("dropped_attributes_count", Varint)),
    (8, one("flags", Fixed32)),
    (9, one("trace_id", Bytes)),
    (10, one("span_id", Bytes)),
    (11, one("observed_time_unix_nano", Fixed64)),
    (12, one("event_name", Str)),
]);
