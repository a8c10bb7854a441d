//! What the user may write, and how the rest follows from it.
//!
//! A written key is either used as it is or refused. A default is a suggestion: where it
//! would cross a written key it gives way, so that nobody has to write three keys to
//! change one. Only two written keys can contradict each other.

use std::time::Duration;

use super::check::Check;
use super::problem::{Amount, Key, Problem, Problems, Warning};
use super::{BreakerSettings, CacheSettings, HedgingSettings, RetrySettings, Settings};
use crate::resilience::backoff::Cooldown;
use crate::resilience::budget::BudgetSettings;
use crate::resilience::threshold::Shape;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

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
    /// Standard errors by which errors may exceed what is chronic. 2, from 0.5 to 5.
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
    /// How long the breaker first stays open. 60s, from 1s to 1h.
    pub cooldown: Option<Duration>,
    /// How long it stays open at most. 300s, from 1s to 24h.
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
    /// Age up to which an answer is used again. 10s, from 0 (off) to 1h.
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
    /// The textbook's: 5 failures, 30 s, no growth, 1 canary, nothing adaptive.
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
    /// Nothing at all.
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

/// Which end of the agent a breaker guards. It decides two defaults, and what becomes of a
/// round of canaries that nobody comes to finish: a poller always comes, so that its
/// round is given up at the deadline, while a destination waits for something to send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Edge {
    /// A source that is polled: cooldowns of 60s, up to 300s.
    #[default]
    Source,
    /// A destination: 5s, up to 60s, since a probe costs one request that was waiting
    /// anyway.
    Destination,
}

impl Config {
    /// Checks what was written and works out the rest.
    ///
    /// # Errors
    ///
    /// Every value outside its range and every two written keys that contradict each
    /// other, all at once.
    pub fn resolve(&self, poll: &PollConfig) -> Result<Settings, Problems> {
        let mut check = Check::default();
        let pace = self
            .retry
            .pace(poll, self.breaker.half_open_timeout, &mut check);
        let breaker = self.breaker.build(Edge::Source, pace.timeout, &mut check);
        check.ordered(
            (Key("timeout"), poll.timeout.map(Amount::Time)),
            (
                Key("breaker.half_open_timeout"),
                self.breaker.half_open_timeout.map(Amount::Time),
            ),
        );
        let retry = self.retry.build(pace.deadline, &mut check);
        let cache = self.cache.build(&mut check);
        let hedging = HedgingSettings {
            enabled: self.hedging.enabled.unwrap_or(false),
            min_delay: check.time(
                "hedging.min_delay",
                self.hedging.min_delay,
                MILLISECOND..=10 * MINUTE,
                100 * MILLISECOND,
            ),
        };
        let mut warnings = Vec::new();
        if let Some(ttl) = self.cache.ttl
            && !ttl.is_zero()
            && ttl <= pace.interval
        {
            warnings.push(Warning::NeverHit {
                ttl,
                interval: pace.interval,
            });
        }
        if breaker.min_health_score >= 1.0 {
            warnings.push(Warning::NeverHealthy);
        }
        check.finish(Settings {
            breaker,
            retry,
            cache,
            hedging,
            interval: pace.interval,
            timeout: pace.timeout,
            warnings,
        })
    }
}

impl BreakerConfig {
    /// Checks the breaker's keys alone, for one that is used without a guard, such as an
    /// exporter's with its request `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Config::resolve`].
    pub fn resolve(&self, edge: Edge, timeout: Duration) -> Result<BreakerSettings, Problems> {
        let mut check = Check::default();
        let settings = self.build(edge, timeout, &mut check);
        check.ordered(
            (Key("timeout"), Some(Amount::Time(timeout))),
            (
                Key("breaker.half_open_timeout"),
                self.half_open_timeout.map(Amount::Time),
            ),
        );
        check.finish(settings)
    }

