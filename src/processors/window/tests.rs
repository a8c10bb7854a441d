//! From OTLP to what the store holds.

mod targets;

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use super::*;
use crate::component::DropReason;
use crate::pdata::json;
use crate::processors::testing::{OutputRecorder, context, read};
use crate::window::{Shelf, StoredPoint};

/// A moment in the tests, in milliseconds since the Unix epoch.
const T: i64 = 1_700_000_000_000;

/// The attributes of a resource.
const SHOP: &[(&str, &str)] = &[("service.name", "shop"), ("service.instance.id", "a")];

struct Rig {
    windows: Shelf,
    processor: Box<dyn Processor>,
    out: OutputRecorder,
    now: Now,
}

impl Rig {
    fn new(yaml: &str) -> Self {
        let context = context("window");
        Self {
            windows: context.windows.clone(),
            processor: build(yaml, &context),
            out: OutputRecorder::default(),
            now: Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_millis(T as u64),
            },
        }
    }

    fn pass(&mut self, by: Duration) {
        self.now.monotonic += by;
        self.now.wall += by;
    }

    /// Takes one metric of one resource, written in OTLP's JSON.
    fn take(&mut self, metric: &str) {
        self.take_of(SHOP, metric);
    }

    /// The same of a resource that differs from others in what is no label.
    fn take_from(&mut self, pod: &str, metric: &str) {
        self.take_of(&[SHOP, &[("k8s.pod.uid", pod)]].concat(), metric);
    }

    /// The same of a resource that has these attributes.
    fn take_of(&mut self, resource: &[(&str, &str)], metric: &str) {
        let batch = batch(resource, metric);
        let items = batch.items();
        self.processor.process(batch, self.now, &mut self.out);
        assert_eq!(self.out.sizes(), [items], "what is taken is passed on");
    }

    /// Every series but `target_info`, as the page would write its head, with its points.
    fn held(&self) -> Vec<String> {
        self.held_of(|name| name != "target_info")
    }

    /// The same of the metrics that are wanted.
    fn held_of(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut held = Vec::new();
        for (_, store) in self.windows.all() {
            let windows = store.lock();
            for ring in windows.rings().filter(|ring| wanted(&ring.name)) {
                let snapshot = windows.snapshot(ring.id, i64::MIN, i64::MAX).unwrap();
                let labels: Vec<String> = snapshot
                    .labels()
                    .iter()
                    .filter(|(name, _)| !name.starts_with("otel_scope"))
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let mut points = Vec::new();
                let mut cursor = snapshot.cursor();
                while let Some((time, point)) = cursor.next() {
                    points.push(format!("{}:{}", time - T, shown(&point)));
                }
                held.push(format!(
                    "{}{{{}}} {}",
                    ring.name,
                    labels.join(","),
                    points.join(" ")
                ));
            }
        }
        held.sort();
        held
    }

    fn refused(&self) -> Vec<(&'static str, u64)> {
        let mut refused = Vec::new();
        for (_, store) in self.windows.all() {
            let totals = store.lock().totals();
            let counts = totals.refused.into_iter().filter(|(_, count)| *count > 0);
            refused.extend(counts.map(|(refusal, count)| (refusal.reason(), count)));
        }
        refused
    }
}

fn build(yaml: &str, context: &BuildContext) -> Box<dyn Processor> {
    let config: Config = read(yaml).unwrap();
    config.build(context, Signal::Metrics).unwrap()
}

fn batch(resource: &[(&str, &str)], metric: &str) -> Batch {
    let attributes = resource
        .iter()
        .map(|(key, text)| format!(r#"{{"key":"{key}","value":{{"stringValue":"{text}"}}}}"#));
    let attributes: Vec<String> = attributes.collect();
    let text = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{}]}},
            "scopeMetrics":[{{"metrics":[{metric}]}}]}}]}}"#,
        attributes.join(",")
    );
    json::decode(Signal::Metrics, text.as_bytes())
        .unwrap()
        .batch
}

fn shown(point: &StoredPoint<'_>) -> String {
    if point.is_stale() {
        return "stale".to_owned();
    }
    match point {
        StoredPoint::Number(value) => value.to_string(),
        StoredPoint::Histogram(h) => {
            format!("{}/{:?}{:?}{:?}", h.count, h.sum, h.bounds, h.buckets)
        }
        StoredPoint::Exponential(h) => format!(
            "{}/{:?}^{} 0:{} +{:?} -{:?}",
            h.count, h.sum, h.scale, h.zero_count, h.positive, h.negative
        ),
        StoredPoint::Summary(s) => format!("{}/{}{:?}{:?}", s.count, s.sum, s.quantiles, s.values),
    }
}

