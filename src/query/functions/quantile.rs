//! Quantiles: of values, of classic and of native histograms.

use super::super::NativeHistogram;
use super::super::histogram::HistogramBucket;
use super::super::notes::Notes;
use super::{ClassicBucket, ordered};

/// The quantile of values, interpolated between neighbours. NaN is below every number.
/// `room` is for putting them in order.
pub(in super::super) fn quantile(
    q: f64,
    values: impl Iterator<Item = f64>,
    room: &mut Vec<i64>,
) -> f64 {
    room.clear();
    room.extend(values.map(rank_of));
    if room.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if let Some(outside) = outside(q) {
        return outside;
    }
    let last = room.len() - 1;
    let rank = q * last as f64;
    let below = rank.floor();
    let weight = rank - below;
    let at = (below as usize).min(last);
    let (_, lower, above) = room.select_nth_unstable(at);
    let lower = *lower;
    let upper = above.iter().copied().min().unwrap_or(lower);
    value_of(lower) * (1.0 - weight) + value_of(upper) * weight
}

/// An integer that compares as the number does, and below all others for NaN. Integers are
/// put in order several times faster.
fn rank_of(value: f64) -> i64 {
    if value.is_nan() {
        return i64::MIN;
    }
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn value_of(rank: i64) -> f64 {
    if rank == i64::MIN {
        return f64::NAN;
    }
    f64::from_bits((rank ^ (((rank >> 63) as u64) >> 1) as i64) as u64)
}

/// What every quantile below 0 or above 1 is.
fn outside(q: f64) -> Option<f64> {
    if q < 0.0 {
        Some(f64::NEG_INFINITY)
    } else if q > 1.0 {
        Some(f64::INFINITY)
    } else {
        None
    }
}

/// The quantile of a classic histogram, interpolated linearly inside of a bucket, and
/// whether its counts had to be made monotonic first.
pub(in super::super) fn bucket_quantile(q: f64, buckets: Vec<ClassicBucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if let Some(outside) = outside(q) {
        return (outside, false);
    }
    let Some(mut buckets) = ordered(buckets) else {
        return (f64::NAN, false);
    };
    let forced = make_monotonic(&mut buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = q * observations;
    let at = buckets[..last].partition_point(|bucket| {
        // A count that is NaN is not enough.
        bucket.count < rank || bucket.count.is_nan() || rank.is_nan()
    });
    if at == last {
        return (buckets[last - 1].upper, forced);
    }
    if at == 0 && buckets[0].upper <= 0.0 {
        return (buckets[0].upper, forced);
    }
    let mut lower = 0.0;
    let ClassicBucket { upper, mut count } = buckets[at];
    if at > 0 {
        lower = buckets[at - 1].upper;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    (lower + (upper - lower) * (rank / count), forced)
}

/// Makes counts rise, and says whether one fell by more than rounding makes it.
fn make_monotonic(buckets: &mut [ClassicBucket]) -> bool {
    let mut forced = false;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == before {
            continue;
        }
        if almost_equal(before, count) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = count;
        }
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-12;
    if a.is_nan() && b.is_nan() {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The quantile of a native histogram, interpolated exponentially inside of a bucket and
/// linearly inside of the zero bucket. Observations of NaN are above all others.
pub(in super::super) fn histogram_quantile(
    q: f64,
    histogram: &NativeHistogram,
    metric: &str,
    notes: &Notes,
) -> f64 {
    if let Some(outside) = outside(q) {
        return outside;
    }
    if histogram.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    let has_nan = histogram.sum.is_nan();
    let upwards = has_nan || q < 0.5;
    let mut buckets = histogram.buckets();
    if !upwards {
        buckets.reverse();
    }
    let share = if upwards { q } else { 1.0 - q };
    let mut rank = share * histogram.count;
    let (bucket, reached, rest) = walk(&buckets, rank);
    let bucket = narrowed(bucket, histogram);
    let count = smaller_count(reached, histogram.count);
    if count < rank {
        if !has_nan {
            return bucket.upper;
        }
        notes.of_observations(
            "input to histogram_quantile has NaN observations, result is NaN",
            metric,
        );
        return f64::NAN;
    }
    if upwards {
        rank -= count - bucket.count;
    } else {
        rank = count - rank;
    }
    if has_nan && count + rest < histogram.count {
        notes.of_observations(
            "input to histogram_quantile has NaN observations, result is skewed higher",
            metric,
        );
    }
    inside(&bucket, rank / bucket.count)
}

/// The bucket in which so many observations are reached, how many are then, and how many
/// follow.
fn walk(buckets: &[HistogramBucket], rank: f64) -> (HistogramBucket, f64, f64) {
    let mut count = 0.0;
    let mut bucket = HistogramBucket::default();
    let mut rest = buckets.iter();
    for next in rest.by_ref() {
        bucket = *next;
        count += bucket.count;
        if bucket.count != 0.0 && count >= rank {
            break;
        }
    }
    (bucket, count, rest.map(|bucket| bucket.count).sum())
}

fn smaller_count(count: f64, total: f64) -> f64 {
    if count > total { total } else { count }
}

/// A zero bucket beside buckets of one side only holds nothing of the other side.
fn narrowed(mut bucket: HistogramBucket, histogram: &NativeHistogram) -> HistogramBucket {
    if bucket.lower < 0.0 && bucket.upper > 0.0 {
        match (histogram.negative.is_empty(), histogram.positive.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
    }
    bucket
}

/// The value that so much of a bucket lies below.
fn inside(bucket: &HistogramBucket, fraction: f64) -> f64 {
    let HistogramBucket { lower, upper, .. } = *bucket;
    if lower <= 0.0 && upper >= 0.0 {
        return lower + (upper - lower) * fraction;
    }
    let (low, high) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        (low + (high - low) * fraction).exp2()
    } else {
        -(high + (low - high) * (1.0 - fraction)).exp2()
    }
}
