use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::pdata::samples::Random;
use crate::pdata::walk;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn what_is_written_is_what_prost_reads_and_writes() {
    let mut writer = MetricsWriter::new();
    let long = "x".repeat(300);
    for instance in ["a", long.as_str()] {
        writer.resource(&[("service.instance.id", instance.into())]);
        writer.scope("scope", "1.0");
        writer.metric(
            MetricKind::Gauge,
            MetricDescriptor {
                name: "g",
                unit: "",
                description: "a gauge",
            },
        );
        writer.number(NumberPointData {
            attributes: &[("flag", AttributeValue::Bool(false))],
            start: None,
            time: at(7),
            value: Some(PointNumber::Double(0.0)),
        });
        writer.number(NumberPointData {
            attributes: &[],
            start: None,
            time: at(7),
            value: None,
        });
        writer.metric(
            MetricKind::Counter,
            MetricDescriptor {
                name: "c",
                unit: "By",
                description: "",
            },
        );
        writer.number(NumberPointData {
            attributes: &[
                ("n", AttributeValue::Int(-3)),
                ("d", AttributeValue::Double(0.5)),
            ],
            start: Some(at(1)),
            time: at(7),
            value: Some(PointNumber::Int(5)),
        });
        writer.scope("another", "");
        writer.metric(
            MetricKind::Histogram,
            MetricDescriptor {
                name: "h",
                unit: "s",
                description: "",
            },
        );
        writer.histogram(HistogramPointData {
            attributes: &[],
            start: Some(at(1)),
            time: at(7),
            sum: 2.5,
            bounds: &[1.0, 2.0],
            buckets: &[1, 0, 1],
        });
    }
    let batch = writer.finish();
    assert_eq!(batch.items(), 8);

    let bytes = batch.parts()[0].bytes();
    let read = ExportMetricsServiceRequest::decode(bytes.clone()).unwrap();
    assert_eq!(&read.encode_to_vec(), bytes, "the canonical encoding");

    let metrics = &read.resource_metrics[1].scope_metrics[0].metrics;
    let Some(Data::Gauge(gauge)) = &metrics[0].data else {
        panic!("{metrics:?}")
    };
    assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(0.0)));
    assert_eq!(
        gauge.data_points[1].flags, 1,
        "a point without a value is a tombstone"
    );
    let Some(Data::Sum(sum)) = &metrics[1].data else {
        panic!("{metrics:?}")
    };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality, 2);
    assert_eq!(sum.data_points[0].start_time_unix_nano, 1_000_000_000);
}

#[test]
fn what_shows_a_series_ends_it_too() {
    let write = |writer: &mut MetricsWriter| {
        let descriptor = MetricDescriptor {
            name: "m",
            unit: "",
            description: "",
        };
        writer.metric(MetricKind::Counter, descriptor);
        writer.number(NumberPointData {
            attributes: &[],
            start: Some(at(1)),
            time: at(2),
            value: Some(PointNumber::Int(5)),
        });
        writer.metric(MetricKind::Histogram, descriptor);
        writer.histogram(HistogramPointData {
            attributes: &[],
            start: Some(at(1)),
            time: at(2),
            sum: 1.0,
            bounds: &[1.0],
            buckets: &[1, 0],
        });
    };
    let mut writer = MetricsWriter::new();
    writer.resource(&[]);
    writer.scope("", "");
    write(&mut writer);
    writer.ending(true);
    write(&mut writer);
    writer.ending(false);
    write(&mut writer);
    assert_eq!((writer.items(), writer.tombstones()), (6, 2));
    let batch = writer.finish();
    let ended: Vec<bool> = batch
        .resource_metrics()
        .flat_map(|resource| resource.scopes())
        .flat_map(|scope| scope.metrics())
        .flat_map(|metric| metric.data().points())
        .map(|point| point.is_tombstone())
        .collect();
    assert_eq!(ended, [false, false, true, true, false, false]);
}

#[test]
fn nothing_written_is_an_empty_batch() {
    assert!(MetricsWriter::new().finish().parts().is_empty());
}