    fn build(&self, edge: Edge, timeout: Duration, check: &mut Check) -> BreakerSettings {
        let simple = self.preset.unwrap_or_default() == Preset::Simple;
        let (threshold, threshold_floor) = self.thresholds(check);
        let (min_health_score, recovery_score) = self.scores(check);
        let (canary_count, canary_required, canary_concurrency) = self.canaries(simple, check);
        BreakerSettings {
            edge,
            mode: self.mode.unwrap_or_default(),
            shape: Shape {
                base: threshold,
                floor: threshold_floor,
                adaptive: self.adaptive.unwrap_or(!simple),
                alpha: check.number("breaker.ewma_alpha", self.ewma_alpha, 0.01..=1.0, 0.3),
                sensitivity: check.number(
                    "breaker.adaptive_sensitivity",
                    self.adaptive_sensitivity,
                    0.5..=5.0,
                    2.0,
                ),
            },
            min_health_score,
            recovery_score,
            min_success_rate: check.number(
                "breaker.min_success_rate",
                self.min_success_rate,
                0.0..=1.0,
                0.3,
            ),
            sample_size: check.count("breaker.sample_size", self.sample_size, 5..=100, 20),
            slow_call: check.time(
                "breaker.slow_call",
                self.slow_call,
                MILLISECOND..=10 * MINUTE,
                2 * SECOND,
            ),
            cooldown: self.cooldowns(edge, simple, check),
            canary_count,
            canary_required,
            canary_concurrency,
            half_open_timeout: check.time(
                "breaker.half_open_timeout",
                self.half_open_timeout,
                SECOND..=HOUR,
                timeout.max(30 * SECOND),
            ),
        }
    }

    fn thresholds(&self, check: &mut Check) -> (u32, u32) {
        let (high, low) = ("breaker.failure_threshold", "breaker.min_failure_threshold");
        let base = check.count(
            high,
            self.failure_threshold,
            1..=1000,
            self.min_failure_threshold.unwrap_or(0).clamp(5, 1000),
        );
        let floor = check.count(
            low,
            self.min_failure_threshold,
            1..=1000,
            u64::from(base.min(2)),
        );
        check.ordered(
            (Key(low), self.min_failure_threshold.map(Amount::Count)),
            (Key(high), self.failure_threshold.map(Amount::Count)),
        );
        (base, floor)
    }

    fn scores(&self, check: &mut Check) -> (f64, f64) {
        let (low, high) = ("breaker.min_health_score", "breaker.recovery_score");
        // Where the written one leaves no room for the other's default, half of what
        // lies beyond it.
        let min_default = match self.recovery_score {
            Some(recovery) if recovery <= 0.3 => recovery / 2.0,
            _ => 0.3,
        };
        let min = check.number(low, self.min_health_score, 0.0..=1.0, min_default);
        let recovery_default = if min < 0.7 { 0.7 } else { (1.0 + min) / 2.0 };
        let recovery = check.number(high, self.recovery_score, 0.0..=1.0, recovery_default);
        let right = |score: &f64| (0.0..=1.0).contains(score);
        match (
            self.min_health_score.filter(right),
            self.recovery_score.filter(right),
        ) {
            (Some(low_value), Some(high_value)) if high_value <= low_value => {
                check.report(Problem::NotAbove {
                    high: Key(high),
                    high_value: Amount::Number(high_value),
                    low: Key(low),
                    low_value: Amount::Number(low_value),
                });
            }
            (None, Some(high_value)) if high_value == 0.0 => {
                check.report(Problem::NotAbove {
                    high: Key(high),
                    high_value: Amount::Number(high_value),
                    low: Key(low),
                    low_value: Amount::Number(0.0),
                });
            }
            _ => {}
        }
        (min, recovery)
    }

    fn cooldowns(&self, edge: Edge, simple: bool, check: &mut Check) -> Cooldown {
        let (cooldown_key, max_key) = ("breaker.cooldown", "breaker.max_cooldown");
        let (default, default_max) = match (simple, edge) {
            (true, _) => (30 * SECOND, Duration::ZERO),
            (false, Edge::Source) => (60 * SECOND, 300 * SECOND),
            (false, Edge::Destination) => (5 * SECOND, 60 * SECOND),
        };
        let mut jitter = check.number("breaker.jitter", self.jitter, 0.0..=0.9, 0.3);
        let base_default = match self.max_cooldown {
            Some(max) => default.min(max.div_f64(1.0 + jitter)),
            None => default,
        };
        let base = check.time(cooldown_key, self.cooldown, SECOND..=HOUR, base_default);
        if let (Some(max), None) = (self.max_cooldown, self.jitter) {
            // A written cooldown and a written maximum close together leave this much.
            let room = max.as_secs_f64() / base.as_secs_f64().max(1e-9) - 1.0;
            jitter = jitter.min(room.max(0.0));
        }
        // Rounded up, so that the product itself is never over what it gave.
        let spread = base.mul_f64(1.0 + jitter);
        let max = check.time(
            max_key,
            self.max_cooldown,
            SECOND..=24 * HOUR,
            default_max.max(spread),
        );
        let written_jitter = self.jitter.filter(|jitter| (0.0..=0.9).contains(jitter));
        let needed = self
            .cooldown
            .map(|cooldown| cooldown.mul_f64(1.0 + written_jitter.unwrap_or(0.0)));
        if let (Some(cooldown), Some(needed), Some(max)) =
            (self.cooldown, needed, self.max_cooldown)
            && needed > max
        {
            check.report(Problem::Crossed {
                low: Key(cooldown_key),
                low_value: Amount::Time(cooldown),
                high: Key(max_key),
                limit: Amount::Time(max.div_f64(1.0 + written_jitter.unwrap_or(0.0))),
            });
        }
        Cooldown {
            base,
            max: max.max(spread),
            jitter,
        }
    }

