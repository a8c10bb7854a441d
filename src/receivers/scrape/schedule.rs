//! Computes when an endpoint is polled.

use std::hash::{BuildHasher, Hasher};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::component::Now;
use crate::resilience::{self, PollConfig};
use crate::yaml::{Fields, GoDuration, PlacedNode};

/// The range of `collection_interval`.
const INTERVALS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 3600);

/// The range of `timeout`.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);

/// The longest default of `initial_delay`.
const FIRST_POLL_WITHIN: Duration = Duration::from_secs(1);

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

    /// The settings of a receiver with a guard: the guard's interval and timeout, which were
    /// computed from the receiver's keys too.
    pub fn guarded_by(self, guard: &resilience::Settings) -> Self {
        Self {
            interval: guard.interval(),
            timeout: guard.timeout(),
            ..self
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

/// The times of an endpoint's polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The first poll.
    pub(super) first: Instant,
    /// The second poll; the others follow at whole intervals.
    second: Instant,
    interval: Duration,
}

impl Schedule {
    /// For this host: the first poll after 1 s, so that there is an interval for differences,
    /// then at whole intervals.
    pub(super) fn local(settings: &PollSettings, now: Now) -> Self {
        let delay = settings
            .initial_delay
            .unwrap_or_else(|| FIRST_POLL_WITHIN.min(settings.interval));
        let first = now.monotonic + delay;
        Self {
            first,
            second: first + settings.interval,
            interval: settings.interval,
        }
    }

    /// For a remote endpoint: the first poll within 1 s, then at the endpoint's phase of the wall
    /// clock. The second poll comes between a half and one and a half intervals after the first,
    /// so that it never follows too closely.
    pub(super) fn remote(settings: &PollSettings, endpoint: &str, host: &str, now: Now) -> Self {
        let hash = spread(endpoint, host);
        let delay = settings
            .initial_delay
            .unwrap_or_else(|| part_of(FIRST_POLL_WITHIN.min(settings.interval), hash));
        let first = now.monotonic + delay;
        let earliest = delay + settings.interval / 2;
        let phase = part_of(settings.interval, hash);
        let wait = until_phase(now.wall + earliest, settings.interval, phase);
        Self {
            first,
            second: now.monotonic + earliest + wait,
            interval: settings.interval,
        }
    }

    /// The next poll after `now`. Ticks that have passed are skipped.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let Some(late) = now.checked_duration_since(self.second) else {
            return self.second;
        };
        let into = late.as_nanos() % self.interval.as_nanos().max(1);
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or(0));
        now + self.interval - into
    }
}

/// How long after `from` the wall clock next is at `phase` of the interval.
fn until_phase(from: SystemTime, interval: Duration, phase: Duration) -> Duration {
    let interval = interval.as_nanos().max(1);
    let from = from
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_nanos();
    let wait = (interval + phase.as_nanos() - from % interval) % interval;
    Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
}

/// The fraction of `whole` that a hash picks, evenly from 0 up to it.
fn part_of(whole: Duration, hash: u64) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(hash)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A hash that is the same at every start, and differs between endpoints and between hosts.
fn spread(endpoint: &str, host: &str) -> u64 {
    // A fixed seed will do: only configured names are hashed.
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    hasher.write(host.as_bytes());
    hasher.write_u8(0xff);
    hasher.write(endpoint.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{self, Diagnostics};

    fn settings(interval: Duration) -> PollSettings {
        PollSettings {
            interval,
            ..PollSettings::default()
        }
    }

    #[test]
    fn a_remote_endpoint_is_polled_soon_and_then_on_its_phase() {
        for i in 0..500 {
            let interval = Duration::from_millis([100, 999, 15_000, 86_400_000][i % 4]);
            let now = Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_millis(1_763_000_000_123 + i as u64 * 977),
            };
            let endpoint = format!("http://host-{i}:9000");
            let plan = Schedule::remote(&settings(interval), &endpoint, "me", now);
            assert!(plan.first < now.monotonic + FIRST_POLL_WITHIN);
            let gap = plan.second - plan.first;
            assert!(
                gap >= interval / 2 && gap < interval * 3 / 2,
                "{gap:?} of {interval:?}"
            );
            // Another start at another time gives the same phase of the wall clock.
            let later = Now {
                monotonic: now.monotonic + Duration::from_millis(4_321),
                wall: now.wall + Duration::from_millis(4_321),
            };
            let again = Schedule::remote(&settings(interval), &endpoint, "me", later);
            let apart = if again.second > plan.second {
                again.second - plan.second
            } else {
                plan.second - again.second
            };
            assert_eq!(apart.as_nanos() % interval.as_nanos(), 0, "{apart:?}");
        }
    }

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

    #[test]
    fn endpoints_and_hosts_spread_over_the_interval() {
        let phase = |endpoint: &str, host: &str| {
            part_of(Duration::from_secs(15), spread(endpoint, host)).as_secs()
        };
        let mut seen = [0; 15];
        for i in 0..1500 {
            seen[phase("http://localhost:9000", &format!("host-{i}")) as usize] += 1;
            seen[phase(&format!("http://10.0.0.{i}:9000"), "one") as usize] += 1;
        }
        assert!(
            seen.iter().all(|n| (140..260).contains(n)),
            "3000 over 15 seconds: {seen:?}"
        );
    }

    #[test]
    fn a_local_source_is_read_after_a_second_and_then_at_whole_intervals() {
        let now = Now::read();
        let plan = Schedule::local(&PollSettings::default(), now);
        assert_eq!(plan.first - now.monotonic, Duration::from_secs(1));
        assert_eq!(plan.second - plan.first, Duration::from_secs(15));
    }

    #[test]
    fn the_next_poll_is_the_first_tick_that_is_still_to_come() {
        let now = Now::read();
        let plan = Schedule::local(&PollSettings::default(), now);
        let f = |at: f64, next: u64| {
            let at = now.monotonic + Duration::from_secs_f64(at);
            assert_eq!(plan.next(at) - now.monotonic, Duration::from_secs(next));
        };
        f(1.0, 16);
        f(15.9, 16);
        f(16.0, 31);
        f(16.1, 31);
        f(100.0, 106);
    }
}
