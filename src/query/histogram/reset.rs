//! Whether a counter was reset between two histograms.

use super::NativeHistogram;
use super::add::{outside, reduced};

impl NativeHistogram {
    /// Whether this can't be a later state of `previous`: a count has fallen, a populated
    /// bucket is gone, the resolution is finer, or the zero bucket smaller.
    pub(in super::super) fn is_reset_from(&self, previous: &Self) -> bool {
        if self.count < previous.count
            || self.schema > previous.schema
            || self.zero_threshold < previous.zero_threshold
        {
            return true;
        }
        let (zero_count, threshold) = previous.with_wider_zero(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        self.falls(&self.positive, &previous.positive, previous.schema)
            || self.falls(&self.negative, &previous.negative, previous.schema)
    }

    fn falls(&self, now: &[(i32, f64)], before: &[(i32, f64)], schema: i32) -> bool {
        let before = outside(before, schema, self.schema, self.zero_threshold);
        let now = reduced(now, self.schema, self.schema);
        let mut now = now.iter().peekable();
        before.iter().any(|(index, count)| {
            while now.next_if(|(at, _)| at < index).is_some() {}
            match now.peek() {
                Some((at, here)) if at == index => here < count,
                _ => *count != 0.0,
            }
        })
    }
}
