//! Which part of a histogram's observations lies between two values.

use super::super::NativeHistogram;
use super::super::histogram::HistogramBucket;
use super::super::notes::Notes;
use super::{ClassicBucket, ordered};

/// Of a native histogram. Observations of NaN are in no part.
pub(in super::super) fn histogram_fraction(
    (lower, upper): (f64, f64),
    histogram: &NativeHistogram,
    metric: &str,
    notes: &Notes,
) -> f64 {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let buckets = histogram.buckets();
    let mut total = histogram.count;
    if histogram.sum.is_nan() {
        total = buckets.iter().map(|bucket| bucket.count).sum();
        if total < histogram.count {
            notes.of_observations(
                "input to histogram_fraction has NaN observations, which are excluded from \
                 all fractions",
                metric,
            );
        }
    }
    let (mut low, mut high) = (Crossing::new(lower), Crossing::new(upper));
    let mut rank = 0.0;
    for bucket in buckets {
        let linear = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        let bucket = if linear {
            one_sided(bucket, histogram)
        } else {
            bucket
        };
        for crossing in [&mut low, &mut high] {
            crossing.meet(bucket.lower, bucket.upper, rank, |value| {
                rank + bucket.count * bucket.fraction_below(value, linear)
            });
        }
        rank += bucket.count;
    }
    (high.rank(total) - low.rank(total)) / histogram.count
}

/// Of a classic histogram.
pub(in super::super) fn bucket_fraction(
    (lower, upper): (f64, f64),
    buckets: Vec<ClassicBucket>,
) -> f64 {
    let Some(buckets) = ordered(buckets) else {
        return f64::NAN;
    };
    let total = buckets.last().map_or(0.0, |last| last.count);
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    // The lowest bucket begins at zero, unless it ends there or below.
    let starts_at_zero = buckets[0].upper > 0.0;
    let mut begin = if starts_at_zero {
        0.0
    } else {
        f64::NEG_INFINITY
    };
    let (mut low, mut high) = (Crossing::new(lower), Crossing::new(upper));
    let mut rank = 0.0;
    for bucket in buckets {
        for crossing in [&mut low, &mut high] {
            crossing.meet(begin, bucket.upper, rank, |value| {
                if begin == f64::NEG_INFINITY {
                    return bucket.count;
                }
                rank + (bucket.count - rank) * (value - begin) / (bucket.upper - begin)
            });
        }
        rank = bucket.count;
        begin = bucket.upper;
    }
    (high.rank(total) - low.rank(total)) / total
}

/// How many observations lie below a value, once a bucket shows it.
struct Crossing {
    value: f64,
    rank: Option<f64>,
}

impl Crossing {
    fn new(value: f64) -> Self {
        Self { value, rank: None }
    }

    fn meet(&mut self, lower: f64, upper: f64, before: f64, inside: impl Fn(f64) -> f64) {
        if self.rank.is_some() {
            return;
        }
        if lower >= self.value {
            self.rank = Some(before);
        } else if upper > self.value {
            self.rank = Some(inside(self.value));
        }
    }

    fn rank(&self, total: f64) -> f64 {
        match self.rank {
            Some(rank) if rank > total => total,
            Some(rank) => rank,
            None => total,
        }
    }
}

fn one_sided(mut bucket: HistogramBucket, histogram: &NativeHistogram) -> HistogramBucket {
    match (histogram.negative.is_empty(), histogram.positive.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
    bucket
}
