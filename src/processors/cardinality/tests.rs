use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue as OwnedAttribute, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality as Aggregation, Gauge, Metric as OwnedMetric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use prost::Message;

use super::super::testing::{OutputRecorder, context, read};
use super::*;

struct Bench {
    processor: Cardinality,
    now: Now,
    out: OutputRecorder,
}

impl Bench {
    fn new(yaml: &str) -> Self {
        let config: Config = read(yaml).unwrap();
        Self {
            processor: Cardinality::new(config, &context("cardinality")),
            now: Now::read(),
            out: OutputRecorder::default(),
        }
    }

    /// The series that pass of these, and how many points don't.
    fn send(&mut self, metric: OwnedMetric) -> (Vec<String>, u64) {
        self.out = OutputRecorder::default();
        let batch = batch(metric);
        self.processor.process(batch, self.now, &mut self.out);
        let went = self.out.discarded.iter().map(|(items, reason)| {
            assert_eq!(*reason, DropReason::Cardinality);
            items
        });
        (shown(&self.out.emitted), went.sum())
    }

    fn wait(&mut self, seconds: u64) {
        let until = self.now.monotonic + Duration::from_secs(seconds);
        while let Some(deadline) = self.processor.deadline().filter(|at| *at <= until) {
            self.now.monotonic = deadline;
            self.processor.on_deadline(self.now, &mut self.out);
        }
        self.now.monotonic = until;
    }
}

/// Each point as its series, its time and its value.
fn shown(batches: &[Batch]) -> Vec<String> {
    let mut shown = Vec::new();
    for batch in batches {
        for resource in batch.resource_metrics() {
            for scope in resource.scopes() {
                for metric in scope.metrics() {
                    for point in metric.data().points() {
                        let Point::Number(point) = point else {
                            continue;
                        };
                        let attribute = point.attributes().iter().next().unwrap();
                        let value = point.value().map(|value| value.as_f64());
                        shown.push(format!(
                            "{}{{{}={}}} {}..{} {}",
                            metric.name(),
                            attribute.key,
                            attribute.value,
                            point.start_time_unix_nano(),
                            point.time_unix_nano(),
                            value.map_or_else(|| "-".to_owned(), |value| value.to_string()),
                        ));
                    }
                }
            }
        }
    }
    shown
}

fn batch(metric: OwnedMetric) -> Batch {
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![metric],
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    Batch::decode(Signal::Metrics, request.encode_to_vec().into()).unwrap()
}

/// A point of the series `s=<series>`, from second to second; without a value a tombstone.
fn point(series: &str, (start, time): (u64, u64), value: Option<i64>) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![OwnedAttribute {
            key: "s".to_owned(),
            value: Some(AnyValue {
                value: Some(any_value::Value::StringValue(series.to_owned())),
            }),
            ..Default::default()
        }],
        start_time_unix_nano: start,
        time_unix_nano: time,
        flags: u32::from(value.is_none()),
        value: value.map(number_data_point::Value::AsInt),
        ..Default::default()
    }
}

fn gauge(name: &str, series: &[&str]) -> OwnedMetric {
    let points = series.iter().map(|series| point(series, (0, 9), Some(1)));
    OwnedMetric {
        name: name.to_owned(),
        data: Some(metric::Data::Gauge(Gauge {
            data_points: points.collect(),
        })),
        ..Default::default()
    }
}

fn sum(aggregation: Aggregation, points: Vec<NumberDataPoint>) -> OwnedMetric {
    OwnedMetric {
        name: "m".to_owned(),
        data: Some(metric::Data::Sum(Sum {
            data_points: points,
            aggregation_temporality: aggregation as i32,
            is_monotonic: true,
        })),
        ..Default::default()
    }
}

#[test]
fn the_first_series_pass_and_further_gauges_are_dropped() {
    let mut bench = Bench::new("max_series_per_metric: 2");
    let (passed, went) = bench.send(gauge("m", &["a", "b", "c", "d"]));
    assert_eq!(passed, ["m{s=a} 0..9 1", "m{s=b} 0..9 1"]);
    assert_eq!(went, 2);
    let (passed, went) = bench.send(gauge("m", &["d", "b"]));
    assert_eq!(passed, ["m{s=b} 0..9 1"], "b keeps its place");
    assert_eq!(went, 1);
    let (passed, _) = bench.send(gauge("n", &["d"]));
    assert_eq!(
        passed,
        ["n{s=d} 0..9 1"],
        "another metric has its own budget"
    );
}

