//! The circuit breaker of one endpoint.
//!
//! ```text
//!              3 successes, everything well
//!          ┌───────────────────────────────────┐
//!          ▼                                   │
//!      Healthy ── failures, low score, slow ─▶ Degraded ◀── enough canaries pass ──┐
//!          │                                   │                                   │
//!          └── failures, few successes ─▶ CoolingDown ── cooldown over, asked ─▶ HalfOpen
//!                                              ▲                                   │
//!                                              └──── canary fails, or too slow ────┘
//! ```
//!
//! [`Breaker::acquire`] admits or rejects; the [`Permit`] takes the outcome. Time is handed
//! in, so a paused clock drives a breaker like a real one.
//!
//! There are three parts. `core` decides, for one thread at a time. The atomic word holds
//! what admission needs, so that an attempt is admitted by one load while the endpoint is
//! Healthy or Degraded, and takes a slot of HalfOpen by one compare-and-swap. A mutex around
//! the core is held for some tens of nanoseconds and never across an await; observers are
//! called after it is released.

mod core;
mod judge;
mod permit;
mod snapshot;
mod state;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod window;
mod word;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Counter;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::time::Instant;

pub use permit::Permit;
pub use snapshot::BreakerSnapshot;
pub use state::{
    BreakerState, Completion, Force, RejectReason, Rejection, Transition, TransitionReason,
};

use self::core::{BreakerEvent, Core, Decision, Effects, nanos};
use self::state::Ticket;
use self::word::Word;
use super::isolation::Network;
use super::settings::{BreakerSettings, Mode};
use super::sync::{AtomicU64, Mutex, Ordering, lock};

/// A moment that never comes, in nanoseconds since the breaker's origin.
const NEVER: u64 = u64::MAX;

/// Is told what a breaker does, on the thread on which it happened and outside any lock.
pub trait BreakerObserver: Send + Sync {
    /// The state changed.
    fn on_transition(&self, transition: &Transition);
}

/// The circuit breaker of one endpoint. Shared by reference; every method takes `&self`.
pub struct Breaker {
    settings: BreakerSettings,
    origin: Instant,
    word: AtomicU64,
    /// When a cooldown ends, when a round of canaries is given up, and the endpoint's
    /// advice, in nanoseconds since the origin. Written under the lock, before the word
    /// that they belong to. Cooldown and round take turns, so a reader that finds the word
    /// unchanged afterwards has read the time that belongs to this word.
    open_until: AtomicU64,
    round_until: AtomicU64,
    not_before: AtomicU64,
    /// When the last canary was admitted.
    canary_at: AtomicU64,
    locked: Mutex<Locked>,
    // Relaxed: no other memory is read or written in the order of these counters.
    rejected: [Counter; RejectReason::COUNT],
    last_opened: Counter,
    observer: Option<Arc<dyn BreakerObserver>>,
    network: Option<Arc<Network>>,
}

struct Locked {
    core: Core,
    rng: SmallRng,
}

impl Breaker {
    /// A healthy one. The same `seed` and the same calls make the same decisions.
    pub fn new(settings: BreakerSettings, seed: u64, now: Instant) -> Self {
        let core = Core::new(now);
        Self {
            settings,
            origin: now,
            word: AtomicU64::new(core.word().0),
            open_until: AtomicU64::new(NEVER),
            round_until: AtomicU64::new(NEVER),
            not_before: AtomicU64::new(0),
            canary_at: AtomicU64::new(0),
            locked: Mutex::new(Locked {
                core,
                rng: SmallRng::seed_from_u64(seed),
            }),
            rejected: Default::default(),
            last_opened: Counter::new(0),
            observer: None,
            network: None,
        }
    }

    /// The same breaker, whose every transition is told to `observer`.
    pub fn observed_by(mut self, observer: Arc<dyn BreakerObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The same breaker, whose cooldown doesn't grow while this network is suspected.
    pub fn on_network(mut self, network: Arc<Network>) -> Self {
        self.network = Some(network);
        self
    }

    /// Asks to make an attempt. One atomic load while the endpoint is Healthy or Degraded.
    ///
    /// # Errors
    ///
    /// The reason for which the attempt must not be made, and how long that will hold.
    /// Never under [`Mode::Observe`] and [`Mode::Off`].
    #[inline]
    pub fn acquire(&self, now: Instant) -> Result<Permit<'_>, Rejection> {
        let word = self.load();
        if word.passes() {
            Ok(self.permit(word, false))
        } else {
            self.acquire_guarded(now)
        }
    }

    /// The state now. CoolingDown goes on after the end of the cooldown, until an attempt is
    /// asked for.
    pub fn state(&self) -> BreakerState {
        self.load().state()
    }

