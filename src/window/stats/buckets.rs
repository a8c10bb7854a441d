//! Buckets of histograms that are added, subtracted and read off.

use std::collections::BTreeMap;

use super::super::point::{StoredExponential, StoredHistogram};

/// Buckets of exponential width that are kept at most, above and below zero together. Each point
/// may have a thousand of its own. Those of two points always find room, so that what came
/// between them is exact. Observations from a microsecond to a quarter of an hour find room in
/// buckets that are half a percent wide.
const FILLED: usize = 4096;

/// Observations by buckets: how many are in each.
#[derive(Debug, Clone)]
pub struct BucketCounts(pub(super) CountedBuckets);

/// The two kinds of buckets.
#[derive(Debug, Clone)]
pub(super) enum CountedBuckets {
    Explicit(ExplicitCounts),
    Exponential(ExponentialCounts),
}

/// Buckets between explicit bounds.
#[derive(Debug, Clone)]
pub(super) struct ExplicitCounts {
    bounds: Box<[f64]>,
    /// Of each bucket alone.
    counts: Box<[f64]>,
}

/// Buckets of exponential width, those that have observations: at most [`FILLED`], and twice as
/// wide as often as that takes.
#[derive(Debug, Clone)]
pub(super) struct ExponentialCounts {
    scale: i32,
    threshold: f64,
    zero: f64,
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
}

impl BucketCounts {
    /// Those of a histogram with explicit bounds, which ascend; there is one count more than there
    /// are bounds.
    #[must_use]
    pub fn explicit(histogram: &StoredHistogram<'_>) -> Self {
        Self(CountedBuckets::Explicit(ExplicitCounts::of(histogram)))
    }

    /// Those of a histogram whose buckets have exponential width.
    #[must_use]
    pub fn exponential(histogram: &StoredExponential<'_>) -> Self {
        let counts = ExponentialCounts::of(histogram);
        Self(CountedBuckets::Exponential(counts))
    }

    /// Takes an earlier reading away. Answers `false`, and leaves something undefined, if the
    /// bounds differ.
    pub fn subtract(&mut self, earlier: &Self) -> bool {
        self.combine(earlier, -1.0)
    }

    /// Adds other observations; `false` as above.
    pub fn add(&mut self, other: &Self) -> bool {
        self.combine(other, 1.0)
    }

    /// Adds other observations, each of which counts `weight` times. Explicit bounds may differ:
    /// then those are kept that both have. `false`, with nothing changed, if the one has explicit
    /// bounds and the other hasn't, or if they share none.
    pub fn add_weighted(&mut self, other: &Self, weight: f64) -> bool {
        if let (CountedBuckets::Explicit(mine), CountedBuckets::Explicit(other)) =
            (&mut self.0, &other.0)
            && mine.bounds != other.bounds
        {
            let shared = mine.shared_bounds(other);
            if shared.is_empty() {
                return false;
            }
            mine.keep_bounds(&shared);
            let mut other = other.clone();
            other.keep_bounds(&shared);
            mine.combine(&other, weight);
            return true;
        }
        self.combine(other, weight)
    }

    /// Lets each observation count `weight` times.
    pub fn weigh(&mut self, weight: f64) {
        match &mut self.0 {
            CountedBuckets::Explicit(explicit) => {
                explicit
                    .counts
                    .iter_mut()
                    .for_each(|count| *count *= weight);
            }
            CountedBuckets::Exponential(exponential) => {
                let sides = [&mut exponential.positive, &mut exponential.negative];
                let counts = sides.into_iter().flat_map(BTreeMap::values_mut);
                for count in counts.chain([&mut exponential.zero]) {
                    *count *= weight;
                }
            }
        }
    }

    /// How many observations there are.
    #[must_use]
    pub fn observations(&self) -> f64 {
        match &self.0 {
            CountedBuckets::Explicit(explicit) => explicit.counts.iter().sum(),
            CountedBuckets::Exponential(exponential) => exponential.observations(),
        }
    }

    /// How many buckets are held.
    #[must_use]
    pub fn width(&self) -> usize {
        match &self.0 {
            CountedBuckets::Explicit(explicit) => explicit.counts.len(),
            CountedBuckets::Exponential(exponential) => exponential.filled() + 1,
        }
    }

    /// Whether a bucket has fewer than no observations, which a difference may have.
    #[must_use]
    pub fn has_negative(&self) -> bool {
        match &self.0 {
            CountedBuckets::Explicit(explicit) => explicit.counts.iter().any(|count| *count < 0.0),
            CountedBuckets::Exponential(exponential) => {
                let mut counts = exponential
                    .positive
                    .values()
                    .chain(exponential.negative.values());
                exponential.zero < 0.0 || counts.any(|count| *count < 0.0)
            }
        }
    }

