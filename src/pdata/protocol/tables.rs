//! OTLP 1.9, message by message: number, name, kind, presence.

use super::FieldKind::{
    Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int32, Int64, Nanos, Sfixed64, Sint32, String,
    Uint32, Uint64,
};
use super::Presence::{Explicit, Implicit, OneOf, Repeated};
use super::index::{Index, MessageRole};
use super::{Field, FieldKind, Message, Presence};

/// The lengths are those that the Collector insists on: it refuses a request in which one id
/// has another, with everything that is beside it.
const TRACE_ID: FieldKind = Id(16);
const SPAN_ID: FieldKind = Id(8);

const fn one(number: u32, name: &'static str, kind: FieldKind) -> Field {
    with(number, name, kind, Implicit)
}

const fn maybe(number: u32, name: &'static str, kind: FieldKind) -> Field {
    with(number, name, kind, Explicit)
}

const fn either(number: u32, name: &'static str, kind: FieldKind) -> Field {
    with(number, name, kind, OneOf)
}

const fn many(number: u32, name: &'static str, kind: FieldKind) -> Field {
    with(number, name, kind, Repeated)
}

const fn message(number: u32, name: &'static str, message: &'static Message) -> Field {
    with(number, name, FieldKind::Message(message), Explicit)
}

const fn messages(number: u32, name: &'static str, message: &'static Message) -> Field {
    with(number, name, FieldKind::Message(message), Repeated)
}

const fn either_message(number: u32, name: &'static str, message: &'static Message) -> Field {
    with(number, name, FieldKind::Message(message), OneOf)
}

const fn with(number: u32, name: &'static str, kind: FieldKind, presence: Presence) -> Field {
    Field {
        number,
        name,
        kind,
        presence,
    }
}

impl Message {
    const fn new(name: &'static str, fields: &'static [Field]) -> Self {
        Self::with(name, fields, MessageRole::Other)
    }

    /// One of what a pipeline counts.
    const fn item(name: &'static str, fields: &'static [Field]) -> Self {
        Self::with(name, fields, MessageRole::Item)
    }

    const fn number_point(name: &'static str, fields: &'static [Field]) -> Self {
        Self::with(name, fields, MessageRole::NumberPoint)
    }

    const fn attribute(name: &'static str, fields: &'static [Field]) -> Self {
        Self::with(name, fields, MessageRole::Attribute)
    }

    const fn with(name: &'static str, fields: &'static [Field], role: MessageRole) -> Self {
        Self {
            name,
            fields,
            index: Index::new(fields, role),
        }
    }
}

/// `ExportMetricsServiceRequest`.
pub static METRICS_REQUEST: Message = Message::new(
    "ExportMetricsServiceRequest",
    &[messages(1, "resourceMetrics", &RESOURCE_METRICS)],
);

/// `ExportTraceServiceRequest`.
pub static TRACES_REQUEST: Message = Message::new(
    "ExportTraceServiceRequest",
    &[messages(1, "resourceSpans", &RESOURCE_SPANS)],
);

/// `ExportLogsServiceRequest`.
pub static LOGS_REQUEST: Message = Message::new(
    "ExportLogsServiceRequest",
    &[messages(1, "resourceLogs", &RESOURCE_LOGS)],
);

// Common.

/// `AnyValue`.
static ANY_VALUE: Message = Message::new(
    "AnyValue",
    &[
        either(1, "stringValue", String),
        either(2, "boolValue", Bool),
        either(3, "intValue", Int64),
        either(4, "doubleValue", Double),
        either_message(5, "arrayValue", &ARRAY_VALUE),
        either_message(6, "kvlistValue", &KEY_VALUE_LIST),
        either(7, "bytesValue", Bytes),
        either(8, "stringValueStrindex", Int32),
    ],
);

static ARRAY_VALUE: Message = Message::new("ArrayValue", &[messages(1, "values", &ANY_VALUE)]);

static KEY_VALUE_LIST: Message = Message::new("KeyValueList", &[messages(1, "values", &KEY_VALUE)]);

/// `KeyValue`.
static KEY_VALUE: Message = Message::attribute(
    "KeyValue",
    &[
        one(1, "key", String),
        message(2, "value", &ANY_VALUE),
        one(3, "keyStrindex", Int32),
    ],
);

static SCOPE: Message = Message::new(
    "InstrumentationScope",
    &[
        one(1, "name", String),
        one(2, "version", String),
        messages(3, "attributes", &KEY_VALUE),
        one(4, "droppedAttributesCount", Uint32),
    ],
);

