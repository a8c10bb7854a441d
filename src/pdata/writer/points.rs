//! Points of series that come again and again: their attributes are encoded once and copied from
//! then on, which for a scrape of 100,000 series is most of the work.

use std::borrow::Cow;

use super::super::encode::MessageEncoder;
use super::super::view::Attributes;
use super::super::wire::{LEN, put_varint, varint_length};
use super::{
    Attribute, AttributeValue, MetricKind, MetricsWriter, NO_RECORDED_VALUE, write_attributes,
    write_fixed64, write_packed,
};

/// The attributes of a point, as they stand in points of one kind of metric.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EncodedAttributes(Box<[u8]>);

impl EncodedAttributes {
    /// Encodes attributes for points of such metrics.
    pub fn new<'a>(
        kind: MetricKind,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut out = Vec::new();
        Self::encode(kind, attributes, &mut out);
        Self(out.into())
    }

    /// Appends attributes as they stand in points of such metrics.
    pub(crate) fn encode<'a>(
        kind: MetricKind,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
        out: &mut Vec<u8>,
    ) {
        let field = field_of(kind);
        for (key, value) in attributes {
            // All lengths are known before.
            let value_length = text_length(value);
            let key_length = if key.is_empty() { 0 } else { text_length(key) };
            let length = key_length + 1 + varint_length(value_length as u64) + value_length;
            put_length(out, field, length);
            if !key.is_empty() {
                put_length(out, 1, key.len());
                out.extend_from_slice(key.as_bytes());
            }
            put_length(out, 2, value_length);
            put_length(out, 1, value.len());
            out.extend_from_slice(value.as_bytes());
        }
    }

    /// What [`encode`](Self::encode) has written.
    pub(crate) fn encoded(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Reads what was encoded for points of such metrics.
    pub fn read(&self, kind: MetricKind) -> Attributes<'_> {
        Attributes::contiguous(&self.0, field_of(kind))
    }

    /// The bytes: equal bytes, equal attributes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The bytes of a text as a field.
fn text_length(text: &str) -> usize {
    1 + varint_length(text.len() as u64) + text.len()
}

/// The key of a field of bytes, and its length.
fn put_length(out: &mut Vec<u8>, field: u32, length: usize) {
    put_varint(out, u64::from(field << 3 | LEN));
    put_varint(out, length as u64);
}

/// The field of the attributes in a point of such a metric.
fn field_of(kind: MetricKind) -> u32 {
    match kind {
        MetricKind::Gauge
        | MetricKind::Counter
        | MetricKind::UpDownCounter
        | MetricKind::Summary => 7,
        MetricKind::Histogram => 9,
        MetricKind::ExponentialHistogram => 1,
    }
}

/// What points of every kind have.
#[derive(Debug, Clone, Copy)]
pub struct PointHead<'a> {
    /// What tells this series from its neighbours, encoded for the kind of the current metric.
    pub attributes: &'a EncodedAttributes,
    /// When the counting began, in nanoseconds since the Unix epoch; 0 if unknown.
    pub start: u64,
    /// When the value held, likewise.
    pub time: u64,
    /// Measurements that went into it. Summaries have none.
    pub exemplars: &'a [ExemplarData<'a>],
}

/// One measurement that went into a value.
#[derive(Debug, Clone)]
pub struct ExemplarData<'a> {
    /// What was measured.
    pub value: f64,
    /// When, in nanoseconds since the Unix epoch; 0 if unknown.
    pub time: u64,
    /// The trace in which it was measured, if there is one.
    pub trace_id: Option<[u8; 16]>,
    /// The span.
    pub span_id: Option<[u8; 8]>,
    /// What else is known.
    pub attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// The counts of a histogram with explicit bounds.
