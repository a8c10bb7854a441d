//! What `/health` shows, with one test for each row of its table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fakes::{Local, Remote, Reply, each};
use super::rig::{Rig, Rigged};
use crate::component::{DropReason, MemoryLimit, Policy, Shortage, Status};
use crate::pipeline::testing::points;
use crate::settings::WhenFull;

/// Within this time a loss must show.
const SOON: Duration = Duration::from_secs(3);

fn status(rigged: &Rigged) -> Status {
    rigged.health.snapshot(Instant::now()).status
}

/// Why the first pipeline refuses requests.
fn shortages(rigged: &Rigged) -> Vec<Shortage> {
    let snapshot = rigged.health.snapshot(Instant::now());
    snapshot.pipelines[0].shortages.clone()
}

/// A destination that takes ten seconds for its first request.
fn slow() -> Remote {
    Remote::script([Reply::TakeAfter(10)])
        .unguarded()
        .with(|delivery| delivery.timeout = Duration::from_secs(3600))
}

/// Has a request refused three times within six seconds, and checks that the pipeline is
/// degraded until a minute after the last time, although there is room again after ten seconds.
async fn degrades_for_a_minute(rigged: Rigged, reason: &str, shortage: Shortage) {
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    assert_eq!(status(&rigged), Status::Healthy, "nobody was refused");
    for second in [0, 3, 6] {
        assert_eq!(rigged.push(5).await.unwrap_err().reason, reason);
        assert_eq!(
            shortages(&rigged),
            std::slice::from_ref(&shortage),
            "{second}"
        );
        assert_eq!(status(&rigged), Status::Degraded);
        sleep(Duration::from_secs(3)).await;
    }
    let said = shortage.to_string();
    assert!(said.contains("refused"), "{said}");
    sleep(Duration::from_secs(11)).await;
    rigged.push(5).await.unwrap();
    rigged.settle().await;
    assert_eq!(rigged.leg("remote").sent, 10);
    assert_eq!(status(&rigged), Status::Degraded, "20 s");
    sleep(Duration::from_secs(45)).await;
    assert_eq!(status(&rigged), Status::Degraded, "65 s");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(status(&rigged), Status::Healthy, "66 s");
    assert_eq!(shortages(&rigged), []);
    rigged.shutdown().await;
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
async fn a_request_that_is_tried_again_ages_at_its_own_pipeline_until_it_is_delivered() {
    // The second pipeline's exporter takes what it gets at once.
    let (slow, free) = (
        Remote::up_when(|at| at >= Duration::from_secs(300)),
        Remote::script([]),
    );
    let mut rig = Rig::new().exporter("remote", &slow);
    rig.pipeline("metrics/free", &["source"]);
    let rigged = rig.exporter("free", &free).start().await;
    let ages = || {
        let snapshot = rigged.health.snapshot(Instant::now());
        let pipelines = snapshot.pipelines.iter();
        pipelines.map(|p| p.queue_age.as_secs()).collect::<Vec<_>>()
    };
    rigged.push(5).await.unwrap();
    sleep(Duration::from_secs(100)).await;
    rigged.push(5).await.unwrap();
    assert_eq!(
        ages(),
        [100, 0],
        "the one that is being tried is the oldest"
    );
    sleep(Duration::from_secs(100)).await;
    assert_eq!(ages(), [200, 0]);
    sleep(Duration::from_secs(400)).await;
    assert_eq!(rigged.leg("remote").sent, 10);
    assert_eq!(ages(), [0, 0]);
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

#[tokio::test(start_paused = true)]
async fn senders_that_are_refused_for_a_full_queue_degrade_it_until_a_minute_after() {
    let remote = slow().with(|delivery| delivery.queue.requests = 1);
    let queue = Shortage::Queue("remote".parse().unwrap());
    assert!(queue.to_string().contains("queue"));
    degrades_for_a_minute(rigged(&remote).await, "queue_full", queue).await;
}

#[tokio::test(start_paused = true)]
async fn senders_that_are_refused_for_what_is_in_flight_degrade_it_until_a_minute_after() {
    let most = points(5).size();
    let limit = MemoryLimit {
        in_flight: most,
        resident: None,
        check_interval: Duration::from_secs(1),
    };
    let rig = Rig::new().policy("memory_limiter", Policy::MemoryLimiter(limit));
    let rigged = rig.exporter("remote", &slow()).start().await;
    let in_flight = Shortage::InFlight { most };
    degrades_for_a_minute(rigged, "memory_limit", in_flight).await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_that_decides_is_named_and_one_that_drops_refuses_nobody() {
    let f = async |legs: &[WhenFull], named: Option<&str>| {
        let mut rig = Rig::new();
        for (i, when_full) in legs.iter().enumerate() {
            let remote = slow().with(|delivery| {
                delivery.queue.requests = 1;
                delivery.queue.when_full = *when_full;
            });
            rig = rig.exporter(&format!("remote/{i}"), &remote);
        }
        let rigged = rig.start().await;
        rigged.push(1).await.unwrap();
        rigged.settle().await;
        assert_eq!(rigged.push(1).await.is_err(), named.is_some(), "{legs:?}");
        let named = named.map(|id| Shortage::Queue(id.parse().unwrap()));
        assert_eq!(shortages(&rigged), Vec::from_iter(named), "{legs:?}");
        rigged.shutdown().await;
    };
    use WhenFull::{Auto, Drop, Refuse};
    f(&[Auto], Some("remote/0")).await;
    f(&[Drop, Auto], Some("remote/1")).await;
    f(&[Auto, Auto], Some("remote/0")).await;
    f(&[Auto, Refuse], Some("remote/1")).await;
    f(&[Drop, Drop], None).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_shows_at_the_pipeline_that_is_full_and_at_no_other() {
    let (full, free) = (slow(), Remote::script([]));
    let full = full.with(|delivery| delivery.queue.requests = 1);
    let mut rig = Rig::new().exporter("remote", &full);
    rig.pipeline("metrics/free", &["source"]);
    let rigged = rig.exporter("free", &free).start().await;
    rigged.push(1).await.unwrap();
    rigged.settle().await;
    assert_eq!(rigged.push(1).await.unwrap_err().reason, "queue_full");
    let snapshot = rigged.health.snapshot(Instant::now());
    let status = snapshot.pipelines.iter().map(|pipeline| pipeline.status());
    assert!(status.eq([Status::Degraded, Status::Healthy]));
    rigged.shutdown().await;
}
