//! The losses in the log add up to those in the ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::fakes::{Gatekeeper, Remote, Reply};
use super::rig::Rig;
use crate::component::DropReason;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_words_name_every_lost_item_of_the_ledger() {
    let page = Page::default();
    let writer = {
        let page = page.clone();
        move || page.clone()
    };
    let log = tracing_subscriber::fmt().json().with_writer(writer);
    let _guard = tracing::subscriber::set_default(log.finish());

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
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = &line["fields"];
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
