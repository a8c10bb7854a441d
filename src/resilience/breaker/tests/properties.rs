//! Random traces against a model that is too simple to be wrong.
//!
//! The model knows only what the tables say about the run of failures, the last hundred
//! attempts, the slots and the clock; it does not know the score. What the breaker does
//! because of the score is therefore checked for being legal, and everything else for
//! being exactly right.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const OUTCOMES: [Outcome; Outcome::COUNT] = Outcome::ALL;

/// What may happen to a breaker.
#[derive(Debug, Clone)]
enum Action {
    /// Time passes, in milliseconds.
    Wait(u64),
    /// Somebody asks, and keeps the permit if admitted.
    Acquire,
    /// One of the permits that are out is used, with a latency in ms and advice in s.
    Finish(usize, Outcome, u64, Option<u64>),
    /// One of them is dropped.
    Drop(usize),
    /// An operator decides.
    Force(Force),
}

fn action() -> impl Strategy<Value = Action> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Success),
        5 => Just(REFUSED),
        3 => (0..Outcome::COUNT).prop_map(|index| OUTCOMES[index]),
    ];
    let latency = prop_oneof![4 => 1u64..100, 1 => 100u64..6_000];
    let advice = prop_oneof![12 => Just(None), 1 => (0u64..400).prop_map(Some)];
    prop_oneof![
        3 => (0u64..2_000).prop_map(Action::Wait),
        2 => (10_000u64..90_000).prop_map(Action::Wait),
        10 => Just(Action::Acquire),
        10 => (any::<usize>(), outcome, latency, advice)
            .prop_map(|(which, outcome, latency, advice)| {
                Action::Finish(which, outcome, latency, advice)
            }),
        2 => any::<usize>().prop_map(Action::Drop),
    ]
}

fn forced() -> impl Strategy<Value = Action> {
    prop_oneof![
        30 => action(),
        1 => prop_oneof![Just(Force::Open), Just(Force::Closed), Just(Force::Reset)]
            .prop_map(Action::Force),
    ]
}

fn config() -> impl Strategy<Value = BreakerConfig> {
    (1u64..8, 1u64..6, 1u64..6, 1u64..6, any::<bool>()).prop_map(
        |(threshold, count, required, concurrency, adaptive)| BreakerConfig {
            failure_threshold: Some(threshold),
            canary_count: Some(count),
            canary_required: Some(required.min(count)),
            canary_concurrency: Some(concurrency.min(count)),
            adaptive: Some(adaptive),
            ..Default::default()
        },
    )
}

/// What must follow from the tables, reckoned in the plainest way.
#[derive(Default)]
struct Model {
    fail_run: u32,
    attempts: VecDeque<bool>,
    outcomes: [u64; Outcome::COUNT],
    late: u64,
}

impl Model {
    fn finish(&mut self, outcome: Outcome) {
        self.outcomes[outcome.index()] += 1;
        let (run, share) = match outcome {
            Outcome::Success => (Some(0), Some(true)),
            Outcome::Transport(_)
            | Outcome::Timeout
            | Outcome::Unavailable
            | Outcome::ServerError => (Some(self.fail_run + 1), Some(false)),
            Outcome::Throttled => (None, Some(false)),
            Outcome::ClientError | Outcome::Malformed | Outcome::TooLarge => (Some(0), None),
            Outcome::Cancelled | Outcome::Local => (None, None),
        };
        self.fail_run = run.unwrap_or(self.fail_run);
        if let Some(success) = share {
            self.attempts.push_back(success);
            if self.attempts.len() > 100 {
                self.attempts.pop_front();
            }
        }
    }

    fn forget(&mut self) {
        self.fail_run = 0;
        self.attempts.clear();
    }

    fn share(&self) -> Option<f64> {
        let successes = self.attempts.iter().filter(|success| **success).count();
        (!self.attempts.is_empty()).then(|| successes as f64 / self.attempts.len() as f64)
    }
}

fn legal(from: BreakerState, to: BreakerState, reason: TransitionReason) -> bool {
    use BreakerState as S;
    use TransitionReason as R;
    match reason {
        R::ForcedOpen => to == S::CoolingDown,
        R::ForcedClosed | R::Reset => to == S::Healthy,
        _ => matches!(
            (from, to, reason),
            (
                S::Healthy,
                S::Degraded,
                R::ConsecutiveFailures | R::HealthScore | R::SlowCalls
            ) | (
                S::Healthy | S::Degraded,
                S::CoolingDown,
                R::ConsecutiveFailures | R::SuccessRate
            ) | (S::Degraded, S::CoolingDown, R::HealthScore)
                | (S::Degraded, S::Healthy, R::Recovered)
                | (S::CoolingDown, S::HalfOpen, R::CooldownOver)
                | (S::HalfOpen, S::Degraded, R::CanariesPassed)
                | (
                    S::HalfOpen,
                    S::CoolingDown,
                    R::CanaryFailed | R::CanaryThrottled | R::HalfOpenTimeout
                )
        ),
    }
}

