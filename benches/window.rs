//! What a sample costs in a window, in bytes and in time, beside a deque of points each with
//! its own label map in the same run.
//!
//! ```sh
//! cargo bench --bench window
//! ```
//!
//! Bytes are those of the store's own books, keys and index included, over a day of points at
//! 15 s; for the mix of 10,000 series (half constant, a quarter slow gauges, a fifth counters,
//! the rest noise) the resident memory stands beside them. Times are CPU time, the minimum
//! of rounds that alternate between the two.
#![allow(clippy::print_stdout, reason = "it is what a bench is for")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hint::black_box;
use std::time::Duration;

use foghorn::recording::OwnMetrics;
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use foghorn::window::stats::{Cadence, Method, Numbers, statistic};
use foghorn::window::{Excerpt, RingId, SharedWindows, ValueKind, WindowSettings, Windows};
use opentelemetry::KeyValue;
use rustix::time::{ClockId, clock_gettime};

const STEP: i64 = 15_000;
const DAY: usize = 5760;
const LABELS: [(&str, &str); 4] = [
    ("cluster", "fog-west"),
    ("instance", "10.0.0.1:9100"),
    ("job", "node"),
    ("mode", "idle"),
];

fn main() {
    mix();
    bytes();
    println!("\n| work | how | minimum | ratio |\n|---|---|---|---|");
    insert();
    read();
    coverage();
    own();
}

/// What the values of a series look like.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Constant,
    Gauge,
    Counter,
    Flapping,
    Noise,
}

impl Shape {
    const ALL: [Self; 5] = [
        Self::Constant,
        Self::Gauge,
        Self::Counter,
        Self::Flapping,
        Self::Noise,
    ];

    /// The shape of a series of the mix.
    fn of(series: usize) -> Self {
        match series % 20 {
            0..10 => Self::Constant,
            10..15 => Self::Gauge,
            15..19 => Self::Counter,
            _ => Self::Noise,
        }
    }

    fn next(self, state: &mut i64, random: &mut Random) -> f64 {
        match self {
            Self::Constant => 42.0,
            Self::Gauge => {
                *state += random.below(7) - 3;
                *state as f64 / 10.0
            }
            Self::Counter => {
                *state += random.below(200);
                *state as f64
            }
            Self::Flapping => random.below(2) as f64,
            Self::Noise => random.below(1 << 53) as f64 / (1_i64 << 53) as f64 * 100.0,
        }
    }
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as i64 % bound
    }
}

fn store() -> Windows {
    Windows::new(WindowSettings {
        max_memory: 1 << 30,
        max_ahead: i64::MAX,
        ..WindowSettings::default()
    })
}

fn register(windows: &mut Windows, series: usize) -> Vec<RingId> {
    let one = |index: usize| {
        let name = format!("node_metric_number_{}", index % 200);
        let series = (index / 200).to_string();
        let labels = [&LABELS[..], &[("series", &series)]].concat();
        windows.register(&name, ValueKind::Gauge, &labels).unwrap()
    };
    (0..series).map(one).collect()
}

/// Bytes a sample by shape, with timestamps at one interval and with such as scrapes have.
fn bytes() {
    println!("\n| shape | bytes a sample | with jitter |\n|---|---|---|");
    for shape in Shape::ALL {
        let f = |jitter: i64| {
            let mut windows = store();
            let ids = register(&mut windows, 1000);
            let mut states = vec![1000; ids.len()];
            let mut random = Random(1);
            for step in 0..DAY as i64 {
                let time = step * STEP + random.below(jitter);
                for (id, state) in ids.iter().zip(&mut states) {
                    windows
                        .push(*id, time, shape.next(state, &mut random))
                        .unwrap();
                }
            }
            windows.bytes() as f64 / (ids.len() * DAY) as f64
        };
        println!("| {shape:?} | {:.3} | {:.3} |", f(1), f(20));
    }
}

fn mix() {
    let before = resident();
    let mut windows = store();
    let ids = register(&mut windows, 10_000);
    let mut states = vec![1000; ids.len()];
    let mut random = Random(1);
    let mut peak = 0;
    for step in 0..DAY as i64 {
        for (series, id) in ids.iter().enumerate() {
            let value = Shape::of(series).next(&mut states[series], &mut random);
            windows.push(*id, step * STEP, value).unwrap();
        }
        peak = peak.max(windows.bytes());
    }
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!(
        "A day of 10,000 series: {:.1} MiB by the books (at most {:.1}), {:.1} MiB resident.",
        mib(windows.bytes()),
        mib(peak),
        mib(resident().saturating_sub(before)),
    );
}

