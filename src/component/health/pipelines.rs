//! What the board learns about pipelines when it is read, and the verdict on each.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::Status;
use crate::component::ComponentId;

/// How long a request may wait for an exporter before the pipeline counts as degraded:
/// longer than a slow batch and a few retries take, shorter than people notice by
/// themselves.
const QUEUE_AGE: Duration = Duration::from_secs(60);

/// How long a pipeline counts as degraded after it has refused a request for lack of room. A
/// sender that is refused comes back after 5 s and, if it doubles its pauses, within half a
/// minute, so that the verdict doesn't change with every pause.
pub const REFUSAL_SHOWN: Duration = Duration::from_secs(60);

/// Looks into the running pipelines.
pub trait PipelineProbe: fmt::Debug + Send + Sync {
    /// Every pipeline as it stands at `now`.
    fn pipelines(&self, now: Instant) -> Vec<PipelineReport>;
}

/// One pipeline as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineReport {
    /// `signal[/name]`.
    pub id: String,
    /// Its exporters.
    pub exporters: Vec<LegReport>,
    /// Items that its processors hold or that wait before them.
    pub held_items: u64,
    /// Items that wait for its exporters or are under way.
    pub queued_items: u64,
    /// How long ago the oldest request was handed to its exporters that one of them has neither
    /// delivered nor dropped, be it waiting or tried again.
    pub queue_age: Duration,
    /// Why it refuses requests.
    pub shortages: Vec<Shortage>,
}

/// What a pipeline lacks room in, so that it refuses requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortage {
    /// The process uses more memory than a `memory_limiter` allows. This holds until the memory
    /// in use is below the limit again.
    Memory(MemoryExcess),
    /// A request was refused within [`REFUSAL_SHOWN`], because a `memory_limiter` allows so many
    /// bytes between admission and delivery.
    InFlight {
        /// That many bytes.
        most: u64,
    },
    /// A request was refused within [`REFUSAL_SHOWN`], because the queue before this exporter had
    /// no room for it.
    Queue(ComponentId),
}

/// By how much more memory is in use than a `memory_limiter` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryExcess {
    /// Bytes that the process uses.
    pub in_use: u64,
    /// Bytes that it may use.
    pub most: u64,
}

/// One exporter of a pipeline as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegReport {
    /// Which one.
    pub exporter: ComponentId,
    /// Whether it can deliver as far as is known: its task lives and its last attempt, if
    /// there was one, worked.
    pub working: bool,
    /// Whether items of the pipeline were dropped for good since it last delivered any.
    pub losing: bool,
}

impl PipelineReport {
    /// Unhealthy if an exporter loses items; degraded if one doesn't work, if a queue ages, or if
    /// requests are refused for lack of room.
    pub fn status(&self) -> Status {
        if self.exporters.iter().any(|leg| leg.losing) {
            Status::Unhealthy
        } else if self.exporters.iter().any(|leg| !leg.working)
            || self.queue_age >= QUEUE_AGE
            || !self.shortages.is_empty()
        {
            Status::Degraded
        } else {
            Status::Healthy
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("requests are refused: ")?;
        match self {
            Self::Memory(MemoryExcess { in_use, most }) => write!(
                f,
                "{in_use} bytes of memory are in use, and memory_limiter allows {most}"
            ),
            Self::InFlight { most } => write!(
                f,
                "there is no room in the {most} bytes that memory_limiter allows in flight"
            ),
            Self::Queue(exporter) => write!(f, "the queue of {exporter} is full"),
        }
    }
}