/// Runs a trace, and holds every property after every action.
fn run(config: &BreakerConfig, seed: u64, trace: &[Action]) -> String {
    let concurrency = config.canary_concurrency.unwrap() as u32;
    let (base, floor) = (config.failure_threshold.unwrap() as u32, 2);
    let mut bench = Bench::seeded(config.clone(), seed);
    let breaker = &bench.breaker;
    let mut model = Model::default();
    let mut permits: Vec<Permit<'_>> = Vec::new();
    let mut known = 0;
    // The endpoint's advice at its shortest and at its longest.
    let mut gate: Option<Instant> = None;
    let mut last_gate: Option<Instant> = None;
    let mut now = bench.now;
    for action in trace {
        let before = breaker.snapshot(now);
        let open_until = breaker.wake_at();
        match action {
            Action::Wait(ms) => now += Duration::from_millis(*ms),
            Action::Force(force) => {
                breaker.force(*force, now);
                if *force != Force::Open {
                    (gate, last_gate) = (None, None);
                }
            }
            Action::Acquire => match breaker.acquire(now) {
                Ok(permit) => {
                    assert!(gate.is_none_or(|gate| now >= gate), "before its advice");
                    if before.state == BreakerState::CoolingDown {
                        assert!(open_until.is_some_and(|at| now >= at), "before its time");
                    }
                    permits.push(permit);
                }
                Err(_) => assert!(
                    !before.state.is_closed() || last_gate.is_some_and(|gate| now <= gate),
                    "closed, and yet rejected"
                ),
            },
            Action::Finish(which, outcome, latency, advice) if !permits.is_empty() => {
                let permit = permits.swap_remove(which % permits.len());
                let late = permit.generation() != before.generation
                    || before.state == BreakerState::HalfOpen
                        && bench
                            .seen
                            .last()
                            .is_some_and(|seen| now >= seen.at + Duration::from_secs(30));
                let advice = advice.map(Duration::from_secs);
                let completion =
                    Completion::new(*outcome, Duration::from_millis(*latency)).advised(advice);
                permit.record(now, completion);
                let after = breaker.snapshot(now);
                if late {
                    model.late += 1;
                } else {
                    model.finish(*outcome);
                    if let Some(advice) = advice
                        && !matches!(outcome, Outcome::Cancelled | Outcome::Local)
                    {
                        let capped = advice.min(Duration::from_secs(300));
                        gate = gate.max(Some(now + capped));
                        last_gate = last_gate.max(Some(now + capped.mul_f64(1.1)));
                    }
                    if outcome.share().is_none() {
                        let passed = before.state == BreakerState::HalfOpen;
                        assert!(
                            passed || after.state == before.state,
                            "{outcome:?} moved it"
                        );
                        assert_ne!(
                            (before.state.is_closed(), after.state),
                            (true, BreakerState::CoolingDown)
                        );
                    }
                }
            }
            Action::Drop(which) if !permits.is_empty() => {
                drop(permits.swap_remove(which % permits.len()));
                let after = breaker.snapshot(now);
                assert_eq!(after.outcomes, before.outcomes);
                assert_eq!(after.state, before.state);
            }
            Action::Finish(..) | Action::Drop(_) => {}
        }
        for seen in bench.seen.after(known) {
            known += 1;
            assert_eq!(seen.seq, known, "a gap");
            assert!(legal(seen.from, seen.to, seen.reason), "{seen:?}");
            let cleared = seen.to == BreakerState::HalfOpen
                || matches!(
                    seen.reason,
                    TransitionReason::ForcedClosed | TransitionReason::Reset
                );
            if cleared {
                model.forget();
            }
        }
        let after = breaker.snapshot(now);
        assert_eq!(after.consecutive_failures, model.fail_run);
        assert_eq!(after.success_ratio, model.share());
        assert_eq!(after.outcomes, model.outcomes);
        assert_eq!(after.late_results, model.late);
        assert!(after.half_open_in_flight <= concurrency);
        assert!((0.0..=1.0).contains(&after.health_score));
        assert!((floor.min(base)..=base).contains(&after.threshold));
    }
    drop(permits);
    assert_eq!(breaker.snapshot(now).half_open_in_flight, 0);
    bench.now = now;
    let seen: Vec<_> = bench
        .seen
        .after(0)
        .iter()
        .map(|seen| {
            (
                seen.seq,
                seen.at - breaker.origin,
                seen.reason,
                seen.cooldown,
            )
        })
        .collect();
    format!("{seen:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_breaker_does_what_the_tables_say(
        config in config(),
        seed: u64,
        trace in prop::collection::vec(action(), 0..400),
    ) {
        run(&config, seed, &trace);
    }

    #[test]
    fn an_operator_breaks_no_rule(
        config in config(),
        seed: u64,
        trace in prop::collection::vec(forced(), 0..200),
    ) {
        run(&config, seed, &trace);
    }

    #[test]
    fn the_same_seed_and_trace_have_the_same_effects(
        config in config(),
        seed: u64,
        trace in prop::collection::vec(action(), 0..200),
    ) {
        prop_assert_eq!(run(&config, seed, &trace), run(&config, seed, &trace));
    }
}

#[test]
fn a_breaker_is_small_and_stays_so() {
    assert!(size_of::<Breaker>() < 3_000, "{}", size_of::<Breaker>());
    let mut bench = Bench::new(BreakerConfig::default());
    for round in 0..2_000 {
        while bench.breaker.acquire(bench.now).is_err() {
            bench.cool_down();
        }
        let outcome = if round / 20 % 2 == 0 {
            REFUSED
        } else {
            Outcome::Success
        };
        bench.attempt(outcome);
        bench.wait(1);
    }
    let edges = lock(&bench.breaker.locked).core.counts.transitions.len();
    assert!(edges <= 16, "{edges}");
}