    /// The value below which that share of the observations lies, between 0 and 1, interpolated
    /// as Prometheus's `histogram_quantile` does. `None` if there are no observations, or no
    /// bounds.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        match &self.0 {
            CountedBuckets::Explicit(explicit) => explicit.quantile(quantile),
            CountedBuckets::Exponential(exponential) => exponential.quantile(quantile),
        }
    }

    fn combine(&mut self, other: &Self, weight: f64) -> bool {
        match (&mut self.0, &other.0) {
            (CountedBuckets::Explicit(mine), CountedBuckets::Explicit(other)) => {
                if mine.bounds != other.bounds || mine.counts.len() != other.counts.len() {
                    return false;
                }
                mine.combine(other, weight);
                true
            }
            (CountedBuckets::Exponential(mine), CountedBuckets::Exponential(other)) => {
                mine.combine(other, weight);
                true
            }
            _ => false,
        }
    }
}

impl ExplicitCounts {
    pub(super) fn of(histogram: &StoredHistogram<'_>) -> Self {
        Self {
            bounds: histogram.bounds.into(),
            counts: histogram.buckets.into(),
        }
    }

    /// Adds `weight` times the other, whose bounds are the same.
    fn combine(&mut self, other: &Self, weight: f64) {
        for (mine, other) in self.counts.iter_mut().zip(&other.counts) {
            *mine += weight * other;
        }
    }

    /// The bounds that both have.
    fn shared_bounds(&self, other: &Self) -> Vec<f64> {
        let mut others = other.bounds.iter().copied().peekable();
        let is_shared = |bound: &f64| {
            while others.next_if(|other| other < bound).is_some() {}
            others.peek() == Some(bound)
        };
        self.bounds.iter().copied().filter(is_shared).collect()
    }

    /// Joins the buckets between these bounds, which are among its own.
    fn keep_bounds(&mut self, kept: &[f64]) {
        let mut counts = vec![0.0; kept.len() + 1];
        let mut at = 0;
        for (index, count) in self.counts.iter().enumerate() {
            if let Some(joined) = counts.get_mut(at) {
                *joined += count;
            }
            let upper = self.bounds.get(index);
            if upper.is_some() && upper == kept.get(at) {
                at += 1;
            }
        }
        self.bounds = kept.into();
        self.counts = counts.into();
    }

    fn quantile(&self, quantile: f64) -> Option<f64> {
        let observations: f64 = self.counts.iter().sum();
        let last = self.bounds.len().checked_sub(1)?;
        if observations <= 0.0 {
            return None;
        }
        let rank = quantile * observations;
        let mut below = 0.0;
        for (index, (upper, count)) in self.bounds.iter().zip(&self.counts).enumerate() {
            if below + count < rank {
                below += count;
                continue;
            }
            // Nothing says how far down the first bucket goes.
            let lower = match index.checked_sub(1) {
                Some(before) => self.bounds[before],
                None if *upper <= 0.0 => return Some(*upper),
                None => 0.0,
            };
            return Some(if *count > 0.0 {
                lower + (upper - lower) * ((rank - below) / count)
            } else {
                *upper
            });
        }
        Some(self.bounds[last])
    }
}

impl ExponentialCounts {
    pub(super) fn of(histogram: &StoredExponential<'_>) -> Self {
        let buckets = |(offset, counts): (i32, &[f64])| {
            let indices = (0_i32..).map(|index| index.saturating_add(offset));
            let filled = indices.zip(counts.iter().copied());
            filled.filter(|(_, count)| *count != 0.0).collect()
        };
        Self {
            scale: histogram.scale,
            threshold: histogram.zero_threshold,
            zero: histogram.zero_count,
            positive: buckets(histogram.positive),
            negative: buckets(histogram.negative),
        }
    }

    fn observations(&self) -> f64 {
        let sides = self.negative.values().chain(self.positive.values());
        self.zero + sides.sum::<f64>()
    }

    /// Adds `weight` times the other, at the coarser scale and the wider zero bucket of the two.
    fn combine(&mut self, other: &Self, weight: f64) {
        let mut other = other.clone();
        let scale = self.scale.min(other.scale);
        let threshold = self.threshold.max(other.threshold);
        for side in [&mut *self, &mut other] {
            side.coarsen(scale);
            side.widen(threshold);
        }
        self.zero += weight * other.zero;
        for (mine, others) in [
            (&mut self.positive, other.positive),
            (&mut self.negative, other.negative),
        ] {
            for (index, count) in others {
                *mine.entry(index).or_default() += weight * count;
            }
            // Where nothing is left, there are no observations to one side of zero.
            mine.retain(|_, count| *count != 0.0);
        }
        while self.filled() > FILLED {
            self.coarsen(self.scale.saturating_sub(1));
        }
    }

