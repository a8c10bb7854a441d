//! Native histograms as exponential ones.

use crate::exposition::read::{BucketSpan, NativeCounts, PageHistogram};
use crate::pdata::writer::{ExponentialBuckets, ExponentialHistogramData};

/// The most buckets of one sign that are written. Native histograms leave empty buckets out, OTLP
/// writes them: a few bytes could ask for billions. Where more would be needed, neighbours are
/// merged, which halves the resolution.
const MOST: i64 = 1024;

/// OpenTelemetry's lowest scale.
const LOWEST_SCALE: i32 = -10;

/// A native histogram with all buckets between its first and its last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DenseHistogram {
    count: u64,
    sum: f64,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: DenseSide,
    negative: DenseSide,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct DenseSide {
    offset: i32,
    counts: Vec<u64>,
}

impl DenseHistogram {
    /// `None` for buckets so far apart that no resolution has both, and for counts that may fall,
    /// which OTLP has no histogram for.
    pub(super) fn of(native: &PageHistogram<'_>) -> Option<Self> {
        if native.is_gauge {
            return None;
        }
        let sides = [native.positive, native.negative].map(Sparse::of);
        let mut scale = native.schema;
        let mut halvings = 0;
        while sides.iter().any(|side| side.width(halvings) > MOST) {
            (scale, halvings) = (scale - 1, halvings + 1);
            if scale < LOWEST_SCALE {
                return None;
            }
        }
        let [positive, negative] = sides.map(|side| side.dense(halvings));
        Some(Self {
            // Fractions of an observation are cut off, as by the Collector.
            count: native.count as u64,
            sum: native.sum,
            scale,
            zero_count: native.zero_count as u64,
            zero_threshold: native.zero_threshold,
            positive: positive?,
            negative: negative?,
        })
    }

    /// As the writer takes it.
    pub(super) fn data(&self) -> ExponentialHistogramData<'_> {
        ExponentialHistogramData {
            count: self.count,
            sum: self.sum,
            scale: self.scale,
            zero_count: self.zero_count,
            zero_threshold: self.zero_threshold,
            positive: self.positive.buckets(),
            negative: self.negative.buckets(),
        }
    }
}

impl DenseSide {
    fn buckets(&self) -> ExponentialBuckets<'_> {
        ExponentialBuckets {
            offset: self.offset,
            counts: &self.counts,
        }
    }
}

/// The buckets of one sign that have observations.
struct Sparse {
    /// The index of each bucket's lower bound, as OTLP counts it, with its observations.
    buckets: Vec<(i64, u64)>,
}

impl Sparse {
    fn of((spans, counts): (&[BucketSpan], NativeCounts<'_>)) -> Self {
        let mut buckets = Vec::new();
        // Native histograms count by the upper bound.
        let mut index: i64 = -1;
        let mut at = 0;
        for span in spans {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                let count = match counts {
                    NativeCounts::Whole(counts) => counts.get(at).map(|count| count.unsigned_abs()),
                    NativeCounts::Float(counts) => counts.get(at).map(|count| *count as u64),
                };
                // The reader has checked that spans and counts agree.
                let Some(count) = count else { break };
                if count > 0 {
                    buckets.push((index, count));
                }
                (index, at) = (index + 1, at + 1);
            }
        }
        Self { buckets }
    }

    fn width(&self, halvings: u32) -> i64 {
        match (self.buckets.first(), self.buckets.last()) {
            (Some((first, _)), Some((last, _))) => (last >> halvings) - (first >> halvings) + 1,
            _ => 0,
        }
    }

    fn dense(self, halvings: u32) -> Option<DenseSide> {
        let Some((first, _)) = self.buckets.first() else {
            return Some(DenseSide::default());
        };
        let first = first >> halvings;
        let mut counts = vec![0_u64; usize::try_from(self.width(halvings)).ok()?];
        for (index, count) in self.buckets {
            let at = usize::try_from((index >> halvings) - first).ok()?;
            let sum = counts.get_mut(at)?;
            *sum = sum.saturating_add(count);
        }
        Some(DenseSide {
            offset: i32::try_from(first).ok()?,
            counts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram<'a>(schema: i32, spans: &'a [BucketSpan], counts: &'a [i64]) -> PageHistogram<'a> {
        PageHistogram {
            schema,
            count: 10.0,
            sum: 2.0,
            zero_threshold: 0.5,
            zero_count: 1.0,
            positive: (spans, NativeCounts::Whole(counts)),
            negative: (&[], NativeCounts::Whole(&[])),
            is_gauge: false,
        }
    }

    fn span(offset: i32, length: u32) -> BucketSpan {
        BucketSpan { offset, length }
    }

    #[test]
    fn gaps_are_filled_with_empty_buckets() {
        let spans = [span(-2, 2), span(3, 1)];
        let dense = DenseHistogram::of(&histogram(3, &spans, &[1, 2, 3])).unwrap();
        assert_eq!((dense.scale, dense.count, dense.zero_count), (3, 10, 1));
        // The bucket with the upper bound base^-2 has the lower bound base^-3.
        assert_eq!(dense.positive.offset, -3);
        assert_eq!(dense.positive.counts, [1, 2, 0, 0, 0, 3]);
        assert_eq!(dense.negative, DenseSide::default());
    }

    #[test]
    fn what_would_be_too_many_buckets_is_merged() {
        let spans = [span(1, 1), span(2045, 2)];
        let dense = DenseHistogram::of(&histogram(3, &spans, &[1, 2, 3])).unwrap();
        assert_eq!(dense.scale, 2);
        assert_eq!(dense.positive.offset, 0);
        assert_eq!(dense.positive.counts.len(), 1024);
        assert_eq!(dense.positive.counts[1023], 5);
        let spans = [span(i32::MIN, 1), span(i32::MAX, 1)];
        assert_eq!(DenseHistogram::of(&histogram(8, &spans, &[1, 2])), None);
        // Buckets without observations don't count.
        let spans = [span(-5, 1), span(i32::MAX, 1)];
        assert!(DenseHistogram::of(&histogram(8, &spans, &[1, 0])).is_some());
    }

    #[test]
    fn counts_that_may_fall_are_no_exponential_histogram() {
        let spans = [span(1, 1)];
        let mut native = histogram(3, &spans, &[1]);
        assert!(DenseHistogram::of(&native).is_some());
        native.is_gauge = true;
        assert_eq!(DenseHistogram::of(&native), None);
    }

    #[test]
    fn merged_buckets_cover_what_they_covered() {
        // At scale s, bucket i covers (base^i, base^(i+1)]; two of them are one at scale s - 1.
        let spans = [span(-3000, 1), span(6000, 1)];
        let dense = DenseHistogram::of(&histogram(8, &spans, &[1, 2])).unwrap();
        let halvings = 8 - dense.scale;
        assert_eq!(dense.positive.offset, -3001 >> halvings);
        let last = dense.positive.offset + dense.positive.counts.len() as i32 - 1;
        assert_eq!(last, 3000 >> halvings);
    }
}