/// Nanoseconds since the Unix epoch, some milliseconds after [`T`].
fn at(millis: i64) -> String {
    ((T + millis) * 1_000_000).to_string()
}

fn gauge(name: &str, millis: i64, value: f64) -> String {
    let time = at(millis);
    format!(
        r#"{{"name":"{name}","gauge":{{"dataPoints":[{{"timeUnixNano":"{time}","asDouble":{value}}}]}}}}"#
    )
}

fn sum(start: i64, millis: i64, value: f64, temporality: u8) -> String {
    let (start, time) = (at(start), at(millis));
    format!(
        r#"{{"name":"http.requests","unit":"s","sum":{{"aggregationTemporality":{temporality},
            "isMonotonic":true,"dataPoints":[{{"startTimeUnixNano":"{start}",
            "timeUnixNano":"{time}","asDouble":{value}}}]}}}}"#
    )
}

#[test]
fn series_have_the_names_and_labels_of_the_page() {
    let mut rig = Rig::new("{}");
    rig.take(&gauge("fan.speed", 0, 2.5));
    rig.take(&sum(0, 0, 7.0, 2));
    assert_eq!(
        rig.held(),
        [
            "fan_speed{instance=a,job=shop} 0:2.5",
            "http_requests_seconds_total{instance=a,job=shop} 0:7",
        ]
    );
}

#[test]
fn points_are_placed_by_their_own_time() {
    let mut rig = Rig::new("{}");
    for millis in [-86_400_000, -60_000, 0, -10_000] {
        rig.take(&gauge("x", millis, millis as f64));
    }
    rig.take(&gauge("x", -60_000, 1.0));
    assert_eq!(
        rig.held(),
        ["x{instance=a,job=shop} -86400000:-86400000 -60000:-60000 -10000:-10000 0:0"]
    );
    assert_eq!(rig.refused(), [("too_old", 1)]);
}

#[test]
fn deltas_are_added_up_and_counted_once() {
    let mut rig = Rig::new("{}");
    rig.take(&sum(0, 1_000, 2.0, 1));
    rig.take(&sum(1_000, 2_000, 3.0, 1));
    rig.take(&sum(1_000, 2_000, 3.0, 1));
    assert_eq!(
        rig.held(),
        ["http_requests_seconds_total{instance=a,job=shop} 1000:2 2000:5"]
    );
    assert_eq!(rig.refused(), [("out_of_order", 1)]);
}

#[test]
fn deltas_of_one_series_add_up_whichever_resource_they_come_from() {
    // One is for `target_info`. What is known of two resources leaves no room for others.
    for max_series in [2, 20] {
        let mut rig = Rig::new(&format!("{{max_series: {max_series}}}"));
        for (pod, from) in [
            ("1", 0),
            ("2", 1_000),
            ("3", 2_000),
            ("1", 3_000),
            ("3", 4_000),
        ] {
            rig.take_from(pod, &sum(from, from + 1_000, 2.0, 1));
        }
        // Counted already, as the page has it.
        rig.take_from("4", &sum(4_000, 5_000, 2.0, 1));
        assert_eq!(
            rig.held(),
            ["http_requests_seconds_total{instance=a,job=shop} \
              1000:2 2000:4 3000:6 4000:8 5000:10"]
        );
        assert_eq!(rig.refused(), [("out_of_order", 1)]);
    }
}

#[test]
fn the_total_of_deltas_is_forgotten_with_their_series() {
    let mut rig = Rig::new("{series_ttl: 60s}");
    rig.take(&sum(0, 1_000, 2.0, 1));
    while let Some(due) = rig.processor.deadline() {
        rig.pass(due - rig.now.monotonic);
        rig.processor.on_deadline(rig.now, &mut rig.out);
    }
    rig.take(&sum(60_000, 61_000, 3.0, 1));
    assert_eq!(
        rig.held(),
        ["http_requests_seconds_total{instance=a,job=shop} 61000:3"]
    );
}

