//! One test per row of the table of states.

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn healthy_degrades_at_three_failures_in_a_row() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.attempts(2, REFUSED);
    assert_eq!(bench.state(), State::Healthy);
    bench.attempt(REFUSED);
    assert_eq!(bench.state(), State::Degraded);
    assert_eq!(bench.last().reason, Reason::ConsecutiveFailures);
    assert_eq!(bench.last().generation, 0, "degrading begins no generation");
}

#[test]
fn healthy_degrades_on_a_low_score_after_five_attempts() {
    let config = BreakerConfig {
        min_health_score: Some(0.5),
        ..Default::default()
    };
    let mut bench = Bench::new(config);
    // Slow and uneven, but every other one succeeds: 0.25 + nothing for the rest.
    for attempt in 0..2 {
        bench.attempt_in(Outcome::Success, seconds(1 + attempt * 8));
        bench.attempt(REFUSED);
    }
    assert_eq!(bench.state(), State::Healthy, "four attempts prove nothing");
    bench.attempt_in(Outcome::Success, seconds(9));
    assert_eq!(bench.state(), State::Degraded);
    assert_eq!(bench.last().reason, Reason::HealthScore);
}

#[test]
fn healthy_degrades_on_slow_calls_after_ten_attempts() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.attempts(2, Outcome::Success);
    for _ in 0..7 {
        bench.attempt_in(Outcome::Success, seconds(2));
    }
    assert_eq!(
        bench.state(),
        State::Healthy,
        "seven of nine, and only nine"
    );
    bench.attempt_in(Outcome::Success, seconds(2));
    assert_eq!(bench.state(), State::Degraded);
    assert_eq!(bench.last().reason, Reason::SlowCalls);
}

#[test]
fn five_failures_after_a_clean_history_open_it() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.attempts(200, Outcome::Success);
    bench.attempts(4, REFUSED);
    assert_eq!(bench.state(), State::Degraded);
    bench.attempt(REFUSED);
    assert_eq!(bench.state(), State::CoolingDown);
    let opened = bench.last();
    assert_eq!(opened.reason, Reason::ConsecutiveFailures);
    assert_eq!((opened.fail_count, opened.threshold), (5, 5));
    assert_eq!(opened.generation, 1);
    let cooldown = opened.cooldown.unwrap();
    assert!(
        cooldown >= seconds(42) && cooldown <= seconds(78),
        "{cooldown:?}"
    );
    assert!(bench.snapshot().last_opened.is_some());
}

#[test]
fn few_successes_among_twenty_open_it() {
    let mut bench = Bench::new(BreakerConfig {
        failure_threshold: Some(100),
        min_health_score: Some(0.0),
        ..Default::default()
    });
    // 5 of 19 succeed, but the share isn't believed before there are twenty.
    for attempt in 0..19 {
        bench.attempt(if attempt % 4 == 1 {
            Outcome::Success
        } else {
            REFUSED
        });
    }
    assert!(bench.state().is_closed());
    bench.attempt(Outcome::Throttled);
    assert_eq!(bench.state(), State::CoolingDown);
    assert_eq!(bench.last().reason, Reason::SuccessRate);
}

#[test]
fn opening_is_checked_before_degrading() {
    let mut bench = Bench::new(BreakerConfig {
        failure_threshold: Some(1),
        ..Default::default()
    });
    bench.attempt(REFUSED);
    let opened = (
        State::Healthy,
        State::CoolingDown,
        Reason::ConsecutiveFailures,
    );
    assert_eq!(bench.transitions(), [opened]);
}

