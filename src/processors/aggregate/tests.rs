//! What is emitted, and when.

use std::time::SystemTime;

use super::*;
use crate::pdata::samples::Style;
use crate::pdata::view::Point;
use crate::processors::testing::{OutputRecorder, context, read, sample};
use crate::translation::Translation;
use crate::window::{ValueKind, WindowSettings};

/// A moment in the tests, in milliseconds since the Unix epoch.
const T: i64 = 1_700_000_000_000;

struct Rig {
    context: BuildContext,
    processor: Box<dyn Processor>,
    out: OutputRecorder,
    now: Now,
}

impl Rig {
    fn new(yaml: &str) -> Self {
        Self::with(yaml, context("aggregate"))
    }

    fn with(yaml: &str, context: BuildContext) -> Self {
        let config: Config = read(yaml).unwrap();
        Self {
            processor: config.build(&context, Signal::Metrics).unwrap(),
            context,
            out: OutputRecorder::default(),
            now: Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_millis(T as u64),
            },
        }
    }

    /// Twenty points every 15 s up to the moment, 0 to 19.
    fn put(&self, kind: ValueKind, name: &str, labels: &[(&str, &str)]) {
        let store = self
            .context
            .windows
            .open("window", &WindowSettings::default());
        let mut windows = store.lock();
        windows.advance(0, T);
        let id = windows.register(name, kind, labels).unwrap();
        for index in 0..20 {
            windows
                .push(id, T - (19 - index) * 15_000, index as f64)
                .unwrap();
        }
    }

    fn take(&mut self) {
        let batch = sample(Signal::Metrics, 1, Style::CANONICAL);
        let items = batch.items();
        self.processor.process(batch, self.now, &mut self.out);
        assert_eq!(self.out.sizes(), [items], "what is taken is passed on");
    }

    fn pass(&mut self, by: Duration) {
        self.now.monotonic += by;
        self.now.wall += by;
        if self
            .processor
            .deadline()
            .is_some_and(|due| due <= self.now.monotonic)
        {
            self.processor.on_deadline(self.now, &mut self.out);
        }
    }

    /// Takes batches until results come out.
    async fn results(&mut self) -> Vec<String> {
        for _ in 0..100_000 {
            tokio::task::yield_now().await;
            self.take();
            if !self.out.created.is_empty() {
                break;
            }
        }
        self.out
            .created
            .drain(..)
            .flat_map(|batch| shown(&batch, self.now.wall))
            .collect()
    }
}

/// Every point: `resource | name{attributes} value`.
fn shown(batch: &Batch, now: SystemTime) -> Vec<String> {
    let mut all = Vec::new();
    for resource in batch.resource_metrics() {
        let attributes = resource.attributes();
        let of_resource: Vec<String> = attributes
            .iter()
            .map(|a| format!("{}={}", a.key, a.value))
            .collect();
        for scope in resource.scopes() {
            for metric in scope.metrics() {
                for point in metric.data().points() {
                    let attributes = point.attributes();
                    let own: Vec<String> = attributes
                        .iter()
                        .map(|a| format!("{}={}", a.key, a.value))
                        .collect();
                    let nanos = now.duration_since(UNIX_EPOCH).unwrap().as_nanos();
                    assert_eq!(u128::from(point.time_unix_nano()), nanos);
                    let Point::Number(number) = point else {
                        panic!("not a number");
                    };
                    all.push(format!(
                        "{} | {}{{{}}} {}",
                        of_resource.join(","),
                        metric.name(),
                        own.join(","),
                        number.value().unwrap().as_f64()
                    ));
                }
            }
        }
    }
    all
}