/// The baseline's point.
struct DequePoint {
    time: i64,
    value: f64,
    labels: HashMap<String, String>,
}

/// Points by metric, each with its own label map.
#[derive(Default)]
struct Deques(BTreeMap<String, VecDeque<DequePoint>>);

impl Deques {
    fn push(&mut self, name: &str, labels: &[(&str, &str)], time: i64, value: f64) {
        let points = self.0.entry(name.to_owned()).or_default();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let labels = labels.iter().map(owned).collect();
        points.push_back(DequePoint {
            time,
            value,
            labels,
        });
        if points.len() > DAY {
            points.pop_front();
        }
    }

    fn p95(&self, from: i64, labels: &[(&str, &str)]) -> f64 {
        let mut total = 0.0;
        for points in self.0.values() {
            let carries = |point: &&DequePoint| {
                let has = |(name, value): &(&str, &str)| {
                    point.labels.get(*name).is_some_and(|known| known == value)
                };
                point.time > from && labels.iter().all(has)
            };
            let mut values: Vec<f64> = points.iter().filter(carries).map(|p| p.value).collect();
            values.sort_by(f64::total_cmp);
            total += values[(0.95 * (values.len() - 1) as f64).ceil() as usize];
        }
        total
    }
}

/// A point more where there is a day of them.
fn insert() {
    let (series, steps) = (10_000, 480);
    let mut random = Random(1);
    let mut states = vec![1000; series];
    let values: Vec<f64> = (0..steps * series)
        .map(|i| Shape::of(i % series).next(&mut states[i % series], &mut random))
        .collect();
    let mut windows = store();
    let ids = register(&mut windows, series);
    let mut clock = 0;
    let mut push_all = || {
        for row in values.chunks_exact(series) {
            for (id, value) in ids.iter().zip(row) {
                windows.push(*id, clock, *value).unwrap();
            }
            clock += STEP;
        }
    };
    let mut deques = Deques::default();
    let names: Vec<String> = (0..100).map(|i| format!("metric_{i}")).collect();
    let mut push_some = |count: usize| {
        for (index, value) in values[..count].iter().enumerate() {
            deques.push(&names[index % names.len()], &LABELS, index as i64, *value);
        }
    };
    for _ in 0..DAY / steps {
        push_all();
    }
    push_some(names.len() * DAY);
    let count = names.len() * 500;
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    for _ in 0..4 {
        ours = ours.min(cpu(&mut push_all) / values.len() as f64);
        theirs = theirs.min(cpu(|| push_some(count)) / count as f64);
    }
    row(
        "insert, a sample",
        "deque of labelled points",
        theirs,
        theirs,
        "ns",
    );
    row("insert, a sample", "windows", ours, theirs, "ns");
}

/// An exact p95 of every series, over a day and over five minutes.
fn read() {
    let series = 1_000;
    let mut windows = store();
    let ids = register(&mut windows, series);
    let mut deques = Deques::default();
    let mut random = Random(1);
    let mut states = vec![1000; series];
    // More would take gigabytes.
    let names: Vec<String> = (0..100).map(|i| format!("metric_{i}")).collect();
    for step in 0..DAY as i64 {
        for i in 0..series {
            // Nothing that is constant: that would be no work.
            let value = Shape::of(10 + i % 10).next(&mut states[i], &mut random);
            windows.push(ids[i], step * STEP, value).unwrap();
            if let Some(name) = names.get(i) {
                deques.push(name, &LABELS, step * STEP, value);
            }
        }
    }
    let newest = (DAY as i64 - 1) * STEP;
    let p95 = statistic("p95", Method::Platform).unwrap();
    let avg = statistic("avg", Method::Platform).unwrap();
    for (name, range) in [("a day", DAY as i64 * STEP), ("five minutes", 300_000)] {
        let from = newest - range;
        let (mut numbers, mut excerpt) = (Numbers::default(), Excerpt::default());
        let mut ours = |statistic: &dyn foghorn::window::stats::Statistic| {
            // The second time, what is needed may be in the processor's caches.
            let each = [(); 2].map(|()| {
                cpu(|| {
                    for id in &ids {
                        windows.excerpt(*id, from + 1, newest, &mut excerpt);
                        numbers.begin(from, newest);
                        numbers.gather(&excerpt, statistic.needs());
                        black_box(statistic.of(&mut numbers));
                    }
                })
            });
            each.map(|each| each / 1e3 / series as f64)
        };
        let (mut quantile, mut mean, mut theirs) = ([f64::MAX; 2], [f64::MAX; 2], f64::MAX);
        let least = |a: [f64; 2], b: [f64; 2]| [a[0].min(b[0]), a[1].min(b[1])];
        for _ in 0..5 {
            for (statistic, found) in [(&*p95, &mut quantile), (&*avg, &mut mean)] {
                let each = cpu(|| black_box(deques.p95(from, &LABELS[..1])));
                theirs = theirs.min(each / 1e3 / names.len() as f64);
                *found = least(*found, ours(statistic));
            }
        }
        let work = |what: &str| format!("{what} over {name}, a series");
        row(
            &work("p95"),
            "deque of labelled points",
            theirs,
            theirs,
            "us",
        );
        for (what, ours) in [("p95", quantile), ("avg", mean)] {
            row(&work(what), "windows", ours[0], theirs, "us");
            row(&work(what), "windows, at once again", ours[1], theirs, "us");
        }
    }
}

