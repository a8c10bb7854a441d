//! Metrics and their data points.

use super::value::{Attributes, Finder};
use super::{Repeated, View, text};
use crate::pdata::wire::{self, Fields};

/// `DataPointFlags::NO_RECORDED_VALUE_MASK`.
const NO_RECORDED_VALUE: u32 = 1;

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric<'a> {
    raw: &'a [u8],
    name: &'a [u8],
    description: &'a [u8],
    unit: &'a [u8],
    /// Field number and content of the member of the `data` oneof; number 0 for none.
    data: (u32, &'a [u8]),
}

impl<'a> Metric<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Its name, as OTLP has it (dots allowed).
    pub fn name(&self) -> &'a str {
        text(self.name)
    }

    /// One sentence for people, or empty.
    pub fn description(&self) -> &'a str {
        text(self.description)
    }

    /// A UCUM unit, or empty.
    pub fn unit(&self) -> &'a str {
        text(self.unit)
    }

    /// Its kind, with the points.
    pub fn data(&self) -> Data<'a> {
        let (number, content) = self.data;
        match number {
            5 => Data::Gauge {
                points: Repeated::new(content, 1),
            },
            7 => {
                let (temporality, monotonic) = aggregation(content);
                Data::Sum {
                    points: Repeated::new(content, 1),
                    temporality,
                    monotonic,
                }
            }
            9 => Data::Histogram {
                points: Repeated::new(content, 1),
                temporality: aggregation(content).0,
            },
            10 => Data::ExponentialHistogram {
                points: Repeated::new(content, 1),
                temporality: aggregation(content).0,
            },
            11 => Data::Summary {
                points: Repeated::new(content, 1),
            },
            _ => Data::Empty,
        }
    }
}

impl<'a> View<'a> for Metric<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut metric = Self {
            raw,
            name: &[],
            description: &[],
            unit: &[],
            data: (0, &[]),
        };
        for field in Fields::new(raw) {
            if let wire::Value::Bytes(content) = field.value {
                match field.number {
                    1 => metric.name = content,
                    2 => metric.description = content,
                    3 => metric.unit = content,
                    5 | 7 | 9 | 10 | 11 => metric.data = (field.number, content),
                    _ => {}
                }
            }
        }
        metric
    }
}

/// Temporality and monotonicity, which encoders write behind the points.
fn aggregation(content: &[u8]) -> (Temporality, bool) {
    let mut temporality = Temporality::Unspecified;
    let mut monotonic = false;
    for field in Fields::new(content) {
        match (field.number, field.value) {
            (2, wire::Value::Varint(1)) => temporality = Temporality::Delta,
            (2, wire::Value::Varint(2)) => temporality = Temporality::Cumulative,
            (3, wire::Value::Varint(value)) => monotonic = value != 0,
            _ => {}
        }
    }
    (temporality, monotonic)
}

/// What a total counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// None was given, or one that OTLP doesn't know.
    Unspecified,
    /// From the previous point.
    Delta,
    /// From the start time, which points share.
    Cumulative,
}

/// The kind of a metric, with its points.
#[derive(Debug, Clone)]
pub enum Data<'a> {
    /// The sender gave no data, or of a kind that OTLP doesn't know.
    Empty,
    /// Values that go up and down.
    Gauge {
        /// Its points.
        points: Repeated<'a, NumberPoint<'a>>,
    },
    /// Totals.
    Sum {
        /// Its points.
        points: Repeated<'a, NumberPoint<'a>>,
        /// What they count from.
        temporality: Temporality,
        /// Whether they never fall.
        monotonic: bool,
    },
    /// Histograms with explicit bounds.
    Histogram {
        /// Its points.
        points: Repeated<'a, HistogramPoint<'a>>,
        /// What they count from.
        temporality: Temporality,
    },
    /// Histograms with exponential buckets.
    ExponentialHistogram {
        /// Its points.
        points: Repeated<'a, ExponentialHistogramPoint<'a>>,
        /// What they count from.
        temporality: Temporality,
    },
    /// Quantiles that the sender has computed.
    Summary {
        /// Its points.
        points: Repeated<'a, SummaryPoint<'a>>,
    },
}

impl<'a> Data<'a> {
    /// The points, whatever their kind.
    pub fn points(self) -> Points<'a> {
        Points(self)
    }
}

/// The points of a metric of any kind; see [`Data::points`].
#[derive(Debug, Clone)]
pub struct Points<'a>(Data<'a>);

impl<'a> Iterator for Points<'a> {
    type Item = Point<'a>;

