//! From histograms to gauges.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use super::*;
use crate::pdata::json;
use crate::pdata::view::Point;
use crate::processors::testing::{OutputRecorder, context, read};

const T: u64 = 1_700_000_000;

/// A histogram of one replica. What isn't written has no value.
struct Sample<'a> {
    deployment: &'a str,
    replica: &'a str,
    name: &'a str,
    status: u32,
    /// 1 for deltas, 2 for totals.
    temporality: u8,
    start: Option<u64>,
    /// Seconds after the start of the test.
    at: u64,
    /// Microseconds after that.
    micros: u64,
    /// Whether it ends its series, instead of having a value.
    is_tombstone: bool,
    buckets: &'a [u64],
    sum: f64,
}

/// Bounds of 0.1 and 1 second; totals of a replica called a.
const SAMPLE: Sample<'_> = Sample {
    deployment: "shop",
    replica: "a",
    name: "http.server.request.duration",
    status: 200,
    temporality: 2,
    start: None,
    at: 0,
    micros: 0,
    is_tombstone: false,
    buckets: &[],
    sum: 0.0,
};

impl Sample<'_> {
    fn metric(&self) -> String {
        let counts: Vec<String> = self.buckets.iter().map(|n| format!("\"{n}\"")).collect();
        let count: u64 = self.buckets.iter().sum();
        let start = self.start.map_or(0, |start| (T + start) * 1_000_000_000);
        let bounds = match self.name {
            "http.server.duration" => "100,1000",
            _ => "0.1,1",
        };
        format!(
            r#"{{"name":"{}","histogram":{{"aggregationTemporality":{},"dataPoints":[{{
                "attributes":[{{"key":"http.response.status_code","value":{{"intValue":"{}"}}}}],
                "startTimeUnixNano":"{start}","timeUnixNano":"{}","count":"{count}","sum":{},
                "explicitBounds":[{bounds}],"flags":{},"bucketCounts":[{}]}}]}}}}"#,
            self.name,
            self.temporality,
            self.status,
            (T + self.at) * 1_000_000_000 + self.micros * 1_000,
            self.sum,
            u32::from(self.is_tombstone),
            counts.join(","),
        )
    }
}

struct TrafficRig {
    processor: Box<dyn Processor>,
    out: OutputRecorder,
    now: Now,
    start: Now,
}

impl TrafficRig {
    fn new(yaml: &str) -> Self {
        let now = Now {
            monotonic: Instant::now(),
            wall: UNIX_EPOCH + Duration::from_secs(T),
        };
        let config: Config = read(yaml).unwrap();
        Self {
            processor: config
                .build(&context("request_metrics"), Signal::Metrics)
                .unwrap(),
            out: OutputRecorder::default(),
            now,
            start: now,
        }
    }

    /// Lets the time come at which so many seconds have passed since the start.
    fn advance(&mut self, seconds: u64) {
        let until = self.start.monotonic + Duration::from_secs(seconds);
        while let Some(deadline) = self.processor.deadline().filter(|at| *at <= until) {
            self.set(deadline);
            self.processor.on_deadline(self.now, &mut self.out);
            let next = self.processor.deadline();
            assert!(next.is_none_or(|next| next > deadline), "it spins");
        }
        self.set(until);
    }

    fn set(&mut self, monotonic: Instant) {
        let passed = monotonic - self.start.monotonic;
        self.now = Now {
            monotonic,
            wall: self.start.wall + passed,
        };
    }