#[derive(Debug, Clone, Copy)]
pub struct HistogramData<'a> {
    /// How many observations there are.
    pub count: u64,
    /// Their sum, if it is known.
    pub sum: Option<f64>,
    /// Upper bounds, ascending, without the infinite one.
    pub bounds: &'a [f64],
    /// Observations per bucket, not cumulated: one more than there are bounds.
    pub buckets: &'a [u64],
}

/// Buckets of one sign.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExponentialBuckets<'a> {
    /// Index of the first bucket: its lower bound is the base to this power.
    pub offset: i32,
    /// Observations per bucket.
    pub counts: &'a [u64],
}

/// The counts of a histogram with exponential buckets.
#[derive(Debug, Clone, Copy)]
pub struct ExponentialHistogramData<'a> {
    /// How many observations there are.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Bucket bounds are powers of 2^(2^-scale).
    pub scale: i32,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// The zero bucket holds what is no further from zero than this.
    pub zero_threshold: f64,
    /// Buckets above zero.
    pub positive: ExponentialBuckets<'a>,
    /// Buckets below zero.
    pub negative: ExponentialBuckets<'a>,
}

/// Quantiles that somebody else has computed.
#[derive(Debug, Clone, Copy)]
pub struct SummaryData<'a> {
    /// How many observations there are.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Quantile, from 0 to 1, and its value.
    pub quantiles: &'a [(f64, f64)],
}

impl MetricsWriter {
    /// Adds a point to the current gauge, counter or up-down counter. No value writes a
    /// tombstone.
    ///
    /// # Panics
    ///
    /// When the current metric is of another kind: that is a mistake in the calling code.
    #[inline]
    pub fn encoded_number(&mut self, head: PointHead<'_>, value: Option<f64>) {
        assert!(
            matches!(
                self.kind,
                Some(MetricKind::Gauge | MetricKind::Counter | MetricKind::UpDownCounter)
            ),
            "a number point needs a gauge or a sum"
        );
        let value = value.filter(|_| !self.ending);
        let write = |out: &mut MessageEncoder| {
            write_times(out, &head);
            if let Some(value) = value {
                // A oneof is written even when it is zero: absent would mean no value.
                out.fixed64(4, value.to_bits());
                write_exemplars(out, 5, head.exemplars);
            }
            out.raw(head.attributes.as_bytes());
            if value.is_none() {
                out.uint(8, NO_RECORDED_VALUE);
            }
        };
        if head.exemplars.is_empty() {
            // Times and value have nine bytes each, and the flags two.
            let times = [head.start.min(head.time), head.time];
            let times = times.iter().filter(|time| **time != 0).count();
            let rest = if value.is_some() { 9 } else { 2 };
            let length = 9 * times + rest + head.attributes.as_bytes().len();
            self.out.message_of(1, length, write);
        } else {
            self.out.message(1, write);
        }
        self.added(value.is_some());
    }

    /// Adds a point to the current histogram. No counts write a tombstone.
    ///
    /// # Panics
    ///
    /// When the current metric is of another kind: that is a mistake in the calling code.
    pub fn encoded_histogram(&mut self, head: PointHead<'_>, data: Option<HistogramData<'_>>) {
        assert_eq!(
            self.kind,
            Some(MetricKind::Histogram),
            "a histogram point needs a histogram"
        );
        let data = data.filter(|_| !self.ending);
        self.out.message(1, |out| {
            write_times(out, &head);
            if let Some(data) = data {
                write_fixed64(out, 4, data.count);
                if let Some(sum) = data.sum {
                    out.fixed64(5, sum.to_bits());
                }
                write_packed(out, 6, data.buckets.iter().copied());
                write_packed(out, 7, data.bounds.iter().map(|bound| bound.to_bits()));
                write_exemplars(out, 8, head.exemplars);
            }
            out.raw(head.attributes.as_bytes());
            if data.is_none() {
                out.uint(10, NO_RECORDED_VALUE);
            }
        });
        self.added(data.is_some());
    }

