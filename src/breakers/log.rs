//! What breakers do, as lines of the log: one WARN when an endpoint degrades, one ERROR
//! when its breaker opens, INFO for everything on the way back.
//!
//! Between the opening of a breaker and its recovery there is no second ERROR, since a canary
//! that fails is no news. A transition that an operator commanded is INFO.
//! Rejections are told once a minute for each endpoint, with how many there were.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Level;

use crate::resilience::{
    BreakerState, EndpointId, Event, Observer, Rejection, Transition, TransitionReason,
};

/// Rejections of one endpoint are told once in this time.
const QUIET: Duration = Duration::from_secs(60);

/// Endpoints whose rejections are remembered before the old ones are let go.
const REMEMBERED: usize = 1_024;

/// Writes the log. Holds one entry for each endpoint that was rejected within the last
/// minute or so.
#[derive(Debug, Default)]
pub(super) struct BreakerLog {
    // Std: the section looks up an entry.
    rejections: Mutex<HashMap<EndpointId, Rejections>>,
}

#[derive(Debug)]
struct Rejections {
    told: Instant,
    since: u64,
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
        if transition.to.is_closed() {
            self.lock().remove(endpoint);
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
        let Some(rejections) = self.count(endpoint, now) else {
            return;
        };
        tracing::info!(
            component = endpoint.component(),
            endpoint = endpoint.url(),
            signal = endpoint.signal(),
            reason = rejection.reason.as_str(),
            retry_in_s = rejection.retry_in.map(|left| rounded(left.as_secs_f64())),
            rejections,
            "circuit breaker rejects"
        );
    }

    /// Counts one, and returns how many are to be told now.
    fn count(&self, endpoint: &EndpointId, now: Instant) -> Option<u64> {
        let fresh = |told: Instant| now.saturating_duration_since(told) < QUIET;
        let mut all = self.lock();
        if let Some(known) = all.get_mut(endpoint) {
            known.since += 1;
            if fresh(known.told) {
                return None;
            }
            known.told = now;
            return Some(std::mem::take(&mut known.since));
        }
        if all.len() >= REMEMBERED {
            all.retain(|_, known| fresh(known.told));
        }
        let known = Rejections {
            told: now,
            since: 0,
        };
        all.insert(endpoint.clone(), known);
        Some(1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<EndpointId, Rejections>> {
        self.rejections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
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
