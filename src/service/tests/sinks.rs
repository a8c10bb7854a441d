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
