//! Local legs: disks that fail, hang, and never open.

use std::time::Duration;

use super::fakes::{Gatekeeper, Local, Remote};
use super::rig::Rig;
use crate::component::DropReason;

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
    // One of each four is lost at once.
    f(false, 4, 3, 6, 6).await;
    // What is in the buffer at the end is written, or lost.
    disk.set_full(true);
    rigged.push(2).await.unwrap();
    let drained = rigged.shutdown().await;
    let books = drained.ledger.snapshot();
    assert_eq!(books.leg("metrics", "disk").unwrap().sent, 6);
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
