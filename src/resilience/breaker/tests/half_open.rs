//! One test per row of the table of states about an open breaker and its canaries.

use super::*;

#[test]
fn an_open_one_rejects_and_says_for_how_long() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    let cooldown = bench.last().cooldown.unwrap();
    bench.wait(10);
    let rejection = bench.reject();
    assert_eq!(rejection.retry_in, Some(cooldown - seconds(10)));
    assert_eq!(bench.snapshot().open_remaining, rejection.retry_in);
    assert_eq!(bench.state(), BreakerState::CoolingDown);
}

#[test]
fn who_asks_after_the_cooldown_is_the_first_canary() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    bench.cool_down();
    assert_eq!(bench.state(), BreakerState::CoolingDown, "nobody has asked");
    let permit = bench.breaker.acquire(bench.now).unwrap();
    assert!(permit.is_canary());
    assert_eq!(permit.generation(), 2);
    let snapshot = bench.snapshot();
    assert_eq!(snapshot.state, BreakerState::HalfOpen);
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
    assert_eq!(bench.state(), BreakerState::Degraded);
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
    assert_eq!(bench.state(), BreakerState::Degraded);
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
    assert_eq!(bench.state(), BreakerState::Degraded);
    bench.attempt(Outcome::Success);
    assert_eq!(bench.state(), BreakerState::Healthy);
}

#[test]
fn the_first_canary_decides_alone_and_later_ones_together() {
    let mut first = Bench::new(BreakerConfig::default());
    first.open();
    first.cool_down();
    first.attempt(REFUSED);
    assert_eq!(first.last().reason, TransitionReason::CanaryFailed);
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
    assert_eq!(
        later.state(),
        BreakerState::HalfOpen,
        "two of five may fail"
    );
    later.attempt(REFUSED);
    assert_eq!(later.state(), BreakerState::CoolingDown);
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
    assert_eq!(bench.state(), BreakerState::CoolingDown);
    assert_eq!(bench.last().reason, TransitionReason::CanaryThrottled);
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
        assert_eq!(bench.last().reason, TransitionReason::HalfOpenTimeout);
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
    assert_eq!(bench.state(), BreakerState::CoolingDown);
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
            assert_eq!(bench.state(), BreakerState::Degraded);
        }
    };
    f(Edge::Source, BreakerState::CoolingDown);
    f(Edge::Destination, BreakerState::HalfOpen);
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
    assert_eq!(bench.last().reason, TransitionReason::HalfOpenTimeout);
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
            BreakerSnapshot {
                late_results: 0,
                ..after
            }
        ),
        format!("{before:?}"),
    );
}

#[test]
fn a_sibling_that_is_back_ends_a_cooldown_and_neither_an_advice_nor_a_command() {
    let mut bench = Bench::new(BreakerConfig::default());
    assert!(!bench.breaker.hasten(bench.now), "nothing to end");
    bench.open();
    bench.wait(1);
    assert!(bench.breaker.hasten(bench.now));
    assert_eq!(bench.breaker.wake_at(), Some(bench.now));
    assert_eq!(bench.state(), BreakerState::CoolingDown, "nobody has asked");
    assert!(bench.breaker.acquire(bench.now).unwrap().is_canary());

    let mut bench = Bench::new(BreakerConfig::default());
    bench.attempts(4, REFUSED);
    let permit = bench.breaker.acquire(bench.now).unwrap();
    let advice = Some(seconds(200));
    permit.record(
        bench.now,
        Completion::new(REFUSED, seconds(0)).advised(advice),
    );
    assert_eq!(bench.state(), BreakerState::CoolingDown);
    bench.breaker.hasten(bench.now);
    bench.wait(199);
    assert_eq!(bench.reject().reason, RejectReason::RetryAfter);

    let bench = Bench::new(BreakerConfig::default());
    bench.breaker.force(Force::Open, bench.now);
    assert!(!bench.breaker.hasten(bench.now));
    assert_eq!(bench.reject().reason, RejectReason::ForcedOpen);
}

#[test]
fn only_a_canary_that_passes_in_time_tells_its_siblings() {
    let told = |bench: &mut Bench, outcome| {
        let permit = bench.breaker.acquire(bench.now).unwrap();
        permit.record(bench.now, Completion::new(outcome, seconds(0)))
    };
    let mut bench = Bench::new(BreakerConfig::default());
    assert!(!told(&mut bench, Outcome::Success), "no canary");
    bench.open();
    bench.cool_down();
    assert!(!told(&mut bench, REFUSED));
    bench.cool_down();
    assert!(told(&mut bench, Outcome::ClientError), "somebody is there");
    bench.wait(1);
    let late = bench.breaker.acquire(bench.now).unwrap();
    let then = bench.now + seconds(60);
    assert!(!late.record(then, Completion::new(Outcome::Success, seconds(60))));
}
