//! Random series: gauges, counters, histograms of both kinds, with gaps, resets, stale
//! marks, NaN and infinities. And a store of them that queries can ask.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and needs another part of it each"
)]

use std::sync::Arc;

use super::lib::{
    LabelMatcher, LabelPair, LabelSet, NativeHistogram, QueryError, STALE, SelectedSeries,
    SeriesPoints, SeriesSource, SourceRoom,
};
use super::random::Dice;

/// When the points begin, in milliseconds. Not on a minute.
pub const START: i64 = 1_767_225_607_123;
/// How long they last.
pub const LENGTH: i64 = 100 * 60_000;

/// A series with its points.
#[derive(Clone, Debug)]
pub struct DataSeries {
    pub labels: LabelSet,
    pub points: SeriesPoints,
    /// Whether its histograms are of a gauge.
    pub gauge: bool,
}

/// Series in the order of their labels.
#[derive(Clone, Debug, Default)]
pub struct DataSet(pub Vec<DataSeries>);

struct DataSelection<'a>(&'a DataSeries);

impl SelectedSeries for DataSelection<'_> {
    fn labels(&self) -> LabelSet {
        self.0.labels.clone()
    }

    fn read(&mut self, from: i64, to: i64, into: &mut SeriesPoints) -> Result<(), QueryError> {
        let points = &self.0.points;
        for (time, value) in points.times.iter().zip(&points.values) {
            if (from..=to).contains(time) {
                into.push(*time, *value);
            }
        }
        let histograms = points.histograms.iter();
        let wanted = histograms.filter(|(time, _)| (from..=to).contains(time));
        into.histograms.extend(wanted.cloned());
        Ok(())
    }
}

impl SeriesSource for DataSet {
    fn select<'a>(
        &'a self,
        matchers: &[LabelMatcher],
        _from: i64,
        _to: i64,
        _room: &'a dyn SourceRoom,
    ) -> Result<Vec<Box<dyn SelectedSeries + 'a>>, QueryError> {
        let wanted = self.0.iter().filter(|series| {
            matchers
                .iter()
                .all(|matcher| matcher.matches(series.labels.value(&matcher.name)))
        });
        Ok(wanted
            .map(|series| Box::new(DataSelection(series)) as Box<dyn SelectedSeries>)
            .collect())
    }
}

/// Random series of a seed.
pub fn random(seed: u64) -> DataSet {
    let mut dice = Dice::new(seed);
    let mut set = DataSet::default();
    for a in ["x", "y", "z"] {
        for b in ["1", "2"] {
            let extra: &[(&str, &str)] = if a == "z" { &[] } else { &[("job", "node")] };
            let labels = |name: &str| labels(name, &[&[("a", a), ("b", b)], extra].concat());
            let kind = dice.below(4);
            set.add(&mut dice, labels("gauge"), |dice, last| {
                gauge(dice, last, kind)
            });
            set.add(&mut dice, labels("level"), |dice, last| {
                gauge(dice, last, 0)
            });
            set.add(&mut dice, labels("größe.°C"), |dice, last| {
                gauge(dice, last, 2)
            });
            set.add(&mut dice, labels("requests_total"), counter);
            set.add(&mut dice, labels("hits"), counter);
            if b == "1" {
                set.add(&mut dice, labels("odd"), odd);
                set.add(&mut dice, labels("tiny"), tiny);
                set.classic(&mut dice, a);
            }
            set.native(&mut dice, labels("latency"), false);
            if a != "z" {
                set.native(&mut dice, labels("sizes"), false);
            }
        }
    }
    set.mixed(&mut dice);
    set.constant(&mut dice);
    set.0.sort_by(|a, b| a.labels.cmp(&b.labels));
    set
}

pub fn labels(name: &str, others: &[(&str, &str)]) -> LabelSet {
    let mut pairs = vec![LabelPair::new("__name__", name)];
    let others = others.iter();
    pairs.extend(others.map(|(name, value)| LabelPair::new(*name, *value)));
    LabelSet::new(pairs)
}

impl DataSet {
    fn add(
        &mut self,
        dice: &mut Dice,
        labels: LabelSet,
        mut next: impl FnMut(&mut Dice, f64) -> f64,
    ) {
        let mut points = SeriesPoints::default();
        let mut last = (dice.share() * 100.0).round();
        for time in times(dice) {
            let value = match time {
                Time::Point(_) => {
                    last = next(dice, last);
                    last
                }
                Time::Stale(_) => STALE,
            };
            points.push(time.at(), value);
            if !last.is_finite() {
                last = 7.0;
            }
        }
        self.0.push(DataSeries {
            labels,
            points,
            gauge: false,
        });
    }