#[test]
fn three_low_scores_in_a_row_open_a_degraded_one() {
    let mut bench = Bench::new(BreakerConfig {
        failure_threshold: Some(100),
        min_success_rate: Some(0.0),
        min_health_score: Some(0.6),
        ..Default::default()
    });
    for attempt in 0..8 {
        bench.attempt_in(Outcome::Success, seconds(attempt * 3));
    }
    assert_eq!(bench.state(), State::Degraded);
    assert_eq!(bench.last().reason, Reason::HealthScore);
    // The third low score in a row came at the eighth attempt, too early to open.
    bench.attempt_in(Outcome::Success, seconds(30));
    assert_eq!(bench.state(), State::Degraded);
    bench.attempt_in(Outcome::Success, seconds(40));
    assert_eq!(bench.state(), State::CoolingDown);
    assert_eq!(bench.last().reason, Reason::HealthScore);
}

#[test]
fn a_better_score_between_starts_the_three_again() {
    let mut bench = Bench::new(BreakerConfig {
        failure_threshold: Some(100),
        min_success_rate: Some(0.0),
        ..Default::default()
    });
    bench.attempts(8, REFUSED);
    assert_eq!(bench.state(), State::Degraded);
    bench.attempts(1, REFUSED);
    // One success in ten, quick and even: 0.05 + 0.5 is a good score.
    bench.attempt(Outcome::Success);
    bench.attempts(2, REFUSED);
    assert_eq!(bench.state(), State::Degraded);
}

#[test]
fn three_successes_and_all_else_well_make_it_healthy() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.attempts(20, Outcome::Success);
    bench.attempts(3, REFUSED);
    assert_eq!(bench.state(), State::Degraded);
    bench.attempts(2, Outcome::Success);
    bench.attempt(Outcome::ClientError);
    assert_eq!(
        bench.state(),
        State::Degraded,
        "a 404 is no success, and no failure"
    );
    bench.attempt(Outcome::Success);
    assert_eq!(bench.state(), State::Healthy);
    assert_eq!(bench.last().reason, Reason::Recovered);
    assert_eq!(bench.last().generation, 0);
}

#[test]
fn a_degraded_one_stays_so_while_its_share_is_low_or_its_calls_slow() {
    let mut low = Bench::new(BreakerConfig::default());
    low.attempts(3, REFUSED);
    low.attempts(7, Outcome::Success);
    assert_eq!(low.state(), State::Degraded, "7 of 10 isn't above 0.7");
    low.attempt(Outcome::Success);
    assert_eq!(low.state(), State::Healthy);

    let mut slow = Bench::new(BreakerConfig {
        recovery_score: Some(0.31),
        ..Default::default()
    });
    for _ in 0..40 {
        slow.attempt_in(Outcome::Success, seconds(3));
    }
    assert_eq!(slow.state(), State::Degraded);
    slow.attempts(10, Outcome::Success);
    assert_eq!(slow.state(), State::Degraded, "40 of 50 are slow");
    slow.attempt(Outcome::Success);
    assert_eq!(slow.state(), State::Healthy);
}

#[test]
fn an_open_one_rejects_and_says_for_how_long() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    let cooldown = bench.last().cooldown.unwrap();
    bench.wait(10);
    let rejection = bench.reject();
    assert_eq!(rejection.retry_in, Some(cooldown - seconds(10)));
    assert_eq!(bench.snapshot().open_remaining, rejection.retry_in);
    assert_eq!(bench.state(), State::CoolingDown);
}

#[test]
fn who_asks_after_the_cooldown_is_the_first_canary() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    bench.cool_down();
    assert_eq!(bench.state(), State::CoolingDown, "nobody has asked");
    let permit = bench.breaker.acquire(bench.now).unwrap();
    assert!(permit.is_canary());
    assert_eq!(permit.generation(), 2);
    let snapshot = bench.snapshot();
    assert_eq!(snapshot.state, State::HalfOpen);
    assert_eq!(snapshot.consecutive_failures, 0);
    assert_eq!(snapshot.success_ratio, None, "the rings are cleared");
    assert_eq!(snapshot.half_open_in_flight, 1);
}

