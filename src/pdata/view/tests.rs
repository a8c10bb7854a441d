//! Views against prost's structs.

mod sorting;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Owned;
use opentelemetry_proto::tonic::metrics::v1 as metrics;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::pdata::samples::Style;
use crate::pdata::tests::sample;

fn owned_value(value: &Value<'_>) -> common::AnyValue {
    let value = match value {
        Value::Empty => None,
        Value::Str(text) => Some(Owned::StringValue((*text).to_owned())),
        Value::Bool(value) => Some(Owned::BoolValue(*value)),
        Value::Int(value) => Some(Owned::IntValue(*value)),
        Value::Double(value) => Some(Owned::DoubleValue(*value)),
        Value::Bytes(bytes) => Some(Owned::BytesValue(bytes.to_vec())),
        Value::Array(array) => Some(Owned::ArrayValue(common::ArrayValue {
            values: array.iter().map(|value| owned_value(&value)).collect(),
        })),
        Value::Map(map) => Some(Owned::KvlistValue(common::KeyValueList {
            values: map.iter().map(|entry| owned_entry(&entry)).collect(),
        })),
    };
    common::AnyValue { value }
}

fn owned_entry(entry: &KeyValue<'_>) -> common::KeyValue {
    common::KeyValue {
        key: entry.key.to_owned(),
        value: Some(owned_value(&entry.value)),
        key_strindex: 0,
    }
}

fn owned_attributes(attributes: Attributes<'_>) -> Vec<common::KeyValue> {
    if let Some(raw) = attributes.raw() {
        let again =
            Attributes::contiguous(raw, WireFields::new(raw).next().map_or(0, |f| f.number));
        assert_eq!(again.iter().count(), attributes.iter().count());
    }
    attributes.iter().map(|entry| owned_entry(&entry)).collect()
}

/// What views leave out: string tables, which only profiles have, and the difference
/// between an empty value and none.
fn plain(attributes: &[common::KeyValue]) -> Vec<common::KeyValue> {
    attributes
        .iter()
        .map(|entry| common::KeyValue {
            key: entry.key.clone(),
            value: Some(plain_value(entry.value.as_ref())),
            key_strindex: 0,
        })
        .collect()
}

fn plain_value(value: Option<&common::AnyValue>) -> common::AnyValue {
    let value = match value.and_then(|value| value.value.as_ref()) {
        Some(Owned::StringValueStrindex(_)) => None,
        Some(Owned::ArrayValue(array)) => Some(Owned::ArrayValue(common::ArrayValue {
            values: array
                .values
                .iter()
                .map(|value| plain_value(Some(value)))
                .collect(),
        })),
        Some(Owned::KvlistValue(map)) => Some(Owned::KvlistValue(common::KeyValueList {
            values: plain(&map.values),
        })),
        other => other.cloned(),
    };
    common::AnyValue { value }
}