    fn send(&mut self, samples: &[Sample<'_>]) {
        for sample in samples {
            self.send_of(
                &[
                    ("deployment.id", sample.deployment),
                    ("service.instance.id", sample.replica),
                ],
                &sample.metric(),
            );
        }
    }

    fn send_of(&mut self, resource: &[(&str, &str)], metric: &str) {
        let attributes: Vec<String> = resource
            .iter()
            .map(|(key, value)| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#))
            .collect();
        let text = format!(
            r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{}]}},
                "scopeMetrics":[{{"metrics":[{metric}]}}]}}]}}"#,
            attributes.join(",")
        );
        let decoded = json::decode(Signal::Metrics, text.as_bytes()).unwrap();
        let sent = decoded.batch.clone();
        self.processor
            .process(decoded.batch, self.now, &mut self.out);
        let passed = self.out.emitted.pop().unwrap();
        assert_eq!(passed.parts()[0].bytes(), sent.parts()[0].bytes());
        assert!(self.out.emitted.is_empty() && self.out.discarded.is_empty());
    }

    /// The gauges that came since the last call: the newest value of each, NaN where it ended.
    fn shown(&mut self) -> BTreeMap<String, f64> {
        let mut shown = BTreeMap::new();
        for batch in self.out.created.drain(..) {
            for resource in batch.resource_metrics() {
                let name = resource.attributes().get("service.name").unwrap();
                assert_eq!(name.to_string(), "request_metrics");
                for metric in resource.scopes().flat_map(|scope| scope.metrics()) {
                    for point in metric.data().points() {
                        let Point::Number(point) = point else {
                            panic!("no number");
                        };
                        let labels: Vec<String> = point
                            .attributes()
                            .iter()
                            .map(|label| label.value.to_string())
                            .collect();
                        let name = metric.name().trim_start_matches("deployment_");
                        let value = point.value().map_or(f64::NAN, |value| value.as_f64());
                        shown.insert(format!("{name} {}", labels.join("/")), value);
                    }
                }
            }
        }
        shown
    }

    fn expect(&mut self, expected: &[(&str, f64)]) {
        let shown = self.shown();
        let names = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
        let mut wanted: Vec<String> = expected
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        wanted.sort();
        assert_eq!(
            names(&mut shown.keys().cloned()),
            names(&mut wanted.into_iter())
        );
        for (name, value) in expected {
            let found = shown[*name];
            let same = found.is_nan() && value.is_nan() || (found - value).abs() < 1e-9;
            assert!(same, "{name}: {found}, expected {value}");
        }
    }
}

#[test]
fn totals_become_rates_and_latencies_with_the_second_reading() {
    let mut rig = TrafficRig::new("");
    rig.send(&[
        Sample {
            buckets: &[1000, 0, 0],
            sum: 50.0,
            ..SAMPLE
        },
        Sample {
            status: 500,
            buckets: &[10, 0, 0],
            sum: 1.0,
            ..SAMPLE
        },
    ]);
    rig.expect(&[]);
    rig.advance(10);
    rig.expect(&[]);
    // 90 of 50 ms and 10 of 550 ms; of the latter all are errors.
    rig.send(&[
        Sample {
            at: 10,
            buckets: &[1090, 0, 0],
            sum: 54.5,
            ..SAMPLE
        },
        Sample {
            at: 10,
            status: 500,
            buckets: &[10, 10, 0],
            sum: 6.5,
            ..SAMPLE
        },
    ]);
    rig.advance(12);
    rig.expect(&[
        ("request_rate shop", 10.0),
        ("error_rate shop", 1.0),
        ("latency shop", 100.0),
        ("latency_p95 shop", 550.0),
        ("latency_p99 shop", 910.0),
    ]);
    // Without requests the rates are 0; latencies end.
    for at in [20, 30] {
        rig.advance(at);
        rig.send(&[
            Sample {
                at,
                buckets: &[1090, 0, 0],
                sum: 54.5,
                ..SAMPLE
            },
            Sample {
                at,
                status: 500,
                buckets: &[10, 10, 0],
                sum: 6.5,
                ..SAMPLE
            },
        ]);
    }
    rig.advance(32);
    let shown = rig.shown();
    assert_eq!(shown["request_rate shop"], 0.0);
    assert_eq!(shown["error_rate shop"], 0.0);
    assert!(shown["latency shop"].is_nan() && shown["latency_p99 shop"].is_nan());
}

#[test]
fn gauges_come_once_a_second_while_data_comes_and_then_no_more() {
    let mut rig = TrafficRig::new("");
    let mut batches = 0;
    for at in 0..=10 {
        rig.advance(at);
        let total = [at * 10, 0, 0];
        rig.send(&[Sample {
            at,
            buckets: &total,
            ..SAMPLE
        }]);
        batches += rig.out.created.len();
        let shown = rig.shown();
        if at > 1 {
            assert_eq!(shown.get("request_rate shop"), Some(&10.0), "at {at}");
        }
    }
    assert!((9..=11).contains(&batches), "{batches}");
    // Several batches within a second give one set of gauges, with the last.
    for replica in ["b", "c", "d"] {
        rig.send(&[Sample {
            at: 10,
            replica,
            buckets: &[1, 0, 0],
            ..SAMPLE
        }]);
    }
    assert!(rig.out.created.is_empty());
    rig.advance(11);
    assert_eq!(rig.out.created.len(), 1);
}