#[test]
fn histograms_and_summaries_keep_what_they_say() {
    let mut rig = Rig::new("{}");
    let time = at(0);
    rig.take(&format!(
        r#"{{"name":"h","histogram":{{"aggregationTemporality":2,"dataPoints":[{{
            "timeUnixNano":"{time}","count":"6","sum":9.5,
            "explicitBounds":[1,2],"bucketCounts":["1","2","3"]}}]}}}}"#
    ));
    rig.take(&format!(
        r#"{{"name":"e","exponentialHistogram":{{"aggregationTemporality":2,"dataPoints":[{{
            "timeUnixNano":"{time}","count":"6","sum":9.5,"scale":3,"zeroCount":"1",
            "positive":{{"offset":-2,"bucketCounts":["2","3"]}},
            "negative":{{"offset":1,"bucketCounts":["0"]}}}}]}}}}"#
    ));
    rig.take(&format!(
        r#"{{"name":"s","summary":{{"dataPoints":[{{"timeUnixNano":"{time}","count":"4","sum":8,
            "quantileValues":[{{"quantile":0.5,"value":2}},{{"quantile":0.99,"value":3}}]}}]}}}}"#
    ));
    assert_eq!(
        rig.held(),
        [
            "e{instance=a,job=shop} 0:6/Some(9.5)^3 0:1 +(-2, [2.0, 3.0]) -(1, [0.0])",
            "h{instance=a,job=shop} 0:6/Some(9.5)[1.0, 2.0][1.0, 2.0, 3.0]",
            "s{instance=a,job=shop} 0:4/8[0.5, 0.99][2.0, 3.0]",
        ]
    );
}

#[test]
fn what_is_not_even_offered_counts_among_the_refusals_of_the_store() {
    let mut rig = Rig::new("{}");
    // A delta of a sum that may fall has no form in Prometheus.
    rig.take(&sum(0, 1_000, 2.0, 1).replace("\"isMonotonic\":true", "\"isMonotonic\":false"));
    rig.take(&gauge(&"x".repeat(5_000), 0, 1.0));
    assert_eq!(rig.held(), [] as [String; 0]);
    assert_eq!(rig.refused(), [("unsupported", 1), ("oversized", 1)]);
}

#[test]
fn exponential_histograms_are_refused_where_prometheus_refuses_them() {
    for (scale, refused) in [(20, 0), (-4, 0), (-5, 1), (i32::MIN, 1)] {
        let mut rig = Rig::new("{}");
        let time = at(0);
        rig.take(&format!(
            r#"{{"name":"e","exponentialHistogram":{{"aggregationTemporality":2,"dataPoints":[{{
                "timeUnixNano":"{time}","count":"2","sum":9.5,"scale":{scale},"zeroCount":"0",
                "positive":{{"offset":0,"bucketCounts":["2"]}}}}]}}}}"#
        ));
        let held = usize::from(refused == 0);
        assert_eq!(
            rig.held().iter().filter(|s| s.contains("0:2/")).count(),
            held
        );
        let found: u64 = rig.refused().iter().map(|(_, count)| count).sum();
        assert_eq!(found, refused, "{scale}");
    }
}

#[test]
fn a_point_that_is_too_wide_is_refused_before_anything_is_made_of_it() {
    let mut rig = Rig::new("{}");
    let counts = ["\"1\""; 2000].join(",");
    rig.take(&format!(
        r#"{{"name":"e","exponentialHistogram":{{"aggregationTemporality":2,"dataPoints":[{{
            "timeUnixNano":"{}","positive":{{"bucketCounts":[{counts}]}}}}]}}}}"#,
        at(0)
    ));
    let quantiles = [r#"{"quantile":0.5}"#; 2000].join(",");
    rig.take(&format!(
        r#"{{"name":"s","summary":{{"dataPoints":[{{
            "timeUnixNano":"{}","quantileValues":[{quantiles}]}}]}}}}"#,
        at(0)
    ));
    let bounds: Vec<String> = (0..2000).map(|bound| bound.to_string()).collect();
    rig.take(&format!(
        r#"{{"name":"h","histogram":{{"aggregationTemporality":1,"dataPoints":[{{
            "timeUnixNano":"{}","explicitBounds":[{}],"bucketCounts":[{counts},"1"]}}]}}}}"#,
        at(0),
        bounds.join(",")
    ));
    assert_eq!(rig.held(), [] as [String; 0]);
    assert_eq!(rig.refused(), [("too_wide", 3)]);
}