#[test]
fn half_open_admits_one_at_a_time_and_three_in_all() {
    let mut bench = Bench::new(BreakerConfig {
        canary_required: Some(3),
        ..Default::default()
    });
    bench.open();
    bench.cool_down();
    let first = bench.breaker.acquire(bench.now).unwrap();
    assert_eq!(bench.reject().reason, RejectReason::HalfOpen);
    first.record(bench.now, Completion::new(Outcome::Success, seconds(0)));
    bench.attempt(Outcome::Success);
    let third = bench.breaker.acquire(bench.now).unwrap();
    assert_eq!(bench.reject().reason, RejectReason::HalfOpen);
    third.record(bench.now, Completion::new(Outcome::Success, seconds(0)));
    assert_eq!(bench.state(), State::Degraded);
}

#[test]
fn a_passed_canary_schedules_the_next_after_a_second() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    bench.cool_down();
    bench.attempt(Outcome::Success);
    assert_eq!(bench.breaker.wake_at(), Some(bench.now + seconds(1)));
}

#[test]
fn enough_canaries_make_it_degraded_and_want_a_poll_at_once() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    bench.cool_down();
    bench.attempt(Outcome::Success);
    bench.wait(1);
    bench.attempt(Outcome::Success);
    assert_eq!(bench.state(), State::Degraded);
    assert_eq!(bench.last().generation, 3);
    assert_eq!(bench.breaker.wake_at(), Some(bench.now));
    bench.attempt(Outcome::Success);
    assert_eq!(
        bench.breaker.wake_at(),
        None,
        "one poll, not a loop of them"
    );
}

#[test]
fn canaries_are_none_of_the_three_successes() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    bench.cool_down();
    bench.attempts(2, Outcome::Success);
    bench.attempts(2, Outcome::Success);
    assert_eq!(bench.state(), State::Degraded);
    bench.attempt(Outcome::Success);
    assert_eq!(bench.state(), State::Healthy);
}

#[test]
fn the_first_canary_decides_alone_and_later_ones_together() {
    let mut first = Bench::new(BreakerConfig::default());
    first.open();
    first.cool_down();
    first.attempt(REFUSED);
    assert_eq!(first.last().reason, Reason::CanaryFailed);
    assert_eq!(first.exponent(), 1);

    let mut later = Bench::new(BreakerConfig {
        canary_count: Some(5),
        canary_required: Some(3),
        ..Default::default()
    });
    later.open();
    later.cool_down();
    later.attempt(Outcome::Success);
    later.attempts(2, REFUSED);
    assert_eq!(later.state(), State::HalfOpen, "two of five may fail");
    later.attempt(REFUSED);
    assert_eq!(later.state(), State::CoolingDown);
    assert_eq!(later.exponent(), 1);
}

#[test]
fn a_throttled_canary_keeps_the_exponent_and_heeds_the_advice() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    bench.cool_down();
    let canary = bench.breaker.acquire(bench.now).unwrap();
    let advice = Completion::new(Outcome::Throttled, seconds(0)).advised(Some(seconds(200)));
    canary.record(bench.now, advice);
    assert_eq!(bench.state(), State::CoolingDown);
    assert_eq!(bench.last().reason, Reason::CanaryThrottled);
    assert_eq!(bench.exponent(), 0);
    let rejection = bench.reject();
    assert_eq!(rejection.reason, RejectReason::RetryAfter);
    assert!(rejection.retry_in.unwrap() >= seconds(200));
    assert!(rejection.retry_in.unwrap() <= seconds(220));
    assert_eq!(bench.snapshot().open_remaining, rejection.retry_in);
}

#[test]
fn a_round_that_takes_too_long_is_given_up() {
    let deadline = |fail_first: bool, exponent: u32| {
        let mut bench = Bench::new(BreakerConfig::default());
        bench.open();
        bench.cool_down();
        if fail_first {
            bench.attempt(Outcome::Success);
            bench.attempt(REFUSED);
        }
        let canary = bench.breaker.acquire(bench.now).unwrap();
        let late = bench.now + seconds(30);
        assert_eq!(
            bench.breaker.acquire(late).unwrap_err().reason,
            RejectReason::Open
        );
        assert_eq!(bench.last().reason, Reason::HalfOpenTimeout);
        assert_eq!(bench.exponent(), exponent);
        canary.record(late, Completion::new(Outcome::Success, seconds(0)));
        assert_eq!(bench.snapshot().late_results, 1);
    };
    deadline(false, 0);
    deadline(true, 1);
}

