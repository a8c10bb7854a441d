//! How often targets are polled, and the keys that say so.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::resilience::{self, PollConfig};
use crate::yaml::{Fields, GoDuration, PlacedNode};

/// The range of `collection_interval`.
const INTERVALS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 3600);

/// The range of `timeout`.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);

/// How often one target is polled, and how long a request to it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PollPace {
    /// From one poll to the next.
    pub interval: Duration,
    /// Of one request.
    pub timeout: Duration,
    /// The first poll.
    pub first: FirstPoll,
}

/// When the first poll comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FirstPoll {
    /// Within a second for remote targets, spread by their names; after a second for this host.
    Soon,
    /// After this time.
    After(Duration),
    /// At the target's phase, as all others: within one interval. Prometheus begins so.
    AtPhase,
}

/// How often and how long a receiver polls; each value is within its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollSettings {
    /// `collection_interval`: from one poll to the next.
    pub interval: Duration,
    /// `initial_delay`: from the start to the first poll; `None` if it isn't written.
    pub initial_delay: Option<Duration>,
    /// `timeout`, of one request.
    pub timeout: Duration,
    /// The keys that are written and valid. A guard's own keys are checked against them.
    pub written: PollConfig,
}

impl PollSettings {
    /// Reads the controller's keys among a receiver's own. `timeout` may not be longer than
    /// `collection_interval`: if only one of them is written, the other's default is adapted to
    /// it; if both are, that is an error.
    pub fn from_fields(fields: &mut Fields<'_>) -> Self {
        let default = Self::default();
        let interval = fields
            .value("collection_interval")
            .filter(|value| !value.is_null());
        let timeout = fields.value("timeout").filter(|value| !value.is_null());
        let mut settings = Self {
            interval: fields.within("collection_interval", default.interval, INTERVALS),
            initial_delay: fields.optional("initial_delay"),
            timeout: fields.within("timeout", default.timeout, TIMEOUTS),
            written: PollConfig::default(),
        };
        // An invalid value has been reported, and isn't compared with other keys as well.
        let right = |value: &Option<PlacedNode<'_>>, read: Duration| {
            let written = value.as_ref().and_then(PlacedNode::read::<Duration>);
            written.filter(|written| *written == read)
        };
        settings.written = PollConfig {
            interval: right(&interval, settings.interval),
            timeout: right(&timeout, settings.timeout),
        };
        if settings.timeout > settings.interval {
            match timeout {
                None => settings.timeout = settings.interval,
                Some(_) if interval.is_none() => settings.interval = settings.timeout,
                Some(timeout) => {
                    timeout.error::<()>(format_args!(
                        "{} is longer than collection_interval ({})",
                        GoDuration(settings.timeout),
                        GoDuration(settings.interval)
                    ));
                    settings.written.timeout = None;
                }
            }
        }
        settings
    }

    /// These settings, or if the receiver has a guard those with the guard's interval and timeout,
    /// which were computed from the receiver's keys too.
    pub fn guarded_by(self, guard: Option<&resilience::Settings>) -> Self {
        match guard {
            Some(guard) => Self {
                interval: guard.interval(),
                timeout: guard.timeout(),
                ..self
            },
            None => self,
        }
    }
}

impl PollSettings {
    /// The pace of a receiver's targets where they have no keys of their own.
    pub fn pace(&self) -> PollPace {
        PollPace {
            interval: self.interval,
            timeout: self.timeout,
            first: self.initial_delay.map_or(FirstPoll::Soon, FirstPoll::After),
        }
    }
}

impl Default for PollSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(15),
            initial_delay: None,
            timeout: Duration::from_secs(5),
            written: PollConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{self, Diagnostics};

    #[test]
    fn a_default_gives_way_to_a_written_key_and_written_keys_must_not_cross() {
        let f = |text: &str, interval: u64, timeout: u64, problem: Option<&str>| {
            let diagnostics = Diagnostics::new();
            let node = yaml::parse(text, &"test".into(), &diagnostics).unwrap();
            let mut fields = PlacedNode::root(&node, &diagnostics).fields().unwrap();
            let read = PollSettings::from_fields(&mut fields);
            fields.finish();
            let problems = diagnostics.problems();
            assert_eq!(problems.first().map(|p| p.message.as_str()), problem);
            if problem.is_none() {
                let expected = (
                    Duration::from_millis(interval),
                    Duration::from_millis(timeout),
                );
                assert_eq!((read.interval, read.timeout), expected, "{text}");
            }
        };
        f("", 15_000, 5_000, None);
        f("collection_interval: 1s", 1_000, 1_000, None);
        f("timeout: 1m", 60_000, 60_000, None);
        f("{timeout: 1s, collection_interval: 1s}", 1_000, 1_000, None);
        f(
            "{timeout: 2s, collection_interval: 1s}",
            0,
            0,
            Some("2s is longer than collection_interval (1s)"),
        );
        f(
            "collection_interval: 99ms",
            0,
            0,
            Some("99ms is out of range: use 100ms to 24h"),
        );
        f(
            "timeout: 0",
            0,
            0,
            Some("0s is out of range: use 1ms to 10m"),
        );
    }
}
