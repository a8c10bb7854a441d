//! Which requests are admitted, and when their reservation is released.

use std::sync::Arc;
use std::time::Duration;

use super::fakes::{Local, Remote, Reply, each};
use super::hanging;
use super::rig::Rig;
use crate::component::{DropReason, MemoryLimit, Origin, Policy};
use crate::pipeline::testing::{PACE, points};
use crate::settings::WhenFull;

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_by_the_vote_of_the_legs() {
    use WhenFull::{Auto, Drop, Refuse};
    let f = async |legs: &[(WhenFull, bool)], admitted: bool| {
        let mut rig = Rig::new();
        for (i, (when_full, full)) in legs.iter().enumerate() {
            let remote = Remote::rule(|_| Reply::Hang).with(|delivery| {
                delivery.timeout = Duration::from_secs(3600);
                delivery.queue.when_full = *when_full;
                delivery.queue.requests = if *full { 1 } else { 1000 };
            });
            rig = rig.exporter(&format!("remote/{i}"), &remote);
        }
        let rigged = rig.start().await;
        rigged.push(1).await.unwrap();
        rigged.settle().await;
        let answer = rigged.push(10).await;
        rigged.settle().await;
        match answer {
            Ok(()) => assert!(admitted, "{legs:?}"),
            Err(refusal) => {
                assert!(!admitted, "{legs:?}");
                assert_eq!(refusal.reason, "queue_full");
                assert_eq!(
                    rigged.pipeline().accepted,
                    1,
                    "what is refused is in no ledger"
                );
            }
        }
        for (i, (_, full)) in legs.iter().enumerate() {
            let dropped = rigged.leg(&format!("remote/{i}")).dropped;
            let expected = if admitted && *full { 10 } else { 0 };
            assert_eq!(dropped.of(DropReason::QueueFull), expected, "{legs:?}");
        }
        rigged.shutdown().await;
    };
    f(&[(Auto, true)], false).await;
    f(&[(Auto, false)], true).await;
    f(&[(Auto, true), (Auto, false)], true).await;
    f(&[(Auto, true), (Auto, true)], false).await;
    f(&[(Refuse, true), (Auto, false)], false).await;
    f(&[(Refuse, false), (Auto, true)], true).await;
    f(&[(Drop, true), (Auto, false)], true).await;
    f(&[(Drop, false), (Auto, true)], false).await;
    f(&[(Drop, true)], true).await;
    f(&[(Drop, true), (Drop, true)], true).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_a_moment_while_a_quarter_of_the_queue_is_taken() {
    use WhenFull::{Auto, Drop, Refuse};
    let f = async |legs: &[(WhenFull, bool)], waits: bool| {
        let mut rig = Rig::new();
        for (i, (when_full, is_filling)) in legs.iter().enumerate() {
            let remote = Remote::rule(|_| Reply::Hang).with(|delivery| {
                delivery.timeout = Duration::from_secs(3600);
                delivery.queue.when_full = *when_full;
                delivery.queue.requests = if *is_filling { 8 } else { 1000 };
            });
            rig = rig.exporter(&format!("remote/{i}"), &remote);
        }
        let rigged = rig.start().await;
        let begun = tokio::time::Instant::now();
        for _ in 0..2 {
            rigged.push(1).await.unwrap();
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "{legs:?}");
        rigged.settle().await;
        let begun = tokio::time::Instant::now();
        rigged.push(1).await.unwrap();
        let expected = if waits { PACE } else { Duration::ZERO };
        assert_eq!(begun.elapsed(), expected, "{legs:?}");
        rigged.shutdown().await;
    };
    f(&[(Auto, true)], true).await;
    f(&[(Auto, false)], false).await;
    f(&[(Auto, true), (Auto, false)], false).await;
    f(&[(Refuse, true), (Auto, false)], true).await;
    f(&[(Refuse, false), (Auto, true)], false).await;
    f(&[(Drop, true)], false).await;
}

#[tokio::test(start_paused = true)]
async fn a_scrape_is_never_refused_by_a_queue() {
    let remote = hanging().with(|delivery| delivery.queue.requests = 1);
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.pull(1).await;
    rigged.pull(10).await;
    rigged.settle().await;
    let leg = rigged.leg("remote");
    assert_eq!((leg.queued, leg.dropped.of(DropReason::QueueFull)), (1, 10));
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_admitted_is_queued_even_when_it_grew_on_its_way() {
    let remote = hanging().with(|delivery| {
        delivery.queue.bytes = 3 * points(10).size();
        delivery.queue.join_items = 0;
    });
    let rigged = Rig::new()
        .processor("grow", || each(|_, out| out.emit(points(10))))
        .exporter("remote", &remote)
        .start()
        .await;
    // The processor emits more items than it got. That is a defect of it, and counted as created.
    for _ in 0..3 {
        rigged.push(1).await.unwrap();
        rigged.settle().await;
    }
    let (pipeline, leg) = (rigged.pipeline(), rigged.leg("remote"));
    assert_eq!((pipeline.accepted, pipeline.created), (3, 27));
    assert_eq!((leg.queued, leg.dropped.total()), (30, 0));
    assert_eq!(rigged.push(1).await.unwrap_err().reason, "queue_full");
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn block_on_overflow_waits_for_room_before_it_refuses() {
    let remote = Remote::script([
        Reply::Retry(None),
        Reply::Take,
        Reply::Retry(None),
        Reply::Hang,
    ])
    .with(|delivery| {
        delivery.queue.requests = 1;
        delivery.queue.block_on_overflow = true;
        delivery.timeout = Duration::from_secs(3600);
        delivery.retry.initial_interval = Duration::from_secs(3);
    });
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.push(1).await.unwrap();
    let begun = tokio::time::Instant::now();
    rigged.push(2).await.unwrap();
    assert_eq!(
        begun.elapsed().as_secs(),
        3,
        "there was room after the first retry"
    );
    let begun = tokio::time::Instant::now();
    assert_eq!(rigged.push(3).await.unwrap_err().reason, "queue_full");
    assert_eq!(begun.elapsed().as_secs(), 30, "patience has an end");
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_memory_limit_is_refused_for_good() {
    let size = points(10).size();
    let limit = |in_flight: u64| {
        Policy::MemoryLimiter(MemoryLimit {
            in_flight,
            resident: None,
            check_interval: Duration::from_secs(1),
        })
    };
    let f = async |in_flight: u64, beyond: Option<&str>| {
        let rigged = Rig::new()
            .policy("memory_limiter", limit(in_flight))
            .exporter("remote", &Remote::script([]))
            .start()
            .await;
        let refusal = rigged.push(10).await.err();
        assert_eq!(refusal.map(|refusal| refusal.reason), beyond);
        rigged.settle().await;
        // The same if it is known only while the body inflates.
        let mut admission = rigged.intake().try_admit(Origin::Push, 1).unwrap();
        let grown = admission.grow(size - 1).err();
        let wait = grown.map(|refusal| refusal.retry_after);
        assert_eq!(wait, beyond.map(|_| None), "no time to wait would help");
        drop(admission);
        rigged.shutdown().await;
    };
    f(size, None).await;
    f(size - 1, Some("too_large")).await;
}

#[tokio::test(start_paused = true)]
async fn memory_for_reading_takes_no_room_in_a_queue() {
    let remote = Remote::script([Reply::Retry(None)]).with(|delivery| {
        delivery.queue.bytes = 1_000;
    });
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    let _waits = rigged.intake().try_admit(Origin::Push, 400).unwrap();
    let mut admission = rigged.intake().try_admit(Origin::Push, 400).unwrap();
    assert_eq!(admission.grow_memory(3_200), Ok(()));
    assert!(
        admission.grow(3_200).is_err(),
        "the queue is as large as it is"
    );
    drop((_waits, admission));
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_memory_limit_counts_until_delivery_and_refuses_before() {
    let size = points(10).size();
    let limit = Policy::MemoryLimiter(MemoryLimit {
        in_flight: 3 * size,
        resident: None,
        check_interval: Duration::from_secs(1),
    });
    let (slow, quick) = (Remote::script([Reply::Retry(None)]), Local::new(|_| 0));
    let rigged = Rig::new()
        .policy("memory_limiter", limit)
        .exporter("slow", &slow)
        .sink("quick", &quick)
        .start()
        .await;
    for _ in 0..3 {
        rigged.push(10).await.unwrap();
    }
    rigged.settle().await;
    let refusal = rigged.push(10).await.unwrap_err();
    assert_eq!(
        (refusal.reason, refusal.retry_after),
        ("memory_limit", Some(Duration::from_secs(1)))
    );
    assert!(
        rigged.intake().try_admit(Origin::Pull, size).is_err(),
        "a scrape, too"
    );
    tokio::time::sleep(Duration::from_secs(6)).await;
    rigged.push(10).await.unwrap();
    let drained = rigged.shutdown().await;
    assert_eq!(
        drained
            .ledger
            .snapshot()
            .leg("metrics", "slow")
            .unwrap()
            .sent,
        40
    );
}

#[tokio::test(start_paused = true)]
async fn room_that_was_not_used_is_given_back() {
    let remote = hanging().with(|delivery| delivery.queue.requests = 2);
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    let first = rigged.intake().try_admit(Origin::Push, 1 << 20).unwrap();
    let second = rigged.intake().try_admit(Origin::Push, 1 << 20).unwrap();
    assert!(rigged.intake().try_admit(Origin::Push, 1).is_err());
    drop(first);
    let third = rigged.intake().try_admit(Origin::Push, 1).unwrap();
    drop((second, third));
    assert_eq!(rigged.pipeline().accepted, 0);
    rigged.push(1).await.unwrap();
    rigged.push(1).await.unwrap();
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_inflating_body_must_find_room_as_it_grows() {
    let remote = hanging().with(|delivery| delivery.queue.bytes = 100);
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    let _other = rigged.intake().try_admit(Origin::Push, 40).unwrap();
    let mut admission = rigged.intake().try_admit(Origin::Push, 20).unwrap();
    admission.grow(40).unwrap();
    assert_eq!(admission.grow(1).unwrap_err().reason, "queue_full");
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_admitted_once_it_shuts_down() {
    let remote = hanging();
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    let early = rigged.intake().try_admit(Origin::Push, 100).unwrap();
    let intake = Arc::clone(rigged.intake());
    let books = rigged.ledger.clone();
    let shutdown = tokio::spawn(rigged.shutdown());
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(
        intake.try_admit(Origin::Push, 1).err().unwrap().reason,
        "shutdown"
    );
    assert_eq!(
        intake.try_admit(Origin::Pull, 1).err().unwrap().reason,
        "shutdown"
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The pipelines have closed; a request admitted before is still counted.
    early.accept(points(4)).await;
    shutdown.await.unwrap();
    let books = books.snapshot();
    books.check().unwrap();
    assert_eq!(
        books
            .pipeline("metrics")
            .unwrap()
            .dropped
            .of(DropReason::Aborted),
        4
    );
}
