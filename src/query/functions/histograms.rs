//! What single numbers say of a native histogram.

use super::super::NativeHistogram;
use super::super::kahan;

/// A function of one native histogram. Floats have no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum HistogramFunction {
    Count,
    Sum,
    Avg,
    Stddev,
    Stdvar,
}

impl HistogramFunction {
    pub(in super::super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "histogram_count" => Self::Count,
            "histogram_sum" => Self::Sum,
            "histogram_avg" => Self::Avg,
            "histogram_stddev" => Self::Stddev,
            "histogram_stdvar" => Self::Stdvar,
            _ => return None,
        })
    }

    pub(in super::super) fn apply(self, histogram: &NativeHistogram) -> f64 {
        match self {
            Self::Count => histogram.count,
            Self::Sum => histogram.sum,
            Self::Avg => histogram.sum / histogram.count,
            Self::Stddev => variance(histogram).sqrt(),
            Self::Stdvar => variance(histogram),
        }
    }
}

/// Estimated as if every observation were at the geometric middle of its bucket.
fn variance(histogram: &NativeHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let (mut sum, mut lost) = (0.0, 0.0);
    for bucket in histogram.buckets() {
        if bucket.count == 0.0 {
            continue;
        }
        let middle = if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let delta = middle - mean;
        (sum, lost) = kahan::add(bucket.count * delta * delta, sum, lost);
    }
    (sum + lost) / histogram.count
}
