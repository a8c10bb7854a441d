//! Destinations that go down and come back: how often they are tried while down, and that all
//! requests arrive afterwards, in order.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fakes::{Remote, Reply};
use super::rig::{Rig, Rigged};
use crate::component::DropReason;
use crate::resilience::{
    BreakerConfig, BreakerState, EndpointId, FetchError, Force, Outcome, Settings, Transport,
    Trigger,
};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Sends each request in an attempt of its own, so that their order shows.
pub(super) fn one_by_one(remote: Remote) -> Remote {
    remote.with(|delivery| delivery.queue.join_items = 0)
}

pub(super) async fn rigged(remote: &Remote) -> Rigged {
    Rig::new().exporter("remote", remote).start().await
}

/// Pushes requests of 1, 2, 3 and so on items, one every `interval`, and checks after each that
/// the ledger balances.
pub(super) async fn push(
    rigged: &Rigged,
    requests: std::ops::RangeInclusive<u64>,
    interval: Duration,
) {
    for items in requests {
        rigged.push(items as usize).await.unwrap();
        sleep(interval).await;
        rigged.books();
    }
}

/// The most attempts that a destination gets while it is down for so long: those that open the
/// breaker, and a canary after each cooldown, if every cooldown is drawn as short as possible.
fn allowance(down: Duration) -> usize {
    let longest = 60.0 / 1.3;
    let cooldowns = (0..).map(|exponent| f64::min(5.0 * 2_f64.powi(exponent), longest) * 0.7);
    let canaries = cooldowns.scan(0.0, |at, cooldown| {
        *at += cooldown;
        (*at < down.as_secs_f64()).then_some(())
    });
    5 + canaries.count()
}

/// The attempts within the first `seconds`.
fn within(remote: &Remote, seconds: f64) -> usize {
    let times = remote.times();
    times.iter().filter(|at| **at < seconds).count()
}

/// The attempts of the request with this many items.
fn within_of(remote: &Remote, items: u64) -> usize {
    let attempts = remote.attempts();
    attempts.iter().filter(|other| **other == items).count()
}