    /// What it may do.
    pub fn mode(&self) -> Mode {
        self.settings.mode
    }

    /// When an attempt beyond the regular ones makes sense: when a canary is due, when the
    /// endpoint's advice runs out, or at once after recovery. May lie in the past.
    pub fn wake_at(&self) -> Option<Instant> {
        let locked = lock(&self.locked);
        let word = self.load();
        let free = word
            .take_slot(self.settings.canary_count, self.settings.canary_concurrency)
            .map(|_| {
                let canary = self.canary_at.load(Ordering::Relaxed);
                self.origin + Duration::from_nanos(canary) + Duration::from_secs(1)
            });
        locked.core.wake_at(free)
    }

    /// Whether our own network is suspected, so that cooldowns don't grow.
    pub fn network_suspect(&self, now: Instant) -> bool {
        self.network
            .as_ref()
            .is_some_and(|network| network.suspected(now))
    }

    /// Does what an operator decided. The outcomes of attempts under way are then counted as
    /// late, and nowhere else.
    pub fn force(&self, force: Force, now: Instant) {
        let effects = self.step(now, BreakerEvent::Force(force), false);
        self.publish(effects.transition.as_deref());
    }

    /// Everything that the metrics show.
    pub fn snapshot(&self, now: Instant) -> BreakerSnapshot {
        let locked = lock(&self.locked);
        let core = &locked.core;
        let opened = self.last_opened.load(Ordering::Relaxed);
        BreakerSnapshot {
            state: core.state,
            generation: core.generation,
            consecutive_failures: core.fail_run,
            failures: core.counts.failures,
            outcomes: core.counts.outcomes,
            rejected: std::array::from_fn(|index| {
                self.rejected
                    .get(index)
                    .map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            late_results: core.counts.late,
            transitions: core.counts.transitions.clone(),
            last_opened: (opened > 0).then(|| UNIX_EPOCH + Duration::from_nanos(opened)),
            latency_ms: core.latencies.mean(now),
            success_ratio: core.attempts.success_share(),
            health_score: core.score(now),
            threshold: core.averages.threshold(&self.settings.shape),
            ewma_error_ratio: core.averages.error_ratio(),
            open_remaining: if core.forced && core.state == BreakerState::CoolingDown {
                None
            } else {
                Some(
                    core.closed_until()
                        .map_or(Duration::ZERO, |until| until.saturating_duration_since(now)),
                )
            },
            half_open_in_flight: self.load().in_flight(),
        }
    }

    /// Ends a cooldown now, since a sibling's canary passed. Whether there was one.
    pub(super) fn hasten(&self, now: Instant) -> bool {
        self.step(now, BreakerEvent::Hasten, false).times
    }

    /// Until when the endpoint asked to be left alone; may lie in the past.
    pub(super) fn not_before(&self) -> Option<Instant> {
        let gate = self.not_before.load(Ordering::Acquire);
        (gate > 0).then(|| self.origin + Duration::from_nanos(gate))
    }

    /// The 95th percentile of the last fifty latencies, once there are fifty.
    pub(super) fn p95(&self, now: Instant) -> Option<Duration> {
        lock(&self.locked).core.latencies.p95(now)
    }

    /// Whether it may reject.
    pub(super) fn enforces(&self) -> bool {
        self.settings.mode == Mode::Enforce
    }

    /// Counts a rejection that a caller decided without asking the breaker.
    pub(super) fn count_rejection(&self, reason: RejectReason) {
        if let Some(count) = self.rejected.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is left when the word alone doesn't admit.
    #[cold]
    fn acquire_guarded(&self, now: Instant) -> Result<Permit<'_>, Rejection> {
        let rejection = loop {
            let word = self.load();
            if word.passes() {
                return Ok(self.permit(word, false));
            }
            match self.decide(word, now) {
                Decision::Admit(ticket) => return Ok(self.permit_for(ticket)),
                Decision::Reject(rejection) => break rejection,
                Decision::TakeSlot => match self.take_slot(word, now) {
                    Some(Ok(permit)) => return Ok(permit),
                    Some(Err(rejection)) => break rejection,
                    None => {}
                },
            }
        };
        self.count_rejection(rejection.reason);
        if !self.enforces() {
            return Ok(Permit::new(self, self.load(), false, false));
        }
        Err(rejection)
    }

    /// Decides by the published times where they are enough, and by the core otherwise.
    fn decide(&self, word: Word, now: Instant) -> Decision {
        let open_until = self.open_until.load(Ordering::Acquire);
        let round_until = self.round_until.load(Ordering::Acquire);
        let gate = self.not_before.load(Ordering::Acquire);
        let at = self.nanos(now);
        if self.load() == word {
            let over = open_until.max(gate);
            match word.state() {
                BreakerState::CoolingDown if open_until != NEVER && at < over => {
                    let reason = if gate > open_until {
                        RejectReason::RetryAfter
                    } else {
                        RejectReason::Open
                    };
                    return Decision::Reject(Rejection {
                        reason,
                        retry_in: Some(Duration::from_nanos(over - at)),
                    });
                }
                BreakerState::HalfOpen if at < round_until && at >= gate => {
                    return Decision::TakeSlot;
                }
                _ => {}
            }
        }
        let effects = self.step(now, BreakerEvent::Acquire, self.network_suspect(now));
        self.publish(effects.transition.as_deref());
        // An acquire is always decided.
        effects.decision.unwrap_or(Decision::TakeSlot)
    }

    /// Takes a slot of HalfOpen; `None` when the word has changed and all must be asked
    /// again.
    fn take_slot(&self, word: Word, now: Instant) -> Option<Result<Permit<'_>, Rejection>> {
        if word.state() != BreakerState::HalfOpen {
            return None;
        }
        let taken = word.take_slot(self.settings.canary_count, self.settings.canary_concurrency);
        let Some(taken) = taken else {
            return Some(Err(Rejection {
                reason: RejectReason::HalfOpen,
                retry_in: None,
            }));
        };
        self.word
            .compare_exchange(word.0, taken.0, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        self.canary_at.store(self.nanos(now), Ordering::Relaxed);
        Some(Ok(self.permit(taken, true)))
    }

    /// Records an outcome. A canary's slot is given back afterwards, so that it is never
    /// free while the outcome that may end the round is still unheard. Whether it was a
    /// canary that passed.
    fn finish(&self, ticket: Ticket, now: Instant, completion: Completion) -> bool {
        if self.settings.mode == Mode::Off {
            return false;
        }
        let frozen = ticket.canary && self.network_suspect(now);
        let effects = self.step(now, BreakerEvent::Finish(ticket, completion), frozen);
        if ticket.canary {
            let hand_back = completion.outcome.hands_back();
            self.release(ticket, hand_back);
        }
        if effects.transition.is_some() {
            self.publish(effects.transition.as_deref());
        }
        effects.passed
    }

    /// Gives a canary's slot back to its own round.
    fn release(&self, ticket: Ticket, hand_back: bool) {
        let mut word = self.load();
        while let Some(released) = word.release_slot(ticket.generation, hand_back) {
            match self.word.compare_exchange_weak(
                word.0,
                released.0,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(current) => word = Word(current),
            }
        }
    }

    // Each caller has one kind of event, and pays for that kind alone.
    #[inline(always)]
    fn step(&self, now: Instant, event: BreakerEvent, frozen: bool) -> Effects {
        let mut locked = lock(&self.locked);
        let Locked { core, rng } = &mut *locked;
        let effects = core.step(&self.settings, now, event, frozen, rng);
        if effects.times {
            let nanos = |at: Option<Instant>, none| at.map_or(none, |at| self.nanos(at));
            let until = match core.state {
                BreakerState::CoolingDown => &self.open_until,
                _ => &self.round_until,
            };
            until.store(nanos(core.until(), NEVER), Ordering::Release);
            self.not_before
                .store(nanos(core.not_before(), 0), Ordering::Release);
        }
        if let Some(word) = effects.word {
            if word.in_flight() > 0 {
                self.canary_at.store(self.nanos(now), Ordering::Relaxed);
            }
            // A swap and not a store: it comes after every slot taken before.
            self.word.swap(word.0, Ordering::AcqRel);
        }
        effects
    }

    /// Tells of a transition, outside the lock.
    fn publish(&self, transition: Option<&Transition>) {
        let Some(transition) = transition else {
            return;
        };
        if transition.to == BreakerState::CoolingDown {
            // The one place that reads the wall clock, some times a day.
            let wall = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let nanos = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
            self.last_opened.store(nanos, Ordering::Relaxed);
        }
        if let Some(observer) = &self.observer {
            observer.on_transition(transition);
        }
    }

    #[inline]
    fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    #[inline]
    fn permit(&self, word: Word, canary: bool) -> Permit<'_> {
        Permit::new(self, word, canary, true)
    }

    fn permit_for(&self, ticket: Ticket) -> Permit<'_> {
        let state = if ticket.canary {
            BreakerState::HalfOpen
        } else {
            self.state()
        };
        let word = Word::new(state, ticket.generation, false);
        self.permit(word, ticket.canary)
    }

    fn nanos(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.origin)).min(NEVER - 1)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("state", &self.state())
            .field("generation", &self.load().generation())
            .finish_non_exhaustive()
    }
}