#[test]
fn a_restart_counts_from_zero_and_never_below() {
    let mut rig = TrafficRig::new("interval: 10s");
    rig.send(&[Sample {
        buckets: &[500, 0, 0],
        ..SAMPLE
    }]);
    rig.advance(10);
    rig.send(&[Sample {
        at: 10,
        buckets: &[40, 0, 0],
        ..SAMPLE
    }]);
    rig.advance(20);
    rig.shown();
    // It began anew, and has had more requests than before; its start time tells.
    rig.send(&[Sample {
        at: 20,
        start: Some(11),
        buckets: &[50, 0, 0],
        ..SAMPLE
    }]);
    rig.advance(22);
    assert_eq!(rig.shown()["request_rate shop"], 5.0);
}

#[test]
fn replicas_add_up_each_by_its_own_time_and_one_that_ended_leaves() {
    let mut rig = TrafficRig::new("");
    let a = |at: u64, count: u64| (at, "a", [count, 0, 0]);
    let b = |at: u64, count: u64| (at, "b", [count, 0, 0]);
    // a reports every 10 s, b every 30 s, at clocks that differ by an hour.
    for (at, replica, buckets) in [
        a(0, 100),
        b(0, 0),
        a(10, 200),
        a(20, 300),
        a(30, 400),
        b(30, 90),
        a(40, 500),
        a(50, 600),
    ] {
        rig.advance(at);
        let ahead = if replica == "b" { 3600 } else { 0 };
        rig.send(&[Sample {
            at: at + ahead,
            replica,
            buckets: &buckets,
            ..SAMPLE
        }]);
    }
    rig.advance(55);
    assert_eq!(rig.shown()["request_rate shop"], 13.0);
    // a is silent from 50 on, and leaves after 20 s; b is expected until 30 + 60 s.
    rig.advance(90);
    assert_eq!(rig.shown()["request_rate shop"], 3.0);
    rig.advance(120);
    let shown = rig.shown();
    assert!(shown["request_rate shop"].is_nan(), "{shown:?}");
    assert!(shown["error_rate shop"].is_nan(), "{shown:?}");
    rig.advance(1000);
    assert_eq!(rig.shown(), BTreeMap::new());
    assert_eq!(rig.processor.deadline(), None, "nothing is remembered");
}

#[test]
fn deltas_count_at_once_and_their_silence_means_no_requests() {
    let mut rig = TrafficRig::new("");
    let delta = |start: u64, at: u64, buckets: &'static [u64]| Sample {
        temporality: 1,
        start: Some(start),
        at,
        buckets,
        sum: 1.0,
        ..SAMPLE
    };
    rig.advance(10);
    rig.send(&[delta(0, 10, &[20, 0, 0])]);
    assert_eq!(rig.shown()["request_rate shop"], 2.0);
    // What was counted already is not counted twice.
    rig.send(&[delta(0, 10, &[20, 0, 0])]);
    rig.advance(20);
    rig.send(&[delta(10, 20, &[40, 0, 0])]);
    rig.advance(22);
    assert_eq!(rig.shown()["request_rate shop"], 3.0);
    rig.advance(60);
    let shown = rig.shown();
    assert_eq!(shown["request_rate shop"], 0.0);
    assert!(shown["latency shop"].is_nan());
    rig.advance(600);
    assert!(
        rig.shown()["request_rate shop"].is_nan(),
        "it was forgotten"
    );
}

#[test]
fn the_times_of_one_reading_may_lie_a_little_apart() {
    let mut rig = TrafficRig::new("");
    // 60 and 40 requests a minute. Each minute another of the two has the later time.
    let buckets: [[&[u64]; 2]; 3] = [
        [&[600, 0, 0], &[40, 0, 0]],
        [&[660, 0, 0], &[80, 0, 0]],
        [&[720, 0, 0], &[120, 0, 0]],
    ];
    for (minute, [good, bad]) in (0..).zip(buckets) {
        let at = minute * 60;
        rig.advance(at);
        rig.send(&[
            Sample {
                at,
                micros: 3 * (minute % 2),
                buckets: good,
                ..SAMPLE
            },
            Sample {
                status: 500,
                at,
                micros: 3 * ((minute + 1) % 2),
                buckets: bad,
                ..SAMPLE
            },
        ]);
        rig.advance(at + 59);
        let shown = rig.shown();
        if minute > 0 {
            // It doesn't leave the sum in between.
            let is = |name: &str, each_minute: f64| (shown[name] - each_minute / 60.0).abs() < 1e-6;
            assert!(is("request_rate shop", 100.0) && is("error_rate shop", 40.0));
        }
    }
}

