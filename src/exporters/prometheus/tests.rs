//! From OTLP to the text of the page.

mod clocks;
mod head;
mod life;
mod limits;
mod making;
mod names;
mod scraped;
mod values;

use std::time::UNIX_EPOCH;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue as Attribute, any_value,
};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    Summary, SummaryDataPoint, exemplar, metric::Data, number_data_point,
    summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::page::Page;
use super::*;
use crate::component::DropReason;
use crate::exposition::{Accepted, Format};
use crate::yaml::{Diagnostics, PlacedNode, parse};

const SECOND: u64 = 1_000_000_000;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const DELTA: i32 = AggregationTemporality::Delta as i32;

#[derive(Default)]
struct Lost(Vec<(u64, DropReason)>);

impl Discards for Lost {
    fn discard(&mut self, items: u64, reason: DropReason) {
        self.0.push((items, reason));
    }
}

struct Rig {
    settings: Arc<PageSettings>,
    shared: SharedPage,
    now: Now,
}

fn batch_from(resource: Vec<Attribute>, scope: &str, metrics: Vec<Metric>) -> Batch {
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: resource,
                ..Default::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope {
                    name: scope.to_owned(),
                    ..Default::default()
                }),
                metrics,
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    Batch::decode(Signal::Metrics, request.encode_to_vec().into()).unwrap()
}

impl Rig {
    fn new(yaml: &str) -> Self {
        let settings = Arc::new(config(yaml).unwrap().settings);
        Self {
            shared: Arc::new(Mutex::new(PageUpdater::new(Arc::clone(&settings)))),
            settings,
            now: Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_secs(1_000),
            },
        }
    }

    /// Sends metrics of the service `s` with the instance `i`; returns what was dropped.
    fn send(&mut self, metrics: Vec<Metric>) -> Vec<(u64, DropReason)> {
        self.send_from(service("s", "i"), "", metrics)
    }

    fn send_from(
        &mut self,
        resource: Vec<Attribute>,
        scope: &str,
        metrics: Vec<Metric>,
    ) -> Vec<(u64, DropReason)> {
        self.take(&batch_from(resource, scope, metrics))
    }

    fn take(&mut self, batch: &Batch) -> Vec<(u64, DropReason)> {
        let mut lost = Lost::default();
        lock(&self.shared).batch(batch, self.now, &mut lost);
        lost.0
    }

    fn page(&self, format: Format) -> String {
        let accepted = Accepted {
            format,
            gzip: false,
        };
        let mut page = Page::new(
            Arc::clone(&self.shared),
            &self.settings,
            Vec::new(),
            accepted,
            self.now.monotonic,
        );
        let mut text = Vec::new();
        while let Some(chunk) = page.next_piece() {
            text.extend_from_slice(&chunk);
        }
        String::from_utf8(text).unwrap()
    }

    /// The page as text, without `target_info` and comments.
    fn lines(&self) -> Vec<String> {
        self.page(Format::Text)
            .lines()
            .filter(|line| !line.starts_with('#') && !line.starts_with("target_info"))
            .map(str::to_owned)
            .collect()
    }

    fn wait(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.wall += Duration::from_secs(seconds);
    }

    /// The conflicts since the last call.
    fn conflicts(&self) -> ingest::Conflicts {
        lock(&self.shared).take_conflicts()
    }
}

fn config(yaml: &str) -> Result<Config, String> {
    let diagnostics = Diagnostics::new();
    let node = parse(yaml, &"test".into(), &diagnostics);
    let config = node.and_then(|node| Config::read(&PlacedNode::root(&node, &diagnostics)));
    match diagnostics.problems().first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(config.unwrap()),
    }
}

fn attribute(key: &str, value: &str) -> Attribute {
    Attribute {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..Default::default()
    }
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<Attribute> {
    pairs.iter().map(|(k, v)| attribute(k, v)).collect()
}

fn service(name: &str, instance: &str) -> Vec<Attribute> {
    attributes(&[("service.name", name), ("service.instance.id", instance)])
}

fn number(time: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: time * SECOND,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..Default::default()
    }
}

fn delta(start: u64, time: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: start * SECOND,
        ..number(time, value)
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Default::default()
    }
}

fn gauge(name: &str, points: Vec<NumberDataPoint>) -> Metric {
    metric(
        name,
        "",
        Data::Gauge(Gauge {
            data_points: points,
        }),
    )
}

fn sum(name: &str, temporality: i32, points: Vec<NumberDataPoint>) -> Metric {
    metric(
        name,
        "",
        Data::Sum(Sum {
            data_points: points,
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
    )
}

fn histogram(name: &str, temporality: i32, points: Vec<HistogramDataPoint>) -> Metric {
    metric(
        name,
        "s",
        Data::Histogram(Histogram {
            data_points: points,
            aggregation_temporality: temporality,
        }),
    )
}

fn buckets(start: u64, time: u64, bounds: &[f64], counts: &[u64]) -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: start * SECOND,
        time_unix_nano: time * SECOND,
        count: counts.iter().sum(),
        sum: Some(1.5),
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        ..Default::default()
    }
}

fn with(mut point: NumberDataPoint, pairs: &[(&str, &str)]) -> NumberDataPoint {
    point.attributes = attributes(pairs);
    point
}

const LOST_OLD: [(u64, DropReason); 1] = [(1, DropReason::OutOfOrder)];
const UNSUPPORTED: [(u64, DropReason); 1] = [(1, DropReason::Unsupported)];