#[tokio::test]
async fn results_leave_as_gauges_beside_what_they_are_of() {
    let mut rig = Rig::new("{emit: true, windows: [5m, 1m], stats: [max, increase]}");
    let labels = [("instance", "i"), ("job", "shop"), ("zone", "z")];
    rig.put(ValueKind::Counter, "requests_total", &labels);
    rig.put(ValueKind::Gauge, "load", &[]);
    rig.take();
    rig.pass(Duration::from_secs(59));
    assert!(rig.out.created.is_empty());
    // The clock of the tests stands still, but for the deadline.
    rig.pass(Duration::from_secs(1));
    rig.now.wall = UNIX_EPOCH + Duration::from_millis(T as u64 + 60_000);
    let results = rig.results().await;
    let resource = "service.name=shop,service.instance.id=i";
    assert_eq!(
        results,
        [
            " | load{stat=max,window=5m} 19".to_owned(),
            " | load{stat=coverage,window=5m} 0.8".to_owned(),
            format!("{resource} | requests{{zone=z,stat=max,window=5m}} 19"),
            format!(
                "{resource} | requests{{zone=z,stat=increase,window=5m}} {}",
                {
                    // From 4 on over 225 s, carried on by half an interval at the end, and by one at
                    // the beginning, where the window begins just before the point.
                    15.0 * ((225.0 + 15.0 + 7.5) / 225.0)
                }
            ),
            format!("{resource} | requests{{zone=z,stat=coverage,window=5m}} 0.8"),
        ]
    );
    assert!(rig.out.discarded.is_empty());
}

#[tokio::test]
async fn what_the_exporter_adds_is_not_there_twice() {
    let translation = Translation {
        namer: crate::translation::Namer::new(crate::translation::Strategy::default(), "fog"),
        const_labels: vec![("site".to_owned(), "s1".to_owned())],
        ..Translation::default()
    };
    let context = BuildContext {
        translation: Arc::new(translation),
        ..context("aggregate")
    };
    let mut rig = Rig::with(
        "{emit: true, windows: [5m], stats: [last], interval: 1s}",
        context,
    );
    rig.put(
        ValueKind::Gauge,
        "fog_load",
        &[("site", "s1"), ("zone", "s1")],
    );
    rig.take();
    rig.pass(Duration::from_secs(1));
    assert_eq!(
        rig.results().await,
        [
            " | load{zone=s1,stat=last,window=5m} 19",
            " | load{zone=s1,stat=coverage,window=5m} 1",
        ]
    );
}

#[tokio::test]
async fn nothing_wakes_a_processor_that_emits_nothing() {
    let mut rig = Rig::new("{}");
    rig.put(ValueKind::Gauge, "load", &[]);
    rig.take();
    assert_eq!(rig.processor.deadline(), None);
    rig.pass(Duration::from_secs(3600));
    rig.processor.drain(rig.now, &mut rig.out);
    assert!(rig.out.created.is_empty());
    assert_eq!(rig.context.windows.plans().len(), 1);
}

#[tokio::test]
async fn one_deadline_an_interval_is_all_that_it_asks_for() {
    let mut rig = Rig::new("{emit: true, interval: 10s}");
    rig.put(ValueKind::Gauge, "load", &[]);
    assert_eq!(rig.processor.deadline(), None, "before anything came");
    rig.take();
    for _ in 0..5 {
        let due = rig.now.monotonic + Duration::from_secs(10);
        assert_eq!(rig.processor.deadline(), Some(due));
        rig.pass(Duration::from_secs(5));
        rig.take();
        assert_eq!(rig.processor.deadline(), Some(due));
        rig.pass(Duration::from_secs(5));
    }
}

#[tokio::test]
async fn results_that_are_ready_leave_when_the_pipeline_ends() {
    let mut rig = Rig::new("{emit: true, interval: 1s, windows: [5m], stats: [last]}");
    rig.put(ValueKind::Gauge, "load", &[]);
    rig.take();
    rig.pass(Duration::from_secs(1));
    for _ in 0..100_000 {
        tokio::task::yield_now().await;
        rig.processor.drain(rig.now, &mut rig.out);
        if !rig.out.created.is_empty() {
            break;
        }
    }
    assert_eq!(rig.out.created.len(), 1);
}

