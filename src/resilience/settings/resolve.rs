//! How the rest follows from what is written.
//!
//! A written key is either used as it is or refused. A default that contradicts a written key
//! is adjusted to it, so that a user can change one key without writing two others. Only two
//! written keys can contradict each other.

use std::sync::Arc;
use std::time::Duration;

use super::check::Check;
use super::config::{BreakerConfig, CacheConfig, Config, Edge, PollConfig, Preset, RetryConfig};
use super::problem::{Amount, Key, Problems, SettingsProblem, Warning};
use super::{BreakerSettings, CacheSettings, HedgingSettings, RetrySettings, Settings};
use crate::resilience::backoff::Cooldown;
use crate::resilience::budget::BudgetSettings;
use crate::resilience::threshold::ThresholdShape;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

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
        let cache = self.cache.build(pace.interval, &mut check);
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
            written: Arc::new(self.clone()),
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
            shape: ThresholdShape {
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
                check.report(SettingsProblem::NotAbove {
                    high: Key(high),
                    high_value: Amount::Number(high_value),
                    low: Key(low),
                    low_value: Amount::Number(low_value),
                });
            }
            (None, Some(high_value)) if high_value == 0.0 => {
                check.report(SettingsProblem::NotAbove {
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
            (false, Edge::Source) => (30 * SECOND, 120 * SECOND),
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
            check.report(SettingsProblem::Crossed {
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
    fn build(&self, interval: Duration, check: &mut Check) -> CacheSettings {
        let (ttl_key, staleness_key) = ("cache.ttl", "cache.max_staleness");
        // Shorter than the time between two polls of an interval, the first two of a source
        // included: whoever polls every second wants new values every second.
        let suggested = (10 * SECOND).min(interval * 2 / 3);
        // Zero turns stale answers off, so that no other key contradicts it.
        let bound = self.max_staleness.filter(|bound| !bound.is_zero());
        let ttl = check.time(
            ttl_key,
            self.ttl,
            Duration::ZERO..=HOUR,
            suggested.min(bound.unwrap_or(Duration::MAX)),
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
