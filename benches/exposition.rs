//! A page of 100,000 series, and what it takes to keep it up to date, beside the crates
//! `prometheus-client` and `prometheus` in the same run.
//!
//! ```text
//! cargo bench --bench exposition
//! ```
//!
//! Figures are CPU time per line of the page, and per point that is taken in. The
//! exporter's page is read piece by piece, as a server reads it; the crates write theirs
//! into a string, as they are made to.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/cpu.rs"]
mod cpu;
#[path = "../tests/support/page.rs"]
mod page;

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use cpu::measure;
use criterion::{Criterion, criterion_group, criterion_main};
use foghorn::exposition::{Descriptor, Encoder, Format, Kind, Labels, Series};
use foghorn::pdata::Batch;
use foghorn::pdata::writer::{
    AttributeValue, MetricDescriptor as Metric, MetricKind, MetricsWriter, NumberPointData,
    PointNumber,
};
use foghorn::telemetry::Telemetry;
use http_body_util::BodyExt as _;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

const FAMILIES: usize = 100;
const PER_FAMILY: usize = 1_000;
const SERIES: usize = FAMILIES * PER_FAMILY;

/// Groups; the first of each is the baseline of its ratios.
const PAGE: &str = "a line of the page";
const INGEST: &str = "a point of a known series";

/// Half of the values are whole numbers, as counters are, and half have fractions.
fn value(index: usize) -> f64 {
    if index.is_multiple_of(2) {
        (index * 7919) as f64
    } else {
        index as f64 * 0.37 + 0.001
    }
}

fn labels(index: usize) -> [(&'static str, String); 4] {
    [
        ("endpoint", format!("/api/v1/resource/{}", index % 50)),
        (
            "instance",
            format!("10.0.{}.{}:9100", index / 250, index % 250),
        ),
        ("job", "node".to_owned()),
        ("status", ["200", "404", "500"][index % 3].to_owned()),
    ]
}

fn name(family: usize) -> String {
    format!("http_server_request_family_{family}_seconds")
}

fn ours(c: &mut Criterion) {
    let families: Vec<(Descriptor, Vec<Series>)> = (0..FAMILIES)
        .map(|family| {
            let descriptor = Descriptor {
                name: name(family),
                kind: Kind::Gauge,
                unit: "seconds".to_owned(),
                help: "A gauge".to_owned(),
            };
            let series = (0..PER_FAMILY).map(|index| {
                let mut text = Labels::new();
                for (name, value) in labels(index) {
                    text.push(name, &value);
                }
                Series::number(&descriptor.name, &text, value(index))
            });
            let series = series.collect();
            (descriptor, series)
        })
        .collect();
    for (name, format) in [
        ("encoder, text", Format::Text),
        ("encoder, OpenMetrics", Format::OpenMetrics),
    ] {
        measure(c, PAGE, name, SERIES, || {
            let mut encoder = Encoder::new(format);
            let (mut bytes, mut piece) = (0, Vec::new());
            for (descriptor, series) in &families {
                encoder.family(descriptor, descriptor.kind);
                for series in series {
                    encoder.series(series);
                }
                piece = encoder.take(piece);
                bytes += black_box(&piece).len();
            }
            bytes
        });
    }
}

fn batch() -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[
        ("service.name", AttributeValue::Str("node")),
        ("service.instance.id", AttributeValue::Str("10.0.0.1:9100")),
    ]);
    writer.scope("bench", "");
    for family in 0..FAMILIES {
        writer.metric(
            MetricKind::Gauge,
            Metric {
                name: &name(family),
                unit: "s",
                description: "A gauge",
            },
        );
        for index in 0..PER_FAMILY {
            let labels = labels(index);
            let attributes: Vec<_> = labels
                .iter()
                .map(|(name, value)| (*name, AttributeValue::Str(value)))
                .collect();
            writer.number(NumberPointData {
                attributes: &attributes,
                start: None,
                time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
                value: Some(PointNumber::Double(value(index))),
            });
        }
    }
    writer.finish()
}

fn exporter(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut exporter = page::Exporter::new("endpoint: 127.0.0.1:0", Telemetry::off());
    exporter.take(batch());
    assert!(exporter.lost.0.is_empty());
    for (name, accept) in [
        ("exporter, text", page::TEXT),
        ("exporter, OpenMetrics", page::OPENMETRICS),
    ] {
        measure(c, PAGE, name, SERIES, || {
            runtime.block_on(async {
                let mut body = exporter.answer(accept).await.into_body();
                let mut bytes = 0;
                while let Some(Ok(frame)) = body.frame().await {
                    bytes += black_box(frame).into_data().unwrap().len();
                }
                bytes
            })
        });
    }
    let batch = batch();
    measure(c, INGEST, "exporter", SERIES, || {
        exporter.take(batch.clone());
    });
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientLabels {
    endpoint: String,
    instance: String,
    job: String,
    status: String,
}

fn crates(c: &mut Criterion) {
    let mut registry = prometheus_client::registry::Registry::default();
    for at in 0..FAMILIES {
        let family = Family::<ClientLabels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
        for index in 0..PER_FAMILY {
            let [endpoint, instance, job, status] = labels(index).map(|(_, value)| value);
            family
                .get_or_create(&ClientLabels {
                    endpoint,
                    instance,
                    job,
                    status,
                })
                .set(value(index));
        }
        registry.register(name(at), "A gauge", family);
    }
    measure(c, PAGE, "crate prometheus-client", SERIES, || {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text.len()
    });

    let registry = prometheus::Registry::new();
    for at in 0..FAMILIES {
        let family = prometheus::GaugeVec::new(
            prometheus::Opts::new(name(at), "A gauge"),
            &["endpoint", "instance", "job", "status"],
        )
        .unwrap();
        for index in 0..PER_FAMILY {
            let labels = labels(index);
            let values: Vec<&str> = labels.iter().map(|(_, value)| value.as_str()).collect();
            family.with_label_values(&values).set(value(index));
        }
        registry.register(Box::new(family)).unwrap();
    }
    measure(c, PAGE, "crate prometheus", SERIES, || {
        let mut text = String::new();
        prometheus::TextEncoder::new()
            .encode_utf8(&registry.gather(), &mut text)
            .unwrap();
        text.len()
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = crates, ours, exporter, cpu::table
}
criterion_main!(benches);
