//! What breakers do, as lines of the log: one WARN when an endpoint degrades, one ERROR
//! when its breaker opens, INFO for everything on the way back.
//!
//! Between the opening of a breaker and its recovery there is no second ERROR, since a canary
//! that fails is no news. A transition that an operator commanded is INFO.
//! Rejections are told once a minute for each endpoint, with how many there were; the line of a
//! breaker that closes has the number of those that no line has told.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use tracing::Level;

use crate::resilience::{
    BreakerState, EndpointId, Event, Observer, Rejection, Transition, TransitionReason,
};
use crate::telemetry::Throttle;

/// Endpoints whose rejections are remembered before the old ones are let go.
const REMEMBERED: usize = 1_024;

/// Writes the log.
#[derive(Debug, Default)]
pub(super) struct BreakerLog {
    // Std: the section finds an entry, or lets the old ones go. Lines are written after it.
    rejections: Mutex<Rejections>,
}

/// One entry for each endpoint that was rejected within the last minute or so.
#[derive(Debug, Default)]
struct Rejections {
    of: HashMap<EndpointId, Throttle>,
    /// How many entries there were when the old ones were last let go.
    kept: usize,
}

impl Observer for BreakerLog {
    fn on_event(&self, endpoint: &EndpointId, event: &Event<'_>) {
        match event {
            Event::Transition(transition) => self.transition(endpoint, transition),
            Event::Rejected(rejection) => self.rejected(endpoint, *rejection, Instant::now()),
            Event::Attempted { .. } | Event::RetryScheduled { .. } | Event::StaleServed { .. } => {}
        }
    }
}

impl BreakerLog {
    fn transition(&self, endpoint: &EndpointId, transition: &Transition) {
        let mut rejections = None;
        if transition.to.is_closed() {
            let known = self.lock().of.remove(endpoint);
            rejections = known.and_then(|known| known.rest());
        }
        let (level, message) = wording(transition);
        // The level of a line is fixed where it is written.
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    component = endpoint.component(),
                    endpoint = endpoint.url(),
                    signal = endpoint.signal(),
                    state_transition = format_args!("{} -> {}", transition.from, transition.to),
                    reason = transition.reason.as_str(),
                    fail_count = transition.fail_count,
                    threshold = transition.threshold,
                    success_rate = transition.success_rate.map(rounded),
                    latency_ms = transition.latency_ms.map(rounded),
                    health_score = rounded(transition.health_score),
                    cooldown_s = transition
                        .cooldown
                        .map(|cooldown| rounded(cooldown.as_secs_f64())),
                    generation = transition.generation,
                    seq = transition.seq,
                    rejections,
                    "{message}"
                )
            };
        }
        match level {
            Level::ERROR => line!(Level::ERROR),
            Level::WARN => line!(Level::WARN),
            _ => line!(Level::INFO),
        }
    }

    fn rejected(&self, endpoint: &EndpointId, rejection: Rejection, now: Instant) {
        let (told, forgotten) = self.lock().note(endpoint, now);
        for (endpoint, rejections) in forgotten {
            tell(&endpoint, rejections, None);
        }
        if let Some(rejections) = told {
            tell(endpoint, rejections, Some(rejection));
        }
    }

    /// Logs the rejections that no line has told.
    pub(super) fn tell_rest(&self) {
        let all = std::mem::take(&mut *self.lock());
        for (endpoint, known) in all.of {
            if let Some(rejections) = known.rest() {
                tell(&endpoint, rejections, None);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Rejections> {
        self.rejections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rejections {
    /// Counts a rejection. Returns how many there are to tell of this endpoint now, and of those
    /// that are let go.
    fn note(
        &mut self,
        endpoint: &EndpointId,
        now: Instant,
    ) -> (Option<u64>, Vec<(EndpointId, u64)>) {
        let mut forgotten = Vec::new();
        if !self.of.contains_key(endpoint) {
            // Only when there are twice as many as last time, since it looks at all of them.
            if self.of.len() >= REMEMBERED.max(2 * self.kept) {
                let old = self.of.extract_if(|_, throttle| !throttle.is_holding(now));
                forgotten.extend(old.filter_map(|(id, known)| Some((id, known.rest()?))));
                self.kept = self.of.len();
            }
            self.of.insert(endpoint.clone(), Throttle::default());
        }
        let known = self.of.get(endpoint);
        (known.and_then(|known| known.pass(1, now)), forgotten)
    }
}

/// Logs that requests were rejected, and why the last one was.
fn tell(endpoint: &EndpointId, rejections: u64, last: Option<Rejection>) {
    let left = last.and_then(|rejection| rejection.retry_in);
    tracing::info!(
        component = endpoint.component(),
        endpoint = endpoint.url(),
        signal = endpoint.signal(),
        reason = last.map(|rejection| rejection.reason.as_str()),
        retry_in_s = left.map(|left| rounded(left.as_secs_f64())),
        rejections,
        "circuit breaker rejects"
    );
}

/// How bad a transition is, and what it means.
fn wording(transition: &Transition) -> (Level, &'static str) {
    use BreakerState::{CoolingDown, Degraded, HalfOpen, Healthy};
    if let TransitionReason::ForcedOpen | TransitionReason::ForcedClosed | TransitionReason::Reset =
        transition.reason
    {
        return (Level::INFO, "circuit breaker was commanded");
    }
    match (transition.from, transition.to) {
        (Healthy, Degraded) => (Level::WARN, "endpoint is degraded"),
        (Healthy | Degraded, CoolingDown) => (Level::ERROR, "circuit breaker opens"),
        (HalfOpen, CoolingDown) => (Level::INFO, "circuit breaker stays open"),
        (_, HalfOpen) => (Level::INFO, "circuit breaker lets canaries through"),
        (_, Healthy) => (Level::INFO, "endpoint is healthy again"),
        (_, Degraded) => (Level::INFO, "circuit breaker closes"),
        (CoolingDown, CoolingDown) => (Level::INFO, "circuit breaker stays open"),
    }
}

/// Rounds to the thousandth; more digits would only make the line longer.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn endpoints_that_were_rejected_long_ago_are_let_go_and_told() {
        let (mut rejections, start) = (Rejections::default(), Instant::now());
        let id = |n: usize| EndpointId::new("otlp_http", &format!("http://{n}"));
        for n in 0..REMEMBERED {
            assert_eq!(rejections.note(&id(n), start), (Some(1), Vec::new()));
        }
        assert_eq!(rejections.note(&id(0), start), (None, Vec::new()));
        let later = start + Duration::from_secs(61);
        let (told, forgotten) = rejections.note(&id(REMEMBERED), later);
        assert_eq!((told, forgotten), (Some(1), vec![(id(0), 1)]));
        assert_eq!(rejections.of.len(), 1);
    }

    #[test]
    fn endpoints_that_are_all_rejected_now_are_looked_at_twice_each() {
        let (mut rejections, now) = (Rejections::default(), Instant::now());
        let mut sweeps = Vec::new();
        for n in 0..8 * REMEMBERED {
            let id = EndpointId::new("otlp_http", &format!("http://{n}"));
            let before = rejections.kept;
            rejections.note(&id, now);
            if rejections.kept != before {
                sweeps.push(rejections.kept / REMEMBERED);
            }
        }
        assert_eq!(sweeps, [1, 2, 4]);
    }
}
