//! The known figures of the breaker, reproduced: a scripted server, a paused clock, and
//! bounds that a change for the worse breaks. `cargo run --release --example
//! resilience_simulation` prints them.
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

#[path = "support/outage.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod outage;

use std::time::Duration;

use foghorn::resilience::{BreakerState, Config, Outcome};
use outage::{Script, Shown, Weather, attempts_to_open, openings, simulate, simulate_paths};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Down from ten minutes on, for so long.
fn outage(weather: Weather, length: Duration) -> Script {
    vec![(s(600), weather), (s(600) + length, Weather::Up)]
}

fn mean(samples: impl IntoIterator<Item = f64>) -> f64 {
    let samples: Vec<f64> = samples.into_iter().collect();
    samples.iter().sum::<f64>() / samples.len() as f64
}

#[test]
fn independent_errors_rarely_open_it() {
    let per_100_000 = |rate| mean((0..4).map(|seed| f64::from(openings(rate, 100_000, seed))));
    assert_eq!(per_100_000(0.01), 0.0);
    assert!(per_100_000(0.05) <= 2.0);
    let ten = per_100_000(0.10);
    assert!((2.0..=20.0).contains(&ten), "{ten}");
    let twenty = per_100_000(0.20);
    assert!((380.0..=560.0).contains(&twenty), "{twenty}");
}

#[test]
fn half_the_requests_failing_opens_it_after_some_eighteen() {
    let mut attempts: Vec<u32> = (0..1_001).map(|seed| attempts_to_open(0.5, seed)).collect();
    attempts.sort_unstable();
    let median = attempts[500];
    assert!((14..=22).contains(&median), "{median}");
}

