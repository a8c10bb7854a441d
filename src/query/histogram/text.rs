//! A histogram as `count_values` names it.

use std::fmt;

use super::super::text::general;
use super::{HistogramBucket, NativeHistogram};

impl fmt::Display for NativeHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{count:{}, sum:{}",
            general(self.count),
            general(self.sum)
        )?;
        for bucket in self.plain_buckets() {
            let open = if bucket.lower < 0.0 { '[' } else { '(' };
            let close = if bucket.upper > 0.0 { ']' } else { ')' };
            let (lower, upper) = (general(bucket.lower), general(bucket.upper));
            write!(
                f,
                ", {open}{lower},{upper}{close}:{}",
                general(bucket.count)
            )?;
        }
        write!(f, "}}")
    }
}

impl NativeHistogram {
    /// The populated buckets with their own bounds, even where the zero bucket overlaps
    /// them.
    fn plain_buckets(&self) -> Vec<HistogramBucket> {
        let bounded = Self {
            zero_count: 0.0,
            zero_threshold: 0.0,
            ..self.clone()
        };
        let mut buckets = bounded.buckets();
        if self.zero_count != 0.0 {
            let zero = HistogramBucket {
                lower: -self.zero_threshold,
                upper: self.zero_threshold,
                count: self.zero_count,
            };
            buckets.insert(self.negative.len(), zero);
        }
        buckets.retain(|bucket| bucket.count != 0.0);
        buckets
    }
}
