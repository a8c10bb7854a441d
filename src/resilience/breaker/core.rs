//! The state machine of one breaker, without clock, chance, locks or I/O of its own.
//!
//! [`Core::step`] takes the time, an event and a random source, and says what follows. The
//! one thing that it leaves to its caller are the canaries' slots, which are counted in
//! the atomic word (see `word`) so that taking one needs no lock.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::state::{
    BreakerState, Completion, Force, RejectReason, Rejection, Ticket, Transition, TransitionReason,
};
use super::window::{Attempts, Latencies};
use super::word::Word;
use crate::resilience::backoff;
use crate::resilience::health_score;
use crate::resilience::outcome::{Outcome, Run, Verdict};
use crate::resilience::retry_after;
use crate::resilience::settings::{BreakerSettings, Edge};
use crate::resilience::threshold::ErrorAverages;

/// From a canary that ended to the next.
pub(super) const CANARY_INTERVAL: Duration = Duration::from_secs(1);

/// What happens to a breaker.
#[derive(Debug, Clone, Copy)]
pub(super) enum BreakerEvent {
    /// A caller asks for permission to make an attempt.
    Acquire,
    /// An attempt ended.
    Finish(Ticket, Completion),
    /// An operator decided.
    Force(Force),
    /// A sibling's canary passed.
    Hasten,
}

/// What follows from an event.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// The answer to [`BreakerEvent::Acquire`].
    pub(super) decision: Option<Decision>,
    /// What the atomic word must become.
    pub(super) word: Option<Word>,
    /// Whether [`Core::until`] or [`Core::not_before`] changed.
    pub(super) times: bool,
    /// Whether a canary passed.
    pub(super) passed: bool,
    /// What to tell the observers, outside the lock. Boxed: it is rare, and effects are
    /// returned for every attempt.
    pub(super) transition: Option<Box<Transition>>,
}

/// The answer to [`BreakerEvent::Acquire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// The attempt is admitted.
    Admit(Ticket),
    /// The attempt is admitted as a canary, if the atomic word has a slot for it.
    TakeSlot,
    /// The attempt is rejected.
    Reject(Rejection),
}

/// One breaker's memory.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) state: BreakerState,
    pub(super) generation: u64,
    pub(super) forced: bool,
    seq: u64,
    pub(super) fail_run: u32,
    pub(super) success_run: u32,
    pub(super) low_score_run: u32,
    pub(super) attempts: Attempts,
    pub(super) latencies: Latencies,
    pub(super) averages: ErrorAverages,
    pub(super) exponent: u32,
    /// Since when the exponent decays.
    pub(super) calm_since: Instant,
    /// While CoolingDown: when it ends; `None` is never. While HalfOpen: its deadline.
    pub(super) until: Option<Instant>,
    /// The endpoint's own advice.
    not_before: Option<Instant>,
    pub(super) passes: u32,
    pub(super) fails: u32,
    /// When a poll beyond the regular ones is wanted.
    pub(super) poll_at: Option<Instant>,
    pub(super) counts: Counts,
}

/// Counters, which never fall.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) outcomes: [u64; Outcome::COUNT],
    pub(super) failures: u64,
    pub(super) late: u64,
    /// By edge and reason; as many as there are legal ones.
    pub(super) transitions: Vec<((BreakerState, BreakerState, TransitionReason), u64)>,
}

impl Core {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: BreakerState::Healthy,
            generation: 0,
            forced: false,
            seq: 0,
            fail_run: 0,
            success_run: 0,
            low_score_run: 0,
            attempts: Attempts::default(),
            latencies: Latencies::new(now),
            averages: ErrorAverages::new(),
            exponent: 0,
            calm_since: now,
            until: None,
            not_before: None,
            passes: 0,
            fails: 0,
            poll_at: None,
            counts: Counts::default(),
        }
    }

    /// Takes one event. `frozen` says that our own network is suspected, so that no
    /// breaker's exponent grows.
    #[inline(always)]
    pub(super) fn step(
        &mut self,
        settings: &BreakerSettings,
        now: Instant,
        event: BreakerEvent,
        frozen: bool,
        rng: &mut impl Rng,
    ) -> Effects {
        let mut step = Step {
            core: self,
            settings,
            now,
            frozen,
            rng,
            effects: Effects::default(),
        };
        match event {
            BreakerEvent::Acquire => step.acquire(),
            BreakerEvent::Finish(ticket, completion) => step.finish(ticket, completion),
            BreakerEvent::Force(force) => step.force(force),
            BreakerEvent::Hasten => step.hasten(),
        }
        step.effects
    }

    /// When a poll beyond the regular ones makes sense: when a canary is due, when a round
    /// is to be given up, when the endpoint's advice has run out, or at once.
    ///
    /// `slot` is the earliest time for another canary, if HalfOpen has a slot for it.
    pub(super) fn wake_at(&self, slot: Option<Instant>) -> Option<Instant> {
        let wanted = match self.state {
            BreakerState::CoolingDown => Some(self.until?),
            BreakerState::HalfOpen => match slot {
                Some(slot) => Some(slot).max(self.poll_at).min(self.until),
                None => self.until,
            },
            BreakerState::Healthy | BreakerState::Degraded => self.poll_at.or(self.not_before),
        };
        wanted.max(self.not_before)
    }

    /// Until when attempts are rejected whatever happens, if they are.
    pub(super) fn closed_until(&self) -> Option<Instant> {
        match self.state {
            BreakerState::CoolingDown => self.until.max(self.not_before),
            _ => self.not_before,
        }
    }

    pub(super) fn word(&self) -> Word {
        Word::new(self.state, self.generation, self.not_before.is_some())
    }

    /// The moment at which the state ends by itself; `None` where it doesn't.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    pub(super) fn score(&self, now: Instant) -> f64 {
        health_score::score(
            self.attempts.successes(),
            self.attempts.count(),
            self.latencies.summary(now),
        )
    }
}

