//! What a component is: the traits it implements, the factory that names it, and what it
//! is handed when it is built.
//!
//! Receivers produce, processors transform, exporters deliver. Each has the same shape: a
//! configuration that is parsed and validated once ([`ReceiverConfig`] and its siblings),
//! and the running thing that the configuration builds. The pipeline owns everything
//! between them, so that no component knows another.
//!
//! **Architecture Invariant:** this module imports only `pdata`, `recording`, `resilience`,
//! `settings`, `telemetry`, `translation`, `window` and `yaml`.

mod claims;
mod factory;
mod health;
mod http;
mod id;
mod inputs;
mod intake;
mod pages;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use claims::{Claimed, Claims, Clash, Contested, ResourceClaim};
pub use factory::{
    BuildContext, BuiltExporter, ExporterConfig, ExporterFactory, ExtensionConfig,
    ExtensionFactory, Factories, MemoryLimit, Policy, PolicyFactory, ProcessorConfig,
    ProcessorFactory, ReceiverConfig, ReceiverFactory, RemoteExporter, WindowsUse,
};
pub use health::{
    ComponentState, Health, HealthReport, HealthSnapshot, LegReport, MemoryExcess, Phase,
    PipelineProbe, PipelineReport, REFUSAL_SHOWN, Reporter, Shortage, Status, Subject,
};
pub use http::{Body, Handler, Listener, Response, Route, Routes, full_body, handler};
pub use id::{ComponentId, InvalidId};
pub use inputs::{ProgramInput, ProgramInputs, PushError};
pub use intake::{Admission, Intake, Origin, Refusal};
pub use pages::{AGENT, AgentPage};

use crate::pdata::Batch;
use crate::resilience::Outcome;
use crate::settings::LOCAL_QUEUE;

/// Monotonic and wall time, read together once per batch or poll and handed down.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For deadlines and ages.
    pub monotonic: Instant,
    /// For timestamps that leave the process.
    pub wall: SystemTime,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Milliseconds since the process first asked: the uptime of all windows.
    pub fn uptime_millis(&self) -> i64 {
        static BEGUN: OnceLock<Instant> = OnceLock::new();
        let begun = *BEGUN.get_or_init(|| self.monotonic);
        millis(self.monotonic.saturating_duration_since(begun))
    }

    /// Milliseconds since the Unix epoch; 0 before it.
    pub fn wall_millis(&self) -> i64 {
        self.wall.duration_since(UNIX_EPOCH).map_or(0, millis)
    }
}

fn millis(since: Duration) -> i64 {
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Why something was lost. A closed set, so that the label it becomes is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// A task panicked or was aborted while it held the data.
    Aborted,
    /// Still undelivered when the grace of the shutdown was over.
    Shutdown,
    /// A queue had no room.
    QueueFull,
    /// The configuration asked for it.
    Filtered,
    /// A series budget was used up.
    Cardinality,
    /// A text of it, or all that its series would write, is longer than allowed.
    Oversized,
    /// The destination has no way to express it.
    Unsupported,
    /// Older than what the destination already holds.
    OutOfOrder,
    /// A local write failed.
    WriteFailed,
    /// The peer took the request and rejected these items.
    RejectedByPeer,
    /// The peer refused the request for good.
    Permanent,
    /// Retrying took longer than it may.
    RetriesExhausted,
    /// Attempts kept failing while others were delivered.
    KeepsFailing,
    /// Larger than the peer takes, and can't be split further.
    TooLarge,
    /// The peer's answer broke off before its status: it may have taken them, and would take
    /// them twice if they came again.
    Unconfirmed,
}

impl DropReason {
    /// Every reason, in the order in which metrics list them.
    pub const ALL: [DropReason; 15] = [
        Self::Aborted,
        Self::Shutdown,
        Self::QueueFull,
        Self::Filtered,
        Self::Cardinality,
        Self::Oversized,
        Self::Unsupported,
        Self::OutOfOrder,
        Self::WriteFailed,
        Self::RejectedByPeer,
        Self::Permanent,
        Self::RetriesExhausted,
        Self::KeepsFailing,
        Self::TooLarge,
        Self::Unconfirmed,
    ];

    /// Whether `/health` counts this reason as a loss. It doesn't count items that the configuration
    /// drops or bounds, that the destination can't express or holds newer ones of, and those that
    /// are left at shutdown.
    pub const fn is_loss(self) -> bool {
        match self {
            Self::Aborted
            | Self::QueueFull
            | Self::WriteFailed
            | Self::RejectedByPeer
            | Self::Permanent
            | Self::RetriesExhausted
            | Self::KeepsFailing
            | Self::TooLarge
            | Self::Unconfirmed => true,
            Self::Shutdown
            | Self::Filtered
            | Self::Cardinality
            | Self::Oversized
            | Self::Unsupported
            | Self::OutOfOrder => false,
        }
    }

    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Shutdown => "shutdown",
            Self::QueueFull => "queue_full",
            Self::Filtered => "filtered",
            Self::Cardinality => "cardinality",
            Self::Oversized => "oversized",
            Self::Unsupported => "unsupported",
            Self::OutOfOrder => "out_of_order",
            Self::WriteFailed => "write_failed",
            Self::RejectedByPeer => "rejected_by_peer",
            Self::Permanent => "permanent",
            Self::RetriesExhausted => "retries_exhausted",
            Self::KeepsFailing => "keeps_failing",
            Self::TooLarge => "too_large",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// Produces telemetry until it is told to stop.
pub trait Receiver: Send {
    /// Binds sockets and opens files; an error here ends the agent's start. Nothing is produced
    /// yet.
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>>;

