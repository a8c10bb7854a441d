//! From a value of the page to a point of the store.

use crate::exposition::SampleValue;
use crate::window::{
    Placed, RingId, StoreRefusal, StoredHistogram, StoredPoint, StoredSummary, Windows,
};

/// Writes values into a store. Keeps the room for the numbers of one point.
#[derive(Debug, Default)]
pub struct PointWriter {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl PointWriter {
    /// Stores a value with its time, in milliseconds since the epoch, and that since when it
    /// counts, 0 if that isn't known.
    ///
    /// # Errors
    ///
    /// As [`Windows::push_point`].
    pub fn write(
        &mut self,
        windows: &mut Windows,
        ring: RingId,
        start: i64,
        time: i64,
        value: &SampleValue,
    ) -> Result<Placed, StoreRefusal> {
        let stored = match value {
            SampleValue::Number(value) => StoredPoint::Number(*value),
            SampleValue::Histogram(histogram) => {
                self.first.clear();
                let counts = histogram.counts.iter();
                self.first.extend(counts.map(|count| *count as f64));
                StoredPoint::Histogram(StoredHistogram {
                    count: histogram.counts.iter().sum::<u64>() as f64,
                    sum: histogram.sum,
                    bounds: histogram.bounds.values(),
                    buckets: &self.first,
                })
            }
            SampleValue::Summary(summary) => {
                self.first.clear();
                self.second.clear();
                for (quantile, value) in &summary.quantiles {
                    self.first.push(*quantile);
                    self.second.push(*value);
                }
                StoredPoint::Summary(StoredSummary {
                    count: summary.count as f64,
                    sum: summary.sum,
                    quantiles: &self.first,
                    values: &self.second,
                })
            }
        };
        windows.push_point(ring, start, time, &stored)
    }
}
