//! What a guard and its breaker go by.
//!
//! [`Config`] is what a user writes; its `resolve` checks it and returns [`Settings`],
//! which can't be made in any other way and so can't hold an invalid value.
//!
//! ```
//! use foghorn::resilience::{BreakerConfig, Config, PollConfig};
//!
//! let config = Config {
//!     breaker: BreakerConfig { failure_threshold: Some(10), ..Default::default() },
//!     ..Default::default()
//! };
//! let settings = config.resolve(&PollConfig::default())?;
//! # Ok::<(), foghorn::resilience::Problems>(())
//! ```

mod check;
mod config;
mod problem;
mod resolve;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use config::{
    BreakerConfig, CacheConfig, Config, Edge, HedgingConfig, Mode, PollConfig, Preset, RetryConfig,
};
pub use problem::{Amount, Key, Problems, SettingsProblem, Warning};

use super::backoff::Cooldown;
use super::budget::BudgetSettings;
use super::threshold::ThresholdShape;

/// What a guard goes by. `Settings::default()` is what an empty configuration means.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub(super) breaker: BreakerSettings,
    pub(super) retry: RetrySettings,
    pub(super) cache: CacheSettings,
    pub(super) hedging: HedgingSettings,
    interval: Duration,
    pub(super) timeout: Duration,
    warnings: Vec<Warning>,
    written: Arc<Config>,
}

impl Settings {
    /// What the same keys mean for an endpoint with another interval and another timeout, such as
    /// one of several that a receiver polls. Where a written `retry.deadline` or
    /// `breaker.half_open_timeout` contradicts them, that key gives way: a poll ends with its
    /// interval.
    pub fn at_pace(&self, interval: Duration, timeout: Duration) -> Self {
        let mut written = Config::clone(&self.written);
        let fits = |deadline: &Duration| (timeout..=interval).contains(deadline);
        written.retry.deadline = written.retry.deadline.filter(fits);
        let half_open = written.breaker.half_open_timeout;
        written.breaker.half_open_timeout = half_open.filter(|round| *round >= timeout);
        let pace = PollConfig {
            interval: Some(interval),
            timeout: Some(timeout),
        };
        // Only out of the range of these two keys is there nothing to go by.
        written.resolve(&pace).unwrap_or_else(|_| Self {
            interval,
            timeout,
            retry: RetrySettings {
                deadline: self.retry.deadline.clamp(timeout.min(interval), interval),
                ..self.retry
            },
            ..self.clone()
        })
    }

    /// How often the endpoint is polled.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// How long one request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long a whole poll may take, retries included.
    pub fn deadline(&self) -> Duration {
        self.retry.deadline
    }

    /// How long an answer stands in for failures; zero is not at all.
    pub fn max_staleness(&self) -> Duration {
        self.cache.max_staleness
    }

    /// The breaker's part.
    pub fn breaker(&self) -> &BreakerSettings {
        &self.breaker
    }

    /// Values that are allowed but probably not meant, to be shown to the user.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl Default for Settings {
    fn default() -> Self {
        // Nothing written is nothing wrong: a test holds this to it.
        match Config::default().resolve(&PollConfig::default()) {
            Ok(settings) => settings,
            Err(problems) => unreachable!("the defaults contradict each other: {problems}"),
        }
    }
}

/// What a breaker goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerSettings {
    pub(super) edge: Edge,
    pub(super) mode: Mode,
    pub(super) shape: ThresholdShape,
    pub(super) min_health_score: f64,
    pub(super) recovery_score: f64,
    pub(super) min_success_rate: f64,
    pub(super) sample_size: u32,
    pub(super) slow_call: Duration,
    pub(super) cooldown: Cooldown,
    pub(super) canary_count: u32,
    pub(super) canary_required: u32,
    pub(super) canary_concurrency: u32,
    pub(super) half_open_timeout: Duration,
}

impl BreakerSettings {
    /// What an empty `breaker:` means at that end.
    pub fn defaults(edge: Edge) -> Self {
        // Nothing written is nothing wrong: a test holds this to it.
        match BreakerConfig::default().resolve(edge, Duration::ZERO) {
            Ok(settings) => settings,
            Err(problems) => unreachable!("the defaults contradict each other: {problems}"),
        }
    }

    /// What the breaker may do.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Failures in a row that open the breaker of an endpoint without chronic errors.
    pub fn failure_threshold(&self) -> u32 {
        self.shape.base
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self::defaults(Edge::Source)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RetrySettings {
    pub(super) max: u32,
    pub(super) base: Duration,
    pub(super) deadline: Duration,
    pub(super) budget: BudgetSettings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CacheSettings {
    pub(super) ttl: Duration,
    pub(super) max_staleness: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HedgingSettings {
    pub(super) enabled: bool,
    pub(super) min_delay: Duration,
}
