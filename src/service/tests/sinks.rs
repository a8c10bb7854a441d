//! Local exporters whose disk fails, hangs, or never opens.

use std::time::Duration;

use super::fakes::{Gatekeeper, Local, Remote};
use super::rig::Rig;
use crate::component::DropReason;
use crate::pipeline::testing::{PACE, points};
use crate::settings::WhenFull;

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
async fn what_waits_in_a_buffer_is_queued_until_it_is_written_and_never_sent_in_vain() {
    let second = Duration::from_secs(1);
    let disk = Local::new(|batch| u64::from(batch.items() == 4)).buffering(second);
    let rigged = Rig::new()
        .sink("disk", &disk)
        .and_pipeline("metrics/other", "disk")
        .start()
        .await;
    let f = async |full: bool, push: usize, buffered: u64, sent: u64, lost: u64| {
        disk.set_full(full);
        rigged.push(push).await.unwrap();
        rigged.settle().await;
        let sent_before = rigged.leg("disk").sent;
        for pipeline in ["metrics", "metrics/other"] {
            let books = rigged.books();
            assert_eq!(books.leg(pipeline, "disk").unwrap().queued, buffered);
        }
        tokio::time::sleep(second).await;
        rigged.settle().await;
        let leg = rigged.leg("disk");
        assert!(leg.sent >= sent_before, "it never goes back");
        let dropped = leg.dropped.of(DropReason::WriteFailed);
        assert_eq!((leg.queued, leg.sent, dropped), (0, sent, lost));
    };
    f(false, 3, 3, 3, 0).await;
    f(true, 5, 5, 3, 5).await;
    // One of every four items is dropped at once.
    f(false, 4, 3, 6, 6).await;
    // Items in the buffer at the end are written, or counted as dropped.
    disk.set_full(true);
    rigged.push(2).await.unwrap();
    let drained = rigged.shutdown().await;
    let books = drained.ledger.snapshot();
    assert_eq!(books.leg("metrics", "disk").unwrap().sent, 6);
}

/// A queue for 256 small requests.
const SMALL_QUEUE: u64 = 256 * 256;

#[tokio::test(start_paused = true)]
async fn a_hung_disk_stalls_nobody_and_is_left_behind() {
    let (hung, mut entered) = Gatekeeper::new();
    let disk = hung.sink().queue_bytes(SMALL_QUEUE);
    let fine = Remote::script([]);
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
    // The clock is paused, so that even the shortest wait would show.
    assert_eq!(begun.elapsed(), Duration::ZERO, "no sender waits");
    rigged.settle().await;
    assert_eq!(rigged.leg("fine").sent, 301);
    let delivered = fine.times().last().copied().unwrap();
    assert!(
        delivered < 0.01,
        "nor what is delivered beside it: {delivered}"
    );
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
    // The blocked thread returns after the ledger was closed.
    hung.open();
    drained.ledger.snapshot().check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_local_leg_takes_again_once_it_has_room() {
    let (hung, mut entered) = Gatekeeper::new();
    let disk = hung.sink().queue_bytes(SMALL_QUEUE);
    let rigged = Rig::new().sink("disk", &disk).start().await;
    for _ in 0..260 {
        rigged.push(1).await.unwrap();
    }
    entered.recv().await.unwrap();
    rigged.settle().await;
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
async fn a_local_leg_sets_the_pace_of_its_senders_only_where_nothing_else_would_wait() {
    let f = async |beside: &str, waits: bool| {
        let (hung, mut entered) = Gatekeeper::new();
        let slow = hung.sink().queue_bytes(SMALL_QUEUE);
        let mut rig = Rig::new().sink("slow", &slow);
        rig = match beside {
            "remote" => rig.exporter("fine", &Remote::script([])),
            "local" => rig.sink("fine", &Local::new(|_| 0)),
            // A remote exporter that never delays senders.
            "dropping" => rig.exporter(
                "fine",
                &Remote::script([]).with(|delivery| delivery.queue.when_full = WhenFull::Drop),
            ),
            _ => rig,
        };
        let rigged = rig.start().await;
        for _ in 0..100 {
            rigged.push(1).await.unwrap();
        }
        entered.recv().await.unwrap();
        let begun = tokio::time::Instant::now();
        rigged.push(1).await.unwrap();
        let expected = if waits { PACE } else { Duration::ZERO };
        assert_eq!(begun.elapsed(), expected, "beside: {beside}");
        hung.open();
        rigged.shutdown().await;
    };
    f("remote", false).await;
    f("local", false).await;
    f("dropping", false).await;
    f("nothing", true).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_on_the_worker_of_its_pipeline_has_a_turn_before_it_loses_anything() {
    // Each request takes more than half of the queue, and all come at once.
    let (batch, page) = (points(1000), Local::new(|_| 0));
    let page = page.queue_bytes(batch.size() * 3 / 2);
    let rigged = Rig::new().sink("page", &page).start().await;
    let pushes = (0..30).map(|_| rigged.push(1000));
    for pushed in futures_util::future::join_all(pushes).await {
        pushed.unwrap();
    }
    rigged.settle().await;
    let leg = rigged.leg("page");
    assert_eq!((leg.sent, leg.dropped.total()), (30_000, 0));
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