/// Equal, also where both are not a number.
fn same<T: std::fmt::Debug>(ours: &T, theirs: &T) {
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

fn owned_exemplars(exemplars: Repeated<'_, Exemplar<'_>>) -> Vec<metrics::Exemplar> {
    exemplars
        .map(|exemplar| metrics::Exemplar {
            filtered_attributes: owned_attributes(exemplar.filtered_attributes()),
            time_unix_nano: exemplar.time_unix_nano(),
            span_id: exemplar.span_id().to_vec(),
            trace_id: exemplar.trace_id().to_vec(),
            value: exemplar.value().map(|value| match value {
                Number::Double(value) => metrics::exemplar::Value::AsDouble(value),
                Number::Int(value) => metrics::exemplar::Value::AsInt(value),
            }),
        })
        .collect()
}

fn plain_exemplars(exemplars: &mut [metrics::Exemplar]) {
    for exemplar in exemplars {
        exemplar.filtered_attributes = plain(&exemplar.filtered_attributes);
    }
}

fn owned_number(point: NumberPoint<'_>) -> metrics::NumberDataPoint {
    metrics::NumberDataPoint {
        attributes: owned_attributes(point.attributes()),
        start_time_unix_nano: point.start_time_unix_nano(),
        time_unix_nano: point.time_unix_nano(),
        exemplars: owned_exemplars(point.exemplars()),
        flags: point.flags(),
        value: point.value().map(|value| match value {
            Number::Double(value) => metrics::number_data_point::Value::AsDouble(value),
            Number::Int(value) => metrics::number_data_point::Value::AsInt(value),
        }),
    }
}

fn owned_histogram(point: HistogramPoint<'_>) -> metrics::HistogramDataPoint {
    metrics::HistogramDataPoint {
        attributes: owned_attributes(point.attributes()),
        start_time_unix_nano: point.start_time_unix_nano(),
        time_unix_nano: point.time_unix_nano(),
        count: point.count(),
        sum: point.sum(),
        bucket_counts: point.bucket_counts().collect(),
        explicit_bounds: point.explicit_bounds().collect(),
        exemplars: owned_exemplars(point.exemplars()),
        flags: point.flags(),
        min: point.min(),
        max: point.max(),
    }
}

fn owned_buckets(buckets: Buckets<'_>) -> metrics::exponential_histogram_data_point::Buckets {
    metrics::exponential_histogram_data_point::Buckets {
        offset: buckets.offset(),
        bucket_counts: buckets.counts().collect(),
    }
}

fn owned_exponential(
    point: ExponentialHistogramPoint<'_>,
) -> metrics::ExponentialHistogramDataPoint {
    metrics::ExponentialHistogramDataPoint {
        attributes: owned_attributes(point.attributes()),
        start_time_unix_nano: point.start_time_unix_nano(),
        time_unix_nano: point.time_unix_nano(),
        count: point.count(),
        sum: point.sum(),
        scale: point.scale(),
        zero_count: point.zero_count(),
        positive: Some(owned_buckets(point.positive())),
        negative: Some(owned_buckets(point.negative())),
        flags: point.flags(),
        exemplars: owned_exemplars(point.exemplars()),
        min: point.min(),
        max: point.max(),
        zero_threshold: point.zero_threshold(),
    }
}

fn owned_summary(point: SummaryPoint<'_>) -> metrics::SummaryDataPoint {
    metrics::SummaryDataPoint {
        attributes: owned_attributes(point.attributes()),
        start_time_unix_nano: point.start_time_unix_nano(),
        time_unix_nano: point.time_unix_nano(),
        count: point.count(),
        sum: point.sum(),
        quantile_values: point
            .quantiles()
            .map(|at| metrics::summary_data_point::ValueAtQuantile {
                quantile: at.quantile,
                value: at.value,
            })
            .collect(),
        flags: point.flags(),
    }
}

fn temporality_of(known: metrics::AggregationTemporality) -> Temporality {
    match known {
        metrics::AggregationTemporality::Unspecified => Temporality::Unspecified,
        metrics::AggregationTemporality::Delta => Temporality::Delta,
        metrics::AggregationTemporality::Cumulative => Temporality::Cumulative,
    }
}

fn agree(view: Metric<'_>, mut owned: metrics::Metric) {
    same(&view.name(), &owned.name.as_str());
    same(&view.description(), &owned.description.as_str());
    same(&view.unit(), &owned.unit.as_str());
    /// Compares the points, after taking from the owned ones what views leave out.
    macro_rules! points {
        ($points:expr, $convert:expr, $data:expr, $plain:expr) => {{
            let ours: Vec<_> = $points.map($convert).collect();
            for point in &mut $data.data_points {
                point.attributes = plain(&point.attributes);
                $plain(point);
            }
            same(&ours, &$data.data_points);
        }};
    }
    match (view.data(), &mut owned.data) {
        (Data::Empty, None) => {}
        (Data::Gauge { points }, Some(metrics::metric::Data::Gauge(data))) => {
            points!(
                points,
                owned_number,
                data,
                |p: &mut metrics::NumberDataPoint| { plain_exemplars(&mut p.exemplars) }
            );
        }
        (
            Data::Sum {
                points,
                temporality,
                monotonic,
            },
            Some(metrics::metric::Data::Sum(data)),
        ) => {
            same(
                &temporality,
                &temporality_of(data.aggregation_temporality()),
            );
            same(&monotonic, &data.is_monotonic);
            points!(
                points,
                owned_number,
                data,
                |p: &mut metrics::NumberDataPoint| { plain_exemplars(&mut p.exemplars) }
            );
        }
        (
            Data::Histogram {
                points,
                temporality,
            },
            Some(metrics::metric::Data::Histogram(data)),
        ) => {
            same(
                &temporality,
                &temporality_of(data.aggregation_temporality()),
            );
            points!(
                points,
                owned_histogram,
                data,
                |p: &mut metrics::HistogramDataPoint| { plain_exemplars(&mut p.exemplars) }
            );
        }
        (
            Data::ExponentialHistogram {
                points,
                temporality,
            },
            Some(metrics::metric::Data::ExponentialHistogram(data)),
        ) => {
            same(
                &temporality,
                &temporality_of(data.aggregation_temporality()),
            );
            points!(
                points,
                owned_exponential,
                data,
                |p: &mut metrics::ExponentialHistogramDataPoint| {
                    plain_exemplars(&mut p.exemplars);
                    p.positive.get_or_insert_default();
                    p.negative.get_or_insert_default();
                }
            );
        }
        (Data::Summary { points }, Some(metrics::metric::Data::Summary(data))) => {
            points!(
                points,
                owned_summary,
                data,
                |_: &mut metrics::SummaryDataPoint| {}
            );
        }
        (view, owned) => panic!("{view:?} is not {owned:?}"),
    }
}

/// Compares resources and scopes, which are alike in all signals, and hands the items on.
macro_rules! compare {
    ($views:expr, $resources:expr, $scopes:ident, $items:ident, $view_items:ident, $each:expr) => {{
        let (mut views, mut owned) = ($views, $resources.into_iter());
        loop {
            match (views.next(), owned.next()) {
                (None, None) => break,
                (Some(view), Some(owned)) => {
                    same(&view.schema_url(), &owned.schema_url.as_str());
                    let resource = owned.resource.unwrap_or_default();
                    same(
                        &owned_attributes(view.attributes()),
                        &plain(&resource.attributes),
                    );
                    let mut scopes = owned.$scopes.into_iter();
                    for view in view.scopes() {
                        let owned = scopes.next().unwrap();
                        same(&view.schema_url(), &owned.schema_url.as_str());
                        let scope = owned.scope.unwrap_or_default();
                        same(&view.name(), &scope.name.as_str());
                        same(&view.version(), &scope.version.as_str());
                        same(
                            &owned_attributes(view.attributes()),
                            &plain(&scope.attributes),
                        );
                        assert_eq!(view.$view_items().count(), owned.$items.len());
                        for (view, owned) in view.$view_items().zip(owned.$items) {
                            $each(view, owned);
                        }
                    }
                    assert!(scopes.next().is_none());
                }
                other => panic!("{other:?}"),
            }
        }
    }};
}

proptest! {
    #[test]
    fn views_read_what_prost_reads(seed: u64) {
        for style in [Style::CANONICAL, Style::REGULAR, Style::ANY] {
            let bytes = sample(Signal::Metrics, seed, style);
            let batch = Batch::decode(Signal::Metrics, bytes.clone().into()).unwrap();
            let owned = ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap();
            compare!(
                batch.resource_metrics(),
                owned.resource_metrics,
                scope_metrics,
                metrics,
                metrics,
                agree
            );
            assert!(batch.resource_spans().next().is_none());

            let bytes = sample(Signal::Traces, seed, style);
            let batch = Batch::decode(Signal::Traces, bytes.clone().into()).unwrap();
            let owned = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
            compare!(
                batch.resource_spans(),
                owned.resource_spans,
                scope_spans,
                spans,
                spans,
                |view: Span<'_>, owned: opentelemetry_proto::tonic::trace::v1::Span| {
                    same(&view.name(), &owned.name.as_str());
                    same(&owned_attributes(view.attributes()), &plain(&owned.attributes));
                }
            );

            let bytes = sample(Signal::Logs, seed, style);
            let batch = Batch::decode(Signal::Logs, bytes.clone().into()).unwrap();
            let owned = ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap();
            compare!(
                batch.resource_logs(),
                owned.resource_logs,
                scope_logs,
                log_records,
                log_records,
                |view: LogRecord<'_>, owned: opentelemetry_proto::tonic::logs::v1::LogRecord| {
                    same(&view.severity_number(), &owned.severity_number);
                    same(&view.severity_text(), &owned.severity_text.as_str());
                    same(&owned_value(&view.body()), &plain_value(owned.body.as_ref()));
                    same(&owned_attributes(view.attributes()), &plain(&owned.attributes));
                }
            );
        }
    }
}

