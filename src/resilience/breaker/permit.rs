//! The right to make one attempt.

use tokio::time::Instant;

use super::Breaker;
use super::state::{Completion, State, Ticket};

/// The right to make one attempt, and the duty to say how it ended.
///
/// A permit that is dropped without [`Permit::record`] counts as cancelled: it changes no
/// statistic, and a canary's slot goes to another. Dropping is therefore safe at any
/// await, and during a panic.
#[must_use = "a permit that is dropped without an outcome counts as cancelled"]
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    ticket: Ticket,
    state: State,
    /// Whether its outcome counts: not where the breaker would have rejected but may only
    /// observe.
    counts: bool,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) const fn new(
        breaker: &'a Breaker,
        ticket: Ticket,
        state: State,
        counts: bool,
    ) -> Self {
        Self {
            breaker,
            ticket,
            state,
            counts,
        }
    }

    /// Tells the breaker how the attempt ended.
    pub fn record(mut self, now: Instant, completion: Completion) {
        if self.counts {
            // Before the breaker is told, so that a panic there can't give the slot back
            // twice.
            self.counts = false;
            self.breaker.finish(self.ticket, now, completion);
        }
    }

    /// Whether the attempt is a canary.
    pub const fn is_canary(&self) -> bool {
        self.ticket.canary
    }

    /// The generation in which it was admitted. An outcome of an older generation than the
    /// breaker's comes too late.
    pub const fn generation(&self) -> u64 {
        self.ticket.generation
    }

    /// The breaker's state when it was admitted.
    pub const fn state(&self) -> State {
        self.state
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.counts && self.ticket.canary {
            self.breaker.release(self.ticket, true);
        }
    }
}
