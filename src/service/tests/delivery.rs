//! Delivery to remote destinations: joining, retries, splitting, answers.

use std::time::Duration;

use super::fakes::{Remote, Reply};
use super::rig::{Rig, id};
use crate::component::DropReason;
use crate::pipeline::testing::giant;

#[tokio::test(start_paused = true)]
async fn a_request_is_retried_with_growing_waits_and_keeps_its_place() {
    let remote = Remote::script([
        Reply::Retry(None),
        Reply::Retry(Some(20)),
        Reply::Retry(None),
    ])
    // Without a breaker, which would make the advised wait a little longer.
    .unguarded()
    .with(|delivery| delivery.queue.join_items = 0);
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.push(1).await.unwrap();
    rigged.push(2).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        remote.attempts(),
        [1, 1, 1, 1, 2],
        "order is kept, retries included"
    );
    // The waits are 5 s, then the peer's 20 s instead of 7.5 s, then 11.25 s.
    assert_eq!(remote.seconds(), [0, 5, 25, 36, 36]);
    assert_eq!(rigged.leg("remote").sent, 3);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_joined_and_a_big_request_goes_as_it_is() {
    let remote = Remote::script([Reply::Retry(None)]).with(|delivery| {
        delivery.queue.join_items = 10;
    });
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.push(1).await.unwrap();
    rigged.settle().await;
    for items in [4, 6, 1, 50, 3] {
        rigged.push(items).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(remote.attempts(), [1, 1, 10, 1, 50, 3]);
    assert_eq!(rigged.leg("remote").sent, 65);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_joined_request_only_the_bad_part_is_lost() {
    let remote = Remote::rule(|batch| match batch.items() {
        items if items == 7 || items > 10 => Reply::Permanent,
        _ => Reply::Take,
    });
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.pause_with(&remote).await;
    for items in [6, 7, 8] {
        rigged.push(items).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(remote.attempts()[2..], [21, 6, 7, 8]);
    let leg = rigged.leg("remote");
    assert_eq!((leg.sent, leg.dropped.of(DropReason::Permanent)), (15, 7));
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_too_large_is_halved_until_a_piece_fits_and_that_size_serves_the_rest() {
    let remote = Remote::rule(|batch| match batch.items() {
        0..=3 => Reply::Take,
        _ => Reply::Split,
    });
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.pause_with(&remote).await;
    for items in [1, 2, 3, 1] {
        rigged.push(items).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(remote.attempts()[2..], [7, 3, 3, 1]);
    assert_eq!(rigged.leg("remote").sent, 8);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_request_wait_as_long_as_the_peer_asks() {
    for remote in [
        Remote::script([Reply::SplitFor(20)]),
        Remote::script([Reply::SplitFor(20)]).unguarded(),
    ] {
        let rigged = Rig::new().exporter("remote", &remote).start().await;
        rigged.push(8).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(remote.attempts(), [8, 4, 4]);
        let times = remote.times();
        assert!((20.0..=22.1).contains(&times[1]), "{times:?}");
        assert_eq!(times[2], times[1], "the second part need not wait");
        assert_eq!(rigged.leg("remote").sent, 8);
        rigged.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_finds_everything_too_large_has_failed_and_is_soon_left_alone() {
    let remote = Remote::rule(|_| Reply::Split).with(|delivery| delivery.queue.join_items = 0);
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.push(2000).await.unwrap();
    rigged.settle().await;
    let leg = rigged.leg("remote");
    assert_eq!(
        (leg.queued, leg.dropped.of(DropReason::TooLarge)),
        (0, 2000)
    );
    let attempts = remote.attempts().len();
    assert!(attempts <= 60, "{attempts} for one request");
    let endpoint = rigged.endpoint("remote");
    let snapshot = endpoint.breaker().snapshot(tokio::time::Instant::now());
    assert_eq!(snapshot.consecutive_failures, 1);
    assert!(snapshot.health_score < 0.3, "{}", snapshot.health_score);
    for _ in 0..9 {
        rigged.push(2000).await.unwrap();
        rigged.settle().await;
    }
    assert!(!rigged.breaker("remote").is_closed());
    assert_eq!(
        rigged.leg("remote").dropped.of(DropReason::TooLarge),
        10_000
    );
    assert_eq!(rigged.leg("remote").queued, 10_000, "the rest waits");
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_slowly_refused_as_too_large_is_given_up_within_ten_seconds() {
    let remote = Remote::rule(|_| Reply::SplitAfter(1));
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.push(1 << 16).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    let leg = rigged.leg("remote");
    assert_eq!(
        (leg.queued, leg.dropped.of(DropReason::TooLarge)),
        (0, 1 << 16)
    );
    assert_eq!(remote.attempts().len(), 10);
    let endpoint = rigged.endpoint("remote");
    let snapshot = endpoint.breaker().snapshot(tokio::time::Instant::now());
    assert_eq!(snapshot.consecutive_failures, 1);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_giant_item_costs_itself_and_nothing_of_those_it_was_joined_with() {
    let remote = Remote::rule(|batch| match batch.size() {
        0..=5_000 => Reply::Take,
        _ => Reply::Split,
    });
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.pause_with(&remote).await;
    rigged.push(20).await.unwrap();
    rigged.push_batch(giant(10_000)).await.unwrap();
    rigged.push(20).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let leg = rigged.leg("remote");
    assert_eq!((leg.sent, leg.dropped.of(DropReason::TooLarge)), (41, 1));
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_rejects_is_lost_and_the_rest_is_sent() {
    let remote = Remote::script([Reply::Reject(2), Reply::Reject(1000)]);
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.push(10).await.unwrap();
    rigged.settle().await;
    let leg = rigged.leg("remote");
    assert_eq!(
        (leg.sent, leg.dropped.of(DropReason::RejectedByPeer)),
        (8, 2)
    );
    rigged.push(10).await.unwrap();
    rigged.settle().await;
    let leg = rigged.leg("remote");
    assert_eq!(
        (leg.sent, leg.dropped.of(DropReason::RejectedByPeer)),
        (8, 12),
        "a peer can't reject more than it got",
    );
    assert_eq!(
        remote.attempts(),
        [10, 10],
        "partial success is never retried"
    );
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_the_time_for_them() {
    let remote = Remote::rule(|_| Reply::Retry(None)).unguarded();
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.push(5).await.unwrap();
    tokio::time::sleep(Duration::from_secs(301)).await;
    let leg = rigged.leg("remote");
    assert_eq!(leg.dropped.of(DropReason::RetriesExhausted), 5);
    assert!(*remote.seconds().last().unwrap() <= 300);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_ends_at_the_timeout() {
    let remote = Remote::script([Reply::Hang]);
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.push(5).await.unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(remote.seconds(), [0, 10], "timeout and first backoff");
    assert_eq!(rigged.leg("remote").sent, 5);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_panicking_exporter_takes_nobody_with_it() {
    let (bad, good) = (Remote::script([Reply::Panic]), Remote::script([]));
    let rigged = Rig::new()
        .exporter("bad", &bad)
        .exporter("good", &good)
        .start()
        .await;
    rigged.push(3).await.unwrap();
    rigged.settle().await;
    rigged.push(4).await.unwrap();
    rigged.settle().await;
    assert_eq!(rigged.leg("bad").dropped.of(DropReason::Aborted), 7);
    assert_eq!(rigged.leg("good").sent, 7);
    assert_eq!(rigged.health.dead_tasks(), ["exporter bad"]);
    let pipelines = rigged.health.pipelines(tokio::time::Instant::now());
    let legs = pipelines[0].exporters.iter();
    let legs: Vec<_> = legs
        .map(|leg| (leg.exporter.clone(), leg.working, leg.losing))
        .collect();
    assert_eq!(legs, [(id("bad"), false, true), (id("good"), true, false)]);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_exporter_of_two_pipelines_keeps_two_accounts() {
    let remote = Remote::script([Reply::Reject(1)]);
    let rigged = Rig::new()
        .exporter("remote", &remote)
        .and_pipeline("metrics/two", "remote")
        .start()
        .await;
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    let books = rigged.books();
    let legs = [
        books.leg("metrics", "remote").unwrap(),
        books.leg("metrics/two", "remote").unwrap(),
    ];
    assert_eq!(legs.map(|leg| leg.sent).iter().sum::<u64>(), 9);
    assert_eq!(legs.map(|leg| leg.dropped.total()).iter().sum::<u64>(), 1);
    rigged.shutdown().await;
}
