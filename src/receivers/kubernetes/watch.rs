//! A watch that is open, until it ends or says what can't be read.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::{Instant, timeout_at};

use super::event::WatchEvent;
use super::lines::EventLines;
use super::object::KubernetesObject;
use super::transport::BodyStream;
use crate::receivers::scrape::json::garbage;
use crate::resilience::FetchError;

/// For how long a watch is asked for, in seconds, at random in this range, so that not all agents
/// come back at once. If a firewall forgets the connection, that goes unnoticed for as long.
const LIFETIME: std::ops::Range<u64> = 60..120;

/// How much longer than asked for a watch may be open.
const OVERTIME: Duration = Duration::from_secs(10);

/// A watch that was open for so long did work.
const LASTING: Duration = Duration::from_secs(5);

/// A watch that is open.
pub(super) struct OpenWatch {
    /// What a watch after this one goes on from.
    pub(super) version: String,
    body: Box<dyn BodyStream>,
    lines: EventLines,
    opened: Instant,
    until: Instant,
    /// Whether any event has come.
    pub(super) has_told: bool,
}

/// How a watch went on.
pub(super) enum WatchStep<T> {
    Event(WatchEvent<T>),
    /// It has ended, for whichever reason.
    Ended,
    /// It said what can't be read.
    Garbled(FetchError),
}

impl OpenWatch {
    /// For how many seconds the next watch is asked for.
    pub(super) fn lifetime() -> u64 {
        rand::rng().random_range(LIFETIME)
    }

    /// A watch that a server has just opened for `lifetime` seconds, with events of up to so many
    /// bytes.
    pub(super) fn new(
        version: String,
        body: Box<dyn BodyStream>,
        lifetime: u64,
        event: usize,
    ) -> Self {
        let opened = Instant::now();
        Self {
            version,
            body,
            lines: EventLines::new(event),
            opened,
            until: opened + Duration::from_secs(lifetime) + OVERTIME,
            has_told: false,
        }
    }

    /// Whether it was open for as long as one that works.
    pub(super) fn lasted(&self) -> bool {
        self.opened.elapsed() >= LASTING
    }

    /// The next event. Cancel safe.
    pub(super) async fn next<T: KubernetesObject>(&mut self) -> WatchStep<T> {
        loop {
            if let Some(line) = self.lines.next() {
                return match WatchEvent::read(line) {
                    Ok(event) => WatchStep::Event(event),
                    Err(error) => WatchStep::Garbled(error),
                };
            }
            let piece = timeout_at(self.until, self.body.next()).await;
            match piece {
                Ok(Ok(Some(piece))) => {
                    if let Err(error) = self.lines.add(&piece) {
                        return WatchStep::Garbled(error);
                    }
                }
                Ok(Ok(None)) => return self.end(),
                Ok(Err(_)) | Err(_) => return WatchStep::Ended,
            }
        }
    }

    /// What the end of the body comes to. Servers end every event with its line, so that of one
    /// that speaks otherwise, nothing would be noticed but that its watches end.
    fn end<T: KubernetesObject>(&self) -> WatchStep<T> {
        let rest = self.lines.rest();
        if rest.trim_ascii().is_empty() {
            return WatchStep::Ended;
        }
        let error = WatchEvent::<T>::read(rest).err();
        WatchStep::Garbled(error.unwrap_or_else(|| garbage("the last event doesn't end")))
    }
}
