//! A request that makes its destination fail, among requests that don't.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::fakes::{Remote, Reply};
use super::outages::{SECOND, one_by_one, rigged};
use crate::component::DropReason;
use crate::resilience::BreakerState;

/// Hangs on requests with this many items, and takes all others.
fn hangs_on(poison: u64) -> Remote {
    one_by_one(Remote::rule(move |batch| match batch.items() {
        items if items == poison => Reply::Hang,
        _ => Reply::Take,
    }))
}

#[tokio::test(start_paused = true)]
async fn a_request_that_always_fails_steps_aside_and_everything_else_flows() {
    let remote = hangs_on(1000);
    let rigged = rigged(&remote).await;
    rigged.push(1000).await.unwrap();
    for items in 1..=20 {
        rigged.push(items).await.unwrap();
    }
    // The failures that open the breaker, three canaries, and the cooldowns in between.
    let mut waited = 0;
    while rigged.leg("remote").sent < 210 {
        sleep(SECOND).await;
        waited += 1;
        assert!(waited < 300, "{:?}", remote.attempts());
        rigged.books();
    }
    let others = remote.attempts().into_iter().filter(|items| *items != 1000);
    assert_eq!(
        others.collect::<Vec<_>>(),
        (1..=20).collect::<Vec<_>>(),
        "in order"
    );
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_for_which_a_proxy_answers_unavailable_blocks_the_others_for_minutes_only() {
    let remote = one_by_one(Remote::rule(|batch| match batch.items() {
        1000 => Reply::Retry(None),
        _ => Reply::Take,
    }));
    let rigged = rigged(&remote).await;
    rigged.push(1000).await.unwrap();
    for items in 1..=20 {
        rigged.push(items).await.unwrap();
    }
    sleep(600 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, 210);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_keeps_failing_beside_deliveries_is_given_up_and_counted() {
    let remote = hangs_on(1000);
    let rigged = rigged(&remote).await;
    rigged.push(1000).await.unwrap();
    for _ in 0..200 {
        rigged.push(1).await.unwrap();
        sleep(5 * SECOND).await;
    }
    let leg = rigged.leg("remote");
    assert_eq!(leg.dropped.of(DropReason::KeepsFailing), 1000);
    assert_eq!((leg.dropped.total(), leg.sent + leg.queued), (1000, 200));
    assert_eq!(rigged.breaker("remote"), BreakerState::Healthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_nothing_is_given_up_however_long_it_lasts() {
    let up = Arc::new(AtomicU64::new(0));
    let is_up = Arc::clone(&up);
    let remote = one_by_one(Remote::rule(move |_| match is_up.load(Ordering::Relaxed) {
        0 => Reply::Hang,
        _ => Reply::Take,
    }));
    let rigged = rigged(&remote).await;
    for items in 1..=5 {
        rigged.push(items).await.unwrap();
    }
    sleep(Duration::from_secs(24 * 3600)).await;
    let leg = rigged.leg("remote");
    assert_eq!((leg.queued, leg.dropped.total()), (15, 0));
    up.store(1, Ordering::Relaxed);
    sleep(120 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, 15);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_canaries_take_of_a_long_outage_counts_against_nobody() {
    let remote = one_by_one(Remote::rule(|_| Reply::RetryAfterThought(4)));
    let rigged = rigged(&remote).await;
    rigged.push(5).await.unwrap();
    sleep(Duration::from_secs(24 * 3600)).await;
    assert!(remote.attempts().len() > 500);
    let leg = rigged.leg("remote");
    assert_eq!((leg.queued, leg.dropped.total()), (5, 0));
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_joined_request_is_tried_in_its_parts_and_only_the_poison_is_late() {
    let remote = Remote::rule(|batch| match batch.items() {
        items if items % 1000 == 7 || items > 1000 => Reply::Hang,
        _ => Reply::Take,
    });
    let rigged = rigged(&remote).await;
    rigged.pause_with(&remote).await;
    for items in [3, 1007, 4] {
        rigged.push(items).await.unwrap();
    }
    sleep(600 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, 1 + 3 + 4);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn who_stepped_aside_is_accounted_for_at_the_end() {
    let remote = hangs_on(1000);
    let rigged = rigged(&remote).await;
    rigged.push(1000).await.unwrap();
    sleep(200 * SECOND).await;
    rigged.push(1).await.unwrap();
    sleep(SECOND).await;
    let drained = rigged.shutdown().await;
    let leg = drained
        .ledger
        .snapshot()
        .leg("metrics", "remote")
        .unwrap()
        .clone();
    assert!(leg.dropped.of(DropReason::Shutdown) >= 1000);
    assert_eq!((leg.queued, leg.sent + leg.dropped.total()), (0, 1001));
}
