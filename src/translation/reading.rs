//! Reads data points in Prometheus's terms.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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
    // The newest of a bucket stays; of two with one time, the later one. There may be any number
    // of them, so that no more than one a bucket is ever held.
    let mut exemplars: BTreeMap<usize, SampleExemplar> = BTreeMap::new();
    for exemplar in point.exemplars().filter_map(|view| exemplar(&view)) {
        let bucket = bounds.values().partition_point(|b| *b < exemplar.value);
        match exemplars.entry(bucket) {
            Entry::Occupied(known) if known.get().timestamp > exemplar.timestamp => {}
            Entry::Occupied(mut known) => {
                known.insert(exemplar);
            }
            Entry::Vacant(vacant) => {
                vacant.insert(exemplar);
            }
        }
    }
    Some(Histogram {
        bounds,
        counts: counts.into_boxed_slice(),
        sum: point.sum(),
        exemplars: exemplars.into_iter().collect(),
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

/// The quantiles in order, each once, the first of several; those outside 0 to 1 are left out.
fn summary(point: &SummaryPoint<'_>) -> Summary {
    // By their bits, whose order is theirs as none is negative. One that repeats itself takes two
    // bytes on the wire, and must not take eight times as many here.
    let mut quantiles: BTreeMap<u64, f64> = BTreeMap::new();
    for at in point.quantiles() {
        if (0.0..=1.0).contains(&at.quantile) {
            // -0 is written as 0, so both must be the same quantile.
            let bits = at.quantile.abs().to_bits();
            quantiles.entry(bits).or_insert(at.value);
        }
    }
    let quantiles = quantiles.into_iter();
    Summary {
        quantiles: quantiles
            .map(|(bits, value)| (f64::from_bits(bits), value))
            .collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdata::{Signal, json};

    /// The only point of a metric, as it is shown.
    fn value(data: &str) -> SampleValue {
        let text = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"x",{data}}}]}}]}}]}}"#
        );
        let batch = json::decode(Signal::Metrics, text.as_bytes())
            .unwrap()
            .batch;
        let resource = batch.resource_metrics().next().unwrap();
        let scope = resource.scopes().next().unwrap();
        let metric = scope.metrics().next().unwrap();
        let data = metric.data();
        let (shape, _) = meaning(&data).unwrap();
        let point = data.points().next().unwrap();
        TranslatedPoint::of(&point, shape, 0, None).unwrap().value
    }

    #[test]
    fn what_repeats_itself_takes_room_once() {
        let many = |one: &str| vec![one; 1000].join(",");
        let quantiles = many(r#"{"quantile":-0.0,"value":2},{"quantile":1,"value":3}"#);
        let summary = format!(r#""summary":{{"dataPoints":[{{"quantileValues":[{quantiles}]}}]}}"#);
        let SampleValue::Summary(summary) = value(&summary) else {
            panic!("no summary");
        };
        assert_eq!(summary.quantiles, [(0.0, 2.0), (1.0, 3.0)]);
        assert!(summary.quantiles.capacity() < 8);
        let exemplars = many(r#"{"timeUnixNano":"5000000","asDouble":0.5},{"asDouble":7}"#);
        let histogram = format!(
            r#""histogram":{{"aggregationTemporality":2,"dataPoints":[{{"explicitBounds":[1],
            "bucketCounts":["1","1"],"exemplars":[{exemplars}]}}]}}"#
        );
        let SampleValue::Histogram(histogram) = value(&histogram) else {
            panic!("no histogram");
        };
        let buckets: Vec<usize> = histogram.exemplars.iter().map(|(at, _)| *at).collect();
        assert_eq!(buckets, [0, 1]);
        assert!(histogram.exemplars.capacity() < 8);
    }
}
