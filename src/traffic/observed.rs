//! Requests whose durations were observed: how many, how long all together, and by buckets.

use super::unit::LatencyUnit;
use crate::window::stats::BucketCounts;

/// Durations that were observed.
#[derive(Debug, Clone, Default)]
pub struct ObservedLatency {
    /// How many. Not whole once they are weighted.
    pub count: f64,
    /// The sum of those of which one is known, in seconds.
    pub(super) sum: f64,
    /// How many those are.
    pub(super) summed: f64,
    /// By buckets, and the unit of their bounds.
    pub(super) buckets: Option<(LatencyUnit, BucketCounts)>,
}

impl ObservedLatency {
    /// Adds others, each of which counts `weight` times.
    pub fn add(&mut self, other: &Self, weight: f64) {
        self.count += weight * other.count;
        self.sum += weight * other.sum;
        self.summed += weight * other.summed;
        let Some((unit, buckets)) = &other.buckets else {
            return;
        };
        if let Some((mine, all)) = &mut self.buckets {
            if mine == unit && all.add_weighted(buckets, weight) {
                return;
            }
            if all.observations() >= weight * buckets.observations() {
                return;
            }
        }
        let mut weighted = buckets.clone();
        weighted.weigh(weight);
        self.buckets = Some((*unit, weighted));
    }

    /// The mean in seconds; `None` if nothing was observed.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.summed > 0.0)
            .then(|| self.sum / self.summed)
            .filter(|mean| mean.is_finite())
    }

    /// The duration within which that share of the requests was answered, between 0 and 1, in
    /// seconds; `None` if there are no buckets or nothing was observed.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let (unit, buckets) = self.buckets.as_ref()?;
        let value = buckets.quantile(quantile)?;
        Some(value * unit.seconds()).filter(|value| value.is_finite())
    }

    /// How many buckets are held.
    #[must_use]
    pub fn width(&self) -> usize {
        self.buckets.as_ref().map_or(0, |(_, all)| all.width())
    }
}
