//! A breaker by hand, and the tests of its tables.

mod half_open;
mod outcomes;
mod properties;
mod states;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::resilience::outcome::{Outcome, Transport};
use crate::resilience::settings::{BreakerConfig, Edge};

pub(super) const REFUSED: Outcome = Outcome::Transport(Transport::Refused);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A breaker, a clock that only the test moves, and what was observed.
pub(super) struct Bench {
    pub(super) breaker: Breaker,
    pub(super) now: Instant,
    pub(super) seen: Arc<Seen>,
}

#[derive(Default)]
pub(super) struct Seen(Mutex<Vec<Transition>>);

impl Seen {
    /// What was seen after the first `known`.
    pub(super) fn after(&self, known: u64) -> Vec<Transition> {
        lock_std(&self.0)
            .iter()
            .skip(known as usize)
            .cloned()
            .collect()
    }

    pub(super) fn last(&self) -> Option<Transition> {
        lock_std(&self.0).last().cloned()
    }
}

impl BreakerObserver for Seen {
    fn on_transition(&self, transition: &Transition) {
        lock_std(&self.0).push(transition.clone());
    }
}

fn lock_std<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Bench {
    pub(super) fn new(config: BreakerConfig) -> Self {
        Self::seeded(config, 1)
    }

    pub(super) fn seeded(config: BreakerConfig, seed: u64) -> Self {
        Self::at(Edge::Source, config, seed)
    }

    pub(super) fn at(edge: Edge, config: BreakerConfig, seed: u64) -> Self {
        let settings = config.resolve(edge, Duration::from_secs(5)).unwrap();
        let now = Instant::now();
        let seen = Arc::new(Seen::default());
        let breaker = Breaker::new(settings, seed, now).observed_by(seen.clone());
        Self { breaker, now, seen }
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// One attempt that is admitted and takes 10 ms.
    pub(super) fn attempt(&mut self, outcome: Outcome) {
        self.attempt_in(outcome, Duration::from_millis(10));
    }

    pub(super) fn attempt_in(&mut self, outcome: Outcome, latency: Duration) {
        let permit = self.breaker.acquire(self.now).unwrap();
        permit.record(self.now, Completion::new(outcome, latency));
    }

    pub(super) fn attempts(&mut self, count: u32, outcome: Outcome) {
        for _ in 0..count {
            self.attempt(outcome);
        }
    }

    pub(super) fn reject(&self) -> Rejection {
        self.breaker.acquire(self.now).unwrap_err()
    }

    pub(super) fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    pub(super) fn snapshot(&self) -> BreakerSnapshot {
        self.breaker.snapshot(self.now)
    }

    /// Opens it after a clean history.
    pub(super) fn open(&mut self) {
        self.attempts(5, REFUSED);
        assert_eq!(self.state(), BreakerState::CoolingDown);
    }

    /// Waits until the cooldown is over.
    pub(super) fn cool_down(&mut self) {
        self.now = self.breaker.wake_at().unwrap();
    }

    pub(super) fn transitions(&self) -> Vec<(BreakerState, BreakerState, TransitionReason)> {
        lock_std(&self.seen.0)
            .iter()
            .map(|seen| (seen.from, seen.to, seen.reason))
            .collect()
    }

    pub(super) fn last(&self) -> Transition {
        lock_std(&self.seen.0).last().unwrap().clone()
    }

    /// The exponent of the next cooldown.
    pub(super) fn exponent(&self) -> u32 {
        lock(&self.breaker.locked).core.exponent
    }
}
