//! Pipeline data: OTLP that stays encoded.
//!
//! A [`Batch`] is a rope of [`Part`]s. Each part is one encoded OTLP export request
//! (a run of `ResourceMetrics`, `ResourceSpans` or `ResourceLogs` fields), counted and
//! validated by a single walk when it enters the agent. Since a request is nothing but
//! repeated fields, joining batches is pushing parts, and forwarding one copies nothing.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate.

pub mod json;
pub mod protocol;
pub mod writer;

use std::fmt;

use bytes::Bytes;

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
#[derive(Debug, Clone)]
pub struct Part {
    bytes: Bytes,
    items: u64,
    /// Whether one pass can read it: see the walk.
    regular: bool,
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
