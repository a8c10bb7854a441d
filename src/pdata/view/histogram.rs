//! Data points of histograms of both kinds.

use super::point::{CommonFields, CommonReading, Exemplar, common_accessors};
use super::{Repeated, View};
use crate::pdata::wire::{self, WireFields};

/// What a histogram of either kind knows of all its observations.
#[derive(Debug, Clone, Copy, Default)]
struct Observations {
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

/// The accessors that both kinds of histogram points have.
macro_rules! observation_accessors {
    () => {
        /// How many observations.
        pub fn count(&self) -> u64 {
            self.observations.count
        }

        /// Their sum, where the sender knows it.
        pub fn sum(&self) -> Option<f64> {
            self.observations.sum
        }

        /// The smallest, where the sender knows it.
        pub fn min(&self) -> Option<f64> {
            self.observations.min
        }

        /// The largest, where the sender knows it.
        pub fn max(&self) -> Option<f64> {
            self.observations.max
        }
    };
}

/// A point of a histogram with explicit bounds.
#[derive(Debug, Clone, Copy)]
pub struct HistogramPoint<'a> {
    common: CommonFields<'a>,
    observations: Observations,
    bucket_counts: &'a [u8],
    explicit_bounds: &'a [u8],
}

impl<'a> HistogramPoint<'a> {
    common_accessors!();
    observation_accessors!();

    /// Observations per bucket, not cumulated; by rights one more than there are bounds, or
    /// none at all.
    pub fn bucket_counts(&self) -> Fixed64s<'a> {
        Fixed64s(self.bucket_counts)
    }

    /// Upper bounds, by rights ascending, without the infinite one.
    pub fn explicit_bounds(&self) -> Doubles<'a> {
        Doubles(Fixed64s(self.explicit_bounds))
    }

    /// Measurements that went into it.
    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.common.raw, 8)
    }

    pub(super) fn common(&self) -> &CommonFields<'a> {
        &self.common
    }
}

impl<'a> View<'a> for HistogramPoint<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut reading = CommonReading::new(raw, 9, 10);
        let mut point = Self {
            common: CommonFields::NONE,
            observations: Observations::default(),
            bucket_counts: &[],
            explicit_bounds: &[],
        };
        let observations = &mut point.observations;
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (4, wire::WireValue::Fixed64(value)) => observations.count = value,
                (5, wire::WireValue::Fixed64(bits)) => {
                    observations.sum = Some(f64::from_bits(bits))
                }
                (6, wire::WireValue::Bytes(packed)) => point.bucket_counts = packed,
                (7, wire::WireValue::Bytes(packed)) => point.explicit_bounds = packed,
                (11, wire::WireValue::Fixed64(bits)) => {
                    observations.min = Some(f64::from_bits(bits))
                }
                (12, wire::WireValue::Fixed64(bits)) => {
                    observations.max = Some(f64::from_bits(bits))
                }
                _ => reading.add(field),
            }
        }
        point.common = reading.finish();
        point
    }
}

/// A point of a histogram with exponential buckets.
#[derive(Debug, Clone, Copy)]
pub struct ExponentialHistogramPoint<'a> {
    common: CommonFields<'a>,
    observations: Observations,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: &'a [u8],
    negative: &'a [u8],
}

impl<'a> ExponentialHistogramPoint<'a> {
    common_accessors!();
    observation_accessors!();

    /// Bucket bounds are powers of 2^(2^-scale).
    pub fn scale(&self) -> i32 {
        self.scale
    }

    /// Observations in the zero bucket.
    pub fn zero_count(&self) -> u64 {
        self.zero_count
    }

    /// The zero bucket holds what is no further from zero than this.
    pub fn zero_threshold(&self) -> f64 {
        self.zero_threshold
    }

    /// Buckets above zero.
    pub fn positive(&self) -> Buckets<'a> {
        Buckets::parse(self.positive)
    }

    /// Buckets below zero.
    pub fn negative(&self) -> Buckets<'a> {
        Buckets::parse(self.negative)
    }

    /// Measurements that went into it.
    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.common.raw, 11)
    }

    pub(super) fn common(&self) -> &CommonFields<'a> {
        &self.common
    }
}

impl<'a> View<'a> for ExponentialHistogramPoint<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut reading = CommonReading::new(raw, 1, 10);
        let mut point = Self {
            common: CommonFields::NONE,
            observations: Observations::default(),
            scale: 0,
            zero_count: 0,
            zero_threshold: 0.0,
            positive: &[],
            negative: &[],
        };
        let observations = &mut point.observations;
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (4, wire::WireValue::Fixed64(value)) => observations.count = value,
                (5, wire::WireValue::Fixed64(bits)) => {
                    observations.sum = Some(f64::from_bits(bits))
                }
                (6, wire::WireValue::Varint(value)) => point.scale = zigzag(value),
                (7, wire::WireValue::Fixed64(value)) => point.zero_count = value,
                (8, wire::WireValue::Bytes(content)) => point.positive = content,
                (9, wire::WireValue::Bytes(content)) => point.negative = content,
                (12, wire::WireValue::Fixed64(bits)) => {
                    observations.min = Some(f64::from_bits(bits))
                }
                (13, wire::WireValue::Fixed64(bits)) => {
                    observations.max = Some(f64::from_bits(bits))
                }
                (14, wire::WireValue::Fixed64(bits)) => point.zero_threshold = f64::from_bits(bits),
                _ => reading.add(field),
            }
        }
        point.common = reading.finish();
        point
    }
}

/// A run of exponential buckets.
#[derive(Debug, Clone, Copy)]
pub struct Buckets<'a> {
    offset: i32,
    counts: &'a [u8],
}

impl<'a> Buckets<'a> {
    /// Index of the first bucket: its lower bound is the base to this power.
    pub fn offset(&self) -> i32 {
        self.offset
    }

    /// Observations per bucket.
    pub fn counts(&self) -> Varints<'a> {
        Varints(self.counts)
    }
}

impl<'a> View<'a> for Buckets<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut buckets = Self {
            offset: 0,
            counts: &[],
        };
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (1, wire::WireValue::Varint(value)) => buckets.offset = zigzag(value),
                (2, wire::WireValue::Bytes(packed)) => buckets.counts = packed,
                _ => {}
            }
        }
        buckets
    }
}

/// Numbers of eight bytes each.
#[derive(Debug, Clone, Copy)]
pub struct Fixed64s<'a>(&'a [u8]);

impl Iterator for Fixed64s<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        wire::fixed64(&mut self.0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let length = self.0.len() / 8;
        (length, Some(length))
    }
}

impl ExactSizeIterator for Fixed64s<'_> {}

/// Floating-point numbers.
#[derive(Debug, Clone, Copy)]
pub struct Doubles<'a>(Fixed64s<'a>);

impl Iterator for Doubles<'_> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        self.0.next().map(f64::from_bits)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Doubles<'_> {}

/// Numbers of one to ten bytes each.
#[derive(Debug, Clone, Copy)]
pub struct Varints<'a>(&'a [u8]);

impl Iterator for Varints<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        wire::varint(&mut self.0)
    }
}

/// A `sint32`, as prost reads it.
fn zigzag(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