    fn filled(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    fn coarsen(&mut self, scale: i32) {
        let shift = self.scale.saturating_sub(scale).clamp(0, 31);
        self.scale = scale;
        if shift == 0 {
            return;
        }
        for side in [&mut self.positive, &mut self.negative] {
            let fine = std::mem::take(side);
            for (index, count) in fine {
                *side.entry(index >> shift).or_default() += count;
            }
        }
    }

    /// Takes what lies within the threshold into the zero bucket.
    fn widen(&mut self, threshold: f64) {
        if threshold <= self.threshold {
            return;
        }
        self.threshold = threshold;
        let scale = self.scale;
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|index, count| {
                let within = bound(*index, scale) < threshold;
                if within {
                    self.zero += *count;
                }
                !within
            });
        }
    }

    fn quantile(&self, quantile: f64) -> Option<f64> {
        let observations = self.observations();
        if observations <= 0.0 {
            return None;
        }
        let rank = quantile * observations;
        let edges = |index: &i32| {
            (
                bound(*index, self.scale),
                bound(index.saturating_add(1), self.scale),
            )
        };
        let zero = (
            if self.negative.is_empty() {
                0.0
            } else {
                -self.threshold
            },
            if self.positive.is_empty() {
                0.0
            } else {
                self.threshold
            },
            self.zero,
        );
        let below = self.negative.iter().rev().map(|(index, count)| {
            let (near, far) = edges(index);
            (-far, -near, *count)
        });
        let above = self.positive.iter().map(|(index, count)| {
            let (near, far) = edges(index);
            (near, far, *count)
        });
        let mut before = 0.0;
        let mut last = None;
        for (lower, upper, count) in below.chain([zero]).chain(above) {
            if count <= 0.0 {
                continue;
            }
            last = Some(upper);
            if before + count >= rank {
                return Some(between(lower, upper, (rank - before) / count));
            }
            before += count;
        }
        last
    }
}

/// Where bucket `index` begins.
fn bound(index: i32, scale: i32) -> f64 {
    (f64::from(index) * f64::from(-scale).exp2()).exp2()
}

/// A value within a bucket, evenly around zero and logarithmically evenly elsewhere.
fn between(lower: f64, upper: f64, share: f64) -> f64 {
    if lower <= 0.0 && upper >= 0.0 {
        return lower + (upper - lower) * share;
    }
    if lower > 0.0 {
        let (low, high) = (lower.log2(), upper.log2());
        return (low + (high - low) * share).exp2();
    }
    let (low, high) = (upper.abs().log2(), lower.abs().log2());
    -(low + (high - low) * (1.0 - share)).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand observations in buckets of their own, from that bucket on.
    fn thousand(offset: i32) -> BucketCounts {
        BucketCounts::exponential(&StoredExponential {
            count: 1000.0,
            sum: None,
            scale: 8,
            zero_count: 0.0,
            zero_threshold: 0.0,
            positive: (offset, &[1.0; 1000]),
            negative: (0, &[]),
        })
    }

    #[test]
    fn buckets_that_lie_apart_become_wider_and_not_more() {
        let offsets = || (0..100).map(|number| number * 1000);
        let merged = |offsets: &mut dyn Iterator<Item = i32>| {
            let mut all = thousand(offsets.next().unwrap());
            for offset in offsets {
                assert!(all.add(&thousand(offset)));
                let CountedBuckets::Exponential(all) = &all.0 else {
                    panic!("explicit bounds");
                };
                assert!(all.filled() <= FILLED);
            }
            all
        };
        let all = merged(&mut offsets());
        for percent in [1, 25, 50, 99] {
            let quantile = f64::from(percent) / 100.0;
            let found = all.quantile(quantile).unwrap().log2();
            let exact = quantile * 100_000.0 / 256.0;
            // A hundred thousand buckets became a thirty-second of that.
            assert!((found - exact).abs() <= 32.0 / 256.0, "{found} {exact}");
            let turned = merged(&mut offsets().rev()).quantile(quantile);
            assert_eq!(turned, all.quantile(quantile));
        }
    }

    #[test]
    fn what_came_between_two_points_is_exact() {
        let (mut later, earlier) = (thousand(0), thousand(-2_000_000_000));
        assert!(later.add(&earlier));
        assert!(later.subtract(&earlier));
        let median = later.quantile(0.5).unwrap().log2();
        assert!((median - 500.0 / 256.0).abs() < 1e-9, "{median}");
    }
}