/// Any calls that the writer allows, in any order.
fn random_calls(random: &mut Random) -> MetricsWriter {
    let mut writer = MetricsWriter::new();
    let long = "x".repeat(200);
    let text = |random: &mut Random| random.pick(&["", "a", "naïve", long.as_str()]).to_owned();
    for _ in 0..random.below(4) {
        writer.resource(&[("host", text(random).as_str().into())]);
        for _ in 0..random.below(4) {
            let (name, version) = (text(random), text(random));
            writer.scope(&name, &version);
            for _ in 0..random.below(4) {
                let kind = random.pick(&[
                    MetricKind::Gauge,
                    MetricKind::Counter,
                    MetricKind::UpDownCounter,
                    MetricKind::Histogram,
                ]);
                let (name, unit, description) = (text(random), text(random), text(random));
                let descriptor = MetricDescriptor {
                    name: &name,
                    unit: &unit,
                    description: &description,
                };
                writer.metric(kind, descriptor);
                for _ in 0..random.below(6) {
                    let text = text(random);
                    random_point(&mut writer, kind, random, &text);
                }
            }
        }
    }
    writer
}

fn random_point(writer: &mut MetricsWriter, kind: MetricKind, random: &mut Random, text: &str) {
    let all: [Attribute<'_>; 4] = [
        ("s", text.into()),
        ("b", AttributeValue::Bool(random.one_in(2))),
        ("i", AttributeValue::Int(random.next().cast_signed())),
        ("d", AttributeValue::Double(random.below(100) as f64 / 8.0)),
    ];
    let attributes = &all[random.below(5).min(4)..];
    let start = random.one_in(2).then(|| at(random.next() % 2));
    let time = at(random.next() % 3);
    if kind == MetricKind::Histogram {
        let bounds: Vec<f64> = (0..random.below(20)).map(|bound| bound as f64).collect();
        let buckets: Vec<u64> = (0..=bounds.len()).map(|_| random.next() % 3).collect();
        let recorded = !random.one_in(4);
        writer.histogram(HistogramPointData {
            attributes,
            start,
            time,
            sum: 1.0 + random.below(9) as f64,
            bounds: &bounds,
            buckets: if recorded { &buckets } else { &[] },
        });
    } else {
        writer.number(NumberPointData {
            attributes,
            start,
            time,
            value: random.pick(&[
                None,
                Some(PointNumber::Int(-1)),
                Some(PointNumber::Int(0)),
                Some(PointNumber::Double(0.0)),
                Some(PointNumber::Double(f64::NAN)),
            ]),
        });
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_regular_and_as_prost_would_write_it(seed: u64) {
        let writer = random_calls(&mut Random::new(seed));
        let items = writer.items();
        let batch = writer.finish();
        prop_assert_eq!(batch.items(), items);
        for part in batch.parts() {
            let walked = walk::request(Signal::Metrics, part.bytes()).unwrap();
            prop_assert!(walked.regular);
            prop_assert_eq!(walked.items, part.items());
            let read = ExportMetricsServiceRequest::decode(part.bytes().clone()).unwrap();
            prop_assert_eq!(&read.encode_to_vec(), part.bytes());
        }
    }
}

#[test]
fn a_resource_that_another_follows_before_any_metric_is_left_out() {
    let mut writer = MetricsWriter::new();
    let gauge = MetricDescriptor {
        name: "g",
        unit: "",
        description: "",
    };
    for (resource, metrics) in [("a", 0), ("b", 1), ("c", 0), ("d", 1), ("e", 0)] {
        writer.resource(&[("name", resource.into())]);
        writer.schema_url("https://opentelemetry.io/schemas/1.9.0");
        writer.scope("scope", "1");
        for _ in 0..metrics {
            writer.metric(MetricKind::Gauge, gauge);
            writer.number(NumberPointData {
                attributes: &[],
                start: None,
                time: at(7),
                value: Some(PointNumber::Int(1)),
            });
        }
    }
    let batch = writer.finish();
    let bytes = batch.parts()[0].bytes().clone();
    let request = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let names: Vec<_> = request
        .resource_metrics
        .iter()
        .map(|resource| {
            resource.resource.clone().unwrap().attributes[0]
                .value
                .clone()
        })
        .map(|value| format!("{:?}", value.unwrap().value.unwrap()))
        .collect();
    let shown = |name: &str| format!("StringValue({name:?})");
    assert_eq!(names, ["b", "d", "e"].map(shown));
    assert!(
        request
            .resource_metrics
            .iter()
            .all(|resource| resource.schema_url == "https://opentelemetry.io/schemas/1.9.0")
    );
}

mod points;
