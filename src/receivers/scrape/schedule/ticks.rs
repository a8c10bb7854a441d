//! When a target is polled for the first time, and at which phase of its interval after that.

use std::hash::{BuildHasher, Hash, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::pace::{FirstPoll, PollPace};
use crate::component::Now;

/// The longest default of `initial_delay`.
const FIRST_POLL_WITHIN: Duration = Duration::from_secs(1);

/// The first two ticks of a target.
pub(super) struct FirstTicks {
    pub(super) first: Instant,
    pub(super) second: Instant,
}

impl FirstTicks {
    /// For this host: the first poll after 1 s, so that there is an interval for differences,
    /// then at whole intervals.
    pub(super) fn local(pace: &PollPace, now: Now) -> Self {
        let delay = match pace.first {
            FirstPoll::After(delay) => delay,
            FirstPoll::Soon | FirstPoll::AtPhase => FIRST_POLL_WITHIN.min(pace.interval),
        };
        let first = now.monotonic + delay;
        Self {
            first,
            second: first + pace.interval,
        }
    }

    /// For a remote target: the first poll within 1 s, then at the target's phase of the wall
    /// clock. The second poll comes between 0.7 and 1.7 intervals after the first, so that it never
    /// follows too closely: a guard would answer it from its cache.
    pub(super) fn remote(pace: &PollPace, hash: u64, now: Now) -> Self {
        let phase = part_of(pace.interval, hash);
        let delay = match pace.first {
            FirstPoll::After(delay) => delay,
            FirstPoll::Soon => part_of(FIRST_POLL_WITHIN.min(pace.interval), hash),
            FirstPoll::AtPhase => {
                let first = now.monotonic + until_phase(now.wall, pace.interval, phase);
                return Self {
                    first,
                    second: first + pace.interval,
                };
            }
        };
        let earliest = delay + pace.interval * 7 / 10;
        let wait = until_phase(now.wall + earliest, pace.interval, phase);
        Self {
            first: now.monotonic + delay,
            second: now.monotonic + earliest + wait,
        }
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

/// A hash that is the same at every start, and differs between targets and between hosts.
pub(super) fn spread(name: &impl Hash, host: &str) -> u64 {
    // A fixed seed will do: whoever chooses a name gains nothing from choosing its phase.
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    host.hash(&mut hasher);
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receivers::scrape::PollSettings;

    fn pace(interval: Duration, first: FirstPoll) -> PollPace {
        PollPace {
            interval,
            first,
            ..PollSettings::default().pace()
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
            let hash = spread(&endpoint, "me");
            let plan = FirstTicks::remote(&pace(interval, FirstPoll::Soon), hash, now);
            assert!(plan.first < now.monotonic + FIRST_POLL_WITHIN);
            let gap = plan.second - plan.first;
            assert!(
                gap >= interval * 7 / 10 && gap < interval * 17 / 10,
                "{gap:?} of {interval:?}"
            );
            // Another start at another time gives the same phase of the wall clock.
            let later = Now {
                monotonic: now.monotonic + Duration::from_millis(4_321),
                wall: now.wall + Duration::from_millis(4_321),
            };
            let again = FirstTicks::remote(&pace(interval, FirstPoll::Soon), hash, later);
            let on_phase = FirstTicks::remote(&pace(interval, FirstPoll::AtPhase), hash, later);
            assert!(on_phase.first - later.monotonic <= interval);
            for other in [again.second, on_phase.first, on_phase.second] {
                let apart = if other > plan.second {
                    other - plan.second
                } else {
                    plan.second - other
                };
                assert_eq!(apart.as_nanos() % interval.as_nanos(), 0, "{apart:?}");
            }
        }
    }

    #[test]
    fn endpoints_and_hosts_spread_over_the_interval() {
        let phase = |endpoint: &str, host: &str| {
            part_of(Duration::from_secs(15), spread(&endpoint, host)).as_secs()
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
        let plan = FirstTicks::local(&PollSettings::default().pace(), now);
        assert_eq!(plan.first - now.monotonic, Duration::from_secs(1));
        assert_eq!(plan.second - plan.first, Duration::from_secs(15));
    }
}
