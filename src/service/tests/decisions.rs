//! A destination that is down, and decisions about it by an operator, a configuration or the
//! shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{Instant, sleep};

use super::fakes::{Remote, Reply};
use super::outages::{SECOND, one_by_one, push, rigged};
use crate::component::DropReason;
use crate::resilience::{BreakerConfig, BreakerState, Force, Mode};

#[tokio::test(start_paused = true)]
async fn an_operator_decides_at_once() {
    let remote = one_by_one(Remote::script([]));
    let rigged = rigged(&remote).await;
    let endpoint = rigged.endpoint("remote");
    let force = |force| endpoint.breaker().force(force, Instant::now());
    force(Force::Open);
    push(&rigged, 1..=3, SECOND).await;
    sleep(3600 * SECOND).await;
    assert_eq!(rigged.leg("remote").queued, 6, "forced open is for ever");
    force(Force::Reset);
    rigged.settle().await;
    assert_eq!(rigged.leg("remote").sent, 6);

    let outage = [Reply::Refuse; 5];
    outage.into_iter().for_each(|reply| remote.next(reply));
    rigged.push(4).await.unwrap();
    while rigged.breaker("remote").is_closed() {
        sleep(SECOND / 10).await;
    }
    force(Force::Closed);
    // Only the rest of the retry's delay is waited for.
    sleep(30 * SECOND).await;
    assert_eq!(rigged.leg("remote").sent, 10);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_only_observes_rejects_nothing_and_goes_side_by_side() {
    let observing = BreakerConfig {
        mode: Some(Mode::Observe),
        ..BreakerConfig::default()
    };
    let remote = one_by_one(Remote::rule(|_| Reply::Refuse)).breaker(observing);
    let rigged = rigged(&remote).await;
    rigged.push(1).await.unwrap();
    sleep(280 * SECOND).await;
    // The waits are 5, 7.5, 11.25 s and so on, as without a breaker.
    assert_eq!(remote.seconds()[..6], [0, 5, 12, 23, 40, 65]);
    assert!(!rigged.breaker("remote").is_closed());
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_tries_an_open_destination_once_and_no_more() {
    let remote = one_by_one(Remote::rule(|_| Reply::Refuse));
    let rigged = rigged(&remote).await;
    push(&rigged, 1..=10, 12 * SECOND).await;
    while rigged.breaker("remote") != BreakerState::CoolingDown {
        sleep(SECOND).await;
    }
    let before = remote.attempts().len();
    let begun = Instant::now();
    let drained = rigged.shutdown().await;
    assert!(begun.elapsed() < SECOND / 10, "{:?}", begun.elapsed());
    assert_eq!(remote.attempts()[before..], [1]);
    let books = drained.ledger.snapshot();
    let leg = books.leg("metrics", "remote").unwrap();
    assert_eq!(leg.dropped.of(DropReason::Shutdown), 55);
}

#[tokio::test(start_paused = true)]
async fn shutdown_delivers_what_a_destination_takes_that_is_just_back() {
    let f = async |forced: bool| {
        let back = Arc::new(AtomicBool::new(false));
        let is_back = Arc::clone(&back);
        let remote = one_by_one(Remote::rule(move |_| {
            match is_back.load(Ordering::Relaxed) {
                true => Reply::Take,
                false => Reply::Refuse,
            }
        }));
        let rigged = rigged(&remote).await;
        push(&rigged, 1..=10, 14 * SECOND).await;
        while rigged.breaker("remote") != BreakerState::CoolingDown {
            sleep(SECOND).await;
        }
        back.store(true, Ordering::Relaxed);
        if forced {
            let endpoint = rigged.endpoint("remote");
            endpoint.breaker().force(Force::Open, Instant::now());
        }
        let books = rigged.shutdown().await.ledger.snapshot();
        let leg = books.leg("metrics", "remote").unwrap();
        (leg.sent, leg.dropped.of(DropReason::Shutdown))
    };
    assert_eq!(f(false).await, (55, 0));
    // With a breaker that an operator forced open, the shutdown makes no last attempt either.
    assert_eq!(f(true).await, (0, 55));
}
