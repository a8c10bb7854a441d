//! Instructions of the paths that everything passes, each beside its baseline: divide by
//! the number of points in the name for instructions a point.
#![allow(missing_docs, reason = "the macros make public functions")]

#[path = "../../tests/support/page.rs"]
mod page;

use std::hint::black_box;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use foghorn::pdata::view::{Metric, Point, Value};
use foghorn::pdata::{Action, At, Batch, Edit, Replacement, Signal};
use foghorn::telemetry::Telemetry;
use foghorn_instructions::written;
use gungraun::{library_benchmark, library_benchmark_group, main};
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prost::Message as _;

/// Ten metrics of a hundred points each.
fn request() -> Bytes {
    let batch = written(10, 100);
    batch.parts()[0].bytes().clone()
}

fn owned() -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(request()).unwrap()
}

fn batch() -> Batch {
    Batch::decode(Signal::Metrics, request()).unwrap()
}

#[library_benchmark]
#[bench::points_1000(request())]
fn prost_decode(request: Bytes) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(black_box(request)).unwrap()
}

#[library_benchmark]
#[bench::points_1000(request())]
fn walk(request: Bytes) -> Batch {
    Batch::decode(Signal::Metrics, black_box(request)).unwrap()
}

#[library_benchmark]
#[bench::points_1000(request())]
fn prost_insert(request: Bytes) -> Vec<u8> {
    let mut request = ExportMetricsServiceRequest::decode(black_box(request)).unwrap();
    let metrics = request.resource_metrics.iter_mut();
    let metrics = metrics.flat_map(|resource| &mut resource.scope_metrics);
    for metric in metrics.flat_map(|scope| &mut scope.metrics) {
        let Some(Data::Sum(sum)) = &mut metric.data else {
            continue;
        };
        for point in &mut sum.data_points {
            point.attributes.push(KeyValue {
                key: "deployment.environment".to_owned(),
                value: Some(AnyValue {
                    value: Some(any_value::Value::StringValue("production".to_owned())),
                }),
                ..Default::default()
            });
        }
    }
    request.encode_to_vec()
}

/// Puts one attribute at the end of every point.
struct Insert;

impl Edit for Insert {
    fn point(
        &mut self,
        _: At<'_>,
        _: &Metric<'_>,
        point: &Point<'_>,
        new: &mut Replacement,
    ) -> Action {
        let attributes = point.attributes();
        if attributes.get("deployment.environment").is_none() {
            let new = new.begin();
            new.keep_all(attributes);
            new.put("deployment.environment", &Value::Str("production"));
        }
        Action::Keep
    }
}

#[library_benchmark]
#[bench::points_1000(batch())]
fn splice_insert(mut batch: Batch) -> Batch {
    black_box(&mut batch).edit(&mut Insert);
    batch
}

#[library_benchmark]
#[bench::points_1000(owned())]
fn prost_encode(request: ExportMetricsServiceRequest) -> Vec<u8> {
    black_box(request).encode_to_vec()
}

#[library_benchmark]
#[bench::points_1000(10, 100)]
fn write(metrics: usize, points: usize) -> Batch {
    written(black_box(metrics), black_box(points))
}

library_benchmark_group!(
    name = requests,
    benchmarks = [
        prost_decode,
        walk,
        prost_insert,
        splice_insert,
        prost_encode,
        write,
    ]
);

/// The labels of a series, in the crate's own order.
type Labels = Vec<(&'static str, String)>;

fn client() -> prometheus_client::registry::Registry {
    let mut registry = prometheus_client::registry::Registry::default();
    for metric in 0..10 {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for point in 0..100 {
            let labels = vec![
                ("http_request_method", "GET".to_owned()),
                (
                    "http_route",
                    format!("/api/v1/orders/{metric:03}/items/{point:03}"),
                ),
                ("http_response_status_code", "200".to_owned()),
                ("server_address", "10.0.0.17".to_owned()),
                ("instance", "10.0.0.1:9100".to_owned()),
                ("job", "node".to_owned()),
            ];
            family.get_or_create(&labels).set(f64::from(point) * 1.5);
        }
        let name = format!("http_server_requests_{metric}");
        registry.register(name, "Requests by route and outcome.", family);
    }
    registry
}

fn exporter() -> page::Exporter {
    let mut exporter = page::Exporter::new("endpoint: 127.0.0.1:0", Telemetry::off());
    exporter.take(batch());
    // The first page may build what later ones reuse.
    render(&exporter);
    exporter
}

fn render(exporter: &page::Exporter) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(async {
        let mut body = exporter.answer(page::TEXT).await.into_body();
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.into_data().unwrap().len();
        }
        bytes
    })
}

#[library_benchmark]
#[bench::lines_1000(client())]
fn client_page(registry: prometheus_client::registry::Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, black_box(&registry)).unwrap();
    text
}

// With a runtime made and thrown away, which a server doesn't pay for.
#[library_benchmark]
#[bench::lines_1000(exporter())]
fn exporter_page(exporter: page::Exporter) -> usize {
    render(black_box(&exporter))
}

#[library_benchmark]
#[bench::points_1000(exporter(), batch())]
fn exporter_ingest(mut exporter: page::Exporter, batch: Batch) -> page::Exporter {
    exporter.take(black_box(batch));
    exporter
}

library_benchmark_group!(
    name = pages,
    benchmarks = [client_page, exporter_page, exporter_ingest]
);

main!(library_benchmark_groups = [requests, pages]);
