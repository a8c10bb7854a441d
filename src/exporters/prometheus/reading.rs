//! Reads data points, and decides how they change what a series shows.

use std::sync::Arc;

use crate::component::DropReason;
use crate::exposition::{Bounds, Histogram, Labels, SampleExemplar, SampleValue, Series, Summary};
use crate::pdata::SeriesId;
use crate::pdata::view::{
    self, Data, HistogramPoint, NumberPoint, Point, SummaryPoint, Temporality,
};

use super::naming::SuffixShape;

/// How a metric's points relate to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PointMode {
    /// Each point is the current value.
    Latest,
    /// Each point is the change since the one before.
    Delta,
}

/// How a metric's points are shown; `None` if Prometheus has no form for them.
///
/// Deltas of a sum that may fall are refused as by the Collector: if one were lost, all later
/// totals would be wrong, and nothing would show that.
pub(super) fn meaning(data: &Data<'_>) -> Option<(SuffixShape, PointMode)> {
    let mode = |temporality: &Temporality| match temporality {
        Temporality::Cumulative => Some(PointMode::Latest),
        Temporality::Delta => Some(PointMode::Delta),
        Temporality::Unspecified => None,
    };
    match data {
        Data::Empty => None,
        Data::Gauge { .. } => Some((SuffixShape::Gauge, PointMode::Latest)),
        Data::Sum {
            temporality,
            monotonic,
            ..
        } => match (mode(temporality)?, monotonic) {
            (mode, true) => Some((SuffixShape::Counter, mode)),
            (PointMode::Latest, false) => Some((SuffixShape::UpDownCounter, PointMode::Latest)),
            (PointMode::Delta, false) => None,
        },
        Data::Histogram { temporality, .. } | Data::ExponentialHistogram { temporality, .. } => {
            Some((SuffixShape::Histogram, mode(temporality)?))
        }
        Data::Summary { .. } => Some((SuffixShape::Summary, PointMode::Latest)),
    }
}

/// A data point in the page's terms.
#[derive(Debug)]
pub(super) struct PointReading {
    /// The point's time, in nanoseconds since the Unix epoch.
    pub(super) time: u64,
    /// The start of the counting, likewise; 0 if unknown.
    pub(super) start: u64,
    pub(super) value: SampleValue,
    pub(super) exemplar: Option<Box<SampleExemplar>>,
}

impl PointReading {
    /// Reads a point. `arrived` replaces a missing time. Histogram bounds equal to `like` are
    /// shared with it instead of copied.
    ///
    /// `None` if the point has no value, or its buckets contradict each other.
    #[inline]
    pub(super) fn of(
        point: &Point<'_>,
        shape: SuffixShape,
        arrived: u64,
        like: Option<&Arc<Bounds>>,
    ) -> Option<Self> {
        let (value, exemplar) = match point {
            Point::Number(point) => (
                SampleValue::Number(point.value()?.as_f64()),
                if shape == SuffixShape::Counter {
                    newest_exemplar(point)
                } else {
                    None
                },
            ),
            Point::Histogram(point) => (
                SampleValue::Histogram(Box::new(histogram(point, like)?)),
                None,
            ),
            // The text formats have no native histograms. As on the Collector's page, count and
            // sum are exact, and all observations are in the infinite bucket.
            Point::ExponentialHistogram(point) => {
                let histogram = Histogram {
                    bounds: shared(Vec::new(), like)?,
                    counts: Box::new([point.count()]),
                    sum: point.sum(),
                    exemplars: Vec::new(),
                };
                (SampleValue::Histogram(Box::new(histogram)), None)
            }
            Point::Summary(point) => (SampleValue::Summary(Box::new(summary(point))), None),
        };
        let time = match point.time_unix_nano() {
            0 => arrived,
            time => time,
        };
        Some(Self {
            time,
            start: point.start_time_unix_nano(),
            value,
            exemplar,
        })
    }
}

/// What a series shows, and what decides which point may replace it.
#[derive(Debug)]
pub(super) struct SeriesState {
    pub(super) series: Series,
    /// The time of the newest point, in nanoseconds since the Unix epoch.
    time: u64,
    /// The time of the last point that was too old to be merely late; 0 if there was none.
    past: u64,
    /// The identity that the shown point had in the stream; two identities may become one series.
    owner: Option<SeriesId>,
}