    /// Adds a point to the current exponential histogram. No counts write a tombstone.
    ///
    /// # Panics
    ///
    /// When the current metric is of another kind: that is a mistake in the calling code.
    pub fn encoded_exponential(
        &mut self,
        head: PointHead<'_>,
        data: Option<ExponentialHistogramData<'_>>,
    ) {
        assert_eq!(
            self.kind,
            Some(MetricKind::ExponentialHistogram),
            "a point with exponential buckets needs an exponential histogram"
        );
        let data = data.filter(|_| !self.ending);
        self.out.message(1, |out| {
            out.raw(head.attributes.as_bytes());
            write_times(out, &head);
            match data {
                Some(data) => {
                    write_fixed64(out, 4, data.count);
                    out.fixed64(5, data.sum.to_bits());
                    write_zigzag(out, 6, data.scale);
                    write_fixed64(out, 7, data.zero_count);
                    for (field, side) in [(8, data.positive), (9, data.negative)] {
                        if !side.counts.is_empty() {
                            out.message(field, |out| write_buckets(out, side));
                        }
                    }
                    write_exemplars(out, 11, head.exemplars);
                    write_fixed64(out, 14, data.zero_threshold.to_bits());
                }
                None => out.uint(10, NO_RECORDED_VALUE),
            }
        });
        self.added(data.is_some());
    }

    /// Adds a point to the current summary. No counts write a tombstone.
    ///
    /// # Panics
    ///
    /// When the current metric is of another kind: that is a mistake in the calling code.
    pub fn encoded_summary(&mut self, head: PointHead<'_>, data: Option<SummaryData<'_>>) {
        assert_eq!(
            self.kind,
            Some(MetricKind::Summary),
            "quantiles need a summary"
        );
        let data = data.filter(|_| !self.ending);
        self.out.message(1, |out| {
            write_times(out, &head);
            if let Some(data) = data {
                write_fixed64(out, 4, data.count);
                write_fixed64(out, 5, data.sum.to_bits());
                for (quantile, value) in data.quantiles {
                    out.message(6, |out| {
                        write_fixed64(out, 1, quantile.to_bits());
                        write_fixed64(out, 2, value.to_bits());
                    });
                }
            }
            out.raw(head.attributes.as_bytes());
            if data.is_none() {
                out.uint(8, NO_RECORDED_VALUE);
            }
        });
        self.added(data.is_some());
    }

    fn added(&mut self, recorded: bool) {
        self.items += 1;
        self.tombstones += u64::from(!recorded);
    }
}

fn write_times(out: &mut MessageEncoder, head: &PointHead<'_>) {
    // A clock that was set back by a little between the two.
    write_fixed64(out, 2, head.start.min(head.time));
    write_fixed64(out, 3, head.time);
}

fn write_exemplars(out: &mut MessageEncoder, field: u32, exemplars: &[ExemplarData<'_>]) {
    for exemplar in exemplars {
        out.message(field, |out| {
            write_fixed64(out, 2, exemplar.time);
            out.fixed64(3, exemplar.value.to_bits());
            if let Some(id) = exemplar.span_id {
                out.bytes(4, &id);
            }
            if let Some(id) = exemplar.trace_id {
                out.bytes(5, &id);
            }
            for (key, value) in &exemplar.attributes {
                let attribute: Attribute<'_> = (key, AttributeValue::Str(value));
                write_attributes(out, 7, &[attribute]);
            }
        });
    }
}

fn write_buckets(out: &mut MessageEncoder, side: ExponentialBuckets<'_>) {
    write_zigzag(out, 1, side.offset);
    out.message(2, |out| {
        side.counts.iter().for_each(|count| out.raw_varint(*count));
    });
}

/// A `sint32`, which proto3 leaves out when it is zero.
fn write_zigzag(out: &mut MessageEncoder, field: u32, value: i32) {
    if value != 0 {
        let zigzag = (value << 1 ^ value >> 31).cast_unsigned();
        out.uint(field, u64::from(zigzag));
    }
}
