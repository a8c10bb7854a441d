//! What `/health` shows, with one test for each row of its table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fakes::{Local, Remote, Reply, each};
use super::rig::{Rig, Rigged};
use crate::component::{DropReason, Status};

/// Within this time a loss must show.
const SOON: Duration = Duration::from_secs(3);

fn status(rigged: &Rigged) -> Status {
    rigged.health.snapshot(Instant::now()).status
}

async fn rigged(remote: &Remote) -> Rigged {
    Rig::new().exporter("remote", remote).start().await
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_delivers_or_has_nothing_to_deliver_is_healthy() {
    let rigged = rigged(&Remote::script([])).await;
    assert_eq!(status(&rigged), Status::Healthy);
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    assert_eq!(status(&rigged), Status::Healthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_failed_and_waits_degrades_until_it_is_delivered() {
    let remote = Remote::script([Reply::Retry(None), Reply::Refuse]);
    let rigged = rigged(&remote).await;
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    assert_eq!(status(&rigged), Status::Degraded, "after one attempt");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(status(&rigged), Status::Degraded, "after two");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(rigged.leg("remote").sent, 5);
    assert_eq!(status(&rigged), Status::Healthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_hours_degrades_as_long_as_everything_waits() {
    let rigged = rigged(&Remote::rule(|_| Reply::Refuse)).await;
    rigged.push(5).await.unwrap();
    for _ in 0..12 {
        sleep(Duration::from_secs(600)).await;
        assert_eq!(status(&rigged), Status::Degraded);
    }
    assert_eq!(rigged.leg("remote").queued, 5);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_unhealthy_until_the_next_delivery() {
    let remote = Remote::script([Reply::Permanent, Reply::Retry(None)]);
    let rigged = rigged(&remote).await;
    rigged.push(5).await.unwrap();
    sleep(SOON).await;
    assert_eq!(rigged.leg("remote").dropped.of(DropReason::Permanent), 5);
    assert_eq!(status(&rigged), Status::Unhealthy);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(status(&rigged), Status::Unhealthy, "nothing was delivered");
    rigged.push(5).await.unwrap();
    sleep(SOON).await;
    assert_eq!(status(&rigged), Status::Unhealthy, "it failed and waits");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(status(&rigged), Status::Healthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_for_too_long_is_unhealthy() {
    let remote = Remote::rule(|_| Reply::Retry(None)).unguarded();
    let rigged = rigged(&remote).await;
    rigged.push(5).await.unwrap();
    sleep(Duration::from_secs(200)).await;
    assert_eq!(status(&rigged), Status::Degraded);
    sleep(Duration::from_secs(100) + SOON).await;
    let dropped = rigged.leg("remote").dropped;
    assert_eq!(dropped.of(DropReason::RetriesExhausted), 5);
    assert_eq!(status(&rigged), Status::Unhealthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_that_drops_is_unhealthy() {
    let remote = Remote::up_when(|at| at >= Duration::from_secs(20))
        .unguarded()
        .with(|delivery| delivery.queue.requests = 1);
    let rigged = rigged(&remote).await;
    rigged.pull(3).await;
    rigged.settle().await;
    assert_eq!(status(&rigged), Status::Degraded, "it waits");
    rigged.pull(4).await;
    rigged.settle().await;
    assert_eq!(rigged.leg("remote").dropped.of(DropReason::QueueFull), 4);
    assert_eq!(status(&rigged), Status::Unhealthy);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rigged.leg("remote").sent, 3);
    assert_eq!(status(&rigged), Status::Healthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_rejects_all_is_unhealthy_and_one_that_takes_a_part_is_not() {
    let remote = Remote::script([Reply::Reject(2), Reply::Reject(5)]);
    let rigged = rigged(&remote).await;
    for (sent, expected) in [
        (3, Status::Healthy),
        (3, Status::Unhealthy),
        (8, Status::Healthy),
    ] {
        rigged.push(5).await.unwrap();
        rigged.settle().await;
        assert_eq!(rigged.leg("remote").sent, sent);
        assert_eq!(status(&rigged), expected);
    }
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_leg_that_loses_is_unhealthy_beside_another_that_delivers() {
    let (bad, good) = (Remote::rule(|_| Reply::Permanent), Remote::script([]));
    let rig = Rig::new().exporter("bad", &bad).exporter("good", &good);
    let rigged = rig.start().await;
    rigged.push(5).await.unwrap();
    sleep(SOON).await;
    assert_eq!(status(&rigged), Status::Unhealthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_written_is_unhealthy_until_something_is() {
    let full = Arc::new(AtomicBool::new(true));
    let disk = Arc::clone(&full);
    let sink = Local::new(move |batch| match disk.load(Ordering::Relaxed) {
        true => batch.items(),
        false => 0,
    });
    let rigged = Rig::new().sink("file", &sink).start().await;
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    assert_eq!(status(&rigged), Status::Unhealthy);
    full.store(false, Ordering::Relaxed);
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    assert_eq!(status(&rigged), Status::Healthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_meant_to_be_dropped_is_healthy() {
    let rig = Rig::new().processor("filter", || {
        each(|batch, out| out.discard(batch.items(), DropReason::Filtered))
    });
    let rigged = rig.exporter("remote", &Remote::script([])).start().await;
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    assert_eq!(rigged.pipeline().dropped.of(DropReason::Filtered), 5);
    assert_eq!(status(&rigged), Status::Healthy);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_died_is_unhealthy_for_ever() {
    let remote = Remote::script([Reply::Panic]);
    let rigged = rigged(&remote).await;
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    assert_eq!(status(&rigged), Status::Unhealthy);
    rigged.shutdown().await;
}
