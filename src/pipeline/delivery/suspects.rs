//! Finds out whether it is a request that fails, or its destination. Pure: the time and the
//! number of deliveries are handed in.
//!
//! While a breaker is open, the request at the head of the queue is its only canary. If the
//! peer closes the connection whenever it gets the body of this one request, the breaker
//! would never close, and every request behind it would wait for ever. If the destination is
//! down, every request fails alike. One request alone doesn't show which is the case, so a
//! request that has failed as a canary [`CANARIES`] times in a row by a reset, a timeout or
//! another fault below HTTP without a name steps aside, and the request behind it is the next
//! canary. A 502, 503 or 504 may mean the same: a proxy answers for a destination that the request
//! brings down or makes hang. But most often such an answer is the outage itself, in which a
//! request that stepped aside would lose its place for nothing. So there it takes
//! [`UNAVAILABLE_CANARIES`] in a row.
//!
//! A request that has stepped aside is tried again beside the others. A failed attempt is a
//! strike against its request only if another request was delivered since the attempt before
//! it; in an outage, when none is delivered, there are no strikes. After [`STRIKES`] of them,
//! or when the times that ended with a strike add up to `max_elapsed_time`, the request is
//! given up.

use std::time::Duration;

use tokio::time::Instant;

use crate::resilience::{Outcome, Transport};

/// Failed canaries in a row, without a status, after which a request steps aside.
const CANARIES: u32 = 3;

/// Failed canaries in a row, with or without a status, after which a request steps aside. With the
/// default cooldowns that is after some six minutes.
const UNAVAILABLE_CANARIES: u32 = 10;

/// Attempts that failed while others were delivered, after which a request is given up.
const STRIKES: u32 = 10;

/// What is to be done with a request that has just failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It stays where it is.
    Stay,
    /// The others go before it.
    StepAside,
    /// It is given up.
    GiveUp,
}

/// What is known of one request's failures.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Canaries in a row that failed without a status.
    silent: u32,
    /// Canaries in a row that failed without a status or with one of a proxy.
    failed: u32,
    strikes: u32,
    /// How long it has been failing while others were delivered.
    spent: Duration,
    /// When it was last tried, and how many deliveries there had been then.
    last: Option<(Instant, u64)>,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            silent: 0,
            failed: 0,
            strikes: 0,
            spent: Duration::ZERO,
            last: None,
        }
    }

    /// An attempt failed at `now`, when `delivered` requests had been delivered in all.
    /// `canary` is whether the breaker tried the destination with it; `most` is how long a
    /// request may fail while others are delivered.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        delivered: u64,
        canary: bool,
        outcome: Outcome,
        most: Option<Duration>,
    ) -> Judgement {
        let last = self.last.replace((now, delivered));
        if let Some((tried, before)) = last
            && delivered > before
        {
            self.strikes += 1;
            self.spent += now.saturating_duration_since(tried);
        }
        // Where nothing bounds its time, it is tried for ever, beside the others.
        let enough = |most| self.strikes >= STRIKES || self.strikes > 0 && self.spent >= most;
        if most.is_some_and(enough) {
            return Judgement::GiveUp;
        }
        // Any other status tells what the peer makes of the request, and a peer that can't be
        // reached has not seen it: such a canary ends the row.
        if canary {
            (self.silent, self.failed) = match outcome {
                Outcome::Timeout | Outcome::Transport(Transport::Reset | Transport::Other) => {
                    (self.silent + 1, self.failed + 1)
                }
                Outcome::Unavailable => (0, self.failed + 1),
                _ => (0, 0),
            };
            if self.silent >= CANARIES || self.failed >= UNAVAILABLE_CANARIES {
                return Judgement::StepAside;
            }
        }
        Judgement::Stay
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESET: Outcome = Outcome::Transport(Transport::Reset);
    const SECOND: Duration = Duration::from_secs(1);
    const LONG: Option<Duration> = Some(Duration::from_secs(3600));

    #[test]
    fn three_silent_canaries_make_a_request_step_aside() {
        let f = |outcome, canary, expected: [Judgement; 3]| {
            let mut record = Record::new();
            let now = Instant::now();
            let found =
                [0, 1, 2].map(|i| record.failed(now + i * SECOND, 0, canary, outcome, LONG));
            assert_eq!(found, expected, "{outcome:?} {canary}");
        };
        use Judgement::{Stay, StepAside};
        for outcome in [
            RESET,
            Outcome::Timeout,
            Outcome::Transport(Transport::Other),
        ] {
            f(outcome, true, [Stay, Stay, StepAside]);
            f(outcome, false, [Stay; 3]);
        }
        for outcome in [
            Outcome::Transport(Transport::Refused),
            Outcome::Transport(Transport::Dns),
            Outcome::Transport(Transport::Tls),
            Outcome::Unavailable,
            Outcome::Throttled,
            Outcome::Local,
        ] {
            f(outcome, true, [Stay; 3]);
        }
    }

    #[test]
    fn a_request_of_which_only_a_proxy_tells_steps_aside_later() {
        use Judgement::{Stay, StepAside};
        let f = |outcomes: [Outcome; 10], last: Judgement| {
            let mut record = Record::new();
            let now = Instant::now();
            let found = outcomes.map(|outcome| record.failed(now, 0, true, outcome, LONG));
            let (at_last, before) = found.split_last().unwrap();
            assert!(before.iter().all(|judgement| *judgement == Stay));
            assert_eq!(*at_last, last, "{outcomes:?}");
        };
        let proxy = Outcome::Unavailable;
        f([proxy; 10], StepAside);
        f(
            [
                proxy, RESET, proxy, proxy, RESET, RESET, proxy, RESET, RESET, proxy,
            ],
            StepAside,
        );
        f([Outcome::Transport(Transport::Refused); 10], Stay);
        let mut reached_again = [proxy; 10];
        reached_again[0] = Outcome::Transport(Transport::Refused);
        f(reached_again, Stay);
    }

    #[test]
    fn ten_failures_beside_deliveries_are_enough() {
        let mut record = Record::new();
        let now = Instant::now();
        // The first says nothing: nothing is known of the time before.
        for delivered in 0..10 {
            assert_ne!(
                record.failed(now, delivered, false, RESET, LONG),
                Judgement::GiveUp
            );
        }
        assert_eq!(
            record.failed(now, 10, false, RESET, LONG),
            Judgement::GiveUp
        );
    }

    #[test]
    fn the_time_of_failures_beside_deliveries_is_bounded() {
        let most = Some(25 * SECOND);
        let mut record = Record::new();
        let now = Instant::now();
        let mut f = |at: u32, delivered, expected| {
            let found = record.failed(now + at * SECOND, delivered, false, RESET, most);
            assert_eq!(found, expected, "{at}");
        };
        f(0, 0, Judgement::Stay);
        f(10, 1, Judgement::Stay);
        // An outage of an hour.
        f(3610, 1, Judgement::Stay);
        f(3620, 2, Judgement::Stay);
        f(3626, 3, Judgement::GiveUp);
    }

    proptest! {
        #[test]
        fn in_an_outage_nothing_counts_against_anybody(
            attempts in prop::collection::vec((0_u32..10_000, any::<bool>()), 1..200),
            delivered in any::<u64>(),
        ) {
            let mut record = Record::new();
            let mut now = Instant::now();
            for (wait, canary) in attempts {
                now += wait * SECOND;
                let found = record.failed(now, delivered, canary, RESET, Some(SECOND));
                prop_assert_ne!(found, Judgement::GiveUp);
            }
        }
    }
}
