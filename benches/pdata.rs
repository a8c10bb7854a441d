//! What encoded batches cost per data point, beside the owned structs of prost.
//!
//! ```text
//! cargo bench --bench pdata
//! ```
//!
//! Criterion's times are CPU time per point. The table at the end holds the minima of the
//! run, and their ratios to the baseline of the same run, which is what travels from one
//! machine to another.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[path = "support/cpu.rs"]
mod cpu;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cpu::measure;
use criterion::{Criterion, criterion_group, criterion_main};
use foghorn::pdata::view::{Metric, Number as Read, Point, Value};
use foghorn::pdata::writer::{
    Attribute, AttributeValue, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData,
    PointNumber,
};
use foghorn::pdata::{Action, At, Batch, Edit, Lookup, Replacement, SeriesMemo, Signal};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use prost::Message as _;

/// Points in one request.
const POINTS: usize = 1_000;
/// Requests that it takes to name every series once.
const REQUESTS: usize = 100;

/// Writes one request: ten metrics, each with a hundred points of four attributes.
fn written(request: usize, time: SystemTime) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[
        ("service.name", "checkout".into()),
        ("service.instance.id", "fog-17".into()),
        ("host.name", "edge-node-0017".into()),
    ]);
    writer.scope("io.opentelemetry.http", "1.4.0");
    let mut route = String::new();
    for name in METRICS {
        writer.metric(
            MetricKind::Counter,
            MetricDescriptor {
                name,
                unit: "{request}",
                description: "Requests by route and outcome.",
            },
        );
        for point in 0..POINTS / 10 {
            use std::fmt::Write as _;
            route.clear();
            let _ = write!(route, "/api/v1/orders/{request:03}/items/{point:03}");
            let attributes: [Attribute<'_>; 4] = [
                ("http.request.method", "GET".into()),
                ("http.route", route.as_str().into()),
                ("http.response.status_code", AttributeValue::Int(200)),
                ("server.address", "10.0.0.17".into()),
            ];
            writer.number(NumberPointData {
                attributes: &attributes,
                start: Some(SystemTime::UNIX_EPOCH),
                time,
                value: Some(PointNumber::Double(point as f64 * 1.5)),
            });
        }
    }
    writer.finish()
}

const METRICS: [&str; 10] = [
    "http.server.requests.a",
    "http.server.requests.b",
    "http.server.requests.c",
    "http.server.requests.d",
    "http.server.requests.e",
    "http.server.requests.f",
    "http.server.requests.g",
    "http.server.requests.h",
    "http.server.requests.i",
    "http.server.requests.j",
];

fn request(number: usize) -> Bytes {
    written(number, SystemTime::UNIX_EPOCH + Duration::from_secs(1))
        .parts()
        .first()
        .map(|part| part.bytes().clone())
        .unwrap_or_default()
}

fn batch(number: usize) -> Batch {
    decoded(request(number))
}

fn decoded(request: Bytes) -> Batch {
    match Batch::decode(Signal::Metrics, request) {
        Ok(batch) => batch,
        Err(error) => panic!("{error}"),
    }
}

fn owned(request: &[u8]) -> ExportMetricsServiceRequest {
    match ExportMetricsServiceRequest::decode(request) {
        Ok(request) => request,
        Err(error) => panic!("{error}"),
    }
}

fn walk(c: &mut Criterion) {
    let bytes = request(0);
    let group = "validate and count";
    measure(c, group, "prost decode", POINTS, || owned(&bytes));
    measure(c, group, "walk", POINTS, || decoded(bytes.clone()));
}

fn views(c: &mut Criterion) {
    let bytes = request(0);
    let (batch, structs) = (decoded(bytes.clone()), owned(&bytes));
    let group = "read values and attributes";
    measure(c, group, "prost decode, then structs", POINTS, || {
        read_owned(&owned(&bytes))
    });
    measure(c, group, "structs alone", POINTS, || read_owned(&structs));
    measure(c, group, "views", POINTS, || read(&batch));
    let group = "read values";
    measure(c, group, "structs alone", POINTS, || values_owned(&structs));
    measure(c, group, "views", POINTS, || values(&batch));
}

fn memo(c: &mut Criterion) {
    let batches: Vec<Batch> = (0..REQUESTS).map(batch).collect();
    let mut memo = SeriesMemo::new(REQUESTS * POINTS);
    let mut map: HashMap<(String, Box<[u8]>), usize, foldhash::fast::RandomState> =
        HashMap::default();
    for batch in batches.iter().chain(&batches) {
        each_point(batch, |metric, point| {
            let key = Box::from(point.attributes().raw().unwrap_or_default());
            let slot = map.len();
            map.entry((metric.name().to_owned(), key)).or_insert(slot);
        });
        look_up(&mut memo, batch);
    }
    assert_eq!(
        (memo.len(), map.len()),
        (REQUESTS * POINTS, REQUESTS * POINTS)
    );
    let group = "find the series of a point, of 100,000";
    let points = POINTS * REQUESTS;
    measure(c, group, "map by encoded attributes", points, || {
        let mut sum = 0;
        for batch in &batches {
            let mut key = (String::new(), Box::<[u8]>::default());
            each_point(batch, |metric, point| {
                if key.0 != metric.name() {
                    metric.name().clone_into(&mut key.0);
                }
                key.1 = Box::from(point.attributes().raw().unwrap_or_default());
                sum += map.get(&key).copied().unwrap_or_default();
            });
        }
        sum
    });
    let searches = memo.searches();
    measure(c, group, "memo", points, || {
        batches
            .iter()
            .map(|batch| look_up(&mut memo, batch))
            .sum::<usize>()
    });
    assert!(
        memo.searches() - searches <= 1,
        "the order is that of last time"
    );
    measure(c, group, "views alone", points, || {
        let mut count = 0;
        for batch in &batches {
            each_point(batch, |_, point| {
                count += point.attributes().raw().map_or(0, <[u8]>::len);
            });
        }
        count
    });
}

