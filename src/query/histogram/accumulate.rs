//! Sums and means of many histograms that keep what rounding would lose.
//!
//! A second histogram beside the sum holds what each addition rounded away, bucket by
//! bucket (see [`super::super::kahan`]).

use std::collections::BTreeMap;

use super::super::kahan;
use super::NativeHistogram;
use super::add::outside;

/// A value with what rounding has taken from it.
type Compensated = (f64, f64);

/// The sum of histograms that are given one by one.
#[derive(Clone, Debug)]
pub(in super::super) struct HistogramSum {
    /// What has no compensation of its own: schema, zero threshold, and whether it is a
    /// gauge.
    frame: NativeHistogram,
    zero_count: Compensated,
    count: Compensated,
    sum: Compensated,
    positive: BTreeMap<i32, Compensated>,
    negative: BTreeMap<i32, Compensated>,
    added: f64,
}

impl HistogramSum {
    pub(in super::super) fn new(first: &NativeHistogram) -> Self {
        let side = |buckets: &[(i32, f64)]| {
            let buckets = buckets.iter();
            buckets
                .map(|(index, count)| (*index, (*count, 0.0)))
                .collect()
        };
        Self {
            frame: NativeHistogram {
                positive: Vec::new(),
                negative: Vec::new(),
                ..first.clone()
            },
            zero_count: (first.zero_count, 0.0),
            count: (first.count, 0.0),
            sum: (first.sum, 0.0),
            positive: side(&first.positive),
            negative: side(&first.negative),
            added: 1.0,
        }
    }

    pub(in super::super) fn add(&mut self, other: &NativeHistogram) {
        self.added += 1.0;
        self.frame.gauge |= other.gauge;
        let other_zero = if other.zero_threshold == self.frame.zero_threshold {
            other.zero_count
        } else {
            self.widen(other)
        };
        add_to(&mut self.zero_count, other_zero);
        add_to(&mut self.count, other.count);
        add_to(&mut self.sum, other.sum);
        let schema = self.frame.schema.min(other.schema);
        if schema < self.frame.schema {
            self.reduce(schema);
        }
        let threshold = self.frame.zero_threshold;
        for (side, buckets) in [
            (&mut self.positive, &other.positive),
            (&mut self.negative, &other.negative),
        ] {
            for (index, count) in outside(buckets, other.schema, schema, threshold) {
                add_to(side.entry(index).or_default(), count);
            }
        }
    }

    /// The sum.
    pub(in super::super) fn total(&self) -> NativeHistogram {
        self.finish(1.0)
    }

    /// About how much memory it takes: a map's leaf of eleven places may be half empty.
    pub(in super::super) fn bytes(&self) -> usize {
        size_of::<Self>() + (self.positive.len() + self.negative.len()) * 64
    }

    /// The sum divided by how many were added.
    pub(in super::super) fn mean(&self) -> NativeHistogram {
        self.finish(self.added)
    }

    /// Whether some part of the sum is infinite.
    pub(in super::super) fn overflows(&self) -> bool {
        let buckets = self.positive.values().chain(self.negative.values());
        let mut all = buckets.chain([&self.zero_count, &self.count, &self.sum]);
        all.any(|(value, _)| value.is_infinite())
    }

    fn finish(&self, divisor: f64) -> NativeHistogram {
        let value = |(value, lost): Compensated| value / divisor + lost / divisor;
        let side = |buckets: &BTreeMap<i32, Compensated>| {
            let buckets = buckets.iter();
            buckets
                .map(|(index, count)| (*index, value(*count)))
                .collect()
        };
        NativeHistogram {
            zero_count: value(self.zero_count),
            count: value(self.count),
            sum: value(self.sum),
            positive: side(&self.positive),
            negative: side(&self.negative),
            ..self.frame
        }
        .compacted()
    }

    /// Makes both zero buckets one. Rare, so what rounding took is given back first.
    fn widen(&mut self, other: &NativeHistogram) -> f64 {
        let mut plain = self.total();
        let zero_count = plain.common_zero(other);
        let added = self.added;
        *self = Self::new(&plain);
        self.added = added;
        zero_count
    }

    fn reduce(&mut self, schema: i32) {
        let mut plain = self.total();
        plain.reduce(schema);
        let added = self.added;
        *self = Self::new(&plain);
        self.added = added;
    }
}

fn add_to(to: &mut Compensated, value: f64) {
    *to = kahan::add(value, to.0, to.1);
}

/// The mean of histograms whose sum may overflow.
#[derive(Clone, Debug)]
pub(in super::super) enum HistogramMean {
    /// As long as the sum is finite.
    Summed(HistogramSum),
    /// From then on: the mean of so many.
    Incremental(Box<NativeHistogram>, f64),
}

impl HistogramMean {
    pub(in super::super) fn new(first: &NativeHistogram) -> Self {
        Self::Summed(HistogramSum::new(first))
    }

    pub(in super::super) fn add(&mut self, other: &NativeHistogram) {
        if let Self::Summed(sum) = self {
            let mut longer = sum.clone();
            longer.add(other);
            if !longer.overflows() {
                *sum = longer;
                return;
            }
            *self = Self::Incremental(Box::new(sum.mean()), sum.added);
        }
        if let Self::Incremental(mean, count) = self {
            *count += 1.0;
            mean.scale((*count - 1.0) / *count);
            let mut part = other.clone();
            part.divide(*count);
            mean.add(&part);
        }
    }

    /// About how much memory it takes.
    pub(in super::super) fn bytes(&self) -> usize {
        let more = match self {
            Self::Summed(sum) => sum.bytes(),
            Self::Incremental(mean, _) => mean.bytes(),
        };
        size_of::<Self>() + more
    }

    pub(in super::super) fn get(&self) -> NativeHistogram {
        match self {
            Self::Summed(sum) => sum.mean(),
            Self::Incremental(mean, _) => (**mean).clone().compacted(),
        }
    }
}
