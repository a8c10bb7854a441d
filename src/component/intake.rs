//! The traits through which receivers hand their data to the pipelines.
//!
//! Only admission can refuse a request, processing can't. So a receiver asks before it decodes:
//! [`Intake::try_admit`] reserves room for a request in everything that it will pass, and
//! what was admitted can always be processed and queued.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::pdata::Batch;

/// Every pipeline of one signal that a receiver stands in, seen from the receiver.
pub trait Intake: Send + Sync {
    /// Reserves room for `bytes` of decoded data, before anything is decoded.
    ///
    /// # Errors
    ///
    /// When the pipelines have no room: the sender is told to come back.
    fn try_admit(&self, origin: Origin, bytes: u64) -> Result<Box<dyn Admission>, Refusal>;

    /// Whether a destination's `block_on_overflow` asks senders to wait for room: only then
    /// do [`Intake::admit`] and [`Admission::grow_until`] differ from those that never wait.
    fn may_wait(&self) -> bool {
        false
    }

    /// Like [`Intake::try_admit`], but waits for room until `deadline` where a destination's
    /// `block_on_overflow` asks for it. Cancel safe: dropping the future reserves nothing.
    ///
    /// # Errors
    ///
    /// As for [`Intake::try_admit`].
    fn admit(
        &self,
        origin: Origin,
        bytes: u64,
        _deadline: Instant,
    ) -> BoxFuture<'_, Result<Box<dyn Admission>, Refusal>> {
        Box::pin(std::future::ready(self.try_admit(origin, bytes)))
    }

    /// Counts items that were known when they were refused. A request that is refused
    /// before it is decoded has no items yet: it is counted in requests and bytes.
    fn refused(&self, _items: u64) {}

    /// Counts items that the receiver itself failed to hand over.
    fn failed(&self, _items: u64) {}
}

/// Whether a sender or the agent itself offers data. It decides whether the data may be
/// refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client that can be told to come back later.
    Push,
    /// A scrape of our own: only the memory limit refuses it, and what finds no room on a
    /// destination's queue is dropped there and counted.
    Pull,
}

/// Room reserved for one request. Dropping it gives the room back, and nothing is counted.
pub trait Admission: Send {
    /// Reserves more, as a compressed body inflates.
    ///
    /// # Errors
    ///
    /// When there is no more room. What is reserved stays so.
    fn grow(&mut self, bytes: u64) -> Result<(), Refusal>;

    /// Reserves memory that reading the data will take beyond its bytes. It takes no room in the
    /// queues, which hold the bytes alone.
    ///
    /// # Errors
    ///
    /// As for [`Admission::grow`].
    fn grow_memory(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.grow(bytes)
    }

    /// Like [`Admission::grow`], but waits for room until `deadline` where a destination's
    /// `block_on_overflow` asks for it. While it waits it holds no room in the queues, so
    /// that requests which grow beside each other never wait for one another.
    ///
    /// # Errors
    ///
    /// As for [`Admission::grow`].
    fn grow_until(&mut self, bytes: u64, _deadline: Instant) -> BoxFuture<'_, Result<(), Refusal>> {
        let grown = self.grow(bytes);
        Box::pin(std::future::ready(grown))
    }

    /// Hands over the decoded request, which from now on stands in the ledger. Waits while
    /// the pipelines are busy; resolves when the sender may be told that the request was taken.
    ///
    /// Not cancel safe: dropping the future after its first poll may count the batch as
    /// dropped with the reason `aborted`.
    fn accept(self: Box<Self>, batch: Batch) -> BoxFuture<'static, ()>;
}

/// Why a request was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What is full, `memory_limit` or `queue_full`, or why no pipeline takes it: `shutdown`,
    /// `unavailable` where every pipeline's task has died, or `too_large` where it needs more
    /// memory than may ever be in flight.
    pub reason: &'static str,
    /// How long the sender should wait; none where waiting doesn't help.
    pub retry_after: Option<Duration>,
}
