use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, exemplar, metric::Data, number_data_point,
};
use proptest::prelude::*;
use prost::Message as _;
use prost::encoding::{encode_key, encode_varint};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::pdata::Batch;
use crate::pdata::samples::{self, Style};

/// Draws an encoded message from the table, as the protocol allows it: every field may
/// occur, in any order.
fn draw(message: &'static Message, random: &mut StdRng, depth: usize, out: &mut Vec<u8>) {
    let mut member: Option<u32> = None;
    let start = random.random_range(0..message.fields.len());
    for offset in 0..message.fields.len() {
        let field = &message.fields[(start + offset) % message.fields.len()];
        // Indexes into the dictionary of profiles: the peer leaves them out.
        if field.name.ends_with("Strindex") {
            continue;
        }
        if field.presence == Presence::OneOf && member.replace(field.number).is_some() {
            continue;
        }
        let times = match field.presence {
            Presence::Repeated => random.random_range(0..3),
            _ => random.random_range(0..2),
        };
        for _ in 0..times {
            draw_value(field, random, depth, out);
        }
    }
}

fn draw_value(field: &'static Field, random: &mut StdRng, depth: usize, out: &mut Vec<u8>) {
    use prost::encoding::WireType::{
        LengthDelimited, SixtyFourBit, ThirtyTwoBit, Varint as VarintType,
    };
    let wide = random.next_u64() >> random.random_range(0..64);
    let varint = |number: u64, out: &mut Vec<u8>| {
        encode_key(field.number, VarintType, out);
        encode_varint(number, out);
    };
    let fixed64 = |bits: u64, out: &mut Vec<u8>| {
        encode_key(field.number, SixtyFourBit, out);
        out.extend(bits.to_le_bytes());
    };
    let bytes = |content: &[u8], out: &mut Vec<u8>| {
        encode_key(field.number, LengthDelimited, out);
        encode_varint(content.len() as u64, out);
        out.extend(content);
    };
    match field.kind {
        FieldKind::Bool => varint(wide & 1, out),
        FieldKind::Int32 => varint((wide as i32) as i64 as u64, out),
        FieldKind::Uint32 | FieldKind::Sint32 => varint(u64::from(wide as u32), out),
        FieldKind::Int64 | FieldKind::Uint64 => varint(wide, out),
        FieldKind::Enum(names) => varint(wide % names.len() as u64, out),
        FieldKind::Fixed32 => {
            encode_key(field.number, ThirtyTwoBit, out);
            out.extend((wide as u32).to_le_bytes());
        }
        FieldKind::Fixed64 | FieldKind::Sfixed64 | FieldKind::Nanos => fixed64(wide, out),
        // Finite: the peer loses the others without an error.
        FieldKind::Double => {
            let number = f64::from_bits(random.next_u64());
            fixed64(if number.is_finite() { number } else { 0.5 }.to_bits(), out);
        }
        FieldKind::String => {
            let text: String = (0..random.random_range(0..6))
                .map(|_| char::from_u32(random.random_range(0..0xd7ff)).unwrap())
                .collect();
            bytes(text.as_bytes(), out);
        }
        FieldKind::Bytes => bytes(&wide.to_le_bytes()[..random.random_range(0..8)], out),
        FieldKind::Id(length) => {
            let id = [wide.to_le_bytes(); 2].concat();
            bytes(&id[..usize::from(length)], out);
        }
        FieldKind::Message(message) => {
            let mut content = Vec::new();
            if depth > 0 {
                draw(message, random, depth - 1, &mut content);
            }
            bytes(&content, out);
        }
    }
}

/// As the file exporter writes it; an empty request is an empty object.
fn json(signal: Signal, request: &[u8]) -> String {
    let batch = Batch::decode(signal, request.to_vec().into()).unwrap();
    let mut out = Vec::new();
    match batch.parts() {
        [] => out.extend(b"{}"),
        [part] => write(signal, part, &mut out),
        _ => unreachable!("a request is one part"),
    }
    String::from_utf8(out).unwrap()
}