    fn canaries(&self, simple: bool, check: &mut Check) -> (u32, u32, u32) {
        let count_key = "breaker.canary_count";
        let suggested = if simple { 1 } else { 3 };
        let at_least = self
            .canary_required
            .max(self.canary_concurrency)
            .unwrap_or(0)
            .min(100);
        let count = check.count(
            count_key,
            self.canary_count,
            1..=100,
            at_least.max(suggested),
        );
        let mut below = |key, written: Option<u64>, suggested: u64| {
            let value = check.count(key, written, 1..=100, suggested.min(u64::from(count)));
            check.ordered(
                (Key(key), written.map(Amount::Count)),
                (Key(count_key), self.canary_count.map(Amount::Count)),
            );
            value
        };
        let required = below("breaker.canary_required", self.canary_required, 2);
        let concurrency = below("breaker.canary_concurrency", self.canary_concurrency, 1);
        (count, required, concurrency)
    }
}

/// How fast an endpoint is polled, and how long each thing may take.
struct Pace {
    interval: Duration,
    timeout: Duration,
    deadline: Duration,
}

impl RetryConfig {
    fn pace(
        &self,
        poll: &PollConfig,
        half_open_timeout: Option<Duration>,
        check: &mut Check,
    ) -> Pace {
        let (timeout, deadline, interval) = ("timeout", "retry.deadline", "collection_interval");
        let longest = self.deadline.max(poll.timeout).unwrap_or_default();
        let pace_interval = check.time(
            interval,
            poll.interval,
            100 * MILLISECOND..=24 * HOUR,
            longest.max(15 * SECOND),
        );
        let pace_deadline = check.time(
            deadline,
            self.deadline,
            50 * MILLISECOND..=HOUR,
            (pace_interval.mul_f64(14.0 / 15.0))
                .min(14 * SECOND)
                .max(poll.timeout.unwrap_or_default()),
        );
        let pace_timeout = check.time(
            timeout,
            poll.timeout,
            MILLISECOND..=10 * MINUTE,
            (5 * SECOND)
                .min(pace_deadline)
                .min(half_open_timeout.unwrap_or(Duration::MAX)),
        );
        let chain = [
            (Key(timeout), poll.timeout.map(Amount::Time)),
            (Key(deadline), self.deadline.map(Amount::Time)),
            (Key(interval), poll.interval.map(Amount::Time)),
        ];
        let [first, second, third] = chain;
        check.ordered(first, second);
        check.ordered(second, third);
        if self.deadline.is_none() {
            check.ordered(first, third);
        }
        Pace {
            interval: pace_interval,
            timeout: pace_timeout,
            deadline: pace_deadline,
        }
    }

    fn build(&self, deadline: Duration, check: &mut Check) -> RetrySettings {
        RetrySettings {
            max: check.count("retry.max", self.max, 0..=10, 3),
            base: check.time("retry.base", self.base, 10 * MILLISECOND..=MINUTE, SECOND),
            deadline,
            budget: BudgetSettings {
                capacity: check.count("retry.budget.capacity", self.budget_capacity, 0..=1000, 10),
                per_success: check.number(
                    "retry.budget.per_success",
                    self.budget_per_success,
                    0.0..=1.0,
                    0.2,
                ),
            },
        }
    }
}

impl CacheConfig {
    fn build(&self, check: &mut Check) -> CacheSettings {
        let (ttl_key, staleness_key) = ("cache.ttl", "cache.max_staleness");
        // Zero means "nothing stale" and not "for no time", so it crosses nothing.
        let bound = self.max_staleness.filter(|bound| !bound.is_zero());
        let ttl = check.time(
            ttl_key,
            self.ttl,
            Duration::ZERO..=HOUR,
            (10 * SECOND).min(bound.unwrap_or(Duration::MAX)),
        );
        let max_staleness = check.time(
            staleness_key,
            self.max_staleness,
            Duration::ZERO..=24 * HOUR,
            ttl.max(300 * SECOND),
        );
        check.ordered(
            (Key(ttl_key), self.ttl.map(Amount::Time)),
            (Key(staleness_key), bound.map(Amount::Time)),
        );
        CacheSettings { ttl, max_staleness }
    }
}
