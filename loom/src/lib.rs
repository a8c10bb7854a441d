//! Every interleaving of small programs around one breaker.
//!
//! The breaker's own sources are compiled here a second time, with loom's atomics and
//! mutexes in place of std's (see `resilience::sync`). What is proved is that the atomic
//! word, the times beside it and the core behind the lock never disagree in a way that a
//! caller could see.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    allow(dead_code, unused_imports, reason = "only the tests use it")
)]

#[path = "../../src/descriptors.rs"]
#[allow(dead_code, unreachable_pub, reason = "the source as it is")]
mod descriptors;
#[path = "../../src/resilience"]
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "a part of the module"
)]
mod resilience {
    pub mod outcome;
    pub mod retry_after;

    mod backoff;
    mod breaker;
    mod budget;
    mod health_score;
    mod isolation;
    mod settings;
    mod sync;
    mod threshold;

    pub use breaker::{
        Breaker, BreakerObserver, BreakerState, Completion, Force, Permit, RejectReason, Rejection,
        Transition,
    };
    pub use isolation::Network;
    pub use outcome::Outcome;
    pub use settings::{
        BreakerConfig, CacheConfig, Config, Edge, HedgingConfig, Mode, PollConfig, Preset,
        Problems, RetryConfig, Settings, SettingsProblem, Warning,
    };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use loom::sync::Arc;
    use loom::thread;
    use tokio::time::Instant;

    use super::resilience::*;

    const FAILED: Outcome = Outcome::ServerError;

    fn completion(outcome: Outcome) -> Completion {
        Completion::new(outcome, Duration::ZERO)
    }

    /// A breaker that opens at the first failure, with `count` canaries of which
    /// `concurrency` may run at once.
    fn breaker(count: u64, concurrency: u64, now: Instant) -> Breaker {
        let config = BreakerConfig {
            failure_threshold: Some(1),
            canary_count: Some(count),
            canary_required: Some(count),
            canary_concurrency: Some(concurrency),
            ..Default::default()
        };
        let settings = config
            .resolve(Edge::Source, Duration::from_secs(5))
            .unwrap();
        Breaker::new(settings, 1, now)
    }

    /// The same, opened, and the moment at which its cooldown is over.
    fn opened(count: u64, concurrency: u64, now: Instant) -> (Arc<Breaker>, Instant) {
        let breaker = breaker(count, concurrency, now);
        breaker
            .acquire(now)
            .unwrap()
            .record(now, completion(FAILED));
        let over = breaker.wake_at().unwrap();
        (Arc::new(breaker), over)
    }

    #[test]
    fn of_two_who_ask_after_the_cooldown_one_is_the_canary() {
        let now = Instant::now();
        loom::model(move || {
            let (breaker, over) = opened(3, 1, now);
            let other = breaker.clone();
            let asking = thread::spawn(move || match other.acquire(over) {
                Ok(permit) => {
                    std::mem::forget(permit);
                    1
                }
                Err(rejection) => {
                    assert_eq!(rejection.reason, RejectReason::HalfOpen);
                    0
                }
            });
            let mine = match breaker.acquire(over) {
                Ok(permit) => {
                    std::mem::forget(permit);
                    1
                }
                Err(_) => 0,
            };
            assert_eq!(mine + asking.join().unwrap(), 1);
            assert_eq!(breaker.snapshot(over).half_open_in_flight, 1);
        });
    }

    #[test]
    fn no_more_than_two_of_three_get_two_slots_and_all_come_back() {
        let now = Instant::now();
        loom::model(move || {
            let (breaker, over) = opened(3, 2, now);
            drop(breaker.acquire(over).unwrap());
            let asking: Vec<_> = (0..2)
                .map(|_| {
                    let breaker = breaker.clone();
                    thread::spawn(move || {
                        let permit = breaker.acquire(over);
                        let flying = breaker.snapshot(over).half_open_in_flight;
                        assert!(flying <= 2);
                        drop(permit);
                    })
                })
                .collect();
            for asked in asking {
                asked.join().unwrap();
            }
            let after = breaker.snapshot(over);
            assert_eq!(after.half_open_in_flight, 0);
            assert_eq!(after.state, BreakerState::HalfOpen);
            assert!(breaker.acquire(over).is_ok(), "a slot handed back is free");
        });
    }