#[test]
fn a_result_after_the_deadline_finds_the_round_over() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    bench.cool_down();
    let canary = bench.breaker.acquire(bench.now).unwrap();
    let late = bench.now + seconds(31);
    canary.record(late, Completion::new(Outcome::Success, seconds(0)));
    assert_eq!(bench.state(), State::CoolingDown);
    assert_eq!(bench.snapshot().late_results, 1);
}

#[test]
fn a_destination_finishes_its_round_when_it_has_something_to_send() {
    let f = |edge, expected| {
        let mut bench = Bench::at(edge, BreakerConfig::default(), 1);
        bench.open();
        bench.cool_down();
        bench.attempt(Outcome::Success);
        bench.wait(600);
        let next = bench.breaker.acquire(bench.now);
        assert_eq!(bench.state(), expected, "{edge:?}");
        if let Ok(canary) = next {
            // Longer than a round, too.
            bench.now += seconds(31);
            canary.record(bench.now, Completion::new(Outcome::Success, seconds(31)));
            assert_eq!(bench.state(), State::Degraded);
        }
    };
    f(Edge::Source, State::CoolingDown);
    f(Edge::Destination, State::HalfOpen);
}

#[test]
fn a_destinations_round_that_has_failed_once_ends_at_its_deadline() {
    let mut bench = Bench::at(Edge::Destination, BreakerConfig::default(), 1);
    bench.open();
    bench.cool_down();
    bench.attempt(Outcome::Success);
    bench.wait(1);
    bench.attempt(REFUSED);
    let exponent = bench.exponent();
    bench.wait(31);
    assert_eq!(bench.reject().reason, RejectReason::Open);
    assert_eq!(bench.last().reason, Reason::HalfOpenTimeout);
    assert_eq!(bench.exponent(), exponent + 1);
}

#[test]
fn a_late_result_changes_nothing_else() {
    let bench = Bench::new(BreakerConfig::default());
    let late = bench.breaker.acquire(bench.now).unwrap();
    // Through another handle, as another thread would.
    for _ in 0..5 {
        let permit = bench.breaker.acquire(bench.now).unwrap();
        permit.record(bench.now, Completion::new(REFUSED, seconds(0)));
    }
    let before = bench.snapshot();
    late.record(bench.now, Completion::new(Outcome::Success, seconds(0)));
    let after = bench.snapshot();
    assert_eq!(after.late_results, 1);
    assert_eq!(
        format!(
            "{:?}",
            Snapshot {
                late_results: 0,
                ..after
            }
        ),
        format!("{before:?}"),
    );
}

#[test]
fn an_operator_can_force_it_open_and_closed_and_reset_it() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.breaker.force(Force::Open, bench.now);
    bench.wait(100_000);
    assert_eq!(
        bench.reject(),
        Rejection {
            reason: RejectReason::ForcedOpen,
            retry_in: None
        }
    );
    assert_eq!(bench.breaker.wake_at(), None);
    assert_eq!(bench.snapshot().open_remaining, None);

    bench.breaker.force(Force::Closed, bench.now);
    bench.attempts(50, REFUSED);
    assert_eq!(bench.state(), State::Healthy);
    assert_eq!(bench.snapshot().failures, 50, "statistics go on");

    bench.breaker.force(Force::Reset, bench.now);
    assert_eq!(bench.snapshot().ewma_error_ratio, 0.0);
    bench.open();
    let reasons: Vec<_> = bench.transitions().iter().map(|seen| seen.2).collect();
    assert_eq!(
        reasons[..3],
        [Reason::ForcedOpen, Reason::ForcedClosed, Reason::Reset]
    );
    assert_eq!(bench.last().generation, 4);
}