/// Without what stands for its default, which one side writes out and the other leaves
/// out, and with doubles to the precision to which `serde_json` reads them.
fn essence(value: serde_json::Value) -> Option<serde_json::Value> {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};
    match value {
        Null | Bool(false) => None,
        String(text) if text.is_empty() || text == "0" => None,
        Number(number) if number.as_f64() == Some(0.0) => None,
        Number(number) if number.is_f64() => Some(String(format!("{:.12e}", number.as_f64()?))),
        Array(items) if items.is_empty() => None,
        // An item keeps its place.
        Array(items) => Some(Array(
            items
                .into_iter()
                .map(|item| essence(item).unwrap_or(Null))
                .collect(),
        )),
        Object(fields) => Some(Object(
            fields
                .into_iter()
                .filter_map(|(key, value)| Some((key, essence(value)?)))
                .collect(),
        )),
        other => Some(other),
    }
}

fn agree<R>(signal: Signal, seed: u64) -> Result<(), TestCaseError>
where
    R: prost::Message + Default + serde::Serialize,
{
    let mut bytes = Vec::new();
    let mut random = StdRng::seed_from_u64(seed);
    draw(signal.request(), &mut random, 9, &mut bytes);
    let owned = R::decode(bytes.as_slice()).unwrap();
    let text = json(signal, &bytes);
    let ours: serde_json::Value = serde_json::from_str(&text).unwrap();
    let theirs = serde_json::to_value(&owned).unwrap();
    prop_assert_eq!(essence(ours), essence(theirs));
    Ok(())
}

/// JSON to protobuf undoes protobuf to JSON, with prost as the judge of sameness.
fn reads_back<R>(signal: Signal, seed: u64) -> Result<(), TestCaseError>
where
    R: prost::Message + Default + std::fmt::Debug,
{
    let mut bytes = Vec::new();
    draw(
        signal.request(),
        &mut StdRng::seed_from_u64(seed),
        9,
        &mut bytes,
    );
    let text = json(signal, &bytes);
    let batch = decode(signal, text.as_bytes())
        .map_err(|e| TestCaseError::fail(e.to_string()))?
        .batch;
    let again: Vec<u8> = batch
        .parts()
        .iter()
        .flat_map(|part| part.bytes().to_vec())
        .collect();
    // Debug text, because a NaN is not equal to itself.
    let shown = |bytes: &[u8]| format!("{:?}", R::decode(bytes).ok());
    prop_assert_eq!(shown(&again), shown(&bytes));
    Ok(())
}

proptest! {
    #[test]
    fn another_implementation_writes_the_same(seed in any::<u64>()) {
        agree::<ExportMetricsServiceRequest>(Signal::Metrics, seed)?;
        agree::<ExportTraceServiceRequest>(Signal::Traces, seed)?;
        agree::<ExportLogsServiceRequest>(Signal::Logs, seed)?;
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_message(seed in any::<u64>()) {
        reads_back::<ExportMetricsServiceRequest>(Signal::Metrics, seed)?;
        reads_back::<ExportTraceServiceRequest>(Signal::Traces, seed)?;
        reads_back::<ExportLogsServiceRequest>(Signal::Logs, seed)?;
    }

    #[test]
    fn any_text_is_survived(text in ".{0,200}") {
        for signal in Signal::ALL {
            let _ = decode(signal, text.as_bytes());
        }
    }

    #[test]
    fn whatever_is_accepted_is_written_as_json(
        seed in any::<u64>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for style in [Style::REGULAR, Style::ANY] {
            let mut bytes = samples::metrics(seed, style);
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if !bytes.is_empty() && Batch::decode(Signal::Metrics, bytes.clone().into()).is_ok() {
                let text = json(Signal::Metrics, &bytes);
                let read = serde_json::from_str::<serde_json::Value>(&text);
                prop_assert!(read.is_ok(), "{text}");
            }
        }
    }
}

fn point(value: number_data_point::Value) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: 1_763_000_000_000_000_001,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn request(metrics: Vec<Metric>) -> Vec<u8> {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
    .encode_to_vec()
}

fn wrapped(metrics: &str) -> String {
    format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metrics}]}}]}}]}}"#)
}

