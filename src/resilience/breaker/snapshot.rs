//! A breaker as its metrics show it.

use std::time::{Duration, SystemTime};

use super::state::{BreakerState, RejectReason, TransitionReason};
use crate::resilience::outcome::Outcome;

/// What a breaker looked like at one moment. Reading it changes nothing.
#[derive(Debug, Clone)]
pub struct BreakerSnapshot {
    /// The state.
    pub state: BreakerState,
    /// Counts the beginnings: see [`super::Permit::generation`].
    pub generation: u64,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// Attempts that failed, ever.
    pub failures: u64,
    /// Attempts by [`Outcome::ALL`]; cancelled ones only where the caller said so.
    pub outcomes: [u64; Outcome::COUNT],
    /// Rejections by [`RejectReason::ALL`].
    pub rejected: [u64; RejectReason::COUNT],
    /// Outcomes that came after their generation had ended.
    pub late_results: u64,
    /// Transitions by edge and reason.
    pub transitions: Vec<((BreakerState, BreakerState, TransitionReason), u64)>,
    /// When the breaker last opened; `None` if it never did.
    pub last_opened: Option<SystemTime>,
    /// Mean of the last fifty latencies that are at most 300 s old.
    pub latency_ms: Option<f64>,
    /// Share of successes in the last hundred attempts.
    pub success_ratio: Option<f64>,
    /// From 0 to 1.
    pub health_score: f64,
    /// Failures in a row that open the breaker.
    pub threshold: u32,
    /// The recent error average, from 0 to 1.
    pub ewma_error_ratio: f64,
    /// Time until an attempt can be admitted, whatever forbids it; `None` while the
    /// breaker is forced open.
    pub open_remaining: Option<Duration>,
    /// Canaries under way.
    pub half_open_in_flight: u32,
}
