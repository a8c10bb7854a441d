//! Several signals and pipelines through one exporter: none delays another.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fakes::{Remote, Reply};
use super::outages::{SECOND, one_by_one};
use super::rig::{Rig, Rigged};
use crate::component::{DropReason, Status};
use crate::pdata::Signal;
use crate::pipeline::testing::{logs, points};
use crate::resilience::BreakerState;

/// Metrics from `source` and logs from `journal` to the same destination.
async fn two_signals(remote: &Remote) -> Rigged {
    let rig = Rig::new().exporter("remote", remote);
    rig.and_source("journal", "logs", "remote").start().await
}

/// Takes all signals but logs, to which it gives this reply.
fn but_logs(reply: Reply) -> Remote {
    one_by_one(Remote::rule(move |batch| match batch.signal() {
        Signal::Logs => reply,
        _ => Reply::Take,
    }))
}

fn sent(rigged: &Rigged, pipeline: &str) -> u64 {
    rigged.books().leg(pipeline, "remote").unwrap().sent
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_for_one_signal_gets_the_others() {
    for reply in [
        Reply::Retry(None),
        Reply::Refuse,
        Reply::Hang,
        Reply::Throttle(30),
    ] {
        let remote = but_logs(reply);
        let rigged = two_signals(&remote).await;
        for _ in 0..30 {
            rigged.push_to("journal", logs(1)).await.unwrap();
            rigged.push(1).await.unwrap();
            sleep(SECOND).await;
        }
        assert_eq!(
            (sent(&rigged, "metrics"), sent(&rigged, "logs")),
            (30, 0),
            "{reply:?}"
        );
        rigged.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_signal_has_a_breaker_and_a_line_of_its_own() {
    let rigged = two_signals(&but_logs(Reply::Refuse)).await;
    rigged.push_to("journal", logs(1)).await.unwrap();
    rigged.push(1).await.unwrap();
    sleep(120 * SECOND).await;
    let state = |signal| {
        let all = rigged.endpoints.all();
        let mut of = all.iter().filter(|e| e.id().signal() == Some(signal));
        of.next().unwrap().breaker().state()
    };
    assert_eq!(state("metrics"), BreakerState::Healthy);
    assert!(!state("logs").is_closed());
    let mut lines: Vec<_> = rigged
        .health
        .reports()
        .into_iter()
        .map(|line| line.id)
        .collect();
    lines.sort();
    assert_eq!(lines, ["remote logs", "remote metrics"]);
    let snapshot = rigged.health.snapshot(Instant::now());
    let pipeline = |id| {
        snapshot
            .pipelines
            .iter()
            .find(|p| p.id == id)
            .unwrap()
            .status()
    };
    assert_eq!(
        (pipeline("metrics"), pipeline("logs")),
        (Status::Healthy, Status::Degraded)
    );
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_signal_refuses_no_sender_of_another() {
    let remote = but_logs(Reply::Hang).with(|delivery| delivery.queue.requests = 100);
    let rigged = two_signals(&remote).await;
    let mut taken = 0;
    while rigged.push_to("journal", logs(1)).await.is_ok() {
        taken += 1;
        assert!(taken <= 100, "the room is bounded");
    }
    assert_eq!(taken, 75, "all but what is kept for the metrics");
    for _ in 0..100 {
        rigged.push(1).await.unwrap();
        let refused = rigged.push_to("journal", logs(1)).await;
        assert_eq!(refused.unwrap_err().reason, "queue_full");
    }
    rigged.settle().await;
    assert_eq!(sent(&rigged, "metrics"), 100);
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_pipeline_refuses_no_sender_of_another() {
    let remote = one_by_one(Remote::rule(|_| Reply::TakeAfter(1)))
        .with(|delivery| delivery.queue.requests = 100);
    let rig = Rig::new().exporter("remote", &remote);
    let rigged = rig
        .and_source("flood", "metrics/flood", "remote")
        .start()
        .await;
    let mut pushed = 0;
    for _ in 0..20 {
        while rigged.push_to("flood", points(1)).await.is_ok() {
            pushed += 1;
        }
        rigged.push(1).await.unwrap();
        sleep(SECOND).await;
    }
    assert!(pushed >= 75);
    sleep(Duration::from_secs(200)).await;
    assert_eq!(sent(&rigged, "metrics"), 20);
    let flood = rigged
        .books()
        .leg("metrics/flood", "remote")
        .unwrap()
        .clone();
    assert_eq!(
        (flood.sent, flood.dropped.of(DropReason::QueueFull)),
        (pushed, 0)
    );
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_signal_takes_no_other_with_it() {
    let rigged = two_signals(&but_logs(Reply::Panic)).await;
    rigged.push_to("journal", logs(3)).await.unwrap();
    rigged.settle().await;
    rigged.push(4).await.unwrap();
    rigged.settle().await;
    assert_eq!((sent(&rigged, "metrics"), sent(&rigged, "logs")), (4, 0));
    assert_eq!(rigged.health.dead_tasks(), ["exporter remote logs"]);
    rigged.shutdown().await;
}