#[test]
fn numbers_are_written_as_the_protocol_maps_them() {
    let f = |value: number_data_point::Value, expected: &str| {
        let metric = Metric {
            name: "m".into(),
            data: Some(Data::Gauge(Gauge {
                data_points: vec![point(value)],
            })),
            ..Metric::default()
        };
        assert_eq!(
            json(Signal::Metrics, &request(vec![metric])),
            wrapped(&format!(
                r#"{{"name":"m","gauge":{{"dataPoints":[{{"timeUnixNano":"1763000000000000001",{expected}}}]}}}}"#
            ))
        );
    };
    use number_data_point::Value::{AsDouble, AsInt};
    f(AsInt(i64::MIN), r#""asInt":"-9223372036854775808""#);
    f(AsDouble(0.1), r#""asDouble":0.1"#);
    f(AsDouble(f64::NAN), r#""asDouble":"NaN""#);
    f(AsDouble(f64::INFINITY), r#""asDouble":"Infinity""#);
    f(AsDouble(f64::NEG_INFINITY), r#""asDouble":"-Infinity""#);
}

#[test]
fn ids_are_hexadecimal_and_other_bytes_base64() {
    let metric = Metric {
        data: Some(Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint {
                count: u64::MAX,
                bucket_counts: vec![1, 0],
                explicit_bounds: vec![0.5],
                exemplars: vec![Exemplar {
                    trace_id: vec![0xab; 16],
                    value: Some(exemplar::Value::AsInt(7)),
                    filtered_attributes: vec![KeyValue {
                        key: "\"\n".into(),
                        value: Some(AnyValue {
                            value: Some(Value::BytesValue(b"hi".to_vec())),
                        }),
                        ..KeyValue::default()
                    }],
                    ..Exemplar::default()
                }],
                ..HistogramDataPoint::default()
            }],
            aggregation_temporality: 2,
        })),
        ..Metric::default()
    };
    assert_eq!(
        json(Signal::Metrics, &request(vec![metric])),
        wrapped(concat!(
            r#"{"histogram":{"dataPoints":[{"count":"18446744073709551615","#,
            r#""bucketCounts":["1","0"],"explicitBounds":[0.5],"exemplars":[{"#,
            r#""filteredAttributes":[{"key":"\"\n","value":{"bytesValue":"aGk="}}],"#,
            r#""asInt":"7","traceId":"abababababababababababababababab"}]}],"#,
            r#""aggregationTemporality":2}}"#,
        ))
    );
}

#[test]
fn the_last_of_a_oneof_wins_and_pieces_of_a_message_merge() {
    let gauge = |value: number_data_point::Value| Gauge {
        data_points: vec![point(value)],
    };
    let mut metric = Metric {
        data: Some(Data::Gauge(gauge(number_data_point::Value::AsInt(1)))),
        ..Metric::default()
    }
    .encode_to_vec();
    metric.extend(
        Metric {
            name: "m".into(),
            data: Some(Data::Gauge(gauge(number_data_point::Value::AsInt(2)))),
            ..Metric::default()
        }
        .encode_to_vec(),
    );
    let read = Metric::decode(metric.as_slice()).unwrap();
    let as_written = |metric: &[u8]| {
        let mut bytes = metric.to_vec();
        // A metric is in field 2 of a scope, that in 2 of a resource, that in 1 of a request.
        for field in [2, 2, 1] {
            let mut around = Vec::new();
            prost::encoding::bytes::encode(field, &bytes, &mut around);
            bytes = around;
        }
        json(Signal::Metrics, &bytes)
    };
    assert_eq!(as_written(&metric), as_written(&read.encode_to_vec()));

    metric.extend(
        Metric {
            data: Some(Data::Histogram(Histogram::default())),
            ..Metric::default()
        }
        .encode_to_vec(),
    );
    assert_eq!(
        as_written(&metric),
        wrapped(r#"{"name":"m","histogram":{}}"#)
    );
}

#[test]
fn text_that_is_not_utf8_is_refused_wherever_it_stands() {
    let texts: [&[u8]; 3] = [
        b"{\"resourceMetrics\":[{\"schemaUrl\":\"\xff\"}]}",
        b"{\"unknown\":\"\xff\"}",
        b"{\"unknown\":{\"\xff\":1}}",
    ];
    for text in texts {
        let refused = decode(Signal::Metrics, text);
        assert!(matches!(refused, Err(InvalidJson::Utf8(_))), "{refused:?}");
    }
}
