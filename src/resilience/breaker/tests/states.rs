//! One test per row of the table of states, but for the rows of an open breaker.

use super::*;

#[test]
fn healthy_degrades_at_three_failures_in_a_row() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.attempts(2, REFUSED);
    assert_eq!(bench.state(), BreakerState::Healthy);
    bench.attempt(REFUSED);
    assert_eq!(bench.state(), BreakerState::Degraded);
    assert_eq!(bench.last().reason, TransitionReason::ConsecutiveFailures);
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
    assert_eq!(
        bench.state(),
        BreakerState::Healthy,
        "four attempts prove nothing"
    );
    bench.attempt_in(Outcome::Success, seconds(9));
    assert_eq!(bench.state(), BreakerState::Degraded);
    assert_eq!(bench.last().reason, TransitionReason::HealthScore);
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
        BreakerState::Healthy,
        "seven of nine, and only nine"
    );
    bench.attempt_in(Outcome::Success, seconds(2));
    assert_eq!(bench.state(), BreakerState::Degraded);
    assert_eq!(bench.last().reason, TransitionReason::SlowCalls);
}

#[test]
fn five_failures_after_a_clean_history_open_it() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.attempts(200, Outcome::Success);
    bench.attempts(4, REFUSED);
    assert_eq!(bench.state(), BreakerState::Degraded);
    bench.attempt(REFUSED);
    assert_eq!(bench.state(), BreakerState::CoolingDown);
    let opened = bench.last();
    assert_eq!(opened.reason, TransitionReason::ConsecutiveFailures);
    assert_eq!((opened.fail_count, opened.threshold), (5, 5));
    assert_eq!(opened.generation, 1);
    let cooldown = opened.cooldown.unwrap();
    assert!(
        cooldown >= seconds(21) && cooldown <= seconds(39),
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
    assert_eq!(bench.state(), BreakerState::CoolingDown);
    assert_eq!(bench.last().reason, TransitionReason::SuccessRate);
}

#[test]
fn opening_is_checked_before_degrading() {
    let mut bench = Bench::new(BreakerConfig {
        failure_threshold: Some(1),
        ..Default::default()
    });
    bench.attempt(REFUSED);
    let opened = (
        BreakerState::Healthy,
        BreakerState::CoolingDown,
        TransitionReason::ConsecutiveFailures,
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
    assert_eq!(bench.state(), BreakerState::Degraded);
    assert_eq!(bench.last().reason, TransitionReason::HealthScore);
    // The third low score in a row came at the eighth attempt, too early to open.
    bench.attempt_in(Outcome::Success, seconds(30));
    assert_eq!(bench.state(), BreakerState::Degraded);
    bench.attempt_in(Outcome::Success, seconds(40));
    assert_eq!(bench.state(), BreakerState::CoolingDown);
    assert_eq!(bench.last().reason, TransitionReason::HealthScore);
}

#[test]
fn a_better_score_between_starts_the_three_again() {
    let mut bench = Bench::new(BreakerConfig {
        failure_threshold: Some(100),
        min_success_rate: Some(0.0),
        ..Default::default()
    });
    bench.attempts(8, REFUSED);
    assert_eq!(bench.state(), BreakerState::Degraded);
    bench.attempts(1, REFUSED);
    // One success in ten, quick and even: 0.05 + 0.5 is a good score.
    bench.attempt(Outcome::Success);
    bench.attempts(2, REFUSED);
    assert_eq!(bench.state(), BreakerState::Degraded);
}

#[test]
fn three_successes_and_all_else_well_make_it_healthy() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.attempts(20, Outcome::Success);
    bench.attempts(3, REFUSED);
    assert_eq!(bench.state(), BreakerState::Degraded);
    bench.attempts(2, Outcome::Success);
    bench.attempt(Outcome::ClientError);
    assert_eq!(
        bench.state(),
        BreakerState::Degraded,
        "a 404 is no success, and no failure"
    );
    bench.attempt(Outcome::Success);
    assert_eq!(bench.state(), BreakerState::Healthy);
    assert_eq!(bench.last().reason, TransitionReason::Recovered);
    assert_eq!(bench.last().generation, 0);
}

#[test]
fn a_degraded_one_stays_so_while_its_share_is_low_or_its_calls_slow() {
    let mut low = Bench::new(BreakerConfig::default());
    low.attempts(3, REFUSED);
    low.attempts(7, Outcome::Success);
    assert_eq!(
        low.state(),
        BreakerState::Degraded,
        "7 of 10 isn't above 0.7"
    );
    low.attempt(Outcome::Success);
    assert_eq!(low.state(), BreakerState::Healthy);

    let mut slow = Bench::new(BreakerConfig {
        recovery_score: Some(0.31),
        ..Default::default()
    });
    for _ in 0..40 {
        slow.attempt_in(Outcome::Success, seconds(3));
    }
    assert_eq!(slow.state(), BreakerState::Degraded);
    slow.attempts(10, Outcome::Success);
    assert_eq!(slow.state(), BreakerState::Degraded, "40 of 50 are slow");
    slow.attempt(Outcome::Success);
    assert_eq!(slow.state(), BreakerState::Healthy);
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
    assert_eq!(bench.state(), BreakerState::Healthy);
    assert_eq!(bench.snapshot().failures, 50, "statistics go on");

    bench.breaker.force(Force::Reset, bench.now);
    assert_eq!(bench.snapshot().ewma_error_ratio, 0.0);
    bench.open();
    let reasons: Vec<_> = bench.transitions().iter().map(|seen| seen.2).collect();
    assert_eq!(
        reasons[..3],
        [
            TransitionReason::ForcedOpen,
            TransitionReason::ForcedClosed,
            TransitionReason::Reset
        ]
    );
    assert_eq!(bench.last().generation, 4);
}

#[test]
fn advice_is_heeded_in_any_state() {
    let mut bench = Bench::new(BreakerConfig::default());
    let permit = bench.breaker.acquire(bench.now).unwrap();
    let advice = Completion::new(Outcome::Unavailable, seconds(0)).advised(Some(seconds(30)));
    permit.record(bench.now, advice);
    assert_eq!(bench.state(), BreakerState::Healthy);
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
    assert_eq!(cooldowns, [30, 60, 120, 120, 120]);
    bench.cool_down();
    bench.attempts(5, Outcome::Success);
    assert_eq!(bench.state(), BreakerState::Healthy);
    bench.wait(130);
    while bench.state() != BreakerState::CoolingDown {
        bench.attempt(REFUSED);
    }
    assert_eq!(
        bench.exponent(),
        2,
        "two minutes of calm took two from four"
    );
    assert_eq!(bench.last().cooldown, Some(seconds(120)));
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
    assert_eq!(snapshot.state, BreakerState::CoolingDown);
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
    assert_eq!(bench.state(), BreakerState::Healthy);
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
    assert_eq!(
        bench.state(),
        BreakerState::Degraded,
        "one canary is enough"
    );
}
