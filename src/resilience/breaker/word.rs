//! What admission has to know, in one atomic word.
//!
//! ```text
//! 63                    19 18    17..16  15......8  7.......0
//! generation               gated  state   admitted  in flight
//! ```
//!
//! In Healthy and Degraded a load of this word is all that admission does. In HalfOpen a
//! slot is taken by compare-and-swap of the whole word, so that a transition, which begins
//! a new generation, can't come between the check and the taking. Only the holder of the
//! breaker's lock writes state, generation and gate.

use super::state::BreakerState;

const IN_FLIGHT: u64 = 1;
const ADMITTED: u64 = 1 << 8;
const COUNT_MASK: u64 = 0xff;
const STATE_SHIFT: u32 = 16;
const STATE_MASK: u64 = 0b11;
const GATED: u64 = 1 << 18;
const GENERATION_SHIFT: u32 = 19;

/// The word's value at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// A word with all slots free. `gated` says that the clock has to be asked although
    /// the state admits.
    pub(super) const fn new(state: BreakerState, generation: u64, gated: bool) -> Self {
        Self(
            generation << GENERATION_SHIFT
                | if gated { GATED } else { 0 }
                | (state.number() as u64) << STATE_SHIFT,
        )
    }

    /// Whether everything passes, with no need to look further.
    #[inline]
    pub(super) const fn passes(self) -> bool {
        // Healthy and Degraded are 0 and 1: only the lower bit may be set.
        self.0 & (GATED | 0b10 << STATE_SHIFT) == 0
    }

    #[inline]
    pub(super) const fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }

    pub(super) const fn state(self) -> BreakerState {
        match self.0 >> STATE_SHIFT & STATE_MASK {
            0 => BreakerState::Healthy,
            1 => BreakerState::Degraded,
            2 => BreakerState::CoolingDown,
            _ => BreakerState::HalfOpen,
        }
    }

    /// Canaries under way.
    pub(super) const fn in_flight(self) -> u32 {
        (self.0 & COUNT_MASK) as u32
    }

    /// Canaries admitted in this round, but for those handed back.
    pub(super) const fn admitted(self) -> u32 {
        ((self.0 / ADMITTED) & COUNT_MASK) as u32
    }

    /// The word with one more canary, unless the round is full.
    pub(super) const fn take_slot(self, count: u32, concurrency: u32) -> Option<Self> {
        if self.admitted() < count && self.in_flight() < concurrency {
            Some(Self(self.0 + ADMITTED + IN_FLIGHT))
        } else {
            None
        }
    }

    /// The word after a canary of `generation` ended; `None` when its round is over.
    /// `hand_back` lets another take its place in the round.
    pub(super) const fn release_slot(self, generation: u64, hand_back: bool) -> Option<Self> {
        if self.generation() != generation || self.in_flight() == 0 {
            return None;
        }
        let place = if hand_back && self.admitted() > 0 {
            ADMITTED
        } else {
            0
        };
        Some(Self(self.0 - IN_FLIGHT - place))
    }
}
