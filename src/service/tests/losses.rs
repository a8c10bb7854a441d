//! The losses in the log add up to those in the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use super::fakes::{Gatekeeper, Remote, Reply};
use super::rig::Rig;
use crate::component::DropReason;
use crate::log_capture::LogCapture;
use crate::settings::WhenFull;

#[tokio::test(start_paused = true)]
async fn the_last_words_name_every_lost_item_of_the_ledger() {
    let (log, _guard) = LogCapture::begin();
    let (fifo, _entered) = Gatekeeper::new();
    // Opening the file blocks, and the queue is too small for all requests.
    let disk = fifo.sink().queue_bytes(20 * 256).on_start({
        let fifo = fifo.clone();
        move || {
            fifo.pass();
            Ok(())
        }
    });
    let refusing = Remote::rule(|_| Reply::Permanent);
    // Its peer says that it rejected more than it got.
    let boasting = Remote::rule(|_| Reply::Reject(1_000_000));
    let rig = Rig::new().sink("disk", &disk);
    let rig = rig.exporter("refusing", &refusing);
    let rigged = rig.exporter("boasting", &boasting).start().await;
    for _ in 0..40 {
        rigged.push(3).await.unwrap();
        rigged.settle().await;
    }
    let drained = rigged.shutdown().await;
    fifo.open();

    let mut told: BTreeMap<(String, String), u64> = BTreeMap::new();
    for fields in log.lines() {
        if fields["message"] == "items lost" {
            let name = |key: &str| fields[key].as_str().unwrap().to_owned();
            let items = fields["items"].as_u64().unwrap();
            *told.entry((name("exporter"), name("reason"))).or_default() += items;
        }
    }
    let books = drained.ledger.snapshot();
    let mut lost = BTreeMap::new();
    for leg in &books.legs {
        for reason in DropReason::ALL {
            if leg.dropped.of(reason) > 0 {
                let key = (leg.exporter.to_string(), reason.as_str().to_owned());
                lost.insert(key, leg.dropped.of(reason));
            }
        }
    }
    let expected = [
        ("boasting", "rejected_by_peer", 120),
        ("disk", "queue_full", 60),
        ("disk", "shutdown", 60),
        ("refusing", "permanent", 120),
    ];
    let expected =
        expected.map(|(exporter, reason, items)| ((exporter.to_owned(), reason.to_owned()), items));
    assert_eq!(lost, BTreeMap::from(expected));
    assert_eq!(told, lost);
}

/// The lines of the log with this message.
fn lines(log: &LogCapture, message: &str) -> Vec<serde_json::Value> {
    let mut lines = log.lines();
    lines.retain(|fields| fields["message"] == message);
    lines
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_full_queue_are_told_once_a_minute_and_none_is_left_out() {
    let (log, _guard) = LogCapture::begin();

    let full = |when_full| {
        Remote::rule(|_| Reply::Hang).with(move |delivery| {
            delivery.timeout = Duration::from_secs(3600);
            delivery.queue.requests = 1;
            delivery.queue.when_full = when_full;
        })
    };
    let rig = Rig::new().exporter("remote", &full(WhenFull::Refuse));
    let rigged = rig.start().await;
    rigged.push(1).await.unwrap();
    rigged.settle().await;
    for _ in 0..150 {
        assert_eq!(rigged.push(1).await.unwrap_err().reason, "queue_full");
        sleep(Duration::from_secs(1)).await;
    }
    let message = "requests are refused: the exporter's queue is full";
    let told = |field: &str| -> Vec<_> {
        let lines = lines(&log, message).into_iter();
        lines.map(|line| line[field].clone()).collect()
    };
    assert_eq!(told("requests"), [1, 60, 60]);
    rigged.shutdown().await;
    assert_eq!(told("requests"), [1, 60, 60, 29]);
    for (field, expected) in [
        ("pipeline", "metrics"),
        ("exporter", "remote"),
        ("reason", "queue_full"),
    ] {
        assert!(told(field).iter().all(|value| value == expected), "{field}");
    }

    // A leg that drops for itself tells what it loses.
    let rig = Rig::new().exporter("dropping", &full(WhenFull::Drop));
    let rigged = rig.start().await;
    for _ in 0..3 {
        rigged.push(2).await.unwrap();
        rigged.settle().await;
    }
    let lost: Vec<_> = lines(&log, "items lost")
        .into_iter()
        .filter(|line| line["exporter"] == "dropping")
        .map(|line| (line["reason"].clone(), line["items"].clone()))
        .collect();
    assert_eq!(lost, [("queue_full".into(), 2.into())]);
    rigged.shutdown().await;
}