impl SeriesState {
    pub(super) fn new(
        mut series: Series,
        reading: PointReading,
        owner: Option<SeriesId>,
        timestamps: bool,
    ) -> Self {
        series.value = reading.value;
        series.exemplar = reading.exemplar;
        series.created = millis(reading.start);
        series.timestamp = millis(reading.time).filter(|_| timestamps);
        Self {
            series,
            time: reading.time,
            past: 0,
            owner,
        }
    }

    /// Whether a tombstone with this time may end the series. `back` is as in
    /// [`SeriesState::apply`].
    pub(super) fn may_end(&self, time: u64, back: u64) -> bool {
        let set_back = || back == 0 || self.is_far(time, back) && self.follows_past(time);
        time == 0 || time >= self.time || set_back()
    }

    fn is_far(&self, time: u64, back: u64) -> bool {
        self.time.saturating_sub(time) > back
    }

    fn follows_past(&self, time: u64) -> bool {
        self.past != 0 && time > self.past
    }

    /// Whether a point is older than the shown one because its sender's clock was set back. For
    /// points that are merely far behind, the second one in a row with rising times shows that. A
    /// single old point is a late one, and newer points in between show that the clock is right.
    #[cold]
    fn is_set_back(&mut self, time: u64, owner: Option<SeriesId>, back: u64) -> bool {
        if owner != self.owner {
            return false;
        }
        if back == 0 {
            return true;
        }
        if !self.is_far(time, back) {
            return false;
        }
        let follows = self.follows_past(time);
        self.past = time;
        follows
    }

    /// Takes a point.
    ///
    /// Latest: the point with the newest time is shown; of two identities with the same time,
    /// always the greater one. Delta: a point that begins at or after the end of the last one, or
    /// has no start, is added; one that overlaps was counted already and is refused. A gap
    /// between deltas is no reset, unlike in the Collector: SDKs send nothing for an interval
    /// without events, and after a restart of the sender adding is right too.
    ///
    /// A point may be older than the shown one because its clock was set back. That is considered
    /// if it is older by more than `back` nanoseconds: 0 for points of the agent's own receivers,
    /// which arrive in order.
    ///
    /// # Errors
    ///
    /// `OutOfOrder` if the point is older than the shown one, `Unsupported` for a delta that is
    /// negative or NaN.
    /// would let a counter fall.
    #[inline]
    pub(super) fn apply(
        &mut self,
        reading: PointReading,
        mode: PointMode,
        owner: Option<SeriesId>,
        back: u64,
    ) -> Result<(), DropReason> {
        let behind = reading.time < self.time;
        let set_back = behind && self.is_set_back(reading.time, owner, back);
        let start = match mode {
            PointMode::Latest => {
                let older = behind || (reading.time == self.time && owner < self.owner);
                if older && !set_back {
                    return Err(DropReason::OutOfOrder);
                }
                self.series.value = reading.value;
                Some(reading.start)
            }
            PointMode::Delta => {
                let overlaps = reading.start != 0 && reading.start < self.time;
                if (reading.time <= self.time || overlaps) && !set_back {
                    return Err(DropReason::OutOfOrder);
                }
                if matches!(reading.value, SampleValue::Number(value) if value.is_nan() || value < 0.0)
                {
                    return Err(DropReason::Unsupported);
                }
                match sum(&self.series.value, &reading.value) {
                    Some(sum) => {
                        self.series.value = sum;
                        None
                    }
                    // The total overflowed or its buckets changed: it begins anew, which
                    // Prometheus sees as a reset.
                    None => {
                        self.series.value = reading.value;
                        Some(reading.start)
                    }
                }
            }
        };
        if let Some(start) = start {
            self.series.created = millis(start);
        }
        self.series.exemplar = reading.exemplar;
        if self.series.timestamp.is_some() {
            self.series.timestamp = millis(reading.time);
        }
        self.time = reading.time;
        self.past = 0;
        self.owner = owner;
        Ok(())
    }
}

/// How many lines a value takes on the page.
pub(super) fn lines(value: &SampleValue) -> usize {
    match value {
        SampleValue::Number(_) => 1,
        SampleValue::Histogram(histogram) => histogram.counts.len() + 2,
        SampleValue::Summary(summary) => summary.quantiles.len() + 2,
    }
}