    /// Produces until `stop` is cancelled, then finishes what it has accepted and returns.
    fn run(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()>;
}

/// Transforms batches: synchronous, infallible, and without a clock of its own.
///
/// The pipeline accounts for every item: what goes in is held by the processor until it
/// comes out through [`Output::emit`] or [`Output::discard`].
pub trait Processor: Send {
    /// Takes one batch.
    fn process(&mut self, batch: Batch, now: Now, out: &mut dyn Output);

    /// When [`Processor::on_deadline`] wants to be called, if at all.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Called once `deadline` has passed.
    fn on_deadline(&mut self, _now: Now, _out: &mut dyn Output) {}

    /// Gives out everything that is still held: the pipeline is about to end.
    fn drain(&mut self, _now: Now, _out: &mut dyn Output) {}
}

/// Where a processor's results go.
pub trait Output {
    /// Passes on a batch made of items that the processor was given.
    fn emit(&mut self, batch: Batch);

    /// Passes on a batch of items that the processor made itself.
    fn create(&mut self, batch: Batch);

    /// Gives up items that the processor was given.
    fn discard(&mut self, items: u64, reason: DropReason);
}

/// Delivers to a destination that can fail. Queueing, retries, splitting and the breaker
/// around it belong to the pipeline.
pub trait Exporter: Send + Sync {
    /// Prepares connections; does not need the peer to be there.
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>>;

    /// Makes one attempt. Dropping the future cancels the attempt; the peer may then have
    /// got the batch or not.
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>>;

    /// Closes connections. No export is under way.
    fn shutdown(&mut self) -> BoxFuture<'_, ()>;
}

/// What a peer took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Items that the peer rejected in a partial success.
    pub rejected: u64,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExportError {
    /// What helps.
    pub remedy: Remedy,
    /// What the circuit breaker learns from it.
    pub outcome: Outcome,
    /// The peer's advice on how long to leave it alone.
    pub retry_after: Option<Duration>,
    /// What happened: no credentials, no bodies.
    pub message: String,
}

/// What the pipeline can do with a request whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Another attempt, later.
    Retry,
    /// Smaller requests.
    Split,
    /// Nothing: the peer refuses this request for good.
    None,
    /// Nothing: the peer may have taken the request, and must not get it a second time.
    Unconfirmed,
}

impl ExportError {
    /// A failure without advice.
    pub fn new(remedy: Remedy, outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            remedy,
            outcome,
            retry_after: None,
            message: message.into(),
        }
    }

    /// The same with the peer's advice.
    pub fn advised(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }
}

/// Delivers to a place in this process or on this machine: synchronous, and it cannot
/// refuse.
pub trait Sink: Send {
    /// Opens files and registers routes, and fails early.
    fn start(&mut self) -> anyhow::Result<()>;

    /// Takes one batch; `out` is told what could not be kept.
    fn consume(&mut self, batch: Batch, now: Now, out: &mut dyn Discards);

    /// When [`Sink::on_deadline`] wants to be called, if at all.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Called once `deadline` has passed, for flushing and expiry.
    fn on_deadline(&mut self, _now: Now, _out: &mut dyn Discards) {}

    /// Writes out what is buffered: nothing more will come.
    fn close(&mut self, _now: Now, _out: &mut dyn Discards) {}

    /// Items that were taken and may still turn out lost, such as lines in a buffer: they
    /// count as queued until they are written. The oldest are written first.
    fn unsettled(&self) -> u64 {
        0
    }

    /// Encoded bytes that may wait for it, and be with it: what comes beyond them is dropped
    /// for this sink alone, since a pipeline never waits for a sink.
    fn queue_bytes(&self) -> u64 {
        LOCAL_QUEUE.0
    }

    /// Whether `consume` may wait for something outside the process, such as a disk or a
    /// terminal. It is then given a thread of its own.
    fn may_block(&self) -> bool {
        false
    }
}

/// Where a sink reports what it could not keep.
pub trait Discards {
    /// Gives up items of the batches that the sink took, of those that are not settled yet;
    /// what isn't given up counts as sent once it is settled.
    fn discard(&mut self, items: u64, reason: DropReason);
}

/// Runs beside the pipelines, such as a health endpoint.
pub trait Extension: Send {
    /// Binds sockets, and fails early.
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>>;

    /// Runs until `stop` is cancelled.
    fn run(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()>;
}
