//! Writes metrics as OTLP bytes, for receivers that have no encoded request to pass on.
//!
//! The calls follow the shape of the protocol: a resource, scopes in it, metrics in
//! those, points in those. Starting a message ends what is open beneath its parent, so
//! there is nothing to close by hand. A resource, scope or metric that gets no point is
//! still written, because OTLP allows it; callers that don't want it don't start it. But a resource
//! that another follows before any metric is left out.

mod points;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use points::{
    EncodedAttributes, ExemplarData, ExponentialBuckets, ExponentialHistogramData, HistogramData,
    PointHead, SummaryData,
};

use super::encode::MessageEncoder;
use super::{Batch, Part, Signal};

/// A scalar attribute value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AttributeValue<'a> {
    /// A string.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
}

impl<'a> From<&'a str> for AttributeValue<'a> {
    fn from(value: &'a str) -> Self {
        Self::Str(value)
    }
}

/// One attribute: key and value.
pub type Attribute<'a> = (&'a str, AttributeValue<'a>);

/// What a metric says of itself.
#[derive(Debug, Clone, Copy)]
pub struct MetricDescriptor<'a> {
    /// The metric's name, as OTLP has it (dots allowed).
    pub name: &'a str,
    /// A UCUM unit, or empty for none.
    pub unit: &'a str,
    /// One sentence for people.
    pub description: &'a str,
}

/// The shape of a metric's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Values that go up and down.
    Gauge,
    /// A total since each point's start time that never falls, in cumulative temporality.
    Counter,
    /// A cumulative total that may fall.
    UpDownCounter,
    /// A cumulative histogram with explicit bounds.
    Histogram,
    /// A cumulative histogram with exponential buckets.
    ExponentialHistogram,
    /// Quantiles that somebody else has computed.
    Summary,
}

/// A point's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PointNumber {
    /// Written as `as_double`.
    Double(f64),
    /// Written as `as_int`.
    Int(i64),
}

impl PointNumber {
    /// As an integer; above 2^63 - 1, which OTLP's integers don't reach, as the nearest double.
    pub fn count(count: u64) -> Self {
        i64::try_from(count).map_or(Self::Double(count as f64), Self::Int)
    }
}

/// One point of a gauge, counter or up-down counter.
#[derive(Debug, Clone, Copy)]
pub struct NumberPointData<'a> {
    /// What tells this series from its neighbours.
    pub attributes: &'a [Attribute<'a>],
    /// When the counting began; none for gauges.
    pub start: Option<SystemTime>,
    /// When the value held.
    pub time: SystemTime,
    /// The value; none writes a tombstone (`NO_RECORDED_VALUE`), which ends the series.
    pub value: Option<PointNumber>,
}

/// One cumulative histogram point.
#[derive(Debug, Clone, Copy)]
pub struct HistogramPointData<'a> {
    /// What tells this series from its neighbours.
    pub attributes: &'a [Attribute<'a>],
    /// When the counting began.
    pub start: Option<SystemTime>,
    /// When the counts held.
    pub time: SystemTime,
    /// Sum of all observations.
    pub sum: f64,
    /// Upper bounds, ascending, without the infinite one.
    pub bounds: &'a [f64],
    /// Observations per bucket, not cumulated: one more than there are bounds. Empty
    /// writes a tombstone.
    pub buckets: &'a [u64],
}

/// `DataPointFlags::NO_RECORDED_VALUE_MASK`.
const NO_RECORDED_VALUE: u64 = 1;
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// How deep each message that stays open lies; see [`MetricsWriter::close_to`].
const RESOURCE_METRICS: usize = 0;
const SCOPE_METRICS: usize = 1;
const METRIC: usize = 2;

/// Builds one encoded `ExportMetricsServiceRequest`.
#[derive(Debug, Default)]
pub struct MetricsWriter {
    out: MessageEncoder,
    kind: Option<MetricKind>,
    items: u64,
    tombstones: u64,
    ending: bool,
    /// Where the current resource begins, while it has no metric.
    bare: Option<usize>,
    /// What the current metric says beside its points, encoded: it comes after them.
    metadata: Vec<u8>,
}

