use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use prost::Message as _;

use super::super::write;
use super::*;

fn point(point: &str) -> Result<Batch, String> {
    let text = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[
           {{"name":"m","gauge":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
    );
    let decoded = decode(Signal::Metrics, text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(decoded.batch)
}

fn value(text: &str) -> Option<number_data_point::Value> {
    let batch = point(text).unwrap();
    let bytes = batch.parts()[0].bytes().clone();
    let mut request = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let metric = &mut request.resource_metrics[0].scope_metrics[0].metrics[0];
    let Some(metric::Data::Gauge(gauge)) = &metric.data else {
        panic!("{metric:?}")
    };
    gauge.data_points[0].value
}

#[test]
fn numbers_are_read_in_every_form_that_senders_write() {
    use number_data_point::Value::{AsDouble, AsInt};
    assert_eq!(value(r#"{"asInt":"-7"}"#), Some(AsInt(-7)));
    assert_eq!(value(r#"{"asInt":-7}"#), Some(AsInt(-7)));
    assert_eq!(value(r#"{"asInt":7.0}"#), Some(AsInt(7)));
    assert_eq!(
        value(r#"{"asInt":"9223372036854775807"}"#),
        Some(AsInt(i64::MAX))
    );
    assert_eq!(value(r#"{"asDouble":0}"#), Some(AsDouble(0.0)));
    assert_eq!(value(r#"{"asDouble":1e300}"#), Some(AsDouble(1e300)));
    assert_eq!(value(r#"{"asDouble":"2.5"}"#), Some(AsDouble(2.5)));
    assert_eq!(
        value(r#"{"asDouble":"-Infinity"}"#),
        Some(AsDouble(f64::NEG_INFINITY))
    );
    let Some(AsDouble(nan)) = value(r#"{"asDouble":"NaN"}"#) else {
        panic!()
    };
    assert!(nan.is_nan());
    assert_eq!(value("{}"), None);
}

#[test]
fn null_is_absent_and_unknown_keys_are_skipped() {
    let batch = point(r#"{"attributes":null,"exemplars":null,"novel":[{"a":1}],"asInt":1}"#);
    assert_eq!(batch.unwrap().items(), 1);
    assert_eq!(
        decode(Signal::Logs, br#"{"resourceLogs":null}"#)
            .unwrap()
            .batch
            .items(),
        0
    );
    assert_eq!(decode(Signal::Logs, b"{}").unwrap().batch.items(), 0);
}

#[test]
fn a_wrong_shape_is_told_with_its_place_and_without_its_value() {
    let f = |text: &str, expected: &str| {
        let error = point(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    };
    f(
        r#"{"asInt":"seven"}"#,
        "expected a 64-bit integer for asInt at line 2",
    );
    f(r#"{"asInt":1.5}"#, "expected a 64-bit integer for asInt");
    f(
        r#"{"asInt":"9223372036854775808"}"#,
        "expected a 64-bit integer for asInt",
    );
    f(
        r#"{"timeUnixNano":-1}"#,
        "expected an unsigned 64-bit integer for timeUnixNano",
    );
    f(
        r#"{"flags":4294967296}"#,
        "expected an unsigned 32-bit integer for flags",
    );
    f(r#"{"attributes":{}}"#, "expected a list for attributes");
    f(
        r#"{"attributes":[7]}"#,
        "expected an object that holds a KeyValue",
    );
    f(
        r#"{"exemplars":[{"traceId":"xyz"}]}"#,
        "expected an id of 32 hexadecimal digits for traceId",
    );
    f(
        r#"{"exemplars":[{"traceId":"abab"}]}"#,
        "expected an id of 32 hexadecimal digits for traceId at line 2",
    );
    f(
        r#"{"exemplars":[{"spanId":"000102030405060708090a0b0c0d0e0f"}]}"#,
        "expected an id of 16 hexadecimal digits for spanId",
    );
    f(
        r#"{"attributes":[null]}"#,
        "expected an object that holds a KeyValue",
    );
    f(r#"{"asInt":"#, "expected value at line 2");
    assert!(decode(Signal::Metrics, b"[]").is_err());
    assert!(decode(Signal::Metrics, b"{} {}").is_err());
    assert!(decode(Signal::Metrics, b"\xff").is_err());
}

#[test]
fn values_may_not_be_nested_without_end() {
    let depth = 200;
    let nested = r#"{"arrayValue":{"values":["#.repeat(depth) + &"]}}".repeat(depth);
    let text = format!(r#"{{"attributes":[{{"key":"k","value":{nested}}}]}}"#);
    assert!(point(&text).is_err());
}

#[test]
fn bytes_and_ids_are_read_as_they_are_written() {
    let text = r#"{"attributes":[{"key":"b","value":{"bytesValue":"AP8="}}],"asInt":1,
        "exemplars":[{"traceId":"000102030405060708090a0b0c0d0e0F","asDouble":1}]}"#;
    let batch = point(text).unwrap();
    let bytes = batch.parts()[0].bytes().clone();
    let request = ExportMetricsServiceRequest::decode(bytes.clone()).unwrap();
    let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
    let Some(metric::Data::Gauge(gauge)) = &metric.data else {
        panic!("{metric:?}")
    };
    let point = &gauge.data_points[0];
    let value = point.attributes[0]
        .value
        .clone()
        .and_then(|value| value.value);
    assert_eq!(value, Some(any_value::Value::BytesValue(vec![0, 255])));
    assert_eq!(point.exemplars[0].trace_id, (0..16).collect::<Vec<u8>>());

    let mut json = Vec::new();
    write(Signal::Metrics, &batch.parts()[0], &mut json);
    let again = decode(Signal::Metrics, &json).unwrap().batch.parts()[0]
        .bytes()
        .clone();
    assert_eq!(ExportMetricsServiceRequest::decode(again), Ok(request));
}

#[test]
fn keys_in_snake_case_are_read_as_those_in_camel_case() {
    let camel = r#"{"resourceMetrics":[{"schemaUrl":"u","scopeMetrics":[{"metrics":[{"name":"m",
        "exponentialHistogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"7",
        "zeroCount":"2","exemplars":[{"traceId":"000102030405060708090a0b0c0d0e0f"}],
        "attributes":[{"key":"K","value":{"stringValue":"camelCase stays"}}]}]}}]}]}]}"#;
    let snake = r#"{"resource_metrics":[{"schema_url":"u","scope_metrics":[{"metrics":[{"name":"m",
        "exponential_histogram":{"aggregation_temporality":1,"data_points":[{"time_unix_nano":"7",
        "zero_count":"2","exemplars":[{"trace_id":"000102030405060708090a0b0c0d0e0f"}],
        "attributes":[{"key":"K","value":{"string_value":"camelCase stays"}}]}]}}]}]}]}"#;
    let read = |text: &str| {
        let decoded = decode(Signal::Metrics, text.as_bytes()).unwrap();
        assert!(!decoded.unrecognised);
        decoded.batch.parts()[0].bytes().clone()
    };
    assert_eq!(read(snake), read(camel));
    for signal in Signal::ALL {
        let is_named = |key: &str| {
            signal
                .request()
                .fields
                .iter()
                .any(|f| is_in_snake_case(key, f.name))
        };
        assert!(!is_named("resource_"));
        assert!(!is_named("resource_spans_") && !is_named("_resource_spans"));
        assert!(!is_named("resource_Spans") && !is_named("resourceSpans"));
    }
}

#[test]
fn a_request_in_which_nothing_is_recognised_is_told_from_an_empty_one() {
    let f = |text: &str, unrecognised: bool| {
        let decoded = decode(Signal::Logs, text.as_bytes()).unwrap();
        assert_eq!(decoded.unrecognised, unrecognised, "{text}");
    };
    f("{}", false);
    f(r#"{"resourceLogs":[]}"#, false);
    f(r#"{"resourceLogs":[{"scopeLogs":[]}]}"#, false);
    f(r#"{"resourceSpans":[{}]}"#, true);
    f(
        r#"{"resourceLogs":[{"instrumentationLibraryLogs":[{}]}]}"#,
        true,
    );
    f(
        r#"{"new":1,"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#,
        false,
    );
}

#[test]
fn half_a_surrogate_pair_costs_one_character() {
    let text =
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"cut \ud83d"}]}]}]}"#;
    let batch = decode(Signal::Logs, text.as_bytes()).unwrap().batch;
    let logs = batch.resource_logs().next().unwrap();
    let record = logs.scopes().next().unwrap().log_records().next().unwrap();
    assert_eq!(record.severity_text(), "cut \u{fffd}");
}
