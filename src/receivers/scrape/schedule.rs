//! Decides when a target is polled, and why: [`Schedule::next`] is the only place that does.
//!
//! | who | says | with the reason |
//! |---|---|---|
//! | the pace | the ticks | [`PollReason::Interval`] |
//! | the scraper, by [`Scraper::wish`] | a time between two ticks: it passes on what its guards ask for, or has a reason of its own | [`PollReason::Breaker`], [`PollReason::Expiry`], [`PollReason::Demand`] |
//! | the controller | that the target was removed, or has a successor | [`PollReason::Removal`] |
//!
//! What a poll requests follows from its reason, document by document: see
//! [`Document::ask`](super::http::Document::ask).
//!
//! [`Scraper::wish`]: super::Scraper::wish

use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::link::Membership;
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

/// How long to wait before repeating an early poll after which the scraper still asks for the
/// same time.
const REST: Duration = Duration::from_secs(1);

/// Why a poll happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PollReason {
    /// The interval is over. What is asked may answer from its cache.
    Interval,
    /// A breaker admits an attempt: a canary is due, the wait that an endpoint advised is over, or
    /// the endpoint works again.
    Breaker,
    /// Series have gone without a point for `max_staleness`, and end.
    Expiry,
    /// The scraper's own wish: something that it watches has changed.
    Demand,
    /// The target was removed. Nothing is requested; all of its series end.
    Removal,
}

/// A poll that is under way.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// When it began; the time of its points.
    pub now: Now,
    /// Why it happens.
    pub reason: PollReason,
}

/// A poll that is wished for, or planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextPoll {
    /// When. May lie in the past.
    pub at: Instant,
    /// Why.
    pub reason: PollReason,
}

impl NextPoll {
    /// The first of them to come.
    pub fn first(polls: impl IntoIterator<Item = Self>) -> Option<Self> {
        polls.into_iter().min_by_key(|poll| poll.at)
    }
}

/// Where a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On this machine, read by system calls. Polled at whole intervals after the first poll.
    Local,
    /// Behind a network, loopback or not. Polled at a phase of the interval that is its own.
    Remote,
}

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

/// The polls of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The next tick.
    tick: Instant,
    /// The second tick; those after it follow at whole intervals.
    second: Instant,
    interval: Duration,
    /// Wishes aren't granted before this.
    rested: Instant,
}

impl Schedule {
    /// The polls of a target from `now` on. Where it is remote, they are spread by its name and
    /// this host's.
    pub(super) fn new(
        pace: &PollPace,
        reach: Reach,
        name: &impl Hash,
        host: &str,
        now: Now,
    ) -> Self {
        let FirstTicks { first, second } = match reach {
            Reach::Local => FirstTicks::local(pace, now),
            Reach::Remote => FirstTicks::remote(pace, spread(name, host), now),
        };
        Self {
            tick: first,
            second,
            interval: pace.interval,
            rested: first,
        }
    }

    /// When the next poll comes, and why.
    ///
    /// A target that was removed is polled a last time at its next tick, unless it has returned by
    /// then; at once, where another one waits to take its place. Until then it has no other polls.
    /// Any other target is polled at its ticks, and where its scraper wishes for an earlier poll,
    /// at that time.
    pub(super) fn next(
        &self,
        now: Instant,
        wish: Option<NextPoll>,
        membership: Membership,
    ) -> NextPoll {
        let at = |at, reason| NextPoll { at, reason };
        match (membership, wish) {
            (Membership::Succeeded, _) => at(now, PollReason::Removal),
            (Membership::Leaving, _) => at(self.tick, PollReason::Removal),
            (Membership::Member, Some(wish)) if wish.at.max(self.rested) < self.tick => {
                at(wish.at.max(self.rested), wish.reason)
            }
            (Membership::Member, _) => at(self.tick, PollReason::Interval),
        }
    }

    /// Takes note of a poll that is over at `now`, with the wishes before and after it. FirstTicks that
    /// have passed meanwhile are skipped. A wish that the poll hasn't changed, for example because
    /// the pipelines had no room, isn't granted again at once.
    pub(super) fn polled(
        &mut self,
        reason: PollReason,
        now: Instant,
        [before, after]: [Option<NextPoll>; 2],
    ) {
        if reason == PollReason::Interval {
            self.tick = self.next_tick(now);
        } else if after.map(|wish| wish.at) == before.map(|wish| wish.at) {
            self.rested = now + REST;
        }
    }