#[test]
fn a_tombstone_leaves_a_stale_mark() {
    let mut rig = Rig::new("{}");
    rig.take(&gauge("x", 0, 1.0));
    let time = at(5_000);
    rig.take(&format!(
        r#"{{"name":"x","gauge":{{"dataPoints":[{{"timeUnixNano":"{time}","flags":1}}]}}}}"#
    ));
    assert_eq!(rig.held(), ["x{instance=a,job=shop} 0:1 5000:stale"]);
    // The series comes back under its name.
    rig.take(&gauge("x", 9_000, 2.0));
    assert_eq!(rig.held(), ["x{instance=a,job=shop} 0:1 5000:stale 9000:2"]);
}

#[test]
fn a_late_tombstone_leaves_a_stale_mark_also_where_the_series_has_ended_since() {
    let mut rig = Rig::new("{}");
    rig.take(&gauge("x", 0, 1.0));
    for time in [at(9_000), at(5_000)] {
        rig.take(&format!(
            r#"{{"name":"x","gauge":{{"dataPoints":[{{"timeUnixNano":"{time}","flags":1}}]}}}}"#
        ));
    }
    assert_eq!(
        rig.held(),
        ["x{instance=a,job=shop} 0:1 5000:stale 9000:stale"]
    );
}

#[test]
fn a_tombstone_leaves_a_stale_mark_also_where_too_many_resources_were_seen() {
    let mut rig = Rig::new("{max_series: 2}");
    rig.take_from("1", &gauge("x", 0, 1.0));
    rig.take_from("2", &gauge("x", 500, 3.0));
    rig.take_from("3", &gauge("x", 1_000, 2.0));
    let ended = |name: &str| {
        let time = at(2_000);
        format!(
            r#"{{"name":"{name}","gauge":{{"dataPoints":[{{"timeUnixNano":"{time}","flags":1}}]}}}}"#
        )
    };
    rig.take_from("3", &ended("x"));
    rig.take_from("3", &ended("y"));
    assert_eq!(
        rig.held(),
        ["x{instance=a,job=shop} 0:1 500:3 1000:2 2000:stale"]
    );
    assert_eq!(rig.refused(), []);
}

#[test]
fn a_full_store_drops_nothing_from_the_pipeline() {
    // One for `target_info`.
    let mut rig = Rig::new("{max_series: 2}");
    rig.take(&gauge("x", 0, 1.0));
    rig.take(&gauge("y", 0, 1.0));
    rig.take(&gauge("y", 1, 1.0));
    assert_eq!(rig.held(), ["x{instance=a,job=shop} 0:1"]);
    assert_eq!(rig.refused(), [("max_series", 2)]);
    assert_eq!(rig.out.discarded, [] as [(u64, DropReason); 0]);
}

#[test]
fn a_series_without_points_is_forgotten_and_may_come_back() {
    let mut rig = Rig::new("{series_ttl: 60s}");
    assert_eq!(rig.processor.deadline(), None);
    rig.take(&gauge("x", 0, 1.0));
    while let Some(due) = rig.processor.deadline() {
        rig.pass(due - rig.now.monotonic);
        rig.processor.on_deadline(rig.now, &mut rig.out);
    }
    // An empty store has no deadline, so that it wakes nobody.
    let (held, passed) = (rig.held(), rig.now.wall_millis() - T);
    assert_eq!((held, passed), (vec![], 60_000));
    rig.take(&gauge("x", 70_000, 2.0));
    assert_eq!(rig.held(), ["x{instance=a,job=shop} 70000:2"]);
}

#[test]
fn processors_of_one_name_share_a_store() {
    let context = context("window");
    let mut first = build("{}", &context);
    let mut second = build("{}", &context);
    let mut out = OutputRecorder::default();
    let now = Now::read();
    first.process(batch(SHOP, &gauge("x", 0, 1.0)), now, &mut out);
    second.process(batch(SHOP, &gauge("y", 0, 1.0)), now, &mut out);
    let stores = context.windows.all();
    assert_eq!(stores.len(), 1);
    // With the one `target_info` of both.
    assert_eq!(stores[0].1.lock().totals().series, 3);
}

#[test]
fn a_value_out_of_range_is_an_error() {
    let f = |yaml: &str, named: &str| {
        let errors = read::<Config>(yaml).unwrap_err();
        assert!(errors[0].contains(named), "{errors:?}");
    };
    f("{capacity: 1}", "capacity");
    f("{max_series: 0}", "max_series");
    f("{max_memory: 1KiB}", "max_memory");
    f("{series_ttl: 0s}", "series_ttl");
    f("{out_of_order_window: 2d}", "out_of_order_window");
    f("{windows: [5m]}", "windows");
}