#[test]
fn a_series_that_goes_on_after_a_tombstone_counts_what_was_added() {
    let mut rig = TrafficRig::new("");
    let readings: [&[u64]; 4] = [
        &[1_000_000, 0, 0],
        &[1_000_020, 0, 0],
        &[],
        &[1_000_050, 0, 0],
    ];
    for (at, buckets) in (0..).step_by(10).zip(readings) {
        rig.advance(at);
        rig.send(&[Sample {
            at,
            is_tombstone: buckets.is_empty(),
            buckets,
            ..SAMPLE
        }]);
    }
    rig.advance(31);
    assert_eq!(rig.shown()["request_rate shop"], 1.5);
}

#[test]
fn a_series_that_begins_later_counts_from_zero() {
    let mut rig = TrafficRig::new("");
    rig.send(&[Sample {
        buckets: &[100, 0, 0],
        ..SAMPLE
    }]);
    rig.advance(10);
    // The first errors of the replica.
    rig.send(&[
        Sample {
            at: 10,
            buckets: &[100, 0, 0],
            ..SAMPLE
        },
        Sample {
            at: 10,
            status: 503,
            buckets: &[20, 0, 0],
            ..SAMPLE
        },
    ]);
    rig.advance(12);
    let shown = rig.shown();
    assert_eq!(
        (shown["request_rate shop"], shown["error_rate shop"]),
        (2.0, 2.0)
    );
    // A replica whose counting began within the interval is known from its first reading on.
    rig.send(&[Sample {
        deployment: "new",
        start: Some(2),
        at: 12,
        buckets: &[50, 0, 0],
        ..SAMPLE
    }]);
    rig.advance(14);
    assert_eq!(rig.shown()["request_rate new"], 5.0);
}

#[test]
fn the_older_convention_counts_only_where_the_newer_is_not_sent() {
    let mut rig = TrafficRig::new("");
    let older = |at: u64, buckets: &'static [u64], sum: f64| Sample {
        name: "http.server.duration",
        at,
        buckets,
        sum,
        ..SAMPLE
    };
    rig.send(&[older(0, &[0, 0, 0], 0.0)]);
    rig.advance(10);
    rig.send(&[older(10, &[0, 10, 0], 5500.0)]);
    rig.advance(12);
    let shown = rig.shown();
    assert_eq!(shown["request_rate shop"], 1.0);
    assert!((shown["latency shop"] - 550.0).abs() < 1e-9);
    assert!((shown["latency_p95 shop"] - 955.0).abs() < 1e-9);
    // From now on it sends both.
    for (at, total) in [(20, [20, 0, 0]), (30, [40, 0, 0]), (40, [60, 0, 0])] {
        rig.advance(at);
        rig.send(&[older(at, &[0, 90, 0], 9000.0)]);
        rig.send(&[Sample {
            at,
            buckets: &total,
            sum: 1.0,
            ..SAMPLE
        }]);
    }
    rig.advance(42);
    assert_eq!(rig.shown()["request_rate shop"], 2.0);
}

#[test]
fn a_resource_is_matched_by_the_first_attribute_that_it_has() {
    let mut rig = TrafficRig::new("");
    let first = Sample {
        buckets: &[0, 0, 0],
        ..SAMPLE
    }
    .metric();
    let second = Sample {
        at: 10,
        buckets: &[10, 0, 0],
        ..SAMPLE
    }
    .metric();
    let resources: [&[(&str, &str)]; 5] = [
        &[("deployment.id", "u-1"), ("k8s.deployment.name", "web")],
        &[("k8s.deployment.name", "web"), ("k8s.namespace.name", "eu")],
        &[("k8s.deployment.name", "web"), ("k8s.namespace.name", "us")],
        &[("deployment.id", ""), ("k8s.deployment.name", "api")],
        &[("service.name", "nothing")],
    ];
    for (at, metric) in [(0, &first), (10, &second)] {
        rig.advance(at);
        for resource in resources {
            rig.send_of(resource, metric);
        }
    }
    rig.advance(12);
    let shown = rig.shown();
    let rates: Vec<&str> = shown
        .keys()
        .filter_map(|name| name.strip_prefix("request_rate "))
        .collect();
    assert_eq!(rates, ["api/api", "u-1/web", "web/web/eu", "web/web/us"]);
    // A replica that knows more: the series go on under better labels, and the others end.
    rig.send_of(
        &[
            ("deployment.id", "u-1"),
            ("k8s.namespace.name", "eu"),
            ("pod", "2"),
        ],
        &first,
    );
    rig.advance(14);
    let shown = rig.shown();
    assert!(shown["request_rate u-1/web"].is_nan());
    assert_eq!(shown["request_rate u-1/web/eu"], 1.0);
}