/// The order in which requests were taken: the last attempt of each.
fn taken(remote: &Remote) -> Vec<u64> {
    let mut taken = remote.attempts();
    taken.dedup();
    taken
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_down_cost_a_few_canaries_and_lose_nothing() {
    // Later than the last push, since pushes wait a little once a quarter of the queue is full.
    let remote = one_by_one(Remote::up_when(|at| at >= 610 * SECOND));
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=300, 2 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, 0);
    let (attempts, allowed) = (within(&remote, 600.0), allowance(600 * SECOND));
    assert!(attempts <= allowed, "{attempts} of {allowed}");
    // Five that open the breaker, then at least one per minute.
    assert!(attempts >= 14, "{attempts}");
    // The rest of the outage, the longest cooldown, and the second between two canaries.
    sleep((10 + 63) * SECOND).await;
    let leg = rigged.leg("remote");
    assert_eq!((leg.queued, leg.dropped.total()), (0, 0));
    assert_eq!(leg.sent, (1..=300).sum::<u64>());
    assert_eq!(taken(&remote), (1..=300).collect::<Vec<_>>(), "in order");
    assert_eq!(rigged.breaker("remote"), BreakerState::Healthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn over_many_outages_attempts_are_few_and_recovery_is_quick() {
    const RUNS: u32 = 100;
    let (mut attempts, mut recovery) = (Vec::new(), Duration::ZERO);
    for run in 0..RUNS {
        // Half a second later in each run, so that the outage ends at different times of a
        // cooldown.
        let down = 600 * SECOND + run * SECOND / 2;
        let remote = one_by_one(Remote::up_when(move |at| at >= down))
            .with(|delivery| delivery.retry.randomization_factor = 0.5);
        let rigged = rigged(&remote).await;
        let begun = Instant::now();
        push(&rigged, 1..=60, 10 * SECOND).await;
        while rigged.leg("remote").queued > 0 {
            sleep(SECOND / 10).await;
        }
        recovery += begun.elapsed() - down;
        attempts.push(within(&remote, down.as_secs_f64()));
        rigged.shutdown().await;
    }
    let most = attempts.iter().max().copied().unwrap_or(0);
    let mean = attempts.iter().sum::<usize>() as f64 / f64::from(RUNS);
    let recovery = (recovery / RUNS).as_secs_f64();
    eprintln!("attempts {mean:.1}, at most {most}; everything sent after {recovery:.1} s");
    assert!(mean < 21.0 && most <= allowance(650 * SECOND));
    assert!(recovery < 40.0);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_hangs_costs_a_timeout_now_and_then() {
    let begun = Instant::now();
    let remote = one_by_one(Remote::rule(move |_| {
        match begun.elapsed() >= 600 * SECOND {
            true => Reply::Take,
            false => Reply::Hang,
        }
    }));
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=100, 6 * SECOND).await;
    assert!(within(&remote, 600.0) <= allowance(600 * SECOND));
    sleep(70 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, (1..=100).sum::<u64>());
    // Any of these requests might have caused the hangs, so those that were tried for too long
    // were set aside; the others kept their order.
    let taken: Vec<u64> = remote
        .attempts()
        .into_iter()
        .skip(within(&remote, 600.0))
        .collect();
    let late: Vec<u64> = (1..=100)
        .filter(|items| within_of(&remote, *items) >= 3)
        .collect();
    let others: Vec<u64> = taken
        .into_iter()
        .filter(|items| !late.contains(items))
        .collect();
    assert!(late.len() <= 8 && others.is_sorted(), "{late:?} {others:?}");
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_joined_once_the_destination_is_back() {
    let remote = Remote::up_when(|at| at >= 120 * SECOND);
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=60, 2 * SECOND).await;
    sleep(60 * SECOND).await;
    let all = (1..=60).sum::<u64>();
    assert_eq!(rigged.leg("remote").sent, all);
    // The first request was tried alone, and stays unjoined.
    let attempts = remote.attempts();
    assert_eq!(attempts[attempts.len() - 2..], [1, all - 1]);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn flapping_loses_nothing_and_keeps_the_order() {
    let remote = one_by_one(Remote::up_when(|at| at.as_secs() % 60 >= 40));
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=400, 3 * SECOND).await;
    sleep(120 * SECOND).await;
    let leg = rigged.leg("remote");
    assert_eq!((leg.sent, leg.queued), ((1..=400).sum::<u64>(), 0));
    assert_eq!(taken(&remote), (1..=400).collect::<Vec<_>>());
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_before_the_advice_is_over() {
    let begun = Instant::now();
    let remote = one_by_one(Remote::rule(move |_| {
        match begun.elapsed() >= 300 * SECOND {
            true => Reply::Take,
            false => Reply::Throttle(30),
        }
    }));
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=100, 3 * SECOND).await;
    let times = remote.times();
    for pair in times.windows(2).take_while(|pair| pair[1] < 300.0) {
        assert!((30.0..33.1).contains(&(pair[1] - pair[0])), "{times:?}");
    }
    let snapshot = rigged.endpoint("remote").breaker().snapshot(Instant::now());
    assert_eq!(snapshot.consecutive_failures, 0, "429 is no outage");
    sleep(40 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, (1..=100).sum::<u64>());
    assert_eq!(taken(&remote), (1..=100).collect::<Vec<_>>());
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn advice_holds_for_the_requests_behind_as_well() {
    // A request that is refused for good still makes the exporter wait as long as the peer asks.
    let remote = one_by_one(Remote::script([Reply::RefuseFor(30)]));
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=2, SECOND).await;
    sleep(40 * SECOND).await;
    assert_eq!(remote.attempts(), [1, 2]);
    assert!(remote.seconds()[1] >= 30);
    assert_eq!(rigged.leg("remote").dropped.of(DropReason::Permanent), 1);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_round_of_canaries_that_fails_is_followed_by_a_longer_pause() {
    use Reply::{Refuse, Take};
    let outage = [Refuse; 5];
    // The first canary passes, the second and the third fail.
    let remote = one_by_one(Remote::script(
        outage.into_iter().chain([Take, Refuse, Refuse]),
    ));
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=4, Duration::ZERO).await;
    sleep(300 * SECOND).await;
    assert_eq!(
        remote.attempts(),
        [1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4],
        "who fails comes first again"
    );
    let transitions = rigged.endpoint("remote").breaker().snapshot(Instant::now());
    let opened = transitions
        .transitions
        .iter()
        .filter(|((_, to, _), _)| *to == BreakerState::CoolingDown)
        .map(|(_, count)| count)
        .sum::<u64>();
    assert_eq!(opened, 2);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_with_advice_while_the_breaker_is_open() {
    let remote = one_by_one(Remote::up_when(|at| at >= 300 * SECOND))
        .with(|delivery| delivery.queue.requests = 10);
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=10, SECOND).await;
    let mut refused = 0;
    for _ in 0..60 {
        let refusal = rigged.push(11).await.unwrap_err();
        assert_eq!(refusal.reason, "queue_full");
        assert!(refusal.retry_after.is_some_and(|wait| !wait.is_zero()));
        refused += 1;
        let leg = rigged.leg("remote");
        assert_eq!((leg.queued, leg.dropped.total()), (55, 0));
        sleep(4 * SECOND).await;
    }
    assert_eq!((refused, rigged.breaker("remote").is_closed()), (60, false));
    sleep(120 * SECOND).await;
    assert_eq!(taken(&remote), (1..=10).collect::<Vec<_>>());
    rigged.push(11).await.unwrap();
    rigged.settle().await;
    assert_eq!(rigged.leg("remote").sent, 66);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn patience_is_spent_only_where_attempts_are_allowed() {
    let f = async |breaker: BreakerConfig, dropped: u64| {
        let down = Remote::rule(|_| Reply::Refuse)
            .breaker(breaker)
            .with(|delivery| delivery.retry.max_elapsed_time = Some(60 * SECOND));
        let rigged = rigged(&down).await;
        rigged.push(5).await.unwrap();
        sleep(1800 * SECOND).await;
        let leg = rigged.leg("remote");
        assert_eq!(leg.dropped.of(DropReason::RetriesExhausted), dropped);
        assert_eq!(leg.queued, 5 - dropped);
        rigged.shutdown().await;
    };
    f(BreakerConfig::default(), 0).await;
    // A breaker that never opens, so that attempts are always allowed.
    let closed = BreakerConfig {
        failure_threshold: Some(1000),
        min_success_rate: Some(0.0),
        min_health_score: Some(0.0),
        adaptive: Some(false),
        ..BreakerConfig::default()
    };
    f(closed, 5).await;
}

#[tokio::test(start_paused = true)]
async fn several_consumers_go_one_at_a_time_until_it_is_healthy() {
    let begun = Instant::now();
    let remote = one_by_one(Remote::rule(move |_| {
        match begun.elapsed() >= 120 * SECOND {
            true => Reply::TakeAfter(1),
            false => Reply::Refuse,
        }
    }))
    .with(|delivery| delivery.queue.num_consumers = 4);
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=60, 2 * SECOND).await;
    let down = within(&remote, 120.0);
    assert!(down <= allowance(120 * SECOND), "{down}");
    sleep(120 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, (1..=60).sum::<u64>());
    let side_by_side = remote.side_by_side();
    // Two canaries and three more requests go alone, until the destination counts as healthy; then
    // all four consumers send.
    assert_eq!(side_by_side[down..down + 9], [1, 1, 1, 1, 1, 1, 2, 3, 4]);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_comes_too_late_for_the_breaker_is_delivered_all_the_same() {
    let remote = one_by_one(Remote::script([Reply::TakeAfter(3)]));
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=2, SECOND).await;
    let endpoint = rigged.endpoint("remote");
    endpoint.breaker().force(Force::Open, Instant::now());
    sleep(10 * SECOND).await;
    let snapshot = endpoint.breaker().snapshot(Instant::now());
    assert_eq!((snapshot.late_results, snapshot.success_ratio), (1, None));
    let leg = rigged.leg("remote");
    assert_eq!((leg.sent, leg.queued), (1, 2));
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_our_own_is_not_held_against_the_destination() {
    let remote = Remote::script([Reply::Local; 8]);
    let rigged = rigged(&remote).await;
    rigged.push(3).await.unwrap();
    sleep(200 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, 3);
    let endpoint = rigged.endpoint("remote");
    let snapshot = endpoint.breaker().snapshot(Instant::now());
    assert_eq!(
        (snapshot.failures, snapshot.state),
        (0, BreakerState::Healthy)
    );
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_sends_once_in_a_minute_is_served_at_once_after_an_outage() {
    let remote = one_by_one(Remote::up_when(|at| at >= 300 * SECOND));
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=6, 60 * SECOND).await;
    sleep(60 * SECOND).await;
    for items in 7..=12 {
        rigged.push(items).await.unwrap();
        rigged.settle().await;
        assert_eq!(rigged.leg("remote").queued, 0, "{items}");
        sleep(60 * SECOND).await;
    }
    assert_eq!(rigged.breaker("remote"), BreakerState::Healthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn health_tells_of_the_breaker() {
    let remote = Remote::up_when(|at| at >= 100 * SECOND);
    let rigged = rigged(&remote).await;
    let line = || rigged.health.reports().remove(0);
    assert_eq!(line().breaker, Some(BreakerState::Healthy));
    rigged.push(1).await.unwrap();
    sleep(90 * SECOND).await;
    let (down, score) = (line(), line().health_score.unwrap());
    assert!(matches!(
        down.breaker,
        Some(BreakerState::CoolingDown | BreakerState::HalfOpen)
    ));
    assert!(score < 0.3, "{score}");
    assert_eq!(down.last_error.as_deref(), Some("as scripted"));
    push(&rigged, 2..=7, 20 * SECOND).await;
    let up = line();
    assert_eq!(
        (up.breaker, up.health_score),
        (Some(BreakerState::Healthy), Some(1.0))
    );
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn pieces_wait_in_their_place_for_the_end_of_an_outage() {
    let begun = Instant::now();
    let remote = Remote::rule(move |batch| match batch.items() {
        items if items > 4 => Reply::Split,
        _ if begun.elapsed() < 120 * SECOND => Reply::Refuse,
        _ => Reply::Take,
    });
    let rigged = rigged(&remote).await;
    rigged.push(15).await.unwrap();
    rigged.push(3).await.unwrap();
    sleep(240 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, 18);
    // All joined, then a half and a quarter; the size that fits is used for the rest.
    assert_eq!(taken(&remote), [18, 9, 4, 2]);
    let attempts = remote.attempts();
    assert_eq!(attempts[attempts.len() - 5..], [4, 4, 4, 4, 2]);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn sources_and_destinations_share_the_suspicion_of_the_network() {
    let remotes = [(); 2].map(|()| Remote::rule(|_| Reply::Refuse));
    let mut rig = Rig::new();
    for (index, remote) in remotes.iter().enumerate() {
        rig = rig.exporter(&format!("remote/{index}"), remote);
    }
    let rigged = rig.start().await;
    let suspected = || rigged.endpoints.network().suspected(Instant::now());
    rigged.push(1).await.unwrap();
    rigged.settle().await;
    assert!(!suspected(), "two prove nothing");
    let id = EndpointId::new("betanet", "http://betanet:9000/metrics");
    let source = rigged.endpoints.guard(id, Settings::default()).unwrap();
    source
        .poll(Trigger::Tick, |_| async {
            let refused = Outcome::Transport(Transport::Refused);
            Err::<(), _>(FetchError::new(refused, "refused"))
        })
        .await;
    assert!(suspected());
    // The first success of any of them ends the suspicion against the network.
    remotes[0].next(Reply::Take);
    sleep(30 * SECOND).await;
    assert_eq!(rigged.leg("remote/0").sent, 1);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn more_destinations_than_endpoints_are_an_error_that_names_the_bound() {
    let mut rig = Rig::new();
    for name in ["remote/a", "remote/b"] {
        rig = rig.exporter(name, &Remote::script([]));
    }
    assert_eq!(
        rig.max_endpoints(1).build().err().unwrap().to_string(),
        "exporters::remote/b: remote/b http://remote.b:4318 metrics: there are 1 endpoints already, \
         the \
         most that service.max_endpoints allows",
    );
}
