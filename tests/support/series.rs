//! Reads metrics back, by code that isn't ours.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "for tests, each of which is another crate; a test fails by panicking"
)]

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
use prost::Message;

/// Values by `name{labels}`: the resource's instance and the point's attributes as labels.
/// A histogram is its count under the name itself and its sum under `_sum`; a tombstone is
/// NaN.
pub type Series = BTreeMap<String, f64>;

/// Reads encoded requests by prost.
pub fn read<'b>(requests: impl IntoIterator<Item = &'b [u8]>) -> Series {
    let mut found = Series::new();
    for request in requests {
        let request = ExportMetricsServiceRequest::decode(request).unwrap();
        for resource in &request.resource_metrics {
            let metrics = resource.scope_metrics.iter().flat_map(|s| &s.metrics);
            for metric in metrics {
                let mut add = |name: &str, attributes: &[KeyValue], value: f64| {
                    let key = format!("{name}{}", labels(attributes));
                    let before = found.insert(key.clone(), value);
                    assert_eq!(before, None, "{key} is there twice");
                };
                match metric.data.as_ref().unwrap() {
                    Data::Gauge(gauge) => {
                        for point in &gauge.data_points {
                            add(&metric.name, &point.attributes, number(&point.value));
                        }
                    }
                    Data::Sum(sum) => {
                        for point in &sum.data_points {
                            add(&metric.name, &point.attributes, number(&point.value));
                        }
                    }
                    Data::Histogram(histogram) => {
                        for point in &histogram.data_points {
                            let ended = point.flags & 1 == 1;
                            let count = if ended { f64::NAN } else { point.count as f64 };
                            add(&metric.name, &point.attributes, count);
                            let sum = format!("{}_sum", metric.name);
                            add(&sum, &point.attributes, point.sum.unwrap_or(f64::NAN));
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    found
}

fn number(value: &Option<Value>) -> f64 {
    match value {
        Some(Value::AsDouble(value)) => *value,
        Some(Value::AsInt(value)) => *value as f64,
        None => f64::NAN,
    }
}

fn labels(attributes: &[KeyValue]) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.as_ref().and_then(|v| v.value.as_ref());
            let text = match value {
                Some(Any::StringValue(text)) => text.clone(),
                Some(Any::IntValue(number)) => number.to_string(),
                _ => panic!("{attribute:?}"),
            };
            format!("{}={text:?}", attribute.key)
        })
        .collect();
    format!("{{{}}}", labels.join(","))
}