#[test]
fn a_value_reads_as_in_the_collector() {
    let text = |value: Owned| {
        let value = common::AnyValue { value: Some(value) }.encode_to_vec();
        Value::parse(&value).to_string()
    };
    let double = |value: f64| text(Owned::DoubleValue(value));
    assert_eq!(Value::Empty.to_string(), "");
    assert_eq!(text(Owned::StringValue("a \"b\"".into())), "a \"b\"");
    assert_eq!(text(Owned::BoolValue(true)), "true");
    assert_eq!(text(Owned::IntValue(-5)), "-5");
    assert_eq!(double(1.0), "1");
    assert_eq!(double(-0.5), "-0.5");
    assert_eq!(double(1e20), "100000000000000000000");
    assert_eq!(double(1e21), "1e+21");
    assert_eq!(double(1.5e-6), "0.0000015");
    assert_eq!(double(1.5e-7), "1.5e-7");
    assert_eq!(double(-2.5e300), "-2.5e+300");
    assert_eq!(double(f64::NAN), "json: unsupported value: NaN");
    assert_eq!(double(f64::INFINITY), "json: unsupported value: +Inf");
    assert_eq!(double(f64::NEG_INFINITY), "json: unsupported value: -Inf");
    for (bytes, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
        assert_eq!(text(Owned::BytesValue(bytes.into())), expected);
    }
    let value = |value: Owned| common::AnyValue { value: Some(value) };
    let entry = |key: &str, of: Option<Owned>| common::KeyValue {
        key: key.into(),
        value: of.map(value),
        key_strindex: 0,
    };
    let map = |values: Vec<common::KeyValue>| Owned::KvlistValue(common::KeyValueList { values });
    let array = Owned::ArrayValue(common::ArrayValue {
        values: vec![
            value(Owned::IntValue(1)),
            value(Owned::StringValue("<a>\u{1}\n".into())),
            common::AnyValue { value: None },
            value(Owned::BytesValue(b"foo".to_vec())),
        ],
    });
    assert_eq!(
        text(map(vec![
            entry("z", Some(array)),
            entry("a", Some(Owned::BoolValue(false))),
            entry("a", Some(Owned::IntValue(2))),
            entry("none", None),
        ])),
        r#"{"a":false,"none":null,"z":[1,"<a>\u0001\n",null,"Zm9v"]}"#
    );
    assert_eq!(
        text(map(vec![entry("a", Some(Owned::DoubleValue(f64::NAN)))])),
        "",
        "JSON has no such number"
    );
}
