//! Borrowed views over encoded batches: resource, scope, then metric and point, span, or
//! log record, each with its raw bytes.
//!
//! ```
//! # fn points(batch: &foghorn::pdata::Batch) -> usize {
//! let mut points = 0;
//! for resource in batch.resource_metrics() {
//!     for scope in resource.scopes() {
//!         for metric in scope.metrics() {
//!             points += metric.data().points().count();
//!         }
//!     }
//! }
//! points
//! # }
//! ```
//!
//! A view reads its message's own fields once, when it is made, and finds what lies in it
//! while iterating, so a point costs nanoseconds and nothing is allocated. Views exist
//! only over regular encodings: a [`Batch`] re-encodes an irregular part before the first
//! view of it. They can't fail, because the walk has validated every byte; a field that
//! isn't there reads as protobuf's default, and a string is checked for UTF-8 again when
//! it is read, since safe Rust has no way to take the walk's word for it.

mod histogram;
mod logs;
mod metrics;
mod point;
mod traces;
mod value;

use std::marker::PhantomData;
use std::time::Duration;

use super::wire::{self, WireFields};
use super::{Batch, Part, Signal};

pub use histogram::{
    Buckets, Doubles, ExponentialHistogramPoint, Fixed64s, HistogramPoint, Varints,
};
pub use logs::LogRecord;
pub use metrics::{Data, Metric, Point, Points, Temporality};
pub use point::{Exemplar, Number, NumberPoint, Quantile, SummaryPoint};
pub use traces::Span;
pub use value::{Attributes, Encoded, KeyValue, Value};

/// The metrics of one resource.
pub type ResourceMetrics<'a> = ResourceGroup<'a, Metric<'a>>;
/// The spans of one resource.
pub type ResourceSpans<'a> = ResourceGroup<'a, Span<'a>>;
/// The log records of one resource.
pub type ResourceLogs<'a> = ResourceGroup<'a, LogRecord<'a>>;
/// The metrics of one instrumentation scope.
pub type ScopeMetrics<'a> = ScopeGroup<'a, Metric<'a>>;
/// The spans of one instrumentation scope.
pub type ScopeSpans<'a> = ScopeGroup<'a, Span<'a>>;
/// The log records of one instrumentation scope.
pub type ScopeLogs<'a> = ScopeGroup<'a, LogRecord<'a>>;

impl Batch {
    /// The resources of a metrics batch; none for other signals.
    pub fn resource_metrics(&self) -> impl Iterator<Item = ResourceMetrics<'_>> {
        self.resources(Signal::Metrics)
    }

    /// The resources of a metrics batch, each with the [`Part::keep`] of its part.
    pub fn resource_metrics_kept(&self) -> impl Iterator<Item = (ResourceMetrics<'_>, Duration)> {
        self.parts_of(Signal::Metrics).iter().flat_map(|part| {
            let resources = Repeated::new(part.regular_bytes(Signal::Metrics), 1);
            resources.map(|resource| (resource, part.keep))
        })
    }

    /// The resources of a traces batch; none for other signals.
    pub fn resource_spans(&self) -> impl Iterator<Item = ResourceSpans<'_>> {
        self.resources(Signal::Traces)
    }

    /// The resources of a logs batch; none for other signals.
    pub fn resource_logs(&self) -> impl Iterator<Item = ResourceLogs<'_>> {
        self.resources(Signal::Logs)
    }

    fn resources<'a, T: View<'a>>(&'a self, signal: Signal) -> impl Iterator<Item = T> {
        self.parts_of(signal)
            .iter()
            .flat_map(move |part| Repeated::new(part.regular_bytes(signal), 1))
    }

    fn parts_of(&self, signal: Signal) -> &[Part] {
        if self.signal == signal {
            &self.parts
        } else {
            &[]
        }
    }
}

/// A message that can be read from its encoding.
pub trait View<'a>: Sized {
    /// Reads the message whose content these bytes are.
    fn parse(raw: &'a [u8]) -> Self;
}

/// The messages of one repeated field, in order.
#[derive(Debug, Clone)]
pub struct Repeated<'a, T> {
    fields: WireFields<'a>,
    number: u32,
    view: PhantomData<fn() -> T>,
}

impl<'a, T> Repeated<'a, T> {
    /// The occurrences of a field in the content of a message.
    #[inline]
    fn new(message: &'a [u8], number: u32) -> Self {
        Self {
            fields: WireFields::new(message),
            number,
            view: PhantomData,
        }
    }
}

impl<'a, T: View<'a>> Iterator for Repeated<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        loop {
            let field = self.fields.next()?;
            if field.number == self.number
                && let wire::WireValue::Bytes(raw) = field.value
            {
                return Some(T::parse(raw));
            }
        }
    }
}