    #[inline]
    fn next(&mut self) -> Option<Point<'a>> {
        match &mut self.0 {
            Data::Empty => None,
            Data::Gauge { points } | Data::Sum { points, .. } => points.next().map(Point::Number),
            Data::Histogram { points, .. } => points.next().map(Point::Histogram),
            Data::ExponentialHistogram { points, .. } => {
                points.next().map(Point::ExponentialHistogram)
            }
            Data::Summary { points } => points.next().map(Point::Summary),
        }
    }
}

/// A data point of any kind.
#[derive(Debug, Clone, Copy)]
pub enum Point<'a> {
    /// Of a gauge or a sum.
    Number(NumberPoint<'a>),
    /// Of a histogram.
    Histogram(HistogramPoint<'a>),
    /// Of an exponential histogram.
    ExponentialHistogram(ExponentialHistogramPoint<'a>),
    /// Of a summary.
    Summary(SummaryPoint<'a>),
}

/// What every kind of point has.
#[derive(Debug, Clone, Copy)]
struct Common<'a> {
    raw: &'a [u8],
    attributes: Attributes<'a>,
    start_time_unix_nano: u64,
    time_unix_nano: u64,
    flags: u32,
}

/// The accessors that every kind of point has.
macro_rules! common_accessors {
    () => {
        /// The encoded message.
        pub fn raw(&self) -> &'a [u8] {
            self.common().raw
        }

        /// What tells this series from its neighbours.
        pub fn attributes(&self) -> Attributes<'a> {
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
            self.common().flags & NO_RECORDED_VALUE != 0
        }
    };
}

impl<'a> Point<'a> {
    common_accessors!();

    fn common(&self) -> &Common<'a> {
        match self {
            Self::Number(point) => &point.common,
            Self::Histogram(point) => &point.common,
            Self::ExponentialHistogram(point) => &point.common,
            Self::Summary(point) => &point.common,
        }
    }
}

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
    common: Common<'a>,
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

    fn common(&self) -> &Common<'a> {
        &self.common
    }
}

impl<'a> View<'a> for NumberPoint<'a> {
    #[inline]
    fn parse(raw: &'a [u8]) -> Self {
        let mut point = Reading::new(raw, 7, 8);
        let mut value = None;
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (4, wire::Value::Fixed64(bits)) => {
                    value = Some(Number::Double(f64::from_bits(bits)));
                }
                (6, wire::Value::Fixed64(bits)) => value = Some(Number::Int(bits.cast_signed())),
                _ => point.add(field),
            }
        }
        Self {
            common: point.finish(),
            value,
        }
    }
}

/// A point of a histogram with explicit bounds.
#[derive(Debug, Clone, Copy)]
pub struct HistogramPoint<'a> {
    common: Common<'a>,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    bucket_counts: &'a [u8],
    explicit_bounds: &'a [u8],
}

impl<'a> HistogramPoint<'a> {
    common_accessors!();

    /// How many observations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, where the sender knows it.
    pub fn sum(&self) -> Option<f64> {
        self.sum
    }

    /// The smallest, where the sender knows it.
    pub fn min(&self) -> Option<f64> {
        self.min
    }

    /// The largest, where the sender knows it.
    pub fn max(&self) -> Option<f64> {
        self.max
    }

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

    fn common(&self) -> &Common<'a> {
        &self.common
    }
}

impl<'a> View<'a> for HistogramPoint<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut reading = Reading::new(raw, 9, 10);
        let mut point = Self {
            common: Common::NONE,
            count: 0,
            sum: None,
            min: None,
            max: None,
            bucket_counts: &[],
            explicit_bounds: &[],
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (4, wire::Value::Fixed64(value)) => point.count = value,
                (5, wire::Value::Fixed64(bits)) => point.sum = Some(f64::from_bits(bits)),
                (6, wire::Value::Bytes(packed)) => point.bucket_counts = packed,
                (7, wire::Value::Bytes(packed)) => point.explicit_bounds = packed,
                (11, wire::Value::Fixed64(bits)) => point.min = Some(f64::from_bits(bits)),
                (12, wire::Value::Fixed64(bits)) => point.max = Some(f64::from_bits(bits)),
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
    common: Common<'a>,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: &'a [u8],
    negative: &'a [u8],
}

impl<'a> ExponentialHistogramPoint<'a> {
    common_accessors!();

    /// How many observations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, where the sender knows it.
    pub fn sum(&self) -> Option<f64> {
        self.sum
    }

    /// The smallest, where the sender knows it.
    pub fn min(&self) -> Option<f64> {
        self.min
    }

