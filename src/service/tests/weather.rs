//! Destinations that reply at random, and what must hold in every case.

use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use super::fakes::{Remote, Reply};
use super::rig::Rig;
use crate::component::DropReason;

const SECOND: Duration = Duration::from_secs(1);

/// For how long a destination replies at random.
const STORM: Duration = Duration::from_secs(900);

/// Pushes for ten minutes to destinations whose replies are drawn from `seed`, and waits until
/// every item is delivered or dropped. Checks after each step that the ledger balances, and that
/// items are dropped only where a peer refused them.
async fn weather(seed: u64, consumers: usize, draw: fn(&mut SmallRng) -> Reply) -> Remote {
    let begun = Instant::now();
    let rng = Mutex::new(SmallRng::seed_from_u64(seed));
    let remote = Remote::rule(move |_| match begun.elapsed() < STORM {
        true => draw(&mut rng.lock().unwrap()),
        false => Reply::Take,
    })
    .with(|delivery| {
        delivery.queue.join_items = 0;
        delivery.queue.num_consumers = consumers;
        delivery.retry.randomization_factor = 0.5;
        delivery.retry.max_elapsed_time = None;
    });
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    let mut pushes = SmallRng::seed_from_u64(!seed);
    let mut items = 0;
    while begun.elapsed() < STORM {
        items += 1;
        rigged.push(items).await.unwrap();
        sleep(SECOND.mul_f64(pushes.random_range(0.1..20.0))).await;
        rigged.books();
    }
    let end = Instant::now();
    while rigged.leg("remote").queued > 0 {
        sleep(SECOND).await;
        assert!(end.elapsed() < 400 * SECOND, "seed {seed}: it is stuck");
    }
    let leg = rigged.leg("remote");
    let lost = [DropReason::Permanent, DropReason::RejectedByPeer];
    let lost: u64 = lost.map(|reason| leg.dropped.of(reason)).iter().sum();
    assert_eq!(leg.dropped.total(), lost, "seed {seed}: {leg:?}");
    assert_eq!(leg.sent + lost, (items * (items + 1) / 2) as u64);
    rigged.shutdown().await;
    remote
}

fn anything(rng: &mut SmallRng) -> Reply {
    match rng.random_range(0..14) {
        0..4 => Reply::Take,
        4..8 => Reply::Refuse,
        8 => Reply::Hang,
        9 => Reply::Throttle(rng.random_range(0..40)),
        10 => Reply::Retry(rng.random_bool(0.5).then_some(7)),
        11 => Reply::Local,
        12 => Reply::Permanent,
        _ => Reply::Reject(1),
    }
}

fn mostly_down(rng: &mut SmallRng) -> Reply {
    match rng.random_range(0..10) {
        0 => Reply::Take,
        1 => Reply::TakeAfter(3),
        2 => Reply::Hang,
        _ => Reply::Refuse,
    }
}

/// Replies that aren't a request's fault: an answer, or no connection.
fn blameless(rng: &mut SmallRng) -> Reply {
    match anything(rng) {
        Reply::Hang => Reply::Refuse,
        reply => reply,
    }
}

fn mostly_refused(rng: &mut SmallRng) -> Reply {
    match mostly_down(rng) {
        Reply::Hang => Reply::Refuse,
        reply => reply,
    }
}

#[tokio::test(start_paused = true)]
async fn one_consumer_loses_nothing_in_any_weather() {
    for seed in 0..40 {
        for draw in [anything, mostly_down] {
            weather(seed, 1, draw).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_consumer_keeps_the_order_where_no_request_is_to_blame() {
    for seed in 0..40 {
        for draw in [blameless, mostly_refused] {
            let attempts = weather(seed, 1, draw).await.attempts();
            assert!(attempts.is_sorted(), "seed {seed}: {attempts:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn several_consumers_lose_nothing_in_any_weather() {
    for seed in 0..40 {
        for draw in [anything, mostly_down] {
            let remote = weather(seed, 4, draw).await;
            assert!(remote.side_by_side().iter().all(|count| *count <= 4));
        }
    }
}