impl MetricsWriter {
    /// An empty request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Data points written so far.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Those of them that are tombstones.
    pub fn tombstones(&self) -> u64 {
        self.tombstones
    }

    /// Makes a tombstone of every point from here on, whatever its value, or stops doing
    /// so: what shows a source's series ends them too.
    pub fn ending(&mut self, ending: bool) {
        self.ending = ending;
    }

    /// Starts a resource with these attributes.
    pub fn resource(&mut self, attributes: &[Attribute<'_>]) {
        self.close_to(RESOURCE_METRICS);
        if let Some(begun) = self.bare {
            self.out.truncate(begun);
        }
        self.bare = Some(self.out.len());
        self.out.begin(1);
        self.out.message(1, |w| write_attributes(w, 1, attributes));
    }

    /// Names the schema that the current resource and what is in it follow, before its first scope.
    ///
    /// # Panics
    ///
    /// Without a resource, or after a scope: that is a mistake in the calling code.
    pub fn schema_url(&mut self, url: &str) {
        assert_eq!(self.out.depth(), SCOPE_METRICS, "a schema needs a resource");
        write_text(&mut self.out, 3, url);
    }

    /// Starts a scope (the instrumentation library) in the current resource.
    ///
    /// # Panics
    ///
    /// Without a resource: that is a mistake in the calling code.
    pub fn scope(&mut self, name: &str, version: &str) {
        self.close_to(SCOPE_METRICS);
        assert_eq!(self.out.depth(), SCOPE_METRICS, "a scope needs a resource");
        self.out.begin(2);
        self.out.message(1, |w| {
            write_text(w, 1, name);
            write_text(w, 2, version);
        });
    }

    /// Starts a metric in the current scope.
    ///
    /// # Panics
    ///
    /// Without a scope: that is a mistake in the calling code.
    pub fn metric(&mut self, kind: MetricKind, descriptor: MetricDescriptor<'_>) {
        self.metric_with(kind, descriptor, &[]);
    }

    /// Starts a metric in the current scope, with metadata for who translates it, such as
    /// `prometheus.type`.
    ///
    /// # Panics
    ///
    /// Without a scope: that is a mistake in the calling code.
    pub fn metric_with(
        &mut self,
        kind: MetricKind,
        descriptor: MetricDescriptor<'_>,
        metadata: &[Attribute<'_>],
    ) {
        self.close_to(METRIC);
        assert_eq!(self.out.depth(), METRIC, "a metric needs a scope");
        self.bare = None;
        self.out.begin(2);
        write_text(&mut self.out, 1, descriptor.name);
        write_text(&mut self.out, 2, descriptor.description);
        write_text(&mut self.out, 3, descriptor.unit);
        self.out.begin(match kind {
            MetricKind::Gauge => 5,
            MetricKind::Counter | MetricKind::UpDownCounter => 7,
            MetricKind::Histogram => 9,
            MetricKind::ExponentialHistogram => 10,
            MetricKind::Summary => 11,
        });
        self.kind = Some(kind);
        if !metadata.is_empty() {
            let mut encoded = MessageEncoder::default();
            write_attributes(&mut encoded, 12, metadata);
            self.metadata = encoded.finish();
        }
    }

    /// Adds a point to the current gauge, counter or up-down counter.
    ///
    /// # Panics
    ///
    /// When the current metric is of another kind: that is a mistake in the calling code.
    pub fn number(&mut self, point: NumberPointData<'_>) {
        assert!(
            matches!(
                self.kind,
                Some(MetricKind::Gauge | MetricKind::Counter | MetricKind::UpDownCounter)
            ),
            "a number point needs a gauge or a sum"
        );
        let value = point.value.filter(|_| !self.ending);
        self.out.message(1, |w| {
            // A clock that was set back by a little between the two.
            write_time(w, 2, point.start.map(|start| start.min(point.time)));
            write_time(w, 3, Some(point.time));
            match value {
                // A oneof is written even when it is zero: absent would mean no value.
                Some(PointNumber::Double(value)) => w.fixed64(4, value.to_bits()),
                Some(PointNumber::Int(value)) => w.fixed64(6, value.cast_unsigned()),
                None => {}
            }
            write_attributes(w, 7, point.attributes);
            if value.is_none() {
                w.uint(8, NO_RECORDED_VALUE);
            }
        });
        self.items += 1;
        self.tombstones += u64::from(value.is_none());
    }

    /// Adds a point to the current histogram.
    ///
    /// # Panics
    ///
    /// When the current metric is of another kind: that is a mistake in the calling code.
    pub fn histogram(&mut self, point: HistogramPointData<'_>) {
        assert_eq!(
            self.kind,
            Some(MetricKind::Histogram),
            "a histogram point needs a histogram"
        );
        let recorded = !point.buckets.is_empty() && !self.ending;
        self.out.message(1, |w| {
            // A clock that was set back by a little between the two.
            write_time(w, 2, point.start.map(|start| start.min(point.time)));
            write_time(w, 3, Some(point.time));
            if recorded {
                // Saturates: the counts may come from anywhere.
                let count = point.buckets.iter().copied().fold(0, u64::saturating_add);
                write_fixed64(w, 4, count);
                w.fixed64(5, point.sum.to_bits());
                write_packed(w, 6, point.buckets.iter().copied());
                write_packed(w, 7, point.bounds.iter().map(|bound| bound.to_bits()));
            }
            write_attributes(w, 9, point.attributes);
            if !recorded {
                w.uint(10, NO_RECORDED_VALUE);
            }
        });
        self.items += 1;
        self.tombstones += u64::from(!recorded);
    }

    /// Ends the request.
    pub fn finish(mut self) -> Batch {
        self.close_to(RESOURCE_METRICS);
        let mut batch = Batch::empty(Signal::Metrics);
        let bytes = self.out.finish();
        if !bytes.is_empty() {
            batch.parts.push(Part {
                bytes: bytes.into(),
                items: self.items,
                irregular: None,
                keep: Duration::ZERO,
            });
        }
        batch
    }

    /// Ends every open message that lies at `depth` or deeper.
    fn close_to(&mut self, depth: usize) {
        if self.out.depth() > METRIC
            && let Some(kind) = self.kind.take()
        {
            if !matches!(kind, MetricKind::Gauge | MetricKind::Summary) {
                self.out.uint(2, CUMULATIVE);
            }
            if kind == MetricKind::Counter {
                self.out.uint(3, 1);
            }
            self.out.end();
            self.out.raw(&self.metadata);
            self.metadata.clear();
        }
        while self.out.depth() > depth {
            self.out.end();
        }
    }
}

/// Attributes as the repeated field `field` of the open message.
fn write_attributes(out: &mut MessageEncoder, field: u32, attributes: &[Attribute<'_>]) {
    for (key, value) in attributes {
        out.message(field, |out| {
            write_text(out, 1, key);
            out.message(2, |out| match *value {
                AttributeValue::Str(text) => out.bytes(1, text.as_bytes()),
                AttributeValue::Bool(flag) => out.uint(2, u64::from(flag)),
                AttributeValue::Int(number) => out.uint(3, number.cast_unsigned()),
                AttributeValue::Double(number) => out.fixed64(4, number.to_bits()),
            });
        });
    }
}

fn write_time(out: &mut MessageEncoder, field: u32, time: Option<SystemTime>) {
    if let Some(time) = time {
        write_fixed64(out, field, unix_nanos(time));
    }
}

/// A number, which proto3 leaves out when it is zero.
fn write_fixed64(out: &mut MessageEncoder, field: u32, value: u64) {
    if value != 0 {
        out.fixed64(field, value);
    }
}

/// Numbers, which proto3 leaves out when there are none.
fn write_packed(out: &mut MessageEncoder, field: u32, values: impl ExactSizeIterator<Item = u64>) {
    if values.len() > 0 {
        out.message(field, |out| values.for_each(|bits| out.raw_fixed64(bits)));
    }
}

/// A text field, which proto3 leaves out when it is empty.
fn write_text(out: &mut MessageEncoder, field: u32, text: &str) {
    if !text.is_empty() {
        out.bytes(field, text.as_bytes());
    }
}

/// Nanoseconds since the Unix epoch; 0, OTLP's "unknown", for times it can't express.
fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