/// A duration in nanoseconds; some five hundred years are for ever. Not `as_nanos`, which
/// multiplies in 128 bits.
pub(super) const fn nanos(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(duration.subsec_nanos() as u64)
}

/// One event being worked on.
pub(super) struct Step<'a, R> {
    pub(super) core: &'a mut Core,
    pub(super) settings: &'a BreakerSettings,
    pub(super) now: Instant,
    frozen: bool,
    rng: &'a mut R,
    effects: Effects,
}

impl<R: Rng> Step<'_, R> {
    #[cold]
    fn acquire(&mut self) {
        self.give_up_late_round();
        let gate = self.core.not_before.filter(|&gate| gate > self.now);
        let decision = match (self.core.state, gate) {
            (BreakerState::CoolingDown, _) => self.leave_cooldown(),
            (_, Some(gate)) => self.reject(RejectReason::RetryAfter, Some(gate)),
            (BreakerState::HalfOpen, None) => Decision::TakeSlot,
            (BreakerState::Healthy | BreakerState::Degraded, None) => {
                self.core.poll_at = None;
                if self.core.not_before.take().is_some() {
                    self.effects.word = Some(self.core.word());
                    self.effects.times = true;
                }
                Decision::Admit(self.ticket(false))
            }
        };
        self.effects.decision = Some(decision);
    }

    fn leave_cooldown(&mut self) -> Decision {
        let Some(until) = self.core.until else {
            return self.reject(RejectReason::ForcedOpen, None);
        };
        if let Some(gate) = self.core.not_before.filter(|&gate| gate > self.now)
            && gate >= until
        {
            return self.reject(RejectReason::RetryAfter, Some(gate));
        }
        if until > self.now {
            return self.reject(RejectReason::Open, Some(until));
        }
        self.core.not_before = None;
        self.core.until = Some(self.now + self.settings.half_open_timeout);
        self.enter(BreakerState::HalfOpen, TransitionReason::CooldownOver, None);
        self.core.forget_attempts();
        // The one who asked is the first canary.
        let word = self.core.word();
        self.effects.word = word.take_slot(1, 1);
        Decision::Admit(self.ticket(true))
    }

    #[inline(always)]
    fn finish(&mut self, ticket: Ticket, completion: Completion) {
        self.give_up_late_round();
        let Completion {
            outcome, latency, ..
        } = completion;
        let core = &mut *self.core;
        if ticket.generation != core.generation {
            core.counts.late += 1;
            return;
        }
        if let Some(count) = core.counts.outcomes.get_mut(outcome.index()) {
            *count += 1;
        }
        // An attempt was made, so the wish for one is fulfilled.
        core.poll_at = None;
        if outcome.verdict() == Verdict::HandBack {
            if ticket.canary {
                core.poll_at = Some(self.now + CANARY_INTERVAL);
            }
            return;
        }
        match outcome.run() {
            Run::Longer => core.fail_run = core.fail_run.saturating_add(1),
            Run::Ended => core.fail_run = 0,
            Run::Same => {}
        }
        if outcome.has_latency() {
            core.latencies.push(self.now, nanos(latency));
        }
        if let Some(success) = outcome.share() {
            let slow = outcome.has_latency() && latency >= self.settings.slow_call;
            core.attempts.push(success, slow);
            core.counts.failures += u64::from(!success);
        }
        if let (Some(success), false) = (outcome.average(), ticket.canary) {
            core.averages.record(success, &self.settings.shape);
        }
        if let Some(advice) = completion.retry_after {
            let gate = self.now + retry_after::stretch(advice, self.rng);
            self.core.not_before = self.core.not_before.max(Some(gate));
            self.effects.times = true;
            if self.core.state.is_closed() {
                // In HalfOpen the word counts slots, and the gate is looked up anyway.
                self.effects.word = Some(self.core.word());
            }
        }
        match self.core.state {
            BreakerState::HalfOpen => {
                self.effects.passed = outcome.verdict() == Verdict::Pass;
                self.judge_canary(outcome.verdict());
            }
            // A breaker that an operator forced isn't moved by outcomes.
            _ if self.core.forced => {}
            state => {
                if let Some(success) = outcome.share() {
                    self.judge(state, success);
                }
            }
        }
    }

    /// Gives up a round of canaries whose deadline has passed.
    #[inline]
    fn give_up_late_round(&mut self) {
        let late = self.core.until.is_some_and(|deadline| deadline <= self.now);
        if self.core.state == BreakerState::HalfOpen && late {
            self.end_late_round();
        }
    }

    #[cold]
    fn end_late_round(&mut self) {
        let core = &mut *self.core;
        let failed = core.fails > 0;
        // A pipeline that sends one request a minute has no second canary before the deadline.
        // If the breaker opened again for that, it would hold back each of those requests, and
        // never close.
        if self.settings.edge == Edge::Destination && core.passes > 0 && !failed {
            core.until = Some(self.now + self.settings.half_open_timeout);
            self.effects.times = true;
            return;
        }
        self.open(TransitionReason::HalfOpenTimeout, failed);
    }

    #[cold]
    pub(super) fn open(&mut self, reason: TransitionReason, failed_again: bool) {
        let core = &mut *self.core;
        if core.state == BreakerState::HalfOpen {
            if failed_again && !self.frozen {
                core.exponent = backoff::grown(core.exponent);
            }
        } else {
            let calm = self.now.saturating_duration_since(core.calm_since);
            core.exponent = backoff::decayed(core.exponent, calm);
        }
        let cooldown = self.settings.cooldown.draw(core.exponent, self.rng);
        core.until = Some(self.now + cooldown);
        self.enter(BreakerState::CoolingDown, reason, Some(cooldown));
    }

    /// Ends a cooldown now. The endpoint's own `Retry-After` and an operator's command still
    /// hold.
    #[cold]
    fn hasten(&mut self) {
        let core = &mut *self.core;
        if core.state == BreakerState::CoolingDown
            && core.until.is_some_and(|until| until > self.now)
        {
            core.until = Some(self.now);
            self.effects.times = true;
        }
    }

    #[cold]
    fn force(&mut self, force: Force) {
        let core = &mut *self.core;
        core.until = None;
        core.forced = force != Force::Reset;
        let (state, reason) = match force {
            Force::Open => (BreakerState::CoolingDown, TransitionReason::ForcedOpen),
            Force::Closed => (BreakerState::Healthy, TransitionReason::ForcedClosed),
            Force::Reset => (BreakerState::Healthy, TransitionReason::Reset),
        };
        if force != Force::Open {
            core.not_before = None;
            core.calm_since = self.now;
            core.exponent = 0;
        }
        self.enter(state, reason, None);
        if force != Force::Open {
            self.core.forget_attempts();
            self.core.poll_at = Some(self.now);
        }
        if force == Force::Reset {
            self.core.averages = ErrorAverages::new();
        }
    }

    /// Changes the state and begins a generation: what is under way now comes too late.
    pub(super) fn enter(
        &mut self,
        to: BreakerState,
        reason: TransitionReason,
        cooldown: Option<Duration>,
    ) {
        self.core.generation += 1;
        self.change(to, reason, cooldown);
    }

    /// Changes the state within the generation.
    pub(super) fn continue_as(&mut self, to: BreakerState, reason: TransitionReason) {
        self.change(to, reason, None);
    }

    #[cold]
    fn change(&mut self, to: BreakerState, reason: TransitionReason, cooldown: Option<Duration>) {
        let core = &mut *self.core;
        let from = std::mem::replace(&mut core.state, to);
        core.seq += 1;
        core.success_run = 0;
        core.low_score_run = 0;
        core.passes = 0;
        core.fails = 0;
        core.poll_at = None;
        self.effects.word = Some(core.word());
        self.effects.times = true;
        self.effects.transition = Some(Box::new(Transition {
            seq: core.seq,
            at: self.now,
            from,
            to,
            reason,
            generation: core.generation,
            fail_count: core.fail_run,
            threshold: core.averages.threshold(&self.settings.shape),
            success_rate: core.attempts.success_share(),
            latency_ms: core.latencies.mean(self.now),
            health_score: core.score(self.now),
            cooldown,
        }));
        core.counts.transition(from, to, reason);
    }

    fn ticket(&self, canary: bool) -> Ticket {
        Ticket {
            generation: self.core.generation,
            canary,
        }
    }

    fn reject(&self, reason: RejectReason, until: Option<Instant>) -> Decision {
        Decision::Reject(Rejection {
            reason,
            retry_in: until.map(|until| until.saturating_duration_since(self.now)),
        })
    }
}

impl Core {
    /// Forgets what the attempts before said: the endpoint may be another one now.
    fn forget_attempts(&mut self) {
        self.fail_run = 0;
        self.attempts = Attempts::default();
        self.latencies = Latencies::new(self.calm_since);
    }
}

impl Counts {
    fn transition(&mut self, from: BreakerState, to: BreakerState, reason: TransitionReason) {
        let edge = (from, to, reason);
        match self
            .transitions
            .iter_mut()
            .find(|(known, _)| *known == edge)
        {
            Some((_, count)) => *count += 1,
            None => self.transitions.push((edge, 1)),
        }
    }
}