#[test]
fn the_budget_of_all_metrics_holds_too() {
    let mut bench = Bench::new("{max_series: 3, max_series_per_metric: 2}");
    assert_eq!(bench.send(gauge("m", &["a", "b"])).1, 0);
    assert_eq!(bench.send(gauge("n", &["a", "b"])).1, 1);
    assert_eq!(bench.processor.memo.len(), 3);
}

#[test]
fn deltas_over_the_budget_are_added_up_without_a_gap() {
    let mut bench = Bench::new("max_series_per_metric: 1");
    let (passed, went) = bench.send(sum(
        Aggregation::Delta,
        vec![
            point("a", (10, 20), Some(1)),
            point("b", (11, 20), Some(2)),
            point("c", (12, 21), Some(3)),
        ],
    ));
    assert_eq!(passed, ["m{s=a} 10..20 1"]);
    assert_eq!(went, 2);
    let overflow = shown(&bench.out.created);
    assert_eq!(overflow, ["m{otel.metric.overflow=true} 11..21 5"]);
    let created = bench.out.created[0].resource_metrics().next().unwrap();
    let metric = created.scopes().next().unwrap().metrics().next().unwrap();
    assert!(matches!(
        metric.data(),
        Data::Sum {
            temporality: Temporality::Delta,
            monotonic: true,
            ..
        }
    ));

    let later = vec![point("d", (15, 30), Some(7)), point("e", (25, 29), Some(1))];
    bench.send(sum(Aggregation::Delta, later));
    let overflow = shown(&bench.out.created);
    assert_eq!(overflow, ["m{otel.metric.overflow=true} 21..30 8"]);
    bench.send(sum(Aggregation::Delta, vec![point("d", (5, 6), Some(1))]));
    let overflow = shown(&bench.out.created);
    assert_eq!(
        overflow,
        ["m{otel.metric.overflow=true} 30..31 1"],
        "what is late counts, but doesn't reach back"
    );
}

#[test]
fn cumulative_totals_over_the_budget_are_dropped() {
    let mut bench = Bench::new("max_series_per_metric: 1");
    let points = vec![point("a", (1, 2), Some(1)), point("b", (1, 2), Some(2))];
    let (passed, went) = bench.send(sum(Aggregation::Cumulative, points));
    assert_eq!((passed.len(), went), (1, 1));
    assert!(bench.out.created.is_empty());
}

#[test]
fn a_series_without_points_gives_its_place_back() {
    let mut bench = Bench::new("{max_series_per_metric: 1, metric_expiration: 60s}");
    bench.send(gauge("m", &["a"]));
    bench.wait(50);
    assert_eq!(bench.send(gauge("m", &["b"])).1, 1);
    bench.wait(40);
    assert_eq!(bench.send(gauge("m", &["b"])).1, 0);
    bench.wait(300);
    assert!(bench.processor.memo.is_empty() && bench.processor.per_metric.is_empty());
    assert_eq!(
        bench.processor.deadline(),
        None,
        "nothing is left to wait for"
    );
}

#[test]
fn a_tombstone_passes_and_gives_the_place_back() {
    let mut bench = Bench::new("max_series_per_metric: 1");
    bench.send(sum(Aggregation::Delta, vec![point("a", (1, 2), Some(1))]));
    let end = vec![point("a", (1, 3), None)];
    assert_eq!(
        bench.send(sum(Aggregation::Delta, end)).0,
        ["m{s=a} 1..3 -"]
    );
    let next = vec![point("b", (1, 4), Some(5))];
    assert_eq!(bench.send(sum(Aggregation::Delta, next)).1, 0);
}

#[test]
fn mistakes_are_named() {
    let f = |yaml: &str, expected: &str| {
        assert_eq!(read::<Config>(yaml).unwrap_err(), [expected], "{yaml}");
    };
    f(
        "max_series: 0",
        "max_series: 0 is out of range: use 1 to 10000000",
    );
    f(
        "{max_series: 5, max_series_per_metric: 6}",
        ": max_series_per_metric 6 is more than max_series 5",
    );
    f(
        "metric_expiration: 10ms",
        "metric_expiration: 10ms is out of range: use 1s to 24h",
    );
}
