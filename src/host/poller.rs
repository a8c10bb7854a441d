//! Reads a host again and again, and waits for its files no longer than until a deadline.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::info;

use super::failure::{UnreadPart, UnreadReason};
use super::proc::Mount;
use super::reader::{HostReader, ReadingBuilder, ReadingUpdate};
use super::reading::HostReading;
use super::threads::{BlockingThreads, Outstanding, ReadBatch, ReadOutcome};

/// Reads the host for one receiver.
pub(crate) struct HostPoller {
    pub(crate) reader: HostReader,
    pub(crate) threads: Arc<BlockingThreads>,
    /// The files and filesystems whose last read hasn't ended.
    outstanding: Outstanding,
    /// The filesystems that have been logged as not permitted.
    pub(crate) denied: BTreeSet<Mount>,
}

/// What a poll gave.
#[derive(Debug)]
pub(crate) struct HostAnswer {
    pub(crate) reading: HostReading,
    pub(crate) failures: Vec<UnreadPart>,
    /// How many parts were to be read, each filesystem being one.
    pub(crate) parts: usize,
}

impl HostPoller {
    pub(crate) fn new(reader: HostReader, threads: Arc<BlockingThreads>) -> Self {
        Self {
            reader,
            threads,
            outstanding: Outstanding::default(),
            denied: BTreeSet::new(),
        }
    }

    /// Requests the counters that differences are made from. The future waits for them until the
    /// deadline at most.
    pub(crate) fn counters(
        &self,
        deadline: Instant,
    ) -> impl Future<Output = HostReading> + Send + use<> {
        let reads = self.reader.counters();
        let batch = ReadBatch::new(&self.threads, &self.outstanding, deadline, reads);
        async move { gather(batch).await.finish().0 }
    }

    /// Reads everything, until the deadline at most. Logs once for each filesystem that the agent
    /// may not query it.
    ///
    /// Cancel safe: a read that still runs ends by itself.
    pub(crate) async fn poll(&mut self, deadline: Instant) -> HostAnswer {
        let reads = self.reader.all();
        let batch = ReadBatch::new(&self.threads, &self.outstanding, deadline, reads);
        let mut gathering = gather(batch).await;
        let denied = std::mem::take(&mut gathering.denied);
        let parts = self.reader.parts() + gathering.queried;
        let (reading, failures) = gathering.finish();
        self.tell_denied(denied, reading.mounts.as_deref());
        HostAnswer {
            reading,
            failures,
            parts,
        }
    }

    fn tell_denied(&mut self, denied: Vec<Mount>, listed: Option<&[Mount]>) {
        if let Some(listed) = listed {
            let listed: BTreeSet<&Mount> = listed.iter().collect();
            self.denied.retain(|mount| listed.contains(mount));
        }
        for mount in denied {
            let place = mount.mount_point.clone();
            if self.denied.insert(mount) {
                info!("the filesystem at {place} is left out: permission to ask it is denied");
            }
        }
    }
}

/// Waits until all reads have ended or the deadline is over.
async fn gather(mut batch: ReadBatch<ReadingUpdate>) -> ReadingBuilder {
    let mut gathering = ReadingBuilder::default();
    let mut failed = Vec::new();
    while let Some((part, outcome)) = batch.next().await {
        match outcome {
            ReadOutcome::Told(update) => update(&mut gathering),
            ReadOutcome::Late => failed.push((part, UnreadReason::Timeout, "does not answer")),
            ReadOutcome::NotBegun => {
                failed.push((
                    part,
                    UnreadReason::Limit,
                    "not read, since too much else hangs",
                ));
            }
        }
    }
    for (part, reason, message) in failed {
        gathering.fail(UnreadPart::new(part, reason, message));
    }
    gathering
}