#[test]
fn exponential_histograms_are_read_like_the_others() {
    let mut rig = TrafficRig::new("");
    let point = |at: u64, scale: i32, offset: i32, counts: &str, count: u64, sum: f64| {
        format!(
            r#"{{"name":"http.server.request.duration","unit":"s","exponentialHistogram":{{
                "aggregationTemporality":2,"dataPoints":[{{"timeUnixNano":"{}","count":"{count}",
                "sum":{sum},"scale":{scale},"positive":{{"offset":{offset},"bucketCounts":[{counts}]}}
                }}]}}}}"#,
            (T + at) * 1_000_000_000
        )
    };
    let resource = [("deployment.id", "shop")];
    // Buckets from 1/8 to 1/4 and so on. Then the SDK makes the buckets wider.
    rig.send_of(&resource, &point(0, 1, -6, r#""10","10""#, 20, 3.0));
    rig.advance(10);
    rig.send_of(&resource, &point(10, 0, -3, r#""20","30""#, 50, 13.0));
    rig.advance(12);
    let shown = rig.shown();
    assert_eq!(shown["request_rate shop"], 3.0);
    assert!((shown["latency shop"] - 1000.0 / 3.0).abs() < 1e-9);
    // Thirty in the bucket from 1/4 to 1/2.
    let p95 = 1000.0 * 0.25 * 2_f64.powf(0.95);
    assert!((shown["latency_p95 shop"] - p95).abs() < 1e-6, "{shown:?}");
}

#[test]
fn bounds_hold_and_what_has_a_place_keeps_it() {
    let mut rig = TrafficRig::new("{max_deployments: 2, max_replicas: 2, max_series: 4}");
    for at in [0, 10] {
        rig.advance(at);
        for deployment in ["x", "y", "z"] {
            for replica in ["1", "2", "3"] {
                let buckets = [at, 0, 0];
                let sample = Sample {
                    deployment,
                    replica,
                    at,
                    buckets: &buckets,
                    ..SAMPLE
                };
                rig.send(&[sample]);
            }
        }
    }
    rig.advance(12);
    let shown = rig.shown();
    assert_eq!(shown["request_rate x"], 2.0);
    assert_eq!(shown["request_rate y"], 2.0);
    assert!(!shown.contains_key("request_rate z"));
}

#[test]
fn a_late_reading_is_left_out_and_a_clock_that_was_set_back_begins_anew() {
    let mut rig = TrafficRig::new("");
    rig.send(&[Sample {
        at: 5000,
        buckets: &[0, 0, 0],
        ..SAMPLE
    }]);
    rig.advance(10);
    rig.send(&[Sample {
        at: 5010,
        buckets: &[10, 0, 0],
        ..SAMPLE
    }]);
    rig.send(&[Sample {
        at: 5005,
        buckets: &[900, 0, 0],
        ..SAMPLE
    }]);
    rig.advance(12);
    assert_eq!(rig.shown()["request_rate shop"], 1.0);
    rig.advance(20);
    rig.send(&[Sample {
        at: 1000,
        buckets: &[20, 0, 0],
        ..SAMPLE
    }]);
    rig.advance(30);
    rig.send(&[Sample {
        at: 1010,
        buckets: &[50, 0, 0],
        ..SAMPLE
    }]);
    rig.advance(32);
    assert_eq!(rig.shown()["request_rate shop"], 3.0);
}

#[test]
fn what_is_wrong_with_a_configuration_is_said() {
    let f = |yaml: &str, expected: &str| {
        let problems = read::<Config>(yaml).unwrap_err();
        assert_eq!(problems, [expected], "{yaml}");
    };
    f(
        "match: []",
        "match: match is empty: name an attribute such as deployment.id",
    );
    f("match: [a, a]", "match::1: \"a\" is there twice");
    f(
        "interval: 10ms",
        "interval: 10ms is out of range: use 1s to 1h",
    );
}
