//! The pipelines and their shutdown under every fault that the rig can script. Each test
//! ends with books that balance.

mod rig;

use std::time::Duration;

use self::rig::{Each, Local, Remote, Reply, Rig, SourceKind};
use super::Outcome;
use crate::component::{DropReason, WhenFull};

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
            Box::new(Each(
                |batch: crate::pdata::Batch, out: &mut dyn crate::component::Output| {
                    assert_ne!(batch.items(), 13, "unlucky");
                    out.emit(batch);
                },
            ))
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
