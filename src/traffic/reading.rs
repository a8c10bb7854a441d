//! What one histogram of durations counts, as read once.

use std::sync::Arc;

use super::observed::ObservedLatency;
use super::unit::LatencyUnit;
use crate::window::stats::BucketCounts;
use crate::window::{StoredExponential, StoredHistogram};

/// The totals of one series since it began: how many durations it observed, their sum, and how many
/// by buckets. It is kept for each series, so it holds no more than the numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyReading {
    count: f64,
    /// In seconds; `None` if it isn't known or isn't finite.
    sum: Option<f64>,
    buckets: LatencyBuckets,
}

#[derive(Debug, Clone, PartialEq)]
enum LatencyBuckets {
    None,
    Explicit {
        /// In seconds.
        bounds: Arc<[f64]>,
        counts: Box<[f64]>,
    },
    Exponential {
        unit: LatencyUnit,
        scale: i32,
        zero_count: f64,
        zero_threshold: f64,
        positive: (i32, Box<[f64]>),
        negative: (i32, Box<[f64]>),
    },
}

/// Buckets that contradict each other, or are more than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadableBuckets {
    /// There are not as many counts as bounds ask for, the bounds don't ascend, or the scale is
    /// none that the protocol knows.
    Malformed,
    /// There are more than [`LatencyReading::MOST_BUCKETS`].
    TooWide,
}

impl LatencyReading {
    /// The most buckets of a reading. SDKs have at most 160 on each side of zero.
    pub const MOST_BUCKETS: usize = 400;

    /// A reading without buckets. `sum` is in `unit`.
    #[must_use]
    pub fn total(count: f64, sum: Option<f64>, unit: LatencyUnit) -> Self {
        Self {
            count,
            sum: sum
                .map(|sum| sum * unit.seconds())
                .filter(|sum| sum.is_finite()),
            buckets: LatencyBuckets::None,
        }
    }

    /// Adds buckets between explicit bounds, which are in `unit`: one count more than there are
    /// bounds, each of its bucket alone. Without counts there are no buckets. Bounds that are
    /// those of `like` are shared with it.
    ///
    /// # Errors
    ///
    /// When the buckets can't be used.
    pub fn with_explicit(
        mut self,
        bounds: impl ExactSizeIterator<Item = f64>,
        counts: impl Iterator<Item = f64>,
        unit: LatencyUnit,
        like: Option<&Self>,
    ) -> Result<Self, UnreadableBuckets> {
        if bounds.len() >= Self::MOST_BUCKETS {
            return Err(UnreadableBuckets::TooWide);
        }
        let mut bounds: Vec<f64> = bounds.map(|bound| bound * unit.seconds()).collect();
        let mut counts: Vec<f64> = counts.take(Self::MOST_BUCKETS + 1).collect();
        if counts.is_empty() {
            return Ok(self);
        }
        if counts.len() != bounds.len() + 1 {
            return Err(UnreadableBuckets::Malformed);
        }
        // Some senders write the infinite bound, which is implied.
        if bounds.last() == Some(&f64::INFINITY) {
            bounds.pop();
            let beyond = counts.pop().unwrap_or_default();
            if let Some(last) = counts.last_mut() {
                *last += beyond;
            }
        }
        let ascends = bounds.iter().zip(bounds.iter().skip(1)).all(|(a, b)| a < b);
        if !ascends || bounds.iter().any(|bound| !bound.is_finite()) {
            return Err(UnreadableBuckets::Malformed);
        }
        let shared = match like.map(|like| &like.buckets) {
            Some(LatencyBuckets::Explicit { bounds: known, .. }) if **known == *bounds => {
                Arc::clone(known)
            }
            _ => bounds.into(),
        };
        self.buckets = LatencyBuckets::Explicit {
            bounds: shared,
            counts: counts.into(),
        };
        Ok(self)
    }

    /// Adds buckets of exponential width. `unit` is that of their bounds.
    ///
    /// # Errors
    ///
    /// When the buckets can't be used.
    pub fn with_exponential(
        mut self,
        scale: i32,
        (zero_count, zero_threshold): (f64, f64),
        positive: (i32, impl Iterator<Item = f64>),
        negative: (i32, impl Iterator<Item = f64>),
        unit: LatencyUnit,
    ) -> Result<Self, UnreadableBuckets> {
        // Beyond these, OTLP says, doubles can't express the bounds.
        if !(-10..=20).contains(&scale) || zero_threshold.is_nan() || zero_threshold < 0.0 {
            return Err(UnreadableBuckets::Malformed);
        }
        let mut room = Self::MOST_BUCKETS;
        let above = run(positive, &mut room)?;
        let below = run(negative, &mut room)?;
        self.buckets = LatencyBuckets::Exponential {
            unit,
            scale,
            zero_count,
            zero_threshold,
            positive: above,
            negative: below,
        };
        Ok(self)
    }

    /// All that it counts.
    #[must_use]
    pub fn whole(&self) -> ObservedLatency {
        ObservedLatency {
            count: self.count,
            sum: self.sum.unwrap_or_default(),
            summed: self.sum.map_or(0.0, |_| self.count),
            buckets: self.buckets.counted(),
        }
    }

    /// What it has counted since an earlier reading of the same series. If it has begun anew in
    /// between, that is all it counts.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> ObservedLatency {
        if self.count < earlier.count {
            return self.whole();
        }
        let buckets = match (self.buckets.counted(), earlier.buckets.counted()) {
            (Some((unit, mut buckets)), Some((before, earlier))) => {
                let fits = unit == before && buckets.subtract(&earlier) && !buckets.has_negative();
                if !fits {
                    return self.whole();
                }
                Some((unit, buckets))
            }
            (None, None) => None,
            // It has other buckets than before, so it is another program.
            _ => return self.whole(),
        };
        let count = self.count - earlier.count;
        let sum = self.sum.zip(earlier.sum).map(|(now, then)| now - then);
        ObservedLatency {
            count,
            sum: sum.unwrap_or_default(),
            summed: sum.map_or(0.0, |_| count),
            buckets,
        }
    }
}

impl LatencyBuckets {
    fn counted(&self) -> Option<(LatencyUnit, BucketCounts)> {
        match self {
            Self::None => None,
            Self::Explicit { bounds, counts } => {
                let counted = BucketCounts::explicit(&StoredHistogram {
                    count: 0.0,
                    sum: None,
                    bounds,
                    buckets: counts,
                });
                Some((LatencyUnit::Seconds, counted))
            }
            Self::Exponential {
                unit,
                scale,
                zero_count,
                zero_threshold,
                positive,
                negative,
            } => {
                let counted = BucketCounts::exponential(&StoredExponential {
                    count: 0.0,
                    sum: None,
                    scale: *scale,
                    zero_count: *zero_count,
                    zero_threshold: *zero_threshold,
                    positive: (positive.0, &positive.1),
                    negative: (negative.0, &negative.1),
                });
                Some((*unit, counted))
            }
        }
    }
}

fn run(
    (offset, counts): (i32, impl Iterator<Item = f64>),
    room: &mut usize,
) -> Result<(i32, Box<[f64]>), UnreadableBuckets> {
    let counts: Box<[f64]> = counts.take(*room + 1).collect();
    *room = room
        .checked_sub(counts.len())
        .ok_or(UnreadableBuckets::TooWide)?;
    Ok((offset, counts))
}