/// Adds a delta to a total; `None` if it overflows or the buckets differ.
fn sum(total: &SampleValue, delta: &SampleValue) -> Option<SampleValue> {
    match (total, delta) {
        (SampleValue::Number(total), SampleValue::Number(delta)) => {
            let sum = total + delta;
            sum.is_finite().then_some(SampleValue::Number(sum))
        }
        (SampleValue::Histogram(total), SampleValue::Histogram(delta))
            if total.bounds == delta.bounds =>
        {
            let counts = total
                .counts
                .iter()
                .zip(&delta.counts)
                .map(|(total, delta)| total.checked_add(*delta))
                .collect::<Option<Box<[u64]>>>()?;
            checked_total(counts.iter().copied())?;
            let sum = total.sum.zip(delta.sum).map(|(total, delta)| total + delta);
            Some(SampleValue::Histogram(Box::new(Histogram {
                bounds: Arc::clone(&total.bounds),
                counts,
                sum,
                exemplars: delta.exemplars.clone(),
            })))
        }
        _ => None,
    }
}

fn histogram(point: &HistogramPoint<'_>, like: Option<&Arc<Bounds>>) -> Option<Histogram> {
    let mut counts: Vec<u64> = point.bucket_counts().collect();
    let mut bounds: Vec<f64> = point.explicit_bounds().collect();
    if counts.is_empty() {
        bounds.clear();
        counts.push(point.count());
    }
    if counts.len() != bounds.len() + 1 {
        return None;
    }
    // Some senders write the infinite bound, which is implied.
    if bounds.last() == Some(&f64::INFINITY) {
        bounds.pop();
        let beyond = counts.pop()?;
        let last = counts.last_mut()?;
        *last = last.checked_add(beyond)?;
    }
    checked_total(counts.iter().copied())?;
    let bounds = shared(bounds, like)?;
    let mut exemplars: Vec<(usize, SampleExemplar)> = Vec::new();
    for exemplar in point.exemplars().filter_map(|view| exemplar(&view)) {
        let bucket = bounds.values().partition_point(|b| *b < exemplar.value);
        match exemplars.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => {
                if let Some(held) = exemplars.get_mut(at)
                    && exemplar.timestamp >= held.1.timestamp
                {
                    held.1 = exemplar;
                }
            }
            Err(at) => exemplars.insert(at, (bucket, exemplar)),
        }
    }
    Some(Histogram {
        bounds,
        counts: counts.into_boxed_slice(),
        sum: point.sum(),
        exemplars,
    })
}

fn checked_total(counts: impl Iterator<Item = u64>) -> Option<u64> {
    let mut counts = counts;
    counts.try_fold(0_u64, |total, count| total.checked_add(count))
}

fn shared(bounds: Vec<f64>, like: Option<&Arc<Bounds>>) -> Option<Arc<Bounds>> {
    match like {
        Some(like) if like.values() == bounds => Some(Arc::clone(like)),
        _ => Some(Arc::new(Bounds::new(bounds)?)),
    }
}

/// The quantiles in order, each once; those outside 0 to 1 are left out.
fn summary(point: &SummaryPoint<'_>) -> Summary {
    let mut quantiles: Vec<(f64, f64)> = point
        .quantiles()
        .map(|at| (at.quantile, at.value))
        .filter(|(quantile, _)| (0.0..=1.0).contains(quantile))
        // -0 is written as 0, so both must be the same quantile.
        .map(|(quantile, value)| (quantile.abs(), value))
        .collect();
    quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
    quantiles.dedup_by_key(|(quantile, _)| *quantile);
    Summary {
        quantiles,
        count: point.count(),
        sum: point.sum(),
    }
}

fn newest_exemplar(point: &NumberPoint<'_>) -> Option<Box<SampleExemplar>> {
    point
        .exemplars()
        .filter_map(|view| exemplar(&view))
        .max_by_key(|exemplar| exemplar.timestamp)
        .map(Box::new)
}

/// Reads an exemplar. As in the Collector its labels are only the ids of its trace: 63
/// characters, where OpenMetrics allows 128. The attributes that aggregation removed would rarely
/// fit beside them.
fn exemplar(view: &view::Exemplar<'_>) -> Option<SampleExemplar> {
    let value = view.value()?.as_f64();
    if value.is_nan() {
        return None;
    }
    let mut labels = Labels::new();
    for (name, id) in [("trace_id", view.trace_id()), ("span_id", view.span_id())] {
        if matches!(id.len(), 8 | 16) && id.iter().any(|byte| *byte != 0) {
            let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            labels.push(name, &hex);
        }
    }
    Some(SampleExemplar {
        labels,
        value,
        timestamp: millis(view.time_unix_nano()),
    })
}

/// Nanoseconds as milliseconds; `None` for 0, which means unknown.
fn millis(nanos: u64) -> Option<i64> {
    (nanos != 0).then(|| (nanos / 1_000_000).cast_signed())
}