    #[test]
    fn a_slot_dropped_during_a_transition_returns_to_its_own_round_only() {
        let now = Instant::now();
        loom::model(move || {
            let (breaker, over) = opened(2, 2, now);
            let first = breaker.acquire(over).unwrap();
            let other = breaker.clone();
            let dropping = thread::spawn(move || {
                let second = other.acquire(over);
                drop(second);
            });
            first.record(over, completion(FAILED));
            dropping.join().unwrap();
            let after = breaker.snapshot(over);
            assert_eq!(after.state, BreakerState::CoolingDown);
            assert_eq!(after.half_open_in_flight, 0);
            // The next round has all its slots.
            let again = breaker.wake_at().unwrap();
            let one = breaker.acquire(again).unwrap();
            let two = breaker.acquire(again).unwrap();
            assert_eq!(breaker.snapshot(again).half_open_in_flight, 2);
            drop((one, two));
            assert_eq!(breaker.snapshot(again).half_open_in_flight, 0);
        });
    }

    #[test]
    fn a_result_that_races_an_opening_counts_or_is_late() {
        let now = Instant::now();
        loom::model(move || {
            let breaker = Arc::new(breaker(3, 1, now));
            let other = breaker.clone();
            let failing = thread::spawn(move || {
                if let Ok(permit) = other.acquire(now) {
                    permit.record(now, completion(FAILED));
                }
            });
            let admitted = match breaker.acquire(now) {
                Ok(permit) => {
                    permit.record(now, completion(Outcome::Success));
                    1
                }
                Err(rejection) => {
                    assert!(rejection.retry_in.is_some_and(|wait| !wait.is_zero()));
                    0
                }
            };
            failing.join().unwrap();
            let after = breaker.snapshot(now);
            assert_eq!(after.state, BreakerState::CoolingDown);
            let counted: u64 = after.outcomes.iter().sum();
            assert_eq!(counted + after.late_results, 1 + admitted);
        });
    }

    #[test]
    fn whoever_sees_it_open_sees_for_how_long() {
        let now = Instant::now();
        loom::model(move || {
            let breaker = Arc::new(breaker(3, 1, now));
            let other = breaker.clone();
            let opening = thread::spawn(move || {
                other.acquire(now).unwrap().record(now, completion(FAILED));
            });
            if let Err(rejection) = breaker.acquire(now) {
                assert_eq!(rejection.reason, RejectReason::Open);
                let wait = rejection.retry_in.unwrap();
                assert!(wait >= Duration::from_secs(42) && wait <= Duration::from_secs(78));
            }
            opening.join().unwrap();
        });
    }

    #[test]
    fn an_operator_who_races_a_canary_has_the_last_word() {
        let now = Instant::now();
        loom::model(move || {
            let (breaker, over) = opened(1, 1, now);
            let other = breaker.clone();
            let forcing = thread::spawn(move || other.force(Force::Open, over));
            if let Ok(permit) = breaker.acquire(over) {
                permit.record(over, completion(Outcome::Success));
            }
            forcing.join().unwrap();
            assert_eq!(breaker.state(), BreakerState::CoolingDown);
            let rejection = breaker.acquire(over).unwrap_err();
            assert_eq!(rejection.reason, RejectReason::ForcedOpen);
        });
    }

    struct Seen(AtomicU32);

    impl BreakerObserver for Seen {
        fn on_transition(&self, transition: &Transition) {
            // Each number once: a second one would carry.
            self.0
                .fetch_add(1 << (4 * transition.seq), Ordering::Relaxed);
        }
    }

    #[test]
    fn every_transition_is_published_once() {
        let now = Instant::now();
        loom::model(move || {
            let seen = std::sync::Arc::new(Seen(AtomicU32::new(0)));
            let breaker = Arc::new(breaker(1, 1, now).observed_by(seen.clone()));
            let other = breaker.clone();
            let failing = thread::spawn(move || {
                if let Ok(permit) = other.acquire(now) {
                    permit.record(now, completion(FAILED));
                }
            });
            if let Ok(permit) = breaker.acquire(now) {
                permit.record(now, completion(FAILED));
            }
            failing.join().unwrap();
            breaker.force(Force::Reset, now);
            assert_eq!(seen.0.load(Ordering::Relaxed), 0x110);
        });
    }
}