/// What it takes to see how many points are missing in a day of a series, beside points at one
/// interval.
fn coverage() {
    let range = (DAY as i64 + 1) * STEP;
    let mut baseline = None;
    for (how, jitter) in [
        ("one interval", 0),
        ("up to 20 ms late", 20),
        ("up to 3 s late", 3000),
        ("no interval", range),
    ] {
        let mut windows = store();
        let ids = register(&mut windows, 100);
        let mut random = Random(1);
        for id in &ids {
            let late = |step: i64| step * STEP + random.below(jitter + 1);
            let mut times: Vec<i64> = (0..DAY as i64).map(late).collect();
            times.sort_unstable();
            times.dedup();
            for time in times {
                windows.push(*id, time, 1.0).unwrap();
            }
        }
        let (mut cadence, mut excerpt) = (Cadence::default(), Excerpt::default());
        let mut each = f64::MAX;
        for _ in 0..5 {
            let all = cpu(|| {
                for id in &ids {
                    windows.excerpt(*id, 0, range, &mut excerpt);
                    cadence.gather(&excerpt, (-1, range));
                    black_box(cadence.expected((-1, range), Some(STEP)));
                }
            });
            each = each.min(all / 1e3 / ids.len() as f64);
        }
        let baseline = *baseline.get_or_insert(each);
        row("coverage of a day, a series", how, each, baseline, "us");
    }
}

/// A sample of the agent's own metrics, as many as the default configuration has.
fn own() {
    let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
    let meter = telemetry.meter("bench");
    for name in 0..10 {
        let name = format!("foghorn_bench_{name}_items_total");
        let counter = meter.u64_counter(name).build();
        for reason in 0..20 {
            let reason = KeyValue::new("reason", format!("reason_{reason}"));
            let labels = [("outcome", "dropped"), ("pipeline", "metrics")];
            let labels = labels.map(|(key, value)| KeyValue::new(key, value));
            counter.add(1, &[labels.as_slice(), &[reason]].concat());
        }
    }
    let store = SharedWindows::new(WindowSettings::default());
    let own = OwnMetrics::default();
    own.remember(&telemetry, &store);
    let (mut gathered, mut sampled) = (f64::MAX, f64::MAX);
    for step in 0..1_000 {
        gathered = gathered.min(cpu(|| telemetry.gather_now()));
        let time = step * STEP;
        sampled = sampled.min(cpu(|| own.sample_here(time, time)));
    }
    let (gathered, sampled) = (gathered / 1_000.0, sampled / 1_000.0);
    row("200 own metrics", "gather", gathered, gathered, "us");
    row(
        "200 own metrics",
        "gather and store",
        sampled,
        gathered,
        "us",
    );
    let (bytes, series) = (store.lock().bytes(), store.lock().totals().series);
    println!("\n{series} own series take {bytes} bytes after 1,000 samples");
}

fn row(work: &str, how: &str, value: f64, baseline: f64, unit: &str) {
    println!(
        "| {work} | {how} | {value:.2} {unit} | {:.4} |",
        value / baseline
    );
}

/// Nanoseconds of CPU time.
fn cpu<R>(work: impl FnOnce() -> R) -> f64 {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let start = now();
    black_box(work());
    (now() - start).as_nanos() as f64
}

/// Bytes of resident memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}