/// `Resource`.
static RESOURCE: Message = Message::new(
    "Resource",
    &[
        messages(1, "attributes", &KEY_VALUE),
        one(2, "droppedAttributesCount", Uint32),
        messages(3, "entityRefs", &ENTITY_REF),
    ],
);

static ENTITY_REF: Message = Message::new(
    "EntityRef",
    &[
        one(1, "schemaUrl", String),
        one(2, "type", String),
        many(3, "idKeys", String),
        many(4, "descriptionKeys", String),
    ],
);

// Metrics.

static RESOURCE_METRICS: Message = Message::new(
    "ResourceMetrics",
    &[
        message(1, "resource", &RESOURCE),
        messages(2, "scopeMetrics", &SCOPE_METRICS),
        one(3, "schemaUrl", String),
    ],
);

static SCOPE_METRICS: Message = Message::new(
    "ScopeMetrics",
    &[
        message(1, "scope", &SCOPE),
        messages(2, "metrics", &METRIC),
        one(3, "schemaUrl", String),
    ],
);

/// `Metric`.
static METRIC: Message = Message::new(
    "Metric",
    &[
        one(1, "name", String),
        one(2, "description", String),
        one(3, "unit", String),
        either_message(5, "gauge", &GAUGE),
        either_message(7, "sum", &SUM),
        either_message(9, "histogram", &HISTOGRAM),
        either_message(10, "exponentialHistogram", &EXPONENTIAL_HISTOGRAM),
        either_message(11, "summary", &SUMMARY),
        messages(12, "metadata", &KEY_VALUE),
    ],
);

static GAUGE: Message = Message::new("Gauge", &[messages(1, "dataPoints", &NUMBER_DATA_POINT)]);

static SUM: Message = Message::new(
    "Sum",
    &[
        messages(1, "dataPoints", &NUMBER_DATA_POINT),
        one(2, "aggregationTemporality", TEMPORALITY),
        one(3, "isMonotonic", Bool),
    ],
);

static HISTOGRAM: Message = Message::new(
    "Histogram",
    &[
        messages(1, "dataPoints", &HISTOGRAM_DATA_POINT),
        one(2, "aggregationTemporality", TEMPORALITY),
    ],
);

static EXPONENTIAL_HISTOGRAM: Message = Message::new(
    "ExponentialHistogram",
    &[
        messages(1, "dataPoints", &EXPONENTIAL_HISTOGRAM_DATA_POINT),
        one(2, "aggregationTemporality", TEMPORALITY),
    ],
);

static SUMMARY: Message =
    Message::new("Summary", &[messages(1, "dataPoints", &SUMMARY_DATA_POINT)]);

static NUMBER_DATA_POINT: Message = Message::number_point(
    "NumberDataPoint",
    &[
        messages(7, "attributes", &KEY_VALUE),
        one(2, "startTimeUnixNano", Nanos),
        one(3, "timeUnixNano", Nanos),
        either(4, "asDouble", Double),
        either(6, "asInt", Sfixed64),
        messages(5, "exemplars", &EXEMPLAR),
        one(8, "flags", Uint32),
    ],
);

static HISTOGRAM_DATA_POINT: Message = Message::item(
    "HistogramDataPoint",
    &[
        messages(9, "attributes", &KEY_VALUE),
        one(2, "startTimeUnixNano", Nanos),
        one(3, "timeUnixNano", Nanos),
        one(4, "count", Fixed64),
        maybe(5, "sum", Double),
        many(6, "bucketCounts", Fixed64),
        many(7, "explicitBounds", Double),
        messages(8, "exemplars", &EXEMPLAR),
        one(10, "flags", Uint32),
        maybe(11, "min", Double),
        maybe(12, "max", Double),
    ],
);

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message::item(
    "ExponentialHistogramDataPoint",
    &[
        messages(1, "attributes", &KEY_VALUE),
        one(2, "startTimeUnixNano", Nanos),
        one(3, "timeUnixNano", Nanos),
        one(4, "count", Fixed64),
        maybe(5, "sum", Double),
        one(6, "scale", Sint32),
        one(7, "zeroCount", Fixed64),
        message(8, "positive", &BUCKETS),
        message(9, "negative", &BUCKETS),
        one(10, "flags", Uint32),
        messages(11, "exemplars", &EXEMPLAR),
        maybe(12, "min", Double),
        maybe(13, "max", Double),
        one(14, "zeroThreshold", Double),
    ],
);

static BUCKETS: Message = Message::new(
    "Buckets",
    &[one(1, "offset", Sint32), many(2, "bucketCounts", Uint64)],
);

