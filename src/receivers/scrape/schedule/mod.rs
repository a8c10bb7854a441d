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

mod pace;
mod ticks;

use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

pub use self::pace::{FirstPoll, PollPace, PollSettings};
use self::ticks::{FirstTicks, spread};
use super::link::Membership;
use crate::component::Now;

/// How long no wish is granted after a poll that was made for one and changed nothing, so that the
/// scraper wishes for the same time again. That time may have passed, and the poller would do
/// nothing but poll.
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

    /// Takes note of a poll that is over at `now`, with the wishes before and after it. Ticks that
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

#[cfg(test)]
mod tests {
    use super::*;

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
