//! One test per cell of the table of outcomes: what each does to the run of failures, the
//! averages, the success share, the latencies, and a canary.

use super::*;

const LATENCY: Duration = Duration::from_millis(40);

/// A breaker that has seen two successes and two failures.
fn warm() -> Bench {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.attempts(2, Outcome::Success);
    bench.attempts(2, REFUSED);
    bench
}

#[test]
fn the_run_of_failures_grows_ends_or_stays() {
    let run = |outcome, expected: u32| {
        let mut bench = warm();
        bench.attempt(outcome);
        assert_eq!(
            bench.snapshot().consecutive_failures,
            expected,
            "{outcome:?}"
        );
    };
    run(Outcome::Success, 0);
    run(Outcome::Transport(Transport::Refused), 3);
    run(Outcome::Transport(Transport::Reset), 3);
    run(Outcome::Transport(Transport::Dns), 3);
    run(Outcome::Transport(Transport::Tls), 3);
    run(Outcome::Timeout, 3);
    run(Outcome::Unavailable, 3);
    run(Outcome::ServerError, 3);
    run(Outcome::Throttled, 2);
    run(Outcome::ClientError, 0);
    run(Outcome::Malformed, 0);
    run(Outcome::TooLarge, 0);
    run(Outcome::Cancelled, 2);
    run(Outcome::Local, 2);
}

#[test]
fn the_error_average_learns_from_successes_and_failures_only() {
    let average = |outcome, expected: &str| {
        let mut bench = warm();
        let before = bench.snapshot().ewma_error_ratio;
        bench.attempt(outcome);
        let after = bench.snapshot().ewma_error_ratio;
        let moved = match after.total_cmp(&before) {
            std::cmp::Ordering::Less => "ok",
            std::cmp::Ordering::Equal => "none",
            std::cmp::Ordering::Greater => "fail",
        };
        assert_eq!(moved, expected, "{outcome:?}");
    };
    average(Outcome::Success, "ok");
    average(REFUSED, "fail");
    average(Outcome::Timeout, "fail");
    average(Outcome::Unavailable, "fail");
    average(Outcome::ServerError, "fail");
    average(Outcome::Throttled, "none");
    average(Outcome::ClientError, "none");
    average(Outcome::Malformed, "none");
    average(Outcome::TooLarge, "none");
    average(Outcome::Cancelled, "none");
    average(Outcome::Local, "none");
}

#[test]
fn the_success_share_also_learns_from_429() {
    let share = |outcome, expected: f64| {
        let mut bench = warm();
        bench.attempt(outcome);
        assert_eq!(
            bench.snapshot().success_ratio,
            Some(expected),
            "{outcome:?}"
        );
    };
    share(Outcome::Success, 3.0 / 5.0);
    share(REFUSED, 2.0 / 5.0);
    share(Outcome::Timeout, 2.0 / 5.0);
    share(Outcome::Unavailable, 2.0 / 5.0);
    share(Outcome::ServerError, 2.0 / 5.0);
    share(Outcome::Throttled, 2.0 / 5.0);
    share(Outcome::ClientError, 2.0 / 4.0);
    share(Outcome::Malformed, 2.0 / 4.0);
    share(Outcome::TooLarge, 2.0 / 4.0);
    share(Outcome::Cancelled, 2.0 / 4.0);
    share(Outcome::Local, 2.0 / 4.0);
}

#[test]
fn latencies_are_those_of_whole_answers_and_of_timeouts() {
    let latency = |outcome, expected: Option<f64>| {
        let mut bench = Bench::new(BreakerConfig::default());
        bench.attempt_in(outcome, LATENCY);
        let seen = bench.snapshot().latency_ms.map(f64::round);
        assert_eq!(seen, expected, "{outcome:?}");
    };
    latency(Outcome::Success, Some(40.0));
    latency(REFUSED, None);
    latency(Outcome::Timeout, Some(40.0));
    latency(Outcome::Unavailable, None);
    latency(Outcome::ServerError, None);
    latency(Outcome::Throttled, None);
    latency(Outcome::ClientError, None);
    latency(Outcome::Malformed, Some(40.0));
    latency(Outcome::TooLarge, Some(40.0));
    latency(Outcome::Cancelled, None);
    latency(Outcome::Local, None);
}

#[test]
fn a_first_canary_passes_fails_or_hands_its_slot_back() {
    let canary = |outcome, state: BreakerState, exponent: u32, in_flight: u32| {
        let mut bench = Bench::new(BreakerConfig::default());
        bench.open();
        bench.cool_down();
        bench.attempt(outcome);
        assert_eq!(bench.state(), state, "{outcome:?}");
        assert_eq!(bench.exponent(), exponent, "{outcome:?}");
        assert_eq!(
            bench.snapshot().half_open_in_flight,
            in_flight,
            "{outcome:?}"
        );
    };
    canary(Outcome::Success, BreakerState::HalfOpen, 0, 0);
    canary(REFUSED, BreakerState::CoolingDown, 1, 0);
    canary(Outcome::Timeout, BreakerState::CoolingDown, 1, 0);
    canary(Outcome::Unavailable, BreakerState::CoolingDown, 1, 0);
    canary(Outcome::ServerError, BreakerState::CoolingDown, 1, 0);
    canary(Outcome::Throttled, BreakerState::CoolingDown, 0, 0);
    canary(Outcome::ClientError, BreakerState::HalfOpen, 0, 0);
    canary(Outcome::Malformed, BreakerState::HalfOpen, 0, 0);
    canary(Outcome::TooLarge, BreakerState::HalfOpen, 0, 0);
    canary(Outcome::Cancelled, BreakerState::HalfOpen, 0, 0);
    canary(Outcome::Local, BreakerState::HalfOpen, 0, 0);
}

#[test]
fn a_slot_handed_back_leaves_the_round_its_three_canaries() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    bench.cool_down();
    drop(bench.breaker.acquire(bench.now));
    bench.attempt(Outcome::Local);
    bench.attempt(Outcome::Cancelled);
    bench.attempt(Outcome::Success);
    bench.attempt(REFUSED);
    bench.attempt(Outcome::Success);
    assert_eq!(bench.state(), BreakerState::Degraded);
}

#[test]
fn canaries_count_everywhere_but_in_the_averages() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    let before = bench.snapshot();
    bench.cool_down();
    bench.attempt(REFUSED);
    let after = bench.snapshot();
    assert_eq!(after.ewma_error_ratio, before.ewma_error_ratio);
    assert_eq!(after.failures, before.failures + 1);
    assert_eq!(after.success_ratio, Some(0.0));
    bench.cool_down();
    bench.attempt_in(Outcome::Success, LATENCY);
    assert_eq!(bench.snapshot().latency_ms.map(f64::round), Some(40.0));
    assert_eq!(bench.snapshot().ewma_error_ratio, before.ewma_error_ratio);
}

#[test]
fn rejections_change_no_statistic() {
    let mut bench = Bench::new(BreakerConfig::default());
    bench.open();
    let before = bench.snapshot();
    let rejection = bench.reject();
    assert_eq!(rejection.reason, RejectReason::Open);
    let after = bench.snapshot();
    assert_eq!(after.rejected[RejectReason::Open as usize], 1);
    assert_eq!(
        format!(
            "{:?}",
            BreakerSnapshot {
                rejected: before.rejected,
                ..after
            }
        ),
        format!("{before:?}"),
    );
}
