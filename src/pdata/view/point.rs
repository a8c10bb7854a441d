//! Data points of gauges, sums and summaries, and what all kinds of points have.

use super::value::{Attributes, Finder};
use super::{Repeated, View};
use crate::pdata::plain::{Bits, Front};
use crate::pdata::wire::{self, WireFields};

/// `DataPointFlags::NO_RECORDED_VALUE_MASK`.
const NO_RECORDED_VALUE: u32 = 1;

/// What every kind of point has.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommonFields<'a> {
    pub(super) raw: &'a [u8],
    pub(super) attributes: Attributes<'a>,
    pub(super) start_time_unix_nano: u64,
    pub(super) time_unix_nano: u64,
    pub(super) flags: u32,
}

/// The accessors that every kind of point has.
macro_rules! common_accessors {
    () => {
        /// The encoded message.
        pub fn raw(&self) -> &'a [u8] {
            self.common().raw
        }

        /// What tells this series from its neighbours.
        pub fn attributes(&self) -> $crate::pdata::view::Attributes<'a> {
            self.common().attributes
        }

        /// When the counting began, in nanoseconds since the Unix epoch; 0 for unknown.
        pub fn start_time_unix_nano(&self) -> u64 {
            self.common().start_time_unix_nano
        }

        /// When the value held, in nanoseconds since the Unix epoch; 0 for unknown.
        pub fn time_unix_nano(&self) -> u64 {
            self.common().time_unix_nano
        }

        /// `DataPointFlags`.
        pub fn flags(&self) -> u32 {
            self.common().flags
        }

        /// Whether it is a tombstone: it has no value, and ends its series.
        pub fn is_tombstone(&self) -> bool {
            self.common().is_tombstone()
        }
    };
}

pub(super) use common_accessors;

/// A number as the sender wrote it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A floating-point number.
    Double(f64),
    /// A signed integer.
    Int(i64),
}

impl Number {
    /// The nearest floating-point number.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Double(value) => value,
            Self::Int(value) => value as f64,
        }
    }
}

/// A point of a gauge or a sum.
#[derive(Debug, Clone, Copy)]
pub struct NumberPoint<'a> {
    common: CommonFields<'a>,
    value: Option<Number>,
}

impl<'a> NumberPoint<'a> {
    common_accessors!();

    /// The value, where there is one.
    pub fn value(&self) -> Option<Number> {
        self.value
    }

    /// Measurements that went into it.
    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.common.raw, 5)
    }

    pub(super) fn common(&self) -> &CommonFields<'a> {
        &self.common
    }
}

impl<'a> View<'a> for NumberPoint<'a> {
    #[inline]
    fn parse(raw: &'a [u8]) -> Self {
        let mut front = Front::of(raw);
        let mut point = CommonReading::new(raw, 7, 8);
        point.common.start_time_unix_nano = front.start.unwrap_or(0);
        point.common.time_unix_nano = front.time.unwrap_or(0);
        let number = |bits| match bits {
            Bits::Double(bits) => Number::Double(f64::from_bits(bits)),
            Bits::Int(bits) => Number::Int(bits.cast_signed()),
        };
        let mut value = front.value.map(number);
        point.attributes.add(front.attributes(|_| true));
        for field in WireFields::new(front.rest) {
            match (field.number, field.value) {
                (4, wire::WireValue::Fixed64(bits)) => value = Some(number(Bits::Double(bits))),
                (6, wire::WireValue::Fixed64(bits)) => value = Some(number(Bits::Int(bits))),
                _ => point.add(field),
            }
        }
        Self {
            common: point.finish(),
            value,
        }
    }
}

/// A point of a summary.
#[derive(Debug, Clone, Copy)]
pub struct SummaryPoint<'a> {
    common: CommonFields<'a>,
    count: u64,
    sum: f64,
}

impl<'a> SummaryPoint<'a> {
    common_accessors!();

    /// How many observations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The quantiles that the sender has computed.
    pub fn quantiles(&self) -> Repeated<'a, Quantile> {
        Repeated::new(self.common.raw, 6)
    }

    pub(super) fn common(&self) -> &CommonFields<'a> {
        &self.common
    }
}

