//! How long an attempt may take, and whose time it is.
//!
//! Three times are to be told apart. A *request* has its timeout, which says something about the
//! endpoint. An attempt may consist of *several requests*, such as the pages of a list: each has its
//! timeout, and together they may take as long as the poll. And what is done with an answer that is
//! complete, such as reading a large one when a thread is free, is this machine's time: it is no
//! latency of the endpoint, and no failure of it either.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

/// What of a poll is left for the caller of [`AttemptClock::until`] to finish its work, as a
/// share: a hundredth.
const REST: u32 = 100;

/// What bounds an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptSpan {
    /// It is one request, and has the timeout of one.
    Request,
    /// It is several requests, which bound themselves. Together they have until the deadline of the
    /// poll; an attempt that is cut there says nothing about the endpoint.
    Poll,
}

/// The time of one attempt, as whoever makes it sees it. Clones are the same.
#[derive(Debug, Clone)]
pub struct AttemptClock {
    until: Instant,
    received: Arc<OnceLock<Instant>>,
}

impl AttemptClock {
    /// For an attempt that has time until then.
    pub fn new(until: Instant) -> Self {
        Self {
            until,
            received: Arc::default(),
        }
    }

    /// For an attempt that has a whole poll, which begins at `started` and is cut after `whole`.
    pub fn of_poll(started: Instant, whole: Duration) -> Self {
        Self::new(started + (whole - whole / REST))
    }

    /// When the attempt should be over. One of several requests makes do with what it has by then:
    /// a moment later it is cut.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// The answer is complete. What is done from now on is bounded by the deadline of the poll, and
    /// counts neither for the timeout nor as latency. The first call counts.
    pub fn note_received(&self) {
        let _ = self.received.set(Instant::now());
    }

    pub(super) fn received(&self) -> Option<Instant> {
        self.received.get().copied()
    }
}

/// Makes attempts, and says what bounds them.
pub(super) struct TimedFetch<F> {
    pub(super) span: AttemptSpan,
    pub(super) fetch: F,
}

/// The limits of one attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptLimits {
    /// When it is cut unless its answer is complete.
    pub(super) cut: Instant,
    /// Whether that is the timeout of a request.
    pub(super) is_timeout: bool,
    /// What the attempt is told.
    pub(super) until: Instant,
}

impl AttemptLimits {
    /// Of an attempt that begins at `started` in a poll that may take `whole` and ends at
    /// `deadline`.
    pub(super) fn new(
        span: AttemptSpan,
        started: Instant,
        timeout: Duration,
        whole: Duration,
        deadline: Instant,
    ) -> Self {
        let limit = started + timeout;
        match span {
            AttemptSpan::Request => Self {
                cut: limit.min(deadline),
                is_timeout: limit <= deadline,
                until: limit.min(deadline),
            },
            AttemptSpan::Poll => Self {
                cut: deadline,
                is_timeout: false,
                until: deadline - whole / REST,
            },
        }
    }
}
