//! Pipeline data: OTLP that stays encoded.
//!
//! A [`Batch`] is a rope of [`Part`]s. Each part is one encoded OTLP export request
//! (a run of `ResourceMetrics`, `ResourceSpans` or `ResourceLogs` fields), counted and
//! validated by a single walk when it enters the agent. Since a request is nothing but
//! repeated fields, batches are joined by collecting their parts, and forwarding copies no bytes.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate but the counter
//! of steps, which is nothing outside of tests.

mod encode;
pub mod json;
pub mod memo;
mod plain;
pub mod protocol;
mod regular;
mod splice;
mod split;
pub mod status;
pub mod view;
mod walk;
mod wire;
pub mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use memo::{Lookup, SeriesId, SeriesMemo};
use regular::Irregular;
pub use splice::{Action, At, AttributeWriter, Edit, Replacement};
pub use walk::{Malformed, MalformedReason};

/// One of the three kinds of telemetry. A pipeline carries exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Counted in data points.
    Metrics,
    /// Counted in spans.
    Traces,
    /// Counted in log records.
    Logs,
}

impl Signal {
    /// Every signal, in the order in which documents list them.
    pub const ALL: [Signal; 3] = [Signal::Metrics, Signal::Traces, Signal::Logs];

    /// The signal's name in configurations: `metrics`, `traces` or `logs`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Signal::Metrics => "metrics",
            Signal::Traces => "traces",
            Signal::Logs => "logs",
        }
    }

    /// What one item is called in metric names: `metric_points`, `spans` or `log_records`.
    pub const fn items(self) -> &'static str {
        match self {
            Signal::Metrics => "metric_points",
            Signal::Traces => "spans",
            Signal::Logs => "log_records",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One encoded OTLP export request, and what its walk found out.
///
/// A rare request is *irregular*: protobuf allows encodings that take more than one pass
/// to read, such as a message in two pieces that are to be merged. It is forwarded as it
/// came. Views and edits never see it: they read a regular encoding of the same data, made
/// when one of them first asks.
#[derive(Debug, Clone)]
pub struct Part {
    bytes: Bytes,
    items: u64,
    /// Makes the regular encoding of an irregular part, shared by its clones; none for a part
    /// that is regular as it is.
    irregular: Option<Arc<Irregular>>,
    keep: Duration,
}

impl Part {
    /// The encoded request, exactly as it came or was written.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Data points, spans or log records in it.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Whether it can be read in one pass as it came.
    pub fn is_regular(&self) -> bool {
        self.irregular.is_none()
    }

    /// How long its series may go without a new point before an exporter that forgets idle
    /// series may forget them; see [`Batch::keep_series`]. Zero where their source doesn't say.
    pub fn keep(&self) -> Duration {
        self.keep
    }

    /// An encoding that views can read, of the same data.
    fn regular_bytes(&self, signal: Signal) -> &Bytes {
        match &self.irregular {
            None => &self.bytes,
            Some(irregular) => irregular.regular(signal, &self.bytes),
        }
    }
}

/// A rope of encoded requests of one signal.
#[derive(Debug, Clone)]
pub struct Batch {
    signal: Signal,
    parts: Vec<Part>,
}

impl Batch {
    /// A batch without parts.
    pub fn empty(signal: Signal) -> Self {
        Self {
            signal,
            parts: Vec::new(),
        }
    }

    /// Takes in an encoded export request: validates every field and counts the items, in
    /// one pass, and keeps the bytes as they are. An empty request is an empty batch.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for anything that a protobuf decoder wouldn't accept as an export
    /// request of this signal.
    pub fn decode(signal: Signal, request: Bytes) -> Result<Self, Malformed> {
        Decoded::protobuf(signal, request).map(|decoded| decoded.batch)
    }

    /// What it carries.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The parts, in order of arrival.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Data points, spans or log records in all parts.
    pub fn items(&self) -> u64 {
        self.parts.iter().map(Part::items).sum()
    }

    /// Encoded size of all parts in bytes.
    pub fn size(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.len() as u64).sum()
    }

    /// The bytes that it takes or may come to take: its size, and for an irregular part what a
    /// regular encoding takes, or what making it will take when the part is first read.
    pub fn weight(&self) -> u64 {
        let of = |part: &Part| {
            let size = part.bytes.len() as u64;
            let irregular = part.irregular.as_ref();
            size + irregular.map_or(0, |irregular| irregular.weight(size))
        };
        self.parts.iter().map(of).sum()
    }

    /// Says that the receiver ends each of these series with a tombstone itself, so that an
    /// exporter need not forget one before it has been idle for so long.
    ///
    /// Travels with the parts inside this process, joined, split and edited, and doesn't
    /// leave it: OTLP has no word for it.
    pub fn keep_series(&mut self, idle: Duration) {
        for part in &mut self.parts {
            part.keep = idle;
        }
    }

    /// Joins another batch of the same signal to the end of this one.
    ///
    /// # Panics
    ///
    /// When the signals differ: pipelines are built so that they never meet.
    pub fn append(&mut self, mut other: Batch) {
        assert_eq!(
            self.signal, other.signal,
            "batches of two signals can't be joined"
        );
        self.parts.append(&mut other.parts);
    }
}

/// A request as it was taken in, in whatever encoding.
#[derive(Debug)]
pub struct Decoded {
    /// What it says.
    pub batch: Batch,
    /// Whether it has fields that mean something to its sender alone, and not one item was
    /// found.
    pub unrecognised: bool,
}

impl Decoded {
    /// Like [`Batch::decode`], and says whether anything was recognised.
    ///
    /// # Errors
    ///
    /// As for [`Batch::decode`].
    pub fn protobuf(signal: Signal, request: Bytes) -> Result<Self, Malformed> {
        let walked = walk::request(signal, &request)?;
        let mut batch = Batch::empty(signal);
        if !request.is_empty() {
            batch.parts.push(Part {
                bytes: request,
                items: walked.items,
                irregular: (!walked.regular).then(|| Arc::new(Irregular::new(walked.repeats))),
                keep: Duration::ZERO,
            });
        }
        Ok(Self {
            batch,
            unrecognised: walked.unknown && walked.items == 0,
        })
    }
}

#[cfg(test)]
#[path = "../../tests/support/costly.rs"]
pub(crate) mod costly;
#[cfg(test)]
#[path = "../../tests/support/otlp.rs"]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