static SUMMARY_DATA_POINT: Message = Message::item(
    "SummaryDataPoint",
    &[
        messages(7, "attributes", &KEY_VALUE),
        one(2, "startTimeUnixNano", Nanos),
        one(3, "timeUnixNano", Nanos),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        messages(6, "quantileValues", &VALUE_AT_QUANTILE),
        one(8, "flags", Uint32),
    ],
);

static VALUE_AT_QUANTILE: Message = Message::new(
    "ValueAtQuantile",
    &[one(1, "quantile", Double), one(2, "value", Double)],
);

static EXEMPLAR: Message = Message::new(
    "Exemplar",
    &[
        messages(7, "filteredAttributes", &KEY_VALUE),
        one(2, "timeUnixNano", Nanos),
        either(3, "asDouble", Double),
        either(6, "asInt", Sfixed64),
        one(4, "spanId", SPAN_ID),
        one(5, "traceId", TRACE_ID),
    ],
);

// Traces.

static RESOURCE_SPANS: Message = Message::new(
    "ResourceSpans",
    &[
        message(1, "resource", &RESOURCE),
        messages(2, "scopeSpans", &SCOPE_SPANS),
        one(3, "schemaUrl", String),
    ],
);

static SCOPE_SPANS: Message = Message::new(
    "ScopeSpans",
    &[
        message(1, "scope", &SCOPE),
        messages(2, "spans", &SPAN),
        one(3, "schemaUrl", String),
    ],
);

/// `Span`.
static SPAN: Message = Message::item(
    "Span",
    &[
        one(1, "traceId", TRACE_ID),
        one(2, "spanId", SPAN_ID),
        one(3, "traceState", String),
        one(4, "parentSpanId", SPAN_ID),
        one(16, "flags", Fixed32),
        one(5, "name", String),
        one(6, "kind", SPAN_KIND),
        one(7, "startTimeUnixNano", Nanos),
        one(8, "endTimeUnixNano", Nanos),
        messages(9, "attributes", &KEY_VALUE),
        one(10, "droppedAttributesCount", Uint32),
        messages(11, "events", &EVENT),
        one(12, "droppedEventsCount", Uint32),
        messages(13, "links", &LINK),
        one(14, "droppedLinksCount", Uint32),
        message(15, "status", &STATUS),
    ],
);

static EVENT: Message = Message::new(
    "Event",
    &[
        one(1, "timeUnixNano", Nanos),
        one(2, "name", String),
        messages(3, "attributes", &KEY_VALUE),
        one(4, "droppedAttributesCount", Uint32),
    ],
);

static LINK: Message = Message::new(
    "Link",
    &[
        one(1, "traceId", TRACE_ID),
        one(2, "spanId", SPAN_ID),
        one(3, "traceState", String),
        messages(4, "attributes", &KEY_VALUE),
        one(5, "droppedAttributesCount", Uint32),
        one(6, "flags", Fixed32),
    ],
);

static STATUS: Message = Message::new(
    "Status",
    &[one(2, "message", String), one(3, "code", STATUS_CODE)],
);

// Logs.

static RESOURCE_LOGS: Message = Message::new(
    "ResourceLogs",
    &[
        message(1, "resource", &RESOURCE),
        messages(2, "scopeLogs", &SCOPE_LOGS),
        one(3, "schemaUrl", String),
    ],
);

static SCOPE_LOGS: Message = Message::new(
    "ScopeLogs",
    &[
        message(1, "scope", &SCOPE),
        messages(2, "logRecords", &LOG_RECORD),
        one(3, "schemaUrl", String),
    ],
);

/// `LogRecord`.
static LOG_RECORD: Message = Message::item(
    "LogRecord",
    &[
        one(1, "timeUnixNano", Nanos),
        one(11, "observedTimeUnixNano", Nanos),
        one(2, "severityNumber", SEVERITY_NUMBER),
        one(3, "severityText", String),
        message(5, "body", &ANY_VALUE),
        messages(6, "attributes", &KEY_VALUE),
        one(7, "droppedAttributesCount", Uint32),
        one(8, "flags", Fixed32),
        one(9, "traceId", TRACE_ID),
        one(10, "spanId", SPAN_ID),
        one(12, "eventName", String),
    ],
);

// Enumerations.

const TEMPORALITY: FieldKind = Enum(&[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
]);

const SPAN_KIND: FieldKind = Enum(&[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
]);

const STATUS_CODE: FieldKind = Enum(&["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"]);

const SEVERITY_NUMBER: FieldKind = Enum(&[
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
]);