    /// The first tick after `now`.
    fn next_tick(&self, now: Instant) -> Instant {
        let Some(late) = now.checked_duration_since(self.second) else {
            return self.second;
        };
        let into = late.as_nanos() % self.interval.as_nanos().max(1);
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or(0));
        now + self.interval - into
    }
}

/// The first two ticks of a target.
struct FirstTicks {
    first: Instant,
    second: Instant,
}

impl FirstTicks {
    /// For this host: the first poll after 1 s, so that there is an interval for differences,
    /// then at whole intervals.
    fn local(pace: &PollPace, now: Now) -> Self {
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
    fn remote(pace: &PollPace, hash: u64, now: Now) -> Self {
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
fn spread(name: &impl Hash, host: &str) -> u64 {
    // A fixed seed will do: whoever chooses a name gains nothing from choosing its phase.
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    host.hash(&mut hasher);
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{self, Diagnostics};

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

    /// A schedule whose first tick is after 1 s, and its second after 16 s.
    fn schedule(now: Now) -> Schedule {
        let pace = PollSettings::default().pace();
        Schedule::new(&pace, Reach::Local, &"name", "host", now)
    }

    #[test]
    fn the_next_tick_is_the_first_that_is_still_to_come() {
        let now = Now::read();
        let f = |at: f64, next: u64| {
            let mut schedule = schedule(now);
            let at = now.monotonic + Duration::from_secs_f64(at);
            schedule.polled(PollReason::Interval, at, [None, None]);
            let planned = schedule.next(at, None, Membership::Member);
            assert_eq!(planned.reason, PollReason::Interval);
            assert_eq!(planned.at - now.monotonic, Duration::from_secs(next));
        };
        f(1.0, 16);
        f(15.9, 16);
        f(16.0, 31);
        f(16.1, 31);
        f(100.0, 106);
    }

    #[test]
    fn each_poll_has_the_reason_of_whoever_asked_for_its_time() {
        let now = Now::read();
        let mut schedule = schedule(now);
        let at = |seconds: u64| now.monotonic + Duration::from_secs(seconds);
        schedule.polled(PollReason::Interval, at(1), [None, None]);
        let f = |wish: Option<(u64, PollReason)>, membership, expected: (u64, PollReason)| {
            let wish = wish.map(|(seconds, reason)| NextPoll {
                at: at(seconds),
                reason,
            });
            let planned = schedule.next(at(3), wish, membership);
            assert_eq!((planned.at, planned.reason), (at(expected.0), expected.1));
        };
        use Membership::{Leaving, Member, Succeeded};
        use PollReason::{Breaker, Demand, Expiry, Interval, Removal};
        f(None, Member, (16, Interval));
        f(Some((5, Breaker)), Member, (5, Breaker));
        f(Some((15, Expiry)), Member, (15, Expiry));
        f(Some((1, Demand)), Member, (1, Demand));
        // At a tick everything that is due is done anyway.
        f(Some((16, Breaker)), Member, (16, Interval));
        f(Some((17, Breaker)), Member, (16, Interval));
        f(None, Leaving, (16, Removal));
        f(Some((5, Breaker)), Leaving, (16, Removal));
        f(Some((5, Breaker)), Succeeded, (3, Removal));
    }

    #[test]
    fn no_wish_is_granted_before_the_first_tick_and_none_twice_in_haste() {
        let now = Now::read();
        let mut schedule = schedule(now);
        let at = |millis: u64| now.monotonic + Duration::from_millis(millis);
        let wish = |millis| {
            Some(NextPoll {
                at: at(millis),
                reason: PollReason::Breaker,
            })
        };
        let planned = |schedule: &Schedule, millis| {
            let planned = schedule.next(at(millis), wish(0), Membership::Member);
            (planned.at, planned.reason)
        };
        assert_eq!(planned(&schedule, 0), (at(1_000), PollReason::Interval));
        schedule.polled(PollReason::Interval, at(1_500), [wish(0), wish(0)]);
        assert_eq!(planned(&schedule, 1_500), (at(1_000), PollReason::Breaker));
        schedule.polled(PollReason::Breaker, at(1_500), [wish(0), wish(0)]);
        assert_eq!(planned(&schedule, 1_500), (at(2_500), PollReason::Breaker));
        schedule.polled(PollReason::Breaker, at(2_500), [wish(0), wish(2_000)]);
        assert_eq!(planned(&schedule, 2_500), (at(2_500), PollReason::Breaker));
    }
}