#[test]
fn advice_is_heeded_in_any_state() {
    let mut bench = Bench::new(BreakerConfig::default());
    let permit = bench.breaker.acquire(bench.now).unwrap();
    let advice = Completion::new(Outcome::Unavailable, seconds(0)).advised(Some(seconds(30)));
    permit.record(bench.now, advice);
    assert_eq!(bench.state(), State::Healthy);
    bench.wait(29);
    assert_eq!(bench.reject().reason, RejectReason::RetryAfter);
    bench.now = bench.breaker.wake_at().unwrap();
    bench.attempt(Outcome::Success);
    assert_eq!(bench.breaker.wake_at(), None);
    assert_eq!(bench.snapshot().open_remaining, Some(Duration::ZERO));
}

#[test]
fn cooldowns_double_up_to_the_maximum_and_the_exponent_decays_in_calm() {
    let mut bench = Bench::new(BreakerConfig {
        jitter: Some(0.0),
        ..Default::default()
    });
    bench.open();
    let mut cooldowns = vec![bench.last().cooldown.unwrap().as_secs()];
    for _ in 0..4 {
        bench.cool_down();
        bench.attempt(REFUSED);
        cooldowns.push(bench.last().cooldown.unwrap().as_secs());
    }
    assert_eq!(cooldowns, [60, 120, 240, 300, 300]);
    bench.cool_down();
    bench.attempts(5, Outcome::Success);
    assert_eq!(bench.state(), State::Healthy);
    bench.wait(130);
    while bench.state() != State::CoolingDown {
        bench.attempt(REFUSED);
    }
    assert_eq!(
        bench.exponent(),
        2,
        "two minutes of calm took two from four"
    );
    assert_eq!(bench.last().cooldown, Some(seconds(240)));
}

#[test]
fn while_our_network_is_suspected_no_exponent_grows() {
    let network = Arc::new(Network::new());
    let mut bench = Bench::new(BreakerConfig::default());
    bench.breaker = bench.breaker.on_network(network.clone());
    bench.open();
    bench.cool_down();
    for peer in ["a:1", "b:1", "c:1"] {
        network.record(bench.now, peer, REFUSED);
    }
    bench.attempt(REFUSED);
    assert_eq!(bench.exponent(), 0);
    bench.cool_down();
    network.record(bench.now, "a:1", Outcome::Success);
    bench.attempt(REFUSED);
    assert_eq!(bench.exponent(), 1);
}

#[test]
fn observing_rejects_nothing_and_knows_what_it_would_have_rejected() {
    let mut bench = Bench::new(BreakerConfig {
        mode: Some(Mode::Observe),
        ..Default::default()
    });
    bench.open();
    let before = bench.snapshot().failures;
    bench.attempts(3, REFUSED);
    let snapshot = bench.snapshot();
    assert_eq!(snapshot.state, State::CoolingDown);
    assert_eq!(snapshot.rejected[RejectReason::Open as usize], 3);
    assert_eq!(snapshot.failures, before, "they would not have been made");
}

#[test]
fn off_is_off() {
    let mut bench = Bench::new(BreakerConfig {
        mode: Some(Mode::Off),
        ..Default::default()
    });
    bench.attempts(1_000, REFUSED);
    assert_eq!(bench.state(), State::Healthy);
    assert_eq!(bench.transitions(), []);
    bench.breaker.force(Force::Open, bench.now);
    assert!(bench.breaker.acquire(bench.now).is_ok());
}

#[test]
fn the_simple_preset_is_the_textbooks_breaker() {
    let mut bench = Bench::new(BreakerConfig {
        preset: Some(crate::resilience::Preset::Simple),
        jitter: Some(0.0),
        ..Default::default()
    });
    bench.open();
    for _ in 0..3 {
        assert_eq!(bench.last().cooldown, Some(seconds(30)));
        bench.cool_down();
        bench.attempt(REFUSED);
    }
    bench.cool_down();
    bench.attempt(Outcome::Success);
    assert_eq!(bench.state(), State::Degraded, "one canary is enough");
}