    /// The series of a classic histogram, all at the same times.
    fn classic(&mut self, dice: &mut Dice, a: &str) {
        let times = times(dice);
        let bounds = ["0.1", "0.5", "1", "2.5", "+Inf"];
        let mut counts = [0.0; 5];
        let mut buckets = vec![SeriesPoints::default(); 5];
        let (mut sums, mut totals) = (SeriesPoints::default(), SeriesPoints::default());
        let mut sum = 0.0;
        for time in times {
            if let Time::Stale(at) = time {
                for points in buckets.iter_mut().chain([&mut sums, &mut totals]) {
                    points.push(at, STALE);
                }
                continue;
            }
            if dice.one_in(60) {
                counts = [0.0; 5];
                sum = 0.0;
            }
            let mut more = 0.0;
            for count in &mut counts {
                more += dice.below(4) as f64;
                *count += more;
            }
            sum += more * dice.share();
            for (points, count) in buckets.iter_mut().zip(counts) {
                // Now and then a bucket that lags behind.
                let count = if dice.one_in(200) { count - 1.0 } else { count };
                points.push(time.at(), count);
            }
            sums.push(time.at(), sum);
            totals.push(time.at(), counts[4]);
        }
        for (bound, points) in bounds.into_iter().zip(buckets) {
            let labels = labels("wait_seconds_bucket", &[("a", a), ("le", bound)]);
            self.push(labels, points);
        }
        self.push(labels("wait_seconds_sum", &[("a", a)]), sums);
        self.push(labels("wait_seconds_count", &[("a", a)]), totals);
    }

    fn native(&mut self, dice: &mut Dice, labels: LabelSet, gauge: bool) {
        let mut points = SeriesPoints::default();
        let mut state = Observed::new(dice);
        for time in times(dice) {
            if let Time::Stale(at) = time {
                points.push(at, STALE);
                continue;
            }
            if dice.one_in(50) || gauge {
                state = state.anew(dice);
            }
            state.observe(dice);
            let histogram = state.histogram(gauge);
            points.histograms.push((time.at(), Arc::new(histogram)));
        }
        self.0.push(DataSeries {
            labels,
            points,
            gauge,
        });
    }

    /// Floats that become histograms, and back.
    fn mixed(&mut self, dice: &mut Dice) {
        let mut points = SeriesPoints::default();
        let mut state = Observed::new(dice);
        let mut floats = true;
        for time in times(dice) {
            let Time::Point(at) = time else { continue };
            if dice.one_in(40) {
                floats = !floats;
            }
            if floats {
                points.push(at, dice.below(50) as f64);
            } else {
                state.observe(dice);
                points
                    .histograms
                    .push((at, Arc::new(state.histogram(false))));
            }
        }
        self.push(labels("mixed", &[("a", "x")]), points);
    }

    fn constant(&mut self, dice: &mut Dice) {
        let mut points = SeriesPoints::default();
        for time in times(dice) {
            points.push(time.at(), 1.0);
        }
        self.push(labels("up", &[("job", "node"), ("a", "x")]), points);
    }

    fn push(&mut self, labels: LabelSet, points: SeriesPoints) {
        self.0.push(DataSeries {
            labels,
            points,
            gauge: false,
        });
    }
}

enum Time {
    Point(i64),
    Stale(i64),
}

impl Time {
    fn at(&self) -> i64 {
        match self {
            Self::Point(at) | Self::Stale(at) => *at,
        }
    }
}

/// Times of points: some series on the spot, some with jitter, with gaps of all lengths,
/// which begin with a stale mark or don't.
fn times(dice: &mut Dice) -> Vec<Time> {
    let interval = [10_000, 15_000, 30_000, 60_000][dice.below(4)];
    let jitter = [0, 0, 700, 4_000][dice.below(4)];
    let whole = dice.one_in(2);
    let mut at = if whole {
        START / 60_000 * 60_000
    } else {
        START
    };
    at += dice.below(60) as i64 * 1_000;
    let mut times = Vec::new();
    while at < START + LENGTH {
        let moved = at + dice.below(jitter + 1) as i64;
        // Every series begins soon, so that Prometheus too has them in the order of labels.
        if dice.one_in(45) && !times.is_empty() {
            if dice.one_in(2) {
                times.push(Time::Stale(moved));
            }
            at += [1, 3, 6, 40][dice.below(4)] * interval;
        } else {
            times.push(Time::Point(moved));
        }
        at += interval;
    }
    times
}