    /// The largest, where the sender knows it.
    pub fn max(&self) -> Option<f64> {
        self.max
    }

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

    fn common(&self) -> &Common<'a> {
        &self.common
    }
}

impl<'a> View<'a> for ExponentialHistogramPoint<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut reading = Reading::new(raw, 1, 10);
        let mut point = Self {
            common: Common::NONE,
            count: 0,
            sum: None,
            min: None,
            max: None,
            scale: 0,
            zero_count: 0,
            zero_threshold: 0.0,
            positive: &[],
            negative: &[],
        };
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (4, wire::Value::Fixed64(value)) => point.count = value,
                (5, wire::Value::Fixed64(bits)) => point.sum = Some(f64::from_bits(bits)),
                (6, wire::Value::Varint(value)) => point.scale = zigzag(value),
                (7, wire::Value::Fixed64(value)) => point.zero_count = value,
                (8, wire::Value::Bytes(content)) => point.positive = content,
                (9, wire::Value::Bytes(content)) => point.negative = content,
                (12, wire::Value::Fixed64(bits)) => point.min = Some(f64::from_bits(bits)),
                (13, wire::Value::Fixed64(bits)) => point.max = Some(f64::from_bits(bits)),
                (14, wire::Value::Fixed64(bits)) => point.zero_threshold = f64::from_bits(bits),
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
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (1, wire::Value::Varint(value)) => buckets.offset = zigzag(value),
                (2, wire::Value::Bytes(packed)) => buckets.counts = packed,
                _ => {}
            }
        }
        buckets
    }
}

/// A point of a summary.
#[derive(Debug, Clone, Copy)]
pub struct SummaryPoint<'a> {
    common: Common<'a>,
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

    fn common(&self) -> &Common<'a> {
        &self.common
    }
}

impl<'a> View<'a> for SummaryPoint<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut reading = Reading::new(raw, 7, 8);
        let (mut count, mut sum) = (0, 0.0);
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (4, wire::Value::Fixed64(value)) => count = value,
                (5, wire::Value::Fixed64(bits)) => sum = f64::from_bits(bits),
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
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (1, wire::Value::Fixed64(bits)) => quantile.quantile = f64::from_bits(bits),
                (2, wire::Value::Fixed64(bits)) => quantile.value = f64::from_bits(bits),
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
        for field in Fields::new(raw) {
            match (field.number, field.value) {
                (2, wire::Value::Fixed64(value)) => exemplar.time_unix_nano = value,
                (3, wire::Value::Fixed64(bits)) => {
                    exemplar.value = Some(Number::Double(f64::from_bits(bits)));
                }
                (4, wire::Value::Bytes(content)) => exemplar.span_id = content,
                (5, wire::Value::Bytes(content)) => exemplar.trace_id = content,
                (6, wire::Value::Fixed64(bits)) => {
                    exemplar.value = Some(Number::Int(bits.cast_signed()));
                }
                _ => {}
            }
        }
        exemplar
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

impl Common<'_> {
    const NONE: Self = Self {
        raw: &[],
        attributes: Attributes::NONE,
        start_time_unix_nano: 0,
        time_unix_nano: 0,
        flags: 0,
    };
}

/// A [`Common`] in the making. Times have the numbers 2 and 3 in every kind of point;
/// attributes and flags differ.
struct Reading<'a> {
    common: Common<'a>,
    attributes: Finder<'a>,
    attributes_number: u32,
    flags_number: u32,
}

impl<'a> Reading<'a> {
    #[inline(always)]
    fn new(raw: &'a [u8], attributes_number: u32, flags_number: u32) -> Self {
        Self {
            common: Common {
                raw,
                ..Common::NONE
            },
            attributes: Finder::new(raw, attributes_number),
            attributes_number,
            flags_number,
        }
    }

    #[inline(always)]
    fn add(&mut self, field: wire::Field<'a>) {
        match field.value {
            wire::Value::Fixed64(value) if field.number == 2 => {
                self.common.start_time_unix_nano = value;
            }
            wire::Value::Fixed64(value) if field.number == 3 => self.common.time_unix_nano = value,
            wire::Value::Bytes(_) if field.number == self.attributes_number => {
                self.attributes.add(field.raw);
            }
            wire::Value::Varint(value) if field.number == self.flags_number => {
                self.common.flags = value as u32;
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn finish(mut self) -> Common<'a> {
        self.common.attributes = self.attributes.finish();
        self.common
    }
}

/// A `sint32`, as prost reads it.
fn zigzag(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
