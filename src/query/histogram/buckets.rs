//! The buckets of a histogram with their bounds, from below or from above.

use super::NativeHistogram;
use super::bounds::upper;

/// A bucket: what lies between two bounds. Above zero the upper bound is inside, below it
/// the lower one, and both are of the zero bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HistogramBucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// How many observations lie between, a fraction too where it was calculated.
    pub count: f64,
}

impl HistogramBucket {
    /// The part of its width that lies below a value inside of it: as on a ruler, or on a
    /// logarithmic one.
    pub(in super::super) fn fraction_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let low = self.lower.abs().log2();
        let high = self.upper.abs().log2();
        let at = value.abs().log2();
        if value > 0.0 {
            (at - low) / (high - low)
        } else {
            1.0 - (at - high) / (low - high)
        }
    }
}

impl NativeHistogram {
    /// All buckets from the lowest to the highest. One that overlaps the zero bucket ends
    /// or begins where that does.
    pub fn buckets(&self) -> Vec<HistogramBucket> {
        let negative = self.negative.iter().rev();
        let mut all: Vec<HistogramBucket> = negative.map(|bucket| self.below(*bucket)).collect();
        all.extend(self.zero());
        all.extend(self.positive.iter().map(|bucket| self.above(*bucket)));
        all
    }

    fn zero(&self) -> Option<HistogramBucket> {
        (self.zero_count > 0.0).then_some(HistogramBucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            count: self.zero_count,
        })
    }

    fn above(&self, (index, count): (i32, f64)) -> HistogramBucket {
        let lower = upper(index.saturating_sub(1), self.schema);
        let overlaps = lower > 0.0 && lower < self.zero_threshold;
        HistogramBucket {
            lower: if overlaps { self.zero_threshold } else { lower },
            upper: upper(index, self.schema),
            count,
        }
    }

    fn below(&self, bucket: (i32, f64)) -> HistogramBucket {
        let mirrored = self.above(bucket);
        HistogramBucket {
            lower: -mirrored.upper,
            upper: -mirrored.lower,
            count: mirrored.count,
        }
    }
}