impl<'a> View<'a> for SummaryPoint<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut reading = CommonReading::new(raw, 7, 8);
        let (mut count, mut sum) = (0, 0.0);
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (4, wire::WireValue::Fixed64(value)) => count = value,
                (5, wire::WireValue::Fixed64(bits)) => sum = f64::from_bits(bits),
                _ => reading.add(field),
            }
        }
        Self {
            common: reading.finish(),
            count,
            sum,
        }
    }
}

/// One quantile of a summary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// From 0 to 1.
    pub quantile: f64,
    /// The value at it.
    pub value: f64,
}

impl<'a> View<'a> for Quantile {
    fn parse(raw: &'a [u8]) -> Self {
        let mut quantile = Self {
            quantile: 0.0,
            value: 0.0,
        };
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (1, wire::WireValue::Fixed64(bits)) => quantile.quantile = f64::from_bits(bits),
                (2, wire::WireValue::Fixed64(bits)) => quantile.value = f64::from_bits(bits),
                _ => {}
            }
        }
        quantile
    }
}

/// One measurement that went into a point.
#[derive(Debug, Clone, Copy)]
pub struct Exemplar<'a> {
    raw: &'a [u8],
    time_unix_nano: u64,
    value: Option<Number>,
    span_id: &'a [u8],
    trace_id: &'a [u8],
}

impl<'a> Exemplar<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The attributes of the measurement that its series doesn't have.
    pub fn filtered_attributes(&self) -> Attributes<'a> {
        Attributes::within(self.raw, 7)
    }

    /// When it was measured, in nanoseconds since the Unix epoch; 0 for unknown.
    pub fn time_unix_nano(&self) -> u64 {
        self.time_unix_nano
    }

    /// What was measured.
    pub fn value(&self) -> Option<Number> {
        self.value
    }

    /// The span in which it was measured: 8 bytes, or none.
    pub fn span_id(&self) -> &'a [u8] {
        self.span_id
    }

    /// The trace in which it was measured: 16 bytes, or none.
    pub fn trace_id(&self) -> &'a [u8] {
        self.trace_id
    }
}

impl<'a> View<'a> for Exemplar<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut exemplar = Self {
            raw,
            time_unix_nano: 0,
            value: None,
            span_id: &[],
            trace_id: &[],
        };
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (2, wire::WireValue::Fixed64(value)) => exemplar.time_unix_nano = value,
                (3, wire::WireValue::Fixed64(bits)) => {
                    exemplar.value = Some(Number::Double(f64::from_bits(bits)));
                }
                (4, wire::WireValue::Bytes(content)) => exemplar.span_id = content,
                (5, wire::WireValue::Bytes(content)) => exemplar.trace_id = content,
                (6, wire::WireValue::Fixed64(bits)) => {
                    exemplar.value = Some(Number::Int(bits.cast_signed()));
                }
                _ => {}
            }
        }
        exemplar
    }
}

impl CommonFields<'_> {
    pub(super) const NONE: Self = Self {
        raw: &[],
        attributes: Attributes::NONE,
        start_time_unix_nano: 0,
        time_unix_nano: 0,
        flags: 0,
    };

    pub(super) fn is_tombstone(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

/// A [`CommonFields`] in the making. Times have the numbers 2 and 3 in every kind of point;
/// attributes and flags differ.
pub(super) struct CommonReading<'a> {
    common: CommonFields<'a>,
    attributes: Finder<'a>,
    attributes_number: u32,
    flags_number: u32,
}

impl<'a> CommonReading<'a> {
    #[inline(always)]
    pub(super) fn new(raw: &'a [u8], attributes_number: u32, flags_number: u32) -> Self {
        Self {
            common: CommonFields {
                raw,
                ..CommonFields::NONE
            },
            attributes: Finder::new(raw, attributes_number),
            attributes_number,
            flags_number,
        }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, field: wire::WireField<'a>) {
        match field.value {
            wire::WireValue::Fixed64(value) if field.number == 2 => {
                self.common.start_time_unix_nano = value;
            }
            wire::WireValue::Fixed64(value) if field.number == 3 => {
                self.common.time_unix_nano = value
            }
            wire::WireValue::Bytes(_) if field.number == self.attributes_number => {
                self.attributes.add(field.raw);
            }
            wire::WireValue::Varint(value) if field.number == self.flags_number => {
                self.common.flags = value as u32;
            }
            _ => {}
        }
    }

    #[inline(always)]
    pub(super) fn finish(mut self) -> CommonFields<'a> {
        self.common.attributes = self.attributes.finish();
        self.common
    }
}