#[test]
fn an_outage_after_a_clean_history_opens_it_at_five() {
    assert!((0..100).all(|seed| attempts_to_open(1.0, seed) == 5));
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_costs_five_requests_and_then_at_most_0_7_a_minute() {
    let mut hours = [const { Vec::new() }; 6];
    for seed in 0..60 {
        let dead = vec![(s(0), Weather::Refused)];
        let record = simulate(&Config::default(), dead, s(0), s(22_000), seed).await;
        let opened = record.first(BreakerState::CoolingDown, s(0)).unwrap();
        // The attempt that opened it ended at that moment.
        let since = opened + Duration::from_nanos(1);
        assert_eq!(record.attempts_between(s(0), since), 5);
        for (hour, rates) in (0..).zip(&mut hours) {
            let begins = since + s(hour * 3_600);
            let asked = record.attempts_between(begins, begins + s(3_600));
            rates.push(asked as f64 / 60.0);
        }
    }
    for (hour, rates) in hours.into_iter().enumerate() {
        let rate = mean(rates);
        assert!(
            (0.6..=0.7).contains(&rate),
            "{rate} in the hour after {hour}"
        );
    }
}

/// The mean time from the beginning of an outage to the opening, over all phases of the
/// poll.
async fn time_to_open(weather: Weather) -> f64 {
    let mut times = Vec::new();
    for seed in 0..60 {
        let phase = Duration::from_millis(seed * 250);
        let down = vec![(s(600), weather)];
        let record = simulate(&Config::default(), down, phase, s(900), seed).await;
        let opened = record.first(BreakerState::CoolingDown, s(600)).unwrap();
        times.push((opened - s(600)).as_secs_f64());
    }
    mean(times)
}

#[tokio::test(start_paused = true)]
async fn a_refused_endpoint_is_given_up_within_half_a_minute() {
    let time = time_to_open(Weather::Refused).await;
    assert!((19.0..=26.0).contains(&time), "{time}");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_endpoint_is_given_up_within_three_quarters_of_a_minute() {
    let time = time_to_open(Weather::Hanging).await;
    assert!((38.0..=46.0).contains(&time), "{time}");
}

/// The mean time from the end of an outage until every one of so many paths has answered.
async fn recovery(paths: usize, weather: Weather, length: Duration) -> f64 {
    let mut times = Vec::new();
    for seed in 0..60 {
        // All phases of the poll alike.
        let length = length + Duration::from_millis(seed * 250);
        let back = s(600) + length;
        let script = outage(weather, length);
        let config = Config::default();
        let records = simulate_paths(paths, &config, script, s(0), back + s(200), seed).await;
        let heard = records
            .iter()
            .map(|record| record.first_answer(back).unwrap());
        times.push((heard.max().unwrap() - back).as_secs_f64());
    }
    mean(times)
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_back_is_heard_within_a_minute_on_average() {
    for (length, most) in [(s(60), 45.0), (s(600), 60.0), (s(3_600), 60.0)] {
        for weather in [Weather::Refused, Weather::Hanging] {
            let time = recovery(1, weather, length).await;
            assert!(time <= most, "{time} after {length:?} {weather:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn three_paths_of_one_source_are_back_with_the_first_of_them() {
    for length in [s(60), s(600), s(3_600)] {
        for weather in [Weather::Refused, Weather::Hanging] {
            let time = recovery(3, weather, length).await;
            assert!(time <= 30.0, "{time} after {length:?} {weather:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_back_is_heard_within_a_minute_whatever_the_outage() {
    let mut times = Vec::new();
    for weather in [Weather::Refused, Weather::Hanging] {
        for seed in 0..60u32 {
            // From a quarter of a minute to six hours, short ones as many as long ones.
            let length = Duration::from_secs_f64(15.0 * 1_440f64.powf(f64::from(seed) / 60.0));
            let seed = u64::from(seed);
            let back = s(600) + length;
            let script = outage(weather, length);
            let record = simulate(&Config::default(), script, s(0), back + s(900), seed).await;
            let heard = record.first_answer(back).unwrap();
            times.push((heard - back).as_secs_f64());
        }
    }
    let time = mean(times);
    assert!(time < 60.0, "{time}");
}

#[tokio::test(start_paused = true)]
async fn after_every_kind_of_outage_it_is_healthy_again_and_shows_the_present() {
    for weather in [
        Weather::Refused,
        Weather::Hanging,
        Weather::Brownout(0.3),
        Weather::Brownout(0.5),
        Weather::Brownout(0.9),
        Weather::Slow,
        Weather::Throttling(30),
        Weather::Garbage,
    ] {
        for seed in 0..5 {
            let script = outage(weather, s(1_200));
            let record = simulate(&Config::default(), script, s(0), s(3_600), seed).await;
            assert_eq!(
                record.states.last().unwrap().1,
                BreakerState::Healthy,
                "{weather:?}"
            );
            assert_eq!(
                record.shown.last().unwrap().1,
                Shown::Current,
                "{weather:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn slow_answers_degrade_it_and_lose_nothing() {
    let script = outage(Weather::Slow, s(1_200));
    let record = simulate(&Config::default(), script, s(0), s(1_800), 1).await;
    assert!(record.first(BreakerState::Degraded, s(600)).is_some());
    assert!(record.first(BreakerState::CoolingDown, s(0)).is_none());
    assert!(record.tombstones.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_429_is_answered_with_patience() {
    let script = outage(Weather::Throttling(120), s(1_200));
    let record = simulate(&Config::default(), script, s(0), s(1_800), 1).await;
    let asked = record.attempts_between(s(600), s(1_800));
    assert!(
        (8..=12).contains(&asked),
        "{asked} in twenty minutes of two-minute advice"
    );
}

#[tokio::test(start_paused = true)]
async fn garbage_is_no_data_and_no_reason_to_stop_asking() {
    let script = outage(Weather::Garbage, s(600));
    let record = simulate(&Config::default(), script, s(0), s(1_190), 1).await;
    assert!(
        record
            .states
            .iter()
            .all(|(_, state)| *state == BreakerState::Healthy)
    );
    let stale = record
        .shown
        .iter()
        .find(|(_, shown)| *shown == Shown::Stale)
        .unwrap();
    assert!(stale.0 >= s(600) && stale.0 <= s(616));
    assert_eq!(record.tombstones.len(), 1, "{:?}", record.tombstones);
    assert!(
        record
            .attempts
            .iter()
            .all(|(at, outcome, _)| { (*outcome == Outcome::Malformed) == (*at >= s(600)) })
    );
}

#[tokio::test(start_paused = true)]
async fn flapping_costs_cooldowns_and_never_a_stuck_breaker() {
    let script: Script = (0..60)
        .map(|half| {
            (
                s(600 + half * 45),
                if half % 2 == 0 {
                    Weather::Refused
                } else {
                    Weather::Up
                },
            )
        })
        .chain([(s(600 + 60 * 45), Weather::Up)])
        .collect();
    let record = simulate(&Config::default(), script, s(0), s(4_200), 3).await;
    assert_eq!(record.states.last().unwrap().1, BreakerState::Healthy);
    let asked = record.attempts_between(s(600), s(3_300));
    assert!(asked < 3 * 180, "{asked} attempts in 180 intervals");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_ends_a_cooldown_and_nothing_else() {
    let script = outage(Weather::Refused, s(120));
    let jump = async {
        tokio::time::sleep(s(650)).await;
        tokio::time::advance(s(7_200)).await;
    };
    let config = Config::default();
    let polls = simulate(&config, script, s(0), s(9_000), 1);
    let (record, ()) = tokio::join!(polls, jump);
    assert_eq!(record.states.last().unwrap().1, BreakerState::Healthy);
    let back = record.first_answer(s(7_200)).unwrap();
    assert!(back < s(7_200 + 650 + 20), "{back:?}");
}
