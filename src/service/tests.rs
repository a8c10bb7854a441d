//! The pipelines and their shutdown with every fault that the fakes can be scripted to have. Each
//! test ends with a check that the ledger balances.

mod admission;
mod decisions;
mod delivery;
mod fakes;
mod health;
mod losses;
mod metrics;
mod outages;
mod poison;
mod rig;
mod signals;
mod sinks;
mod weather;

use std::time::Duration;

use self::fakes::{Hoard, Local, Remote, Reply, SourceKind, each};
use self::rig::Rig;
use super::{StartError, TaskOutcome};
use crate::component::{DropReason, MemoryLimit, Policy};
use crate::server::BindError;

/// A peer that never answers, and an exporter that waits an hour for it.
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
    let tasks: Vec<&str> = drained.tasks.iter().map(|end| end.task.as_str()).collect();
    assert!(!tasks.contains(&"http server"), "nothing asked for one");
    assert!(
        drained
            .tasks
            .iter()
            .all(|task| task.outcome == TaskOutcome::Completed)
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
    assert!(drained.tasks.iter().any(
        |task| matches!(&task.outcome, TaskOutcome::Panicked(text) if text.contains("unlucky"))
    ));
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
    assert_eq!(outcome("exporter stuck"), (TaskOutcome::Cancelled, 5));
    assert_eq!(outcome("exporter fine"), (TaskOutcome::Completed, 0));
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
    assert_eq!(end("receiver source").outcome, TaskOutcome::Aborted);
    assert_eq!(end("exporter remote").outcome, TaskOutcome::Completed);
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
async fn a_start_that_a_listener_fails_goes_on_with_its_key_and_shows_no_credentials() {
    let unusable = |owner: &str| BindError::Unusable {
        owner: owner.to_owned(),
        reason: "tls::key_file: http://me:hunter2@host/key?t=1: not found".to_owned(),
    };
    let broken = Local::new(|_| 0).on_start(move || Err(unusable("listener").into()));
    let service = Rig::new().sink("page/a", &broken).build().unwrap();
    let error = service.start().await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "exporters::page/a::listener::tls::key_file: http://[redacted]@host/key?[redacted] not found"
    );
    let own = StartError::from(unusable("service::http"));
    assert_eq!(
        own.to_string(),
        "service::http::tls::key_file: http://[redacted]@host/key?[redacted] not found"
    );
}

// Not with a paused clock, which would jump to the timeout while a thread works.
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
        .policy("memory_limiter", limit.clone())
        .policy("memory_limiter/2", limit);
    assert_eq!(
        rig.build().err().unwrap().to_string(),
        "service::pipelines::metrics::processors: memory_limiter and memory_limiter/2 both limit \
         its memory: use one\nreceivers::source: no certificate",
    );
}