/// What one resource has sent: scopes, with metrics, spans or log records in them.
#[derive(Debug, Clone, Copy)]
pub struct ResourceGroup<'a, T> {
    raw: &'a [u8],
    resource: Resource<'a>,
    schema_url: &'a [u8],
    view: PhantomData<fn() -> T>,
}

impl<'a, T> ResourceGroup<'a, T> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The resource; one without attributes where the sender names none.
    pub fn resource(&self) -> Resource<'a> {
        self.resource
    }

    /// What the resource says of itself.
    pub fn attributes(&self) -> Attributes<'a> {
        self.resource.attributes()
    }

    /// Version of the conventions that the resource's attributes follow, or empty.
    pub fn schema_url(&self) -> &'a str {
        text(self.schema_url)
    }

    /// The instrumentation scopes.
    pub fn scopes(&self) -> Repeated<'a, ScopeGroup<'a, T>> {
        Repeated::new(self.raw, 2)
    }
}

impl<'a, T> View<'a> for ResourceGroup<'a, T> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut group = Self {
            raw,
            resource: Resource::parse(&[]),
            schema_url: &[],
            view: PhantomData,
        };
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (1, wire::WireValue::Bytes(content)) => group.resource = Resource::parse(content),
                (3, wire::WireValue::Bytes(content)) => group.schema_url = content,
                _ => {}
            }
        }
        group
    }
}

/// What the telemetry is about: a service, a host, a device.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    raw: &'a [u8],
}

impl<'a> Resource<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// What the resource says of itself.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::within(self.raw, 1)
    }
}

impl<'a> View<'a> for Resource<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        Self { raw }
    }
}

/// What one instrumentation scope has sent.
#[derive(Debug, Clone, Copy)]
pub struct ScopeGroup<'a, T> {
    raw: &'a [u8],
    scope: Scope<'a>,
    schema_url: &'a [u8],
    view: PhantomData<fn() -> T>,
}

impl<'a, T> ScopeGroup<'a, T> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The scope; a nameless one where the sender names none.
    pub fn scope(&self) -> Scope<'a> {
        self.scope
    }

    /// The scope's name, or empty.
    pub fn name(&self) -> &'a str {
        self.scope.name()
    }

    /// The scope's version, or empty.
    pub fn version(&self) -> &'a str {
        self.scope.version()
    }

    /// What the scope says of itself beside name and version.
    pub fn attributes(&self) -> Attributes<'a> {
        self.scope.attributes()
    }

    /// Version of the conventions that its telemetry follows, or empty.
    pub fn schema_url(&self) -> &'a str {
        text(self.schema_url)
    }

    fn items(&self) -> Repeated<'a, T> {
        Repeated::new(self.raw, 2)
    }
}

impl<'a> ScopeMetrics<'a> {
    /// The scope's metrics.
    pub fn metrics(&self) -> Repeated<'a, Metric<'a>> {
        self.items()
    }
}

impl<'a> ScopeSpans<'a> {
    /// The scope's spans.
    pub fn spans(&self) -> Repeated<'a, Span<'a>> {
        self.items()
    }
}

impl<'a> ScopeLogs<'a> {
    /// The scope's log records.
    pub fn log_records(&self) -> Repeated<'a, LogRecord<'a>> {
        self.items()
    }
}

impl<'a, T> View<'a> for ScopeGroup<'a, T> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut group = Self {
            raw,
            scope: Scope::parse(&[]),
            schema_url: &[],
            view: PhantomData,
        };
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (1, wire::WireValue::Bytes(content)) => group.scope = Scope::parse(content),
                (3, wire::WireValue::Bytes(content)) => group.schema_url = content,
                _ => {}
            }
        }
        group
    }
}

/// The library that made the telemetry.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    raw: &'a [u8],
    name: &'a [u8],
    version: &'a [u8],
}

impl<'a> Scope<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Its name, or empty.
    pub fn name(&self) -> &'a str {
        text(self.name)
    }

    /// Its version, or empty.
    pub fn version(&self) -> &'a str {
        text(self.version)
    }

    /// What it says of itself beside name and version.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::within(self.raw, 3)
    }
}

impl<'a> View<'a> for Scope<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut scope = Self {
            raw,
            name: &[],
            version: &[],
        };
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (1, wire::WireValue::Bytes(content)) => scope.name = content,
                (2, wire::WireValue::Bytes(content)) => scope.version = content,
                _ => {}
            }
        }
        scope
    }
}

/// A string field; the walk has found it to be UTF-8.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