#[tokio::test]
async fn many_results_leave_in_batches_and_no_more_than_the_bound() {
    let yaml = "{emit: true, interval: 1s, windows: [5m, 15m], stats: [last, max, min, avg, sum]}";
    let mut rig = Rig::new(yaml);
    for number in 0..100 {
        rig.put(ValueKind::Gauge, "load", &[("a", &number.to_string())]);
    }
    {
        let store = rig
            .context
            .windows
            .open("window", &WindowSettings::default());
        let mut windows = store.lock();
        for number in 0..9_900 {
            let number = number.to_string();
            let labels = [("b", number.as_str())];
            let id = windows.register("many", ValueKind::Gauge, &labels).unwrap();
            windows.push(id, T, 1.0).unwrap();
        }
    }
    rig.take();
    rig.pass(Duration::from_secs(1));
    let mut sizes = Vec::new();
    while sizes.is_empty() {
        tokio::task::yield_now().await;
        rig.take();
        sizes.extend(rig.out.created.drain(..).map(|batch| batch.items()));
    }
    // 10,000 series, five statistics and the coverage would be 120,000.
    assert_eq!(sizes.iter().sum::<u64>(), 100_000);
    assert!(sizes.iter().all(|size| *size <= 8192), "{sizes:?}");
}

#[test]
fn mistakes_are_named() {
    let f = |yaml: &str, expected: &str| {
        let problems = read::<Config>(yaml).err().unwrap();
        assert_eq!(problems, [expected], "{yaml}");
    };
    f(
        "windows: [5x]",
        "windows::0: expected a duration from 1s to 30d, such as 5m, 90s, 1h30m or 7d",
    );
    f(
        "windows: []",
        "windows: windows is empty: leave it out for the default",
    );
    f("windows: [5m, 5m]", "windows::1: \"5m\" is there twice");
    f(
        "stats: [avg, p101]",
        "stats::1: unknown statistic \"p101\": expected avg, min, max, sum, count, stddev, first, \
         last, rate, increase, delta, ema, mad, deriv, or a percentile such as p95 or p99.9",
    );
    f(
        "group_by: [stat]",
        "group_by::0: results have this label themselves",
    );
    f("group_by: ['']", "group_by::0: a label has a name");
    f(
        "across: serie",
        "across: expected points or series, found `serie`, did you mean `series`?",
    );
    f(
        "combine: max",
        "combine: combine has no effect without `across: series`",
    );
    f(
        "interval: 0s",
        "interval: 0s is out of range: use 1s to 24h",
    );
    f(
        "emits: true",
        "emits: unknown key `emits`, did you mean `emit`?",
    );
}

#[test]
fn every_key_is_read() {
    use crate::window::aggregation::{Across, Combine};
    use crate::window::stats::Method;
    let config: Config = read(
        "{windows: [1d], stats: [p99.9], metrics: [node_*, up], group_by: [a], across: series, \
         combine: max, method: linear, interval: 30s, emit: true}",
    )
    .unwrap();
    assert_eq!(config.windows.len(), 1);
    assert_eq!(config.windows[0].millis(), 86_400_000);
    assert_eq!(config.plan.stats[0].name(), "p99.9");
    assert_eq!(config.plan.series.len(), 2);
    assert!(config.plan.series[0][0].matches("node_x"));
    assert_eq!(config.plan.group_by, ["a"]);
    assert_eq!(config.plan.across, Across::Series(Combine::Max));
    assert_eq!(config.plan.method, Method::Linear);
    assert_eq!(
        (config.interval, config.emit),
        (Duration::from_secs(30), true)
    );
    let default: Config = read("{}").unwrap();
    let windows: Vec<&str> = default.windows.iter().map(|w| w.text()).collect();
    assert_eq!(windows, ["5m", "15m", "1h", "6h", "24h"]);
    assert_eq!(default.plan.stats.len(), 10);
    assert_eq!(default.plan.series.len(), 1);
    assert!(default.plan.series[0].is_empty());
    assert_eq!(default.interval, Duration::from_secs(60));
    assert!(!default.emit);
}