fn gauge(dice: &mut Dice, last: f64, kind: usize) -> f64 {
    match kind {
        0 => ((last + dice.share() * 4.0 - 2.0) * 10.0).round() / 10.0,
        1 => dice.share() * 1e3 - 500.0,
        2 => last + [0.0, 0.0, 0.0, 1.0, -1.0][dice.below(5)],
        _ => (dice.below(21) as f64) - 10.0,
    }
}

fn counter(dice: &mut Dice, last: f64) -> f64 {
    if dice.one_in(40) {
        return dice.below(3) as f64;
    }
    last + dice.below(30) as f64
}

/// Values that few series have.
fn odd(dice: &mut Dice, _: f64) -> f64 {
    let values = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        0.0,
        1e300,
        -1e300,
        1e-300,
        3.5,
        -2.0,
        1e15,
        1_767_225_607.0,
    ];
    if dice.one_in(2) {
        return dice.below(9) as f64 - 4.0;
    }
    values[dice.below(values.len())]
}

/// Zeros of both signs, and numbers next to them. None has fewer digits than others: Go's logarithms
/// of those are wrong.
fn tiny(dice: &mut Dice, _: f64) -> f64 {
    [0.0, -0.0, 0.0, -0.0, 1e-300, -1e-300, 1e-200, 1e-17][dice.below(8)]
}

/// What a native histogram has observed.
struct Observed {
    schema: i32,
    zero_threshold: f64,
    zero: u64,
    positive: std::collections::BTreeMap<i32, u64>,
    negative: std::collections::BTreeMap<i32, u64>,
    sum: f64,
    center: i32,
    two_sided: bool,
}

impl Observed {
    fn new(dice: &mut Dice) -> Self {
        let schema = dice.below(6) as i32 - 1;
        let center = dice.below(9) as i32 - 4;
        let lowest = (f64::from(center - 4) / f64::from(schema).exp2()).exp2();
        let zero_threshold = [1e-128, 1e-128, 1e-5, 0.25][dice.below(4)];
        let mut observed = Self {
            schema,
            // No bucket begins inside of the zero bucket.
            zero_threshold: if zero_threshold < lowest {
                zero_threshold
            } else {
                1e-128
            },
            zero: 0,
            positive: Default::default(),
            negative: Default::default(),
            sum: 0.0,
            center,
            two_sided: dice.one_in(3),
        };
        // What has observations on a side has them from the start: Prometheus keeps empty
        // buckets of a side that gets some later, and takes the zero bucket for two-sided.
        observed.positive.insert(observed.center, 1);
        if observed.two_sided {
            observed.negative.insert(observed.center, 1);
        }
        observed
    }

    /// Begun again, in another resolution. What has observations below zero goes on having
    /// some: Prometheus keeps empty buckets of a side, and takes the zero bucket for
    /// two-sided.
    fn anew(&self, dice: &mut Dice) -> Self {
        loop {
            let new = Self::new(dice);
            if new.two_sided == self.two_sided && new.zero_threshold == self.zero_threshold {
                return new;
            }
        }
    }

    fn observe(&mut self, dice: &mut Dice) {
        for _ in 0..dice.below(6) {
            let index = self.center + dice.below(7) as i32 - 3;
            if dice.one_in(8) {
                self.zero += 1;
            } else if self.two_sided && dice.one_in(3) {
                *self.negative.entry(index).or_default() += 1;
                self.sum -= dice.share();
            } else {
                *self.positive.entry(index).or_default() += 1;
                self.sum += dice.share() * 3.0;
            }
        }
    }

    fn histogram(&self, gauge: bool) -> NativeHistogram {
        let side = |buckets: &std::collections::BTreeMap<i32, u64>| -> Vec<(i32, f64)> {
            let buckets = buckets.iter();
            buckets
                .map(|(index, count)| (*index, *count as f64))
                .collect()
        };
        let buckets = self.positive.values().chain(self.negative.values());
        let count = buckets.sum::<u64>() + self.zero;
        NativeHistogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero as f64,
            count: count as f64,
            sum: self.sum,
            positive: side(&self.positive),
            negative: side(&self.negative),
            gauge,
        }
    }
}
