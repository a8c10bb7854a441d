//! The right to make one attempt.

use tokio::time::Instant;

use super::Breaker;
use super::state::{BreakerState, Completion, Ticket};
use super::word::Word;

/// The right to make one attempt, and the duty to say how it ended.
///
/// A permit that is dropped without [`Permit::record`] counts as cancelled: it changes no
/// statistic, and a canary's slot goes to another. Dropping is therefore safe at any
/// await, and during a panic.
#[must_use = "a permit that is dropped without an outcome counts as cancelled"]
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    /// The breaker's word when it was admitted.
    word: Word,
    canary: bool,
    /// Whether its outcome counts. False where the breaker would have rejected the attempt,
    /// but admitted it because its mode is `observe` or `off`.
    counts: bool,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) const fn new(breaker: &'a Breaker, word: Word, canary: bool, counts: bool) -> Self {
        Self {
            breaker,
            word,
            canary,
            counts,
        }
    }

    /// Tells the breaker how the attempt ended. Whether it was a canary that passed, in time
    /// for its round.
    #[inline]
    pub fn record(mut self, now: Instant, completion: Completion) -> bool {
        // Before the breaker is told, so that a panic there can't give the slot back twice.
        let counts = std::mem::replace(&mut self.counts, false);
        counts && self.breaker.finish(self.ticket(), now, completion)
    }

    /// Whether the attempt is a canary.
    pub const fn is_canary(&self) -> bool {
        self.canary
    }

    /// The generation in which it was admitted. An outcome of an older generation than the
    /// breaker's comes too late.
    pub const fn generation(&self) -> u64 {
        self.word.generation()
    }

    /// The breaker's state when it was admitted.
    pub const fn state(&self) -> BreakerState {
        self.word.state()
    }

    const fn ticket(&self) -> Ticket {
        Ticket {
            generation: self.word.generation(),
            canary: self.canary,
        }
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.counts && self.canary {
            self.breaker.release(self.ticket(), true);
        }
    }
}