fn splice(c: &mut Criterion) {
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
    let bytes = request(0);
    let batch = decoded(bytes.clone());
    let group = "insert an attribute";
    measure(c, group, "prost decode, edit, encode", POINTS, || {
        let mut request = owned(&bytes);
        for metric in request
            .resource_metrics
            .iter_mut()
            .flat_map(|resource| &mut resource.scope_metrics)
            .flat_map(|scope| &mut scope.metrics)
        {
            if let Some(Data::Sum(sum)) = &mut metric.data {
                for point in &mut sum.data_points {
                    point.attributes.push(KeyValue {
                        key: "deployment.environment".into(),
                        value: Some(AnyValue {
                            value: Some(any_value::Value::StringValue("production".into())),
                        }),
                        key_strindex: 0,
                    });
                }
            }
        }
        request.encode_to_vec()
    });
    measure(c, group, "splice", POINTS, || {
        let mut batch = batch.clone();
        batch.edit(&mut Insert);
        batch
    });
}

fn writer(c: &mut Criterion) {
    let structs = owned(&request(0));
    let group = "write a request";
    measure(c, group, "prost encode of structs", POINTS, || {
        structs.encode_to_vec()
    });
    measure(c, group, "clone of structs, prost encode", POINTS, || {
        structs.clone().encode_to_vec()
    });
    measure(c, group, "writer, with its texts", POINTS, || {
        written(0, SystemTime::UNIX_EPOCH)
    });
}

fn each_point(batch: &Batch, mut f: impl FnMut(&Metric<'_>, Point<'_>)) {
    for resource in batch.resource_metrics() {
        for scope in resource.scopes() {
            for metric in scope.metrics() {
                for point in metric.data().points() {
                    f(&metric, point);
                }
            }
        }
    }
}

fn look_up(memo: &mut SeriesMemo<usize>, batch: &Batch) -> usize {
    let mut sum = 0;
    for resource in batch.resource_metrics() {
        for scope in resource.scopes() {
            memo.scope(&resource, &scope);
            for metric in scope.metrics() {
                let data = metric.data();
                memo.metric(&metric, &data);
                for point in data.points() {
                    sum += match memo.series(point.attributes()) {
                        Lookup::Known(_, slot) => *slot,
                        Lookup::New(vacant) => *vacant.insert(1),
                        Lookup::Full => 0,
                    };
                }
            }
        }
    }
    sum
}

fn value(point: &Point<'_>) -> f64 {
    match point {
        Point::Number(point) => point.value().map_or(0.0, Read::as_f64),
        _ => 0.0,
    }
}

fn values(batch: &Batch) -> f64 {
    let mut sum = 0.0;
    each_point(batch, |_, point| sum += value(&point));
    sum
}

fn read(batch: &Batch) -> (f64, usize) {
    let (mut sum, mut length) = (0.0, 0);
    each_point(batch, |_, point| {
        sum += value(&point);
        for attribute in point.attributes() {
            length += attribute.key.len();
            if let Value::Str(text) = attribute.value {
                length += text.len();
            }
        }
    });
    (sum, length)
}

fn owned_points(
    request: &ExportMetricsServiceRequest,
) -> impl Iterator<Item = &opentelemetry_proto::tonic::metrics::v1::NumberDataPoint> {
    request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics)
        .flat_map(|metric| match &metric.data {
            Some(Data::Sum(sum)) => sum.data_points.as_slice(),
            _ => &[],
        })
}

fn value_owned(point: &opentelemetry_proto::tonic::metrics::v1::NumberDataPoint) -> f64 {
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => 0.0,
    }
}

fn values_owned(request: &ExportMetricsServiceRequest) -> f64 {
    owned_points(request).map(value_owned).sum()
}

fn read_owned(request: &ExportMetricsServiceRequest) -> (f64, usize) {
    let (mut sum, mut length) = (0.0, 0);
    for point in owned_points(request) {
        sum += value_owned(point);
        for attribute in &point.attributes {
            length += attribute.key.len();
            if let Some(any_value::Value::StringValue(text)) = attribute
                .value
                .as_ref()
                .and_then(|value| value.value.as_ref())
            {
                length += text.len();
            }
        }
    }
    (sum, length)
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = walk, views, memo, splice, writer, cpu::table
}
criterion_main!(benches);
