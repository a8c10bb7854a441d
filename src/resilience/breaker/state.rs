//! The types of a breaker's interface: states, reasons, rejections, outcomes, transitions.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::resilience::outcome::Outcome;

/// The state of one endpoint's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BreakerState {
    /// Everything passes.
    Healthy = 0,
    /// Everything passes, but retries are few and nothing is hedged.
    Degraded = 1,
    /// Nothing passes until the cooldown is over.
    CoolingDown = 2,
    /// Canaries pass, a few at a time.
    HalfOpen = 3,
}

impl BreakerState {
    /// The value of the `circuit_breaker_state` gauge.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name in logs, spans and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::CoolingDown => "CoolingDown",
            Self::HalfOpen => "HalfOpen",
        }
    }

    /// Whether ordinary requests pass.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded)
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a state changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransitionReason {
    /// So many failures in a row.
    ConsecutiveFailures,
    /// Too few of the last hundred attempts succeeded.
    SuccessRate,
    /// The health score was too low.
    HealthScore,
    /// Most calls were slow.
    SlowCalls,
    /// Three successes in a row, while share, score and latencies are good again.
    Recovered,
    /// The cooldown is over, and an attempt was asked for.
    CooldownOver,
    /// Enough canaries passed.
    CanariesPassed,
    /// The first canary failed, or so many that the rest can't make up for them.
    CanaryFailed,
    /// A canary was told to come back later.
    CanaryThrottled,
    /// The canaries took too long.
    HalfOpenTimeout,
    /// Somebody forced it open.
    ForcedOpen,
    /// Somebody forced it closed.
    ForcedClosed,
    /// Somebody reset it.
    Reset,
}

impl TransitionReason {
    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::SuccessRate => "success_rate",
            Self::HealthScore => "health_score",
            Self::SlowCalls => "slow_calls",
            Self::Recovered => "recovered",
            Self::CooldownOver => "cooldown_over",
            Self::CanariesPassed => "canaries_passed",
            Self::CanaryFailed => "canary_failed",
            Self::CanaryThrottled => "canary_throttled",
            Self::HalfOpenTimeout => "half_open_timeout",
            Self::ForcedOpen => "force_open",
            Self::ForcedClosed => "force_closed",
            Self::Reset => "reset",
        }
    }
}

/// What an operator can do to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Reject everything, until forced closed or reset.
    Open,
    /// Admit everything whatever the outcomes, until forced open or reset. Statistics go
    /// on; advice by Retry-After is still heeded.
    Closed,
    /// Be as new: Healthy, with no memory of this endpoint.
    Reset,
}

/// Why an attempt wasn't admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// The cooldown isn't over.
    Open,
    /// Only canaries pass, and none is due.
    HalfOpen,
    /// The endpoint asked to be left alone for a while.
    RetryAfter,
    /// Somebody forced the breaker open.
    ForcedOpen,
    /// The agent is ending.
    Shutdown,
}

impl RejectReason {
    pub(in crate::resilience) const COUNT: usize = 5;

    /// Every reason, in the order in which metrics list them.
    pub const ALL: [RejectReason; Self::COUNT] = [
        Self::Open,
        Self::HalfOpen,
        Self::RetryAfter,
        Self::ForcedOpen,
        Self::Shutdown,
    ];

    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::RetryAfter => "retry_after",
            Self::ForcedOpen => "force_open",
            Self::Shutdown => "shutdown",
        }
    }
}

/// An attempt that wasn't admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rejected by the circuit breaker ({})", .reason.as_str())]
pub struct Rejection {
    /// Why.
    pub reason: RejectReason,
    /// The time until an attempt can be admitted; `None` where time alone won't do.
    pub retry_in: Option<Duration>,
}

/// How an admitted attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// What it came to.
    pub outcome: Outcome,
    /// How long it took; for [`Outcome::Timeout`] the limit that it ran into, also when
    /// the endpoint itself said 408 before that.
    pub latency: Duration,
    /// The endpoint's advice, as [`crate::resilience::retry_after::parse`] read it.
    pub retry_after: Option<Duration>,
}

impl Completion {
    /// An outcome after so long, without advice.
    pub const fn new(outcome: Outcome, latency: Duration) -> Self {
        Self {
            outcome,
            latency,
            retry_after: None,
        }
    }

    /// The same with the endpoint's advice.
    pub const fn advised(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }
}

/// A change of state, with what led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// Counts the transitions of this endpoint from 1, without gaps. Events are published
    /// outside the lock, so two threads may publish theirs in the other order.
    pub seq: u64,
    /// When.
    pub at: Instant,
    /// The state before.
    pub from: BreakerState,
    /// The state after.
    pub to: BreakerState,
    /// Why.
    pub reason: TransitionReason,
    /// The generation that begins, or goes on where the edge doesn't begin one.
    pub generation: u64,
    /// Failures in a row.
    pub fail_count: u32,
    /// Failures in a row that open the breaker.
    pub threshold: u32,
    /// Share of successes in the last hundred attempts; `None` without any.
    pub success_rate: Option<f64>,
    /// Mean of the recent latencies.
    pub latency_ms: Option<f64>,
    /// From 0 to 1.
    pub health_score: f64,
    /// The cooldown drawn, where one was.
    pub cooldown: Option<Duration>,
}

/// The rules by which a state admits attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resilience) struct Ticket {
    pub(in crate::resilience) generation: u64,
    pub(in crate::resilience) canary: bool,
}
