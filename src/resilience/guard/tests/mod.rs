//! Guards under a paused clock, around fetches that do as they are told.

mod rig;
mod siblings;

use tokio::time::{advance, sleep};

use self::rig::{Act, Stage, poll};
use super::*;
use crate::resilience::breaker::{BreakerState, Force};
use crate::resilience::outcome::Transport;
use crate::resilience::registry::RegistrationError;
use crate::resilience::settings::{BreakerConfig, Config, PollConfig};
use crate::resilience::{EndpointId, RetryResult};

const REFUSED: Outcome = Outcome::Transport(Transport::Refused);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fails(served: &Served<u32>) -> &Failure {
    match served {
        Served::Failed(failure) => failure,
        other => panic!("{other:?} is no failure"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_is_new_once_and_fresh_until_its_ttl() {
    let stage = Stage::new([Act::Answer(1), Act::Answer(2)]);
    assert!(matches!(stage.tick().await, Served::New(1)));
    advance(s(9)).await;
    assert!(matches!(stage.tick().await, Served::Fresh { value: 1, age } if age == s(9)));
    assert_eq!(stage.attempts(), 1);
    advance(s(1)).await;
    assert!(matches!(stage.tick().await, Served::New(2)));
    assert_eq!(stage.guard.endpoint().cache_requests(), [1, 2, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_well_is_asked_at_every_tick_unless_a_longer_ttl_is_written() {
    let ticks = async |interval: Duration, takes: Duration, ttl: Option<Duration>| {
        let mut config = Config::default();
        config.cache.ttl = ttl;
        let pace = PollConfig {
            interval: Some(interval),
            timeout: None,
        };
        let answers = (0..8).map(|n| Act::AnswerAfter(takes.as_millis() as u64, n));
        let stage = Stage::paced(config, pace, answers);
        let begun = Instant::now();
        // The first two come closer to each other than the others.
        let mut next = begun + interval * 7 / 10;
        for _ in 0..8 {
            stage.tick().await;
            tokio::time::sleep_until(next).await;
            next += interval;
        }
        stage.attempts()
    };
    for (interval, takes) in [
        (100, 1),
        (1_000, 300),
        (5_000, 2_000),
        (10_000, 5),
        (15_000, 4_900),
    ] {
        let (interval, takes) = (
            Duration::from_millis(interval),
            Duration::from_millis(takes),
        );
        assert_eq!(ticks(interval, takes, None).await, 8, "{interval:?}");
    }
    assert_eq!(ticks(s(5), Duration::from_millis(5), Some(s(10))).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_tried_again_after_one_and_two_seconds() {
    let stage = Stage::new([Act::Fail(REFUSED), Act::Fail(REFUSED), Act::Answer(3)]);
    let start = Instant::now();
    assert!(matches!(stage.tick().await, Served::New(3)));
    let attempts = stage.script.attempts.lock().unwrap().clone();
    let waited = |index: usize| (attempts[index].1 - start).as_secs_f64();
    assert!((0.7..=1.31).contains(&waited(1)), "{}", waited(1));
    assert!((2.1..=3.91).contains(&waited(2)), "{}", waited(2));
    assert_eq!(attempts[2].0.number, 2);
    assert_eq!(stage.retries(RetryResult::Failed), 1);
    assert_eq!(stage.retries(RetryResult::Succeeded), 1);
    assert_eq!(
        stage.guard.endpoint().budget_tokens(),
        8.0,
        "a retry earns nothing"
    );
    assert_eq!(
        *stage.events.0.lock().unwrap(),
        ["transport", "retry 1", "transport", "retry 2", "success"],
    );
}

#[tokio::test(start_paused = true)]
async fn what_would_come_to_the_same_is_not_tried_again() {
    for outcome in [
        Outcome::ServerError,
        Outcome::ClientError,
        Outcome::Throttled,
        Outcome::Malformed,
        Outcome::TooLarge,
        Outcome::Local,
    ] {
        let stage = Stage::new([Act::Fail(outcome)]);
        let served = stage.tick().await;
        assert!(matches!(fails(&served), Failure::Attempt(error) if error.outcome == outcome));
        assert_eq!(stage.attempts(), 1, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn advice_is_waited_for_where_it_fits_the_deadline() {
    let fits = Stage::new([Act::Advise(Outcome::Throttled, 4), Act::Answer(1)]);
    let start = Instant::now();
    assert!(matches!(fits.tick().await, Served::New(1)));
    assert!(start.elapsed() >= s(4), "never early");

    let late = Stage::new([Act::Advise(Outcome::Throttled, 10), Act::Answer(1)]);
    fails(&late.tick().await);
    assert_eq!(late.retries(RetryResult::NoTime), 1);
    advance(s(5)).await;
    let served = late.tick().await;
    let rejection = match fails(&served) {
        Failure::Rejected(rejection) => *rejection,
        other => panic!("{other}"),
    };
    assert_eq!(rejection.reason, RejectReason::RetryAfter);
    let wake = late.guard.wake_at().unwrap();
    tokio::time::sleep_until(wake).await;
    assert!(matches!(late.poll(Trigger::Wake).await, Served::New(1)));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_endpoint_gets_two_attempts_in_a_poll() {
    let stage = Stage::new([]);
    let start = Instant::now();
    let served = stage.tick().await;
    assert!(matches!(fails(&served), Failure::Attempt(error) if error.outcome == Outcome::Timeout));
    assert_eq!(stage.attempts(), 2, "a third would lack its full timeout");
    assert!(start.elapsed() < s(14));
    assert_eq!(
        stage.guard.endpoint().budget_tokens(),
        8.0,
        "after a timeout it costs two"
    );
    assert_eq!(stage.retries(RetryResult::NoTime), 1);
}

#[tokio::test(start_paused = true)]
async fn a_degraded_endpoint_is_retried_once_at_most() {
    let stage = Stage::new(std::iter::repeat_n(Act::Fail(REFUSED), 20));
    fails(&stage.tick().await);
    assert_eq!(stage.state(), BreakerState::Degraded);
    assert_eq!(
        stage.attempts(),
        3,
        "the third failure degraded it, after two retries"
    );
    fails(&stage.tick().await);
    assert_eq!(stage.attempts(), 5);
    assert_eq!(stage.state(), BreakerState::CoolingDown);
    fails(&stage.tick().await);
    assert_eq!(stage.attempts(), 5);
}

#[tokio::test(start_paused = true)]
async fn one_poll_never_opens_a_breaker() {
    let stage = Stage::with(
        Config {
            breaker: BreakerConfig {
                failure_threshold: Some(5),
                ..Default::default()
            },
            ..Default::default()
        },
        std::iter::repeat_n(Act::Fail(REFUSED), 20),
    );
    fails(&stage.tick().await);
    assert!(stage.state().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_uses_up_its_budget_and_then_costs_one_attempt_a_poll() {
    let mut config = Config::default();
    config.breaker.mode = Some(crate::resilience::Mode::Off);
    let stage = Stage::with(config, std::iter::repeat_n(Act::Fail(REFUSED), 200));
    for _ in 0..10 {
        fails(&stage.tick().await);
        advance(s(15)).await;
    }
    assert_eq!(stage.attempts(), 10 + 10, "ten polls, ten retries");
    assert_eq!(stage.guard.endpoint().budget_tokens(), 0.0);
    assert!(stage.retries(RetryResult::NoBudget) > 0);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_bridged_with_what_is_marked_stale_and_ends_with_a_tombstone() {
    let stage = Stage::new([Act::Answer(7)]);
    assert!(matches!(stage.tick().await, Served::New(7)));
    let mut stale = 0;
    let mut tombstone = None;
    let start = Instant::now();
    while start.elapsed() < s(400) {
        let tick = Instant::now() + s(15);
        let wake = stage.guard.wake_at().map_or(tick, |wake| wake.min(tick));
        tokio::time::sleep_until(wake).await;
        let trigger = if wake < tick {
            Trigger::Wake
        } else {
            Trigger::Tick
        };
        match stage.poll(trigger).await {
            Served::Stale { value: 7, age, .. } => {
                assert!(age <= s(300));
                assert!(stage.guard.endpoint().cache().unwrap().stale);
                stale += 1;
            }
            Served::Failed(_) => assert!(start.elapsed() > s(300)),
            other => panic!("{other:?}"),
        }
        if let Some(value) = stage.guard.expire(Instant::now()) {
            assert_eq!((value, tombstone), (7, None));
            tombstone = Some(start.elapsed());
        }
    }
    assert!(stale > 15, "{stale}");
    assert!(
        tombstone.is_some_and(|at| at > s(300) && at < s(316)),
        "{tombstone:?}"
    );
    assert_eq!(stage.guard.endpoint().cache(), None);
}

#[tokio::test(start_paused = true)]
async fn in_half_open_only_the_schedule_sends_canaries() {
    let acts = std::iter::repeat_n(Act::Fail(REFUSED), 5).chain((0..5).map(Act::Answer));
    let stage = Stage::new(acts);
    fails(&stage.tick().await);
    fails(&stage.tick().await);
    assert_eq!(stage.state(), BreakerState::CoolingDown);
    tokio::time::sleep_until(stage.guard.wake_at().unwrap()).await;
    assert!(matches!(stage.poll(Trigger::Wake).await, Served::New(0)));
    assert_eq!(stage.state(), BreakerState::HalfOpen);
    advance(s(11)).await;
    let served = stage.tick().await;
    assert!(
        matches!(served.failure(), Some(Failure::Rejected(rejection))
            if rejection.reason == RejectReason::HalfOpen),
        "{served:?}"
    );
    let next = stage.guard.wake_at().unwrap();
    tokio::time::sleep_until(next).await;
    // Although the first canary's answer would still be fresh.
    assert!(matches!(stage.poll(Trigger::Wake).await, Served::New(1)));
    assert_eq!(stage.state(), BreakerState::Degraded);
    assert_eq!(stage.guard.wake_at(), Some(Instant::now()));
    assert!(matches!(stage.poll(Trigger::Wake).await, Served::New(2)));
    assert_eq!(stage.guard.wake_at(), None);
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_never_retried() {
    let stage = Stage::new(std::iter::repeat_n(Act::Fail(REFUSED), 20));
    fails(&stage.tick().await);
    fails(&stage.tick().await);
    tokio::time::sleep_until(stage.guard.wake_at().unwrap()).await;
    fails(&stage.poll(Trigger::Wake).await);
    assert_eq!(stage.attempts(), 6);
    assert_eq!(stage.state(), BreakerState::CoolingDown);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_during_a_fetch_joins_it_and_gets_no_second_point() {
    let stage = Stage::new([Act::AnswerAfter(1_000, 5)]);
    let (first, second) = tokio::join!(stage.tick(), stage.tick());
    assert!(matches!(first, Served::New(5)), "{first:?}");
    assert!(
        matches!(second, Served::Fresh { value: 5, .. }),
        "{second:?}"
    );
    assert_eq!(stage.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cancelled_does_not_fail_its_followers() {
    let stage = Stage::new([Act::AnswerAfter(1_000, 5)]);
    let leader = tokio::spawn(poll(
        stage.guard.clone(),
        stage.script.clone(),
        Trigger::Tick,
    ));
    sleep(Duration::from_millis(100)).await;
    let follower = tokio::spawn(poll(
        stage.guard.clone(),
        stage.script.clone(),
        Trigger::Tick,
    ));
    sleep(Duration::from_millis(100)).await;
    leader.abort();
    assert!(matches!(
        follower.await.unwrap(),
        Served::Fresh { value: 5, .. }
    ));
    assert_eq!(stage.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_fetch_is_a_failure_and_frees_what_it_held() {
    let stage = Stage::new([Act::Panic, Act::Answer(1)]);
    assert_eq!(*fails(&stage.tick().await), Failure::Panicked);
    assert_eq!(stage.endpoints.active_tasks(), 0);
    assert!(matches!(stage.tick().await, Served::New(1)));
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_a_fetch_at_once_and_rejects_new_ones() {
    let stage = Stage::new([]);
    let running = tokio::spawn(poll(
        stage.guard.clone(),
        stage.script.clone(),
        Trigger::Tick,
    ));
    sleep(s(1)).await;
    assert_eq!(stage.endpoints.active_tasks(), 1);
    let before = Instant::now();
    stage.stop.cancel();
    assert_eq!(*fails(&running.await.unwrap()), Failure::Shutdown);
    assert_eq!(*fails(&stage.tick().await), Failure::Shutdown);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(stage.attempts(), 1);
    assert_eq!(stage.endpoints.active_tasks(), 0);
    assert_eq!(
        stage.guard.endpoint().breaker().snapshot(before).failures,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_overtaken_for_a_token_and_the_loser_cancelled() {
    let mut config = Config::default();
    config.hedging.enabled = Some(true);
    config.cache.ttl = Some(Duration::ZERO);
    let acts = (0..50)
        .map(|value| Act::AnswerAfter(20, value))
        .chain([Act::Hang, Act::AnswerAfter(20, 99)]);
    let stage = Stage::with(config, acts);
    for _ in 0..50 {
        stage.tick().await;
    }
    let start = Instant::now();
    assert!(matches!(stage.tick().await, Served::New(99)));
    // The 95th percentile is 20 ms, but nobody is hurried before 100.
    assert!(
        start.elapsed() >= Duration::from_millis(120),
        "{:?}",
        start.elapsed()
    );
    assert!(
        start.elapsed() < Duration::from_millis(130),
        "{:?}",
        start.elapsed()
    );
    assert!(stage.script.attempts.lock().unwrap()[51].0.hedge);
    assert!(stage.guard.endpoint().budget_tokens() < 10.0);
    let snapshot = stage.guard.endpoint().breaker().snapshot(Instant::now());
    assert_eq!(snapshot.failures, 0, "the loser says nothing");
}

#[tokio::test(start_paused = true)]
async fn one_broken_endpoint_leaves_its_neighbour_alone() {
    let stage = Stage::new(std::iter::repeat_n(Act::Fail(REFUSED), 20));
    let neighbour = EndpointId::new("betanet", "http://a:9000/other");
    let neighbour: Guard<u32> = stage
        .endpoints
        .guard(neighbour, Settings::default())
        .unwrap();
    for _ in 0..3 {
        stage.tick().await;
    }
    assert_eq!(stage.state(), BreakerState::CoolingDown);
    assert_eq!(
        neighbour.endpoint().breaker().state(),
        BreakerState::Healthy
    );
    assert_eq!(neighbour.endpoint().budget_tokens(), 10.0);
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_bounded_named_once_and_forced_by_name() {
    let stage = Stage::new([]);
    let id = stage.guard.endpoint().id().clone();
    assert_eq!(id.url(), "http://a:9000/m", "no credentials, no query");
    assert_eq!(
        stage
            .endpoints
            .breaker(id.clone(), Default::default())
            .unwrap_err(),
        RegistrationError::Duplicate { id: id.clone() },
    );
    for index in 0..9 {
        let id = EndpointId::new("x", &format!("http://x/{index}"));
        stage.endpoints.breaker(id, Default::default()).unwrap();
    }
    let one_more = EndpointId::new("x", "http://x/9");
    let full = stage
        .endpoints
        .breaker(one_more.clone(), Default::default())
        .unwrap_err();
    assert_eq!(
        full.to_string(),
        "x http://x/9: there are 10 endpoints already, the most that service.max_endpoints allows",
    );
    assert_eq!(stage.endpoints.registration_failures(), 2);
    assert!(stage.endpoints.force(&id, Force::Open, Instant::now()));
    assert_eq!(stage.state(), BreakerState::CoolingDown);
    assert!(
        !stage
            .endpoints
            .force(&one_more, Force::Open, Instant::now())
    );
    assert!(stage.endpoints.remove(&id).is_some());
    assert_eq!(stage.endpoints.all().len(), 9);
}

#[test]
fn peers_are_hosts_with_their_ports() {
    let peer = |url, expected: &str| assert_eq!(EndpointId::new("x", url).peer(), expected);
    peer("http://a/path", "a:80");
    peer("https://u:p@a.example/path?q", "a.example:443");
    peer("http://a:9000/x", "a:9000");
    peer("http://[::1]:9000/x", "[::1]:9000");
    peer("http://[::1]/x", "[::1]:80");
    peer("localhost:4317", "localhost:4317");
}

#[tokio::test(start_paused = true)]
async fn waiting_costs_an_idle_guard_no_timer() {
    let stage = Stage::new([Act::Answer(1)]);
    stage.tick().await;
    assert_eq!(stage.guard.wake_at(), None);
    advance(s(10_000)).await;
    assert_eq!(stage.attempts(), 1);
    assert_eq!(stage.guard.wake_at(), None);
}
