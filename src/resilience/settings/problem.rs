//! What can be wrong with a configuration, and what is allowed but looks like a mistake.

use std::fmt;
use std::time::Duration;

/// A written key, relative to the block that holds it, such as `breaker.canary_count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) &'static str);

impl Key {
    /// The key's path with dots.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A value as the user would write it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// A count.
    Count(u64),
    /// A number.
    Number(f64),
    /// A duration.
    Time(Duration),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(time) => write_duration(f, time),
        }
    }
}

/// One thing that is wrong with the written keys. A wrong value is never clamped into its
/// range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsProblem {
    /// A value outside its range, or not a number.
    #[error("`{key}` is {value}, outside its range of {min} to {max}")]
    OutOfRange {
        /// Where.
        key: Key,
        /// What was written.
        value: Amount,
        /// The least that is allowed.
        min: Amount,
        /// The most that is allowed.
        max: Amount,
    },
    /// Two written values that can't both hold.
    #[error("`{low}` is {low_value}, more than `{high}`, which allows {limit}")]
    Crossed {
        /// The key that must not be greater.
        low: Key,
        /// What was written for it.
        low_value: Amount,
        /// The key that must not be less.
        high: Key,
        /// The most that `high`, as written, allows for `low`.
        limit: Amount,
    },
    /// `recovery_score` isn't above `min_health_score`, so that an endpoint would be
    /// degraded and recovered at once.
    #[error(
        "`{high}` is {high_value}, which is not above `{low}`, {low_value}; its range is above that, to 1"
    )]
    NotAbove {
        /// `breaker.recovery_score`.
        high: Key,
        /// What was written for it.
        high_value: Amount,
        /// `breaker.min_health_score`.
        low: Key,
        /// What was written for it.
        low_value: Amount,
    },
}

impl SettingsProblem {
    /// The key to point at.
    pub const fn key(&self) -> Key {
        match self {
            Self::OutOfRange { key, .. } => *key,
            Self::Crossed { low, .. } => *low,
            Self::NotAbove { high, .. } => *high,
        }
    }
}

/// Every problem of one configuration; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Problems(pub(super) Vec<SettingsProblem>);

impl Problems {
    /// The problems, in the order of the keys in the documentation.
    pub fn iter(&self) -> std::slice::Iter<'_, SettingsProblem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Something that is allowed, and probably isn't what was meant.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Warning {
    /// A written ttl that no periodic poll can ever hit.
    #[error(
        "`cache.ttl` is {}, not above the collection interval of {}: no poll will ever be \
         answered from the cache",
        Amount::Time(*.ttl), Amount::Time(*.interval)
    )]
    NeverHit {
        /// What was written.
        ttl: Duration,
        /// How often the endpoint is polled.
        interval: Duration,
    },
    /// `min_health_score` is 1: no score is above that, so that a degraded endpoint stays
    /// degraded.
    #[error("`breaker.min_health_score` is 1: an endpoint that was degraded will never be healthy")]
    NeverHealthy,
}

impl Warning {
    /// The key to point at.
    pub const fn key(&self) -> Key {
        match self {
            Self::NeverHit { .. } => Key("cache.ttl"),
            Self::NeverHealthy => Key("breaker.min_health_score"),
        }
    }
}

/// The notation of the configuration: `1h30m`, `15s`, `250ms`.
fn write_duration(f: &mut fmt::Formatter<'_>, time: Duration) -> fmt::Result {
    if time.is_zero() {
        return f.write_str("0s");
    }
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    for (unit, count) in [
        ("h", seconds / 3600),
        ("m", seconds / 60 % 60),
        ("s", seconds % 60),
    ] {
        if count > 0 {
            write!(f, "{count}{unit}")?;
        }
    }
    let rest = [
        ("ms", nanos / 1_000_000),
        ("us", nanos / 1_000 % 1_000),
        ("ns", nanos % 1_000),
    ];
    for (unit, count) in rest {
        if count > 0 {
            write!(f, "{count}{unit}")?;
        }
    }
    Ok(())
}
