//! Native histograms with exponential buckets, as Prometheus calculates with them.
//!
//! A bucket's index says its bounds together with the schema (see [`bounds`]). Buckets
//! without observations aren't kept, which is what Prometheus's compaction comes to.

mod accumulate;
mod add;
mod bounds;
mod buckets;
mod reset;
mod text;

pub(super) use accumulate::{HistogramMean, HistogramSum};
pub use buckets::HistogramBucket;

/// A native histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeHistogram {
    /// Each power of two is divided into `2^schema` buckets; from -4 to 8.
    pub schema: i32,
    /// Observations of an absolute value up to this are in the zero bucket.
    pub zero_threshold: f64,
    /// How many those are.
    pub zero_count: f64,
    /// All observations, NaN among them.
    pub count: f64,
    /// The sum of the observations.
    pub sum: f64,
    /// The populated buckets above zero, by index.
    pub positive: Vec<(i32, f64)>,
    /// The populated buckets below zero, by the index of their absolute bounds.
    pub negative: Vec<(i32, f64)>,
    /// Whether it may fall: the result of a subtraction or a rate, or a gauge from the
    /// start. Else it is a counter, whose fall is a reset.
    pub gauge: bool,
}

impl NativeHistogram {
    /// Buckets without observations are taken out, which every function relies on.
    pub fn compacted(mut self) -> Self {
        self.compact();
        self
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + (self.positive.len() + self.negative.len()) * 16
    }

    pub(super) fn compact(&mut self) {
        self.positive.retain(|(_, count)| *count != 0.0);
        self.negative.retain(|(_, count)| *count != 0.0);
    }

    /// How many samples it counts as: one for 16 bytes, as Prometheus has it.
    pub(super) fn samples(&self) -> usize {
        self.bytes().div_ceil(16)
    }

    /// All counts and the sum times a factor.
    pub(super) fn scale(&mut self, factor: f64) {
        self.each(|value| value * factor);
        self.gauge |= factor < 0.0;
    }

    /// All counts and the sum divided. By zero there are no buckets left.
    pub(super) fn divide(&mut self, divisor: f64) {
        self.each(|value| value / divisor);
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
            return;
        }
        self.gauge |= divisor < 0.0;
    }

    /// Whether both hold the same, bit for bit.
    pub(super) fn same(&self, other: &Self) -> bool {
        let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let buckets = |a: &[(i32, f64)], b: &[(i32, f64)]| {
            let mut both = a.iter().zip(b);
            a.len() == b.len() && both.all(|(a, b)| a.0 == b.0 && bits(a.1, b.1))
        };
        self.schema == other.schema
            && bits(self.count, other.count)
            && bits(self.sum, other.sum)
            && self.zero_threshold == other.zero_threshold
            && bits(self.zero_count, other.zero_count)
            && buckets(&self.negative, &other.negative)
            && buckets(&self.positive, &other.positive)
    }

    fn each(&mut self, change: impl Fn(f64) -> f64) {
        for value in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *value = change(*value);
        }
        let buckets = self.positive.iter_mut().chain(&mut self.negative);
        for (_, count) in buckets {
            *count = change(*count);
        }
    }
}

#[cfg(test)]
mod tests;
