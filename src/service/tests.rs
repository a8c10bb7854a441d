//! The pipelines and their shutdown under every fault that the rig can script. Each test
//! ends with books that balance.

mod rig;

use std::sync::Arc;
use std::time::Duration;

use self::rig::{Gatekeeper, Hoard, Local, Remote, Reply, Rig, SourceKind, each, id, points};
use super::Outcome;
use crate::component::{DropReason, MemoryLimit, Origin, Policy, WhenFull};

/// A peer that never answers, asked by an exporter that never loses its patience.
fn hanging() -> Remote {
    Remote::rule(|_| Reply::Hang).with(|delivery| delivery.timeout = Duration::from_secs(3600))
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_reaches_every_exporter() {
    let (remote, local) = (Remote::script([]), Local::new(|_| 0));
    let rigged = Rig::new()
        .exporter("remote", &remote)
        .sink("local", &local)
        .start()
        .await;
    rigged.push(3).await.unwrap();
    rigged.pull(4).await;
    rigged.settle().await;
    let drained = rigged.shutdown().await;
    let books = drained.ledger.snapshot();
    assert_eq!(books.pipeline("metrics").unwrap().fanned_out, 7);
    assert_eq!(books.leg("metrics", "remote").unwrap().sent, 7);
    assert_eq!(books.leg("metrics", "local").unwrap().sent, 7);
    assert_eq!(local.taken(), [3, 4]);
    assert!(
        drained
            .tasks
            .iter()
            .all(|task| task.outcome == Outcome::Completed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_a_panicking_processor_counts_as_aborted() {
    let remote = Remote::script([]);
    let rigged = Rig::new()
        .processor("bomb", || {
            each(|batch, out| {
                assert_ne!(batch.items(), 13, "unlucky");
                out.emit(batch);
            })
        })
        .exporter("remote", &remote)
        .start()
        .await;
    rigged.push(5).await.unwrap();
    rigged.push(13).await.unwrap();
    rigged.settle().await;
    assert_eq!(rigged.pipeline().dropped.of(DropReason::Aborted), 13);
    assert_eq!(rigged.health.dead_tasks(), ["pipeline metrics"]);
    assert_eq!(rigged.push(1).await.unwrap_err().reason, "unavailable");
    let drained = rigged.shutdown().await;
    assert_eq!(remote.attempts(), [5]);
    assert!(
        drained.tasks.iter().any(
            |task| matches!(&task.outcome, Outcome::Panicked(text) if text.contains("unlucky"))
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_is_retried_with_growing_waits_and_keeps_its_place() {
    let remote = Remote::script([
        Reply::Retry(None),
        Reply::Retry(Some(20)),
        Reply::Retry(None),
    ])
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
    // 5 s, then the peer's advice of 20 s over 7.5 s, then 11.25 s.
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
async fn a_request_too_large_is_halved_until_it_fits() {
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
    assert_eq!(remote.attempts()[2..], [7, 3, 4, 3, 1]);
    assert_eq!(rigged.leg("remote").sent, 8);
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
    let remote = Remote::rule(|_| Reply::Retry(None));
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
    // The processor emits more than it got, which is a defect and counted as created.
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
    assert_eq!(begun.elapsed().as_secs(), 5, "patience has an end");
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
        (refusal.reason, refusal.retry_after.as_secs()),
        ("memory_limit", 1)
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
    assert_eq!(
        pipelines[0].exporters,
        [(id("bad"), false), (id("good"), true)]
    );
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

#[tokio::test(start_paused = true)]
async fn a_sink_accounts_for_what_it_could_not_write() {
    let disk = Local::new(|batch| u64::from(batch.items() > 5) * 2);
    let rigged = Rig::new().sink("disk", &disk).start().await;
    rigged.push(5).await.unwrap();
    rigged.push(6).await.unwrap();
    rigged.settle().await;
    let leg = rigged.leg("disk");
    assert_eq!((leg.sent, leg.dropped.of(DropReason::WriteFailed)), (9, 2));
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_flushes_what_processors_hold() {
    let remote = Remote::script([]);
    let rigged = Rig::new()
        .processor("hoard", || Box::new(Hoard::default()))
        .exporter("remote", &remote)
        .start()
        .await;
    for _ in 0..3 {
        rigged.push(5).await.unwrap();
    }
    rigged.settle().await;
    assert_eq!(rigged.pipeline().held, 15);
    rigged.shutdown().await;
    assert_eq!(remote.attempts(), [15]);
}

#[tokio::test(start_paused = true)]
async fn items_that_a_processor_swallows_are_found_when_it_is_drained() {
    let remote = Remote::script([]);
    let rigged = Rig::new()
        .processor("hole", || each(|_, _| {}))
        .exporter("remote", &remote)
        .start()
        .await;
    rigged.push(5).await.unwrap();
    let drained = rigged.shutdown().await;
    let books = drained.ledger.snapshot();
    let pipeline = books.pipeline("metrics").unwrap();
    assert_eq!(pipeline.dropped.of(DropReason::Aborted), 5);
}

#[tokio::test(start_paused = true)]
async fn shutdown_makes_one_attempt_for_each_request_without_waiting() {
    let remote = Remote::rule(|batch| match batch.items() {
        1 => Reply::Retry(Some(100)),
        _ => Reply::Take,
    })
    .with(|delivery| delivery.queue.join_items = 0);
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    for items in [1, 2, 1, 3] {
        rigged.push(items).await.unwrap();
    }
    rigged.settle().await;
    let begun = tokio::time::Instant::now();
    let drained = rigged.shutdown().await;
    assert!(
        begun.elapsed() < Duration::from_millis(100),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(remote.attempts(), [1, 1, 2, 1, 3]);
    let books = drained.ledger.snapshot();
    let leg = books.leg("metrics", "remote").unwrap();
    assert_eq!((leg.sent, leg.dropped.of(DropReason::Shutdown)), (5, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_after_the_grace_counts_as_shutdown() {
    let (stuck, fine) = (hanging(), Remote::script([]));
    let rigged = Rig::new()
        .exporter("stuck", &stuck)
        .exporter("fine", &fine)
        .start()
        .await;
    for _ in 0..5 {
        rigged.push(2).await.unwrap();
    }
    rigged.settle().await;
    let begun = tokio::time::Instant::now();
    let drained = rigged.shutdown().await;
    assert_eq!(begun.elapsed().as_secs(), 5);
    let books = drained.ledger.snapshot();
    assert_eq!(
        books
            .leg("metrics", "stuck")
            .unwrap()
            .dropped
            .of(DropReason::Shutdown),
        10
    );
    assert_eq!(books.leg("metrics", "fine").unwrap().sent, 10);
    let outcome = |name: &str| {
        let end = drained.tasks.iter().find(|task| task.task == name).unwrap();
        (end.outcome.clone(), end.elapsed.as_secs())
    };
    assert_eq!(outcome("exporter stuck"), (Outcome::Cancelled, 5));
    assert_eq!(outcome("exporter fine"), (Outcome::Completed, 0));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_receiver_holds_up_nobody_else() {
    let remote = Remote::script([]);
    let mut rig = Rig::new().exporter("remote", &remote);
    rig.receiver("source", SourceKind::Hanging);
    let rigged = rig.start().await;
    rigged.push(5).await.unwrap();
    let begun = tokio::time::Instant::now();
    let drained = rigged.shutdown().await;
    assert!(begun.elapsed() <= Duration::from_secs(7));
    let end = |name: &str| drained.tasks.iter().find(|task| task.task == name).unwrap();
    assert_eq!(end("receiver source").outcome, Outcome::Aborted);
    assert_eq!(end("exporter remote").outcome, Outcome::Completed);
    assert!(end("exporter remote").elapsed <= Duration::from_secs(1));
    assert_eq!(remote.attempts(), [5]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_receiver_is_known_to_be_dead() {
    let remote = Remote::script([]);
    let mut rig = Rig::new().exporter("remote", &remote);
    rig.receiver("source", SourceKind::Panicking);
    let rigged = rig.start().await;
    rigged.settle().await;
    assert_eq!(rigged.health.dead_tasks(), ["receiver source"]);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_it_at_once() {
    let remote = hanging();
    let rigged = Rig::new().exporter("remote", &remote).start().await;
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    rigged.abort();
    let begun = tokio::time::Instant::now();
    let drained = rigged.shutdown().await;
    assert!(begun.elapsed() < Duration::from_millis(100));
    let books = drained.ledger.snapshot();
    let leg = books.leg("metrics", "remote").unwrap();
    assert_eq!(leg.dropped.of(DropReason::Aborted), 5);
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
    // The pipelines have closed; who was admitted before is still counted.
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

#[tokio::test(start_paused = true)]
async fn a_hung_disk_stalls_nobody_and_is_left_behind() {
    let (hung, mut entered) = Gatekeeper::new();
    let (disk, fine) = (hung.sink(), Remote::script([]));
    let rigged = Rig::new()
        .sink("disk", &disk)
        .exporter("fine", &fine)
        .start()
        .await;
    rigged.push(1).await.unwrap();
    entered.recv().await.unwrap();
    let begun = tokio::time::Instant::now();
    for _ in 0..300 {
        rigged.push(1).await.unwrap();
    }
    rigged.settle().await;
    // The pipeline waited once for a second, and never again.
    let waited = begun.elapsed().as_secs_f64();
    assert!((1.0..1.1).contains(&waited), "{waited}");
    assert_eq!(rigged.leg("fine").sent, 301);
    let leg = rigged.leg("disk");
    assert_eq!(
        (leg.queued, leg.dropped.of(DropReason::QueueFull)),
        (256, 45)
    );
    let begun = tokio::time::Instant::now();
    let drained = rigged.shutdown().await;
    assert_eq!(begun.elapsed().as_secs(), 5);
    let books = drained.ledger.snapshot();
    assert_eq!(
        books
            .leg("metrics", "disk")
            .unwrap()
            .dropped
            .of(DropReason::Shutdown),
        256
    );
    // The thread comes back to books that are closed.
    hung.open();
    drained.ledger.snapshot().check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stalled_leg_takes_again_once_it_has_room() {
    let (hung, mut entered) = Gatekeeper::new();
    let rigged = Rig::new().sink("disk", &hung.sink()).start().await;
    for _ in 0..260 {
        rigged.push(1).await.unwrap();
    }
    entered.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rigged.leg("disk").dropped.of(DropReason::QueueFull), 4);
    hung.open();
    for _ in 1..256 {
        entered.recv().await.unwrap();
    }
    rigged.push(1).await.unwrap();
    entered.recv().await.unwrap();
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_output_that_never_opens_delays_the_start_and_holds_up_no_shutdown() {
    let (fifo, _entered) = Gatekeeper::new();
    let disk = fifo.sink().on_start({
        let fifo = fifo.clone();
        move || {
            fifo.pass();
            Ok(())
        }
    });
    let begun = tokio::time::Instant::now();
    let rigged = Rig::new().sink("disk", &disk).start().await;
    assert_eq!(begun.elapsed().as_secs(), 2);
    rigged.push(3).await.unwrap();
    rigged.settle().await;
    assert_eq!(rigged.leg("disk").queued, 3);
    let begun = tokio::time::Instant::now();
    let drained = rigged.shutdown().await;
    assert_eq!(begun.elapsed().as_secs(), 5);
    let books = drained.ledger.snapshot();
    assert_eq!(
        books
            .leg("metrics", "disk")
            .unwrap()
            .dropped
            .of(DropReason::Shutdown),
        3
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_is_known_to_be_dead_on_a_task_and_on_a_thread() {
    for blocking in [false, true] {
        let bomb = Local::new(|_| panic!("the sink broke"));
        let bomb = if blocking { bomb.blocking() } else { bomb };
        let (fine, rig) = (Remote::script([]), Rig::new().sink("bomb", &bomb));
        let rigged = rig.exporter("fine", &fine).start().await;
        rigged.push(3).await.unwrap();
        while rigged.health.dead_tasks().is_empty() {
            rigged.settle().await;
        }
        rigged.push(4).await.unwrap();
        rigged.settle().await;
        assert_eq!(rigged.health.dead_tasks(), ["exporter bomb"]);
        assert_eq!(rigged.leg("bomb").dropped.of(DropReason::Aborted), 7);
        assert_eq!(rigged.leg("fine").sent, 7);
        rigged.shutdown().await;
    }
}

// A paused clock would jump past the patience for a thread that works.
#[tokio::test]
async fn a_start_that_fails_names_the_key() {
    let broken = Local::new(|_| 0).on_start(|| anyhow::bail!("no such directory"));
    for broken in [broken.clone(), broken.blocking()] {
        let service = Rig::new().sink("disk/a", &broken).build().unwrap();
        let error = service.start().await.err().unwrap();
        assert_eq!(error.to_string(), "exporters::disk/a: no such directory");
    }
}

#[tokio::test(start_paused = true)]
async fn every_component_that_cannot_be_built_is_named() {
    let mut rig = Rig::new().exporter("remote", &Remote::script([]));
    rig.receiver("source", SourceKind::Unbuildable);
    let limit = Policy::MemoryLimiter(MemoryLimit {
        in_flight: 1,
        resident: None,
        check_interval: Duration::from_secs(1),
    });
    let rig = rig
        .policy("memory_limiter", limit)
        .policy("memory_limiter/2", limit);
    assert_eq!(
        rig.build().err().unwrap().to_string(),
        "service::pipelines::metrics::processors: memory_limiter and memory_limiter/2 both limit \
         its memory: use one\nreceivers::source: no certificate",
    );
}
