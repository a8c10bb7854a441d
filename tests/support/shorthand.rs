//! Metrics as OTLP in JSON, without its ceremony.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test needs another part of it"
)]

use serde_json::{Value, json};

/// When everything began, in nanoseconds.
pub const BEGIN: u64 = 1_700_000_000_000_000_000;

pub const DELTA: u8 = 1;
pub const CUMULATIVE: u8 = 2;

/// A request for one resource and one scope.
pub fn request(resource: &Value, scope: &Value, metrics: Vec<Value>) -> Value {
    json!({"resourceMetrics": [{
        "resource": {"attributes": attributes(resource)},
        "scopeMetrics": [{"scope": scope, "metrics": metrics}],
    }]})
}

/// Attributes from an object, or from pairs where their order or repetition matters.
pub fn attributes(short: &Value) -> Value {
    match short {
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| json!({"key": pair[0], "value": any(&pair[1])}))
            .collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| json!({"key": key, "value": any(value)}))
            .collect(),
        other => panic!("{other}"),
    }
}

fn any(short: &Value) -> Value {
    match short {
        Value::Null => json!({}),
        Value::Bool(value) => json!({"boolValue": value}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::String(text) => match text.strip_prefix("base64:") {
            Some(bytes) => json!({"bytesValue": bytes}),
            None => json!({"stringValue": text}),
        },
        Value::Array(values) => {
            json!({"arrayValue": {"values": values.iter().map(any).collect::<Vec<_>>()}})
        }
        Value::Object(_) => json!({"kvlistValue": {"values": attributes(short)}}),
    }
}

/// A data point: whole numbers as ints, others and words as doubles.
pub fn point(own: Value, value: Value) -> Value {
    let mut point = json!({"attributes": attributes(&own)});
    match value.as_i64() {
        Some(whole) => point["asInt"] = json!(whole.to_string()),
        None => point["asDouble"] = value,
    }
    timed(point, 0, 10)
}

/// From so many seconds after the beginning to so many.
pub fn timed(mut point: Value, from: u64, to: u64) -> Value {
    point["startTimeUnixNano"] = json!((BEGIN + from * 1_000_000_000).to_string());
    point["timeUnixNano"] = json!((BEGIN + to * 1_000_000_000).to_string());
    point
}

pub fn exemplary(mut point: Value) -> Value {
    point["exemplars"] = json!([exemplar(1.5, 1)]);
    point
}

pub fn exemplar(value: f64, n: u64) -> Value {
    json!({"timeUnixNano": (BEGIN + n * 1_000_000).to_string(), "asDouble": value,
           "traceId": format!("{n:032x}"), "spanId": format!("{n:016x}"),
           "filteredAttributes": attributes(&json!({"user.id": "u-1", "n": n}))})
}

pub fn buckets(own: Value, counts: &[u64], bounds: &[f64]) -> Value {
    let count: u64 = counts.iter().sum();
    let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
    timed(
        json!({"attributes": attributes(&own), "count": count.to_string(), "sum": 3.5,
                 "bucketCounts": counts, "explicitBounds": bounds}),
        0,
        10,
    )
}

pub fn quantiles(own: Value, count: u64, sum: f64, values: &[(f64, f64)]) -> Value {
    let values: Vec<Value> = values
        .iter()
        .map(|(q, v)| json!({"quantile": q, "value": v}))
        .collect();
    timed(
        json!({"attributes": attributes(&own), "count": count.to_string(), "sum": sum,
                 "quantileValues": values}),
        0,
        10,
    )
}

pub fn gauge(name: &str, unit: &str, points: Value) -> Value {
    json!({"name": name, "unit": unit, "gauge": {"dataPoints": points}})
}

pub fn sum(name: &str, unit: &str, temporality: u8, monotonic: bool, points: Value) -> Value {
    json!({"name": name, "unit": unit, "sum": {"aggregationTemporality": temporality,
           "isMonotonic": monotonic, "dataPoints": points}})
}

pub fn histogram(name: &str, unit: &str, temporality: u8, points: Value) -> Value {
    json!({"name": name, "unit": unit,
           "histogram": {"aggregationTemporality": temporality, "dataPoints": points}})
}

pub fn summary(name: &str, unit: &str, points: Value) -> Value {
    json!({"name": name, "unit": unit, "summary": {"dataPoints": points}})
}
