//! What the user may write; how the rest follows from it is in [`super::resolve`].

use std::time::Duration;

/// The keys of `processors: resilience:`. `None` is what wasn't written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// `breaker:`
    pub breaker: BreakerConfig,
    /// `retry:`
    pub retry: RetryConfig,
    /// `cache:`
    pub cache: CacheConfig,
    /// `hedging:`
    pub hedging: HedgingConfig,
}

/// The keys of `breaker:`, for sources and destinations alike.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BreakerConfig {
    /// Which defaults the other keys have.
    pub preset: Option<Preset>,
    /// What the breaker may do.
    pub mode: Option<Mode>,
    /// Failures in a row that open it. 5, from 1 to 1000.
    pub failure_threshold: Option<u64>,
    /// What the adaptive threshold may shrink to. 2, from 1 to `failure_threshold`.
    pub min_failure_threshold: Option<u64>,
    /// Whether chronic errors shrink the threshold. True.
    pub adaptive: Option<bool>,
    /// Weight of the newest attempt in the error average. 0.3, from 0.01 to 1.
    pub ewma_alpha: Option<f64>,
    /// Standard errors by which the recent errors may exceed the chronic average before the
    /// rest counts as a spike. 2, from 0.5 to 5.
    pub adaptive_sensitivity: Option<f64>,
    /// Score below which an endpoint is degraded. 0.3, from 0 to 1.
    pub min_health_score: Option<f64>,
    /// Score above which it is healthy again. 0.7, above `min_health_score`, to 1.
    pub recovery_score: Option<f64>,
    /// Share of successes below which the breaker opens. 0.3, from 0 to 1.
    pub min_success_rate: Option<f64>,
    /// Attempts before that share is believed. 20, from 5 to 100.
    pub sample_size: Option<u64>,
    /// Latency from which a call is slow. 2s, from 1ms to 10m.
    pub slow_call: Option<Duration>,
    /// How long the breaker first stays open. 30s, or 5s for a destination, from 1s to 1h.
    pub cooldown: Option<Duration>,
    /// How long it stays open at most. 120s, or 60s for a destination, from 1s to 24h.
    pub max_cooldown: Option<Duration>,
    /// Share by which a cooldown is drawn shorter or longer. 0.3, from 0 to 0.9.
    pub jitter: Option<f64>,
    /// Canaries in a round. 3, from 1 to 100.
    pub canary_count: Option<u64>,
    /// How many of them must pass. 2, from 1 to `canary_count`.
    pub canary_required: Option<u64>,
    /// How many may be under way at once. 1, from 1 to `canary_count`.
    pub canary_concurrency: Option<u64>,
    /// How long a round may take. 30s, from 1s to 1h.
    pub half_open_timeout: Option<Duration>,
}

/// The keys of `retry:`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetryConfig {
    /// Retries after the first attempt. 3, from 0 to 10.
    pub max: Option<u64>,
    /// Delay before the first retry; it doubles. 1s, from 10ms to 60s.
    pub base: Option<Duration>,
    /// Time for a whole poll. 14s, from 50ms to 1h.
    pub deadline: Option<Duration>,
    /// `budget.capacity`: tokens. 10, from 0 to 1000.
    pub budget_capacity: Option<u64>,
    /// `budget.per_success`: tokens that a success earns. 0.2, from 0 to 1.
    pub budget_per_success: Option<f64>,
}

/// The keys of `cache:`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CacheConfig {
    /// Age up to which an answer is used again. 10s or two thirds of the interval, whichever is
    /// shorter; from 0 (off) to 1h.
    pub ttl: Option<Duration>,
    /// Age up to which it stands in for a failure. 300s, from 0 (never) to 24h.
    pub max_staleness: Option<Duration>,
}

/// The keys of `hedging:`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HedgingConfig {
    /// Whether a second request may overtake a slow one. False.
    pub enabled: Option<bool>,
    /// It is never sent before this. 100ms, from 1ms to 10m.
    pub min_delay: Option<Duration>,
}

/// The keys of the receiver that the guard depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollConfig {
    /// `collection_interval`. 15s, from 100ms to 24h.
    pub interval: Option<Duration>,
    /// `timeout` of one request. 5s, from 1ms to 10m.
    pub timeout: Option<Duration>,
}

/// Which defaults a breaker's keys have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preset {
    /// Adaptive, with growing cooldowns and several canaries.
    #[default]
    Default,
    /// 5 failures open it for 30 s without growth, 1 canary closes it, nothing is adaptive.
    Simple,
}

/// What a breaker may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Reject what its state doesn't admit.
    #[default]
    Enforce,
    /// Keep its state and its metrics, and reject nothing.
    Observe,
    /// No breaker: everything passes, and outcomes change no state.
    Off,
}

impl Mode {
    /// The word for it in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }
}

/// Which end of the agent a breaker guards. It decides the defaults of `cooldown` and
/// `max_cooldown`, and what happens at the deadline of a round in which a canary has passed
/// and none has failed. A source's round is given up, since its poller would have sent the
/// next canary; a destination's goes on, since there may be no request to send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Edge {
    /// A source that is polled: cooldowns of 30s, up to 120s.
    #[default]
    Source,
    /// A destination: 5s, up to 60s, since a probe costs one request that was waiting
    /// anyway.
    Destination,
}
