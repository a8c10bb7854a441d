//! How long the attempts at an endpoint took, counted in buckets.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest duration of each bucket but the last: those that Prometheus recommends, and what the
/// longest patience for a request comes to.
const BOUNDS: [Duration; BOUND_COUNT] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(2_500),
    Duration::from_millis(5_000),
    Duration::from_millis(10_000),
    Duration::from_millis(30_000),
    Duration::from_millis(60_000),
];

/// A number by itself, since the compiler goes in a circle when it optimises types whose size comes
/// from an array's length and the array's values from a function.
const BOUND_COUNT: usize = 13;

/// The durations of an endpoint's attempts so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationHistogram {
    /// The longest duration of each bucket, and how many durations aren't longer.
    pub buckets: [(Duration, u64); BOUND_COUNT],
    /// How many durations there are.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

/// Counts durations.
#[derive(Debug, Default)]
pub(super) struct DurationCounts {
    /// By [`BOUNDS`], and those that are longer.
    counts: [AtomicU64; BOUND_COUNT + 1],
    nanoseconds: AtomicU64,
}

impl DurationCounts {
    pub(super) fn record(&self, took: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < took);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        // Enough for five centuries.
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn histogram(&self) -> DurationHistogram {
        let mut counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let mut count = 0;
        let buckets = array::from_fn(|bucket| {
            count += counts.next().unwrap_or(0);
            (BOUNDS[bucket], count)
        });
        DurationHistogram {
            buckets,
            count: count + counts.next().unwrap_or(0),
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_every_bucket_that_reaches_to_it() {
        let counts = DurationCounts::default();
        for ms in [5, 6, 60_000, 60_001] {
            counts.record(Duration::from_millis(ms));
        }
        let histogram = counts.histogram();
        assert_eq!(histogram.buckets[0], (Duration::from_millis(5), 1));
        assert_eq!(histogram.buckets[1], (Duration::from_millis(10), 2));
        assert_eq!(histogram.buckets[11].1, 2);
        assert_eq!(histogram.buckets[12], (Duration::from_secs(60), 3));
        assert_eq!(histogram.count, 4);
        assert_eq!(histogram.sum, Duration::from_millis(120_012));
    }
}
