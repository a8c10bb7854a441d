//! Reads data points in Prometheus's terms.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::exposition::{Bounds, Histogram, Labels, SampleExemplar, SampleValue, Summary};
use crate::pdata::view::{
    self, Data, HistogramPoint, NumberPoint, Point, SummaryPoint, Temporality,
};

use super::naming::MetricShape;

/// How a metric's points relate to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointMode {
    /// Each point is the current value.
    Latest,
    /// Each point is the change since the one before.
    Delta,
}

impl PointMode {
    /// Whether a point with this value can be shown, as the first one of a series or after others.
    /// A delta that is negative would let a counter fall, and one that is infinite or NaN would
    /// hide all that was counted before.
    pub fn admits(self, value: &SampleValue) -> bool {
        match (self, value) {
            (Self::Delta, SampleValue::Number(delta)) => delta.is_finite() && *delta >= 0.0,
            _ => true,
        }
    }
}

/// How a metric's points are shown; `None` if Prometheus has no form for them.
///
/// Deltas of a sum that may fall are refused as by the Collector: if one were lost, all later
/// totals would be wrong, and nothing would show that.
pub fn meaning(data: &Data<'_>) -> Option<(MetricShape, PointMode)> {
    let mode = |temporality: &Temporality| match temporality {
        Temporality::Cumulative => Some(PointMode::Latest),
        Temporality::Delta => Some(PointMode::Delta),
        Temporality::Unspecified => None,
    };
    match data {
        Data::Empty => None,
        Data::Gauge { .. } => Some((MetricShape::Gauge, PointMode::Latest)),
        Data::Sum {
            temporality,
            monotonic,
            ..
        } => match (mode(temporality)?, monotonic) {
            (mode, true) => Some((MetricShape::Counter, mode)),
            (PointMode::Latest, false) => Some((MetricShape::UpDownCounter, PointMode::Latest)),
            (PointMode::Delta, false) => None,
        },
        Data::Histogram { temporality, .. } | Data::ExponentialHistogram { temporality, .. } => {
            Some((MetricShape::Histogram, mode(temporality)?))
        }
        Data::Summary { .. } => Some((MetricShape::Summary, PointMode::Latest)),
    }
}

/// A data point in the page's terms.
#[derive(Debug)]
pub struct TranslatedPoint {
    /// The point's time, in nanoseconds since the Unix epoch.
    pub time: u64,
    /// The start of the counting, likewise; 0 if unknown.
    pub start: u64,
    /// What was measured.
    pub value: SampleValue,
    /// The newest exemplar of a counter.
    pub exemplar: Option<Box<SampleExemplar>>,
}

impl TranslatedPoint {
    /// Reads a point. `arrived` replaces a missing time. Histogram bounds equal to `like` are
    /// shared with it instead of copied.
    ///
    /// `None` if the point has no value, or its buckets contradict each other.
    #[inline]
    pub fn of(
        point: &Point<'_>,
        shape: MetricShape,
        arrived: u64,
        like: Option<&Arc<Bounds>>,
    ) -> Option<Self> {
        let (value, exemplar) = match point {
            Point::Number(point) => (
                SampleValue::Number(point.value()?.as_f64()),
                if shape == MetricShape::Counter {
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
    let exemplars = point.exemplars().filter_map(|view| exemplar(&view));
    let mut exemplars: Vec<(usize, SampleExemplar)> = exemplars
        .map(|exemplar| {
            let bucket = bounds.values().partition_point(|b| *b < exemplar.value);
            (bucket, exemplar)
        })
        .collect();
    // Sorted at the end, as inserting each at its place would be quadratic where each falls into
    // a bucket of its own. The newest of a bucket comes first and stays; of two with one time,
    // the later one.
    exemplars.reverse();
    exemplars.sort_by_key(|(bucket, exemplar)| (*bucket, Reverse(exemplar.timestamp)));
    exemplars.dedup_by_key(|(bucket, _)| *bucket);
    Some(Histogram {
        bounds,
        counts: counts.into_boxed_slice(),
        sum: point.sum(),
        exemplars,
    })
}

/// The sum of the counts; `None` if it overflows.
pub(super) fn checked_total(counts: impl Iterator<Item = u64>) -> Option<u64> {
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
pub fn millis(nanos: u64) -> Option<i64> {
    (nanos != 0).then(|| (nanos / 1_000_000).cast_signed())
}
