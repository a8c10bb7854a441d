//! A sink on this machine.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use crate::component::{
    BuildContext, BuiltExporter, Discards, DropReason, ExporterConfig, Now, Sink,
};
use crate::pdata::Batch;
use crate::settings::LOCAL_QUEUE;

/// A sink that calls a closure for every batch, and discards as many items as that returns.
#[derive(Clone)]
pub(in crate::service::tests) struct Local {
    consume: Arc<dyn Fn(&Batch) -> u64 + Send + Sync>,
    start: Arc<dyn Fn() -> anyhow::Result<()> + Send + Sync>,
    may_block: bool,
    queue_bytes: u64,
    taken: Shared<Vec<u64>>,
    /// How long it holds items before writing them; `None` writes at once.
    delay: Option<Duration>,
    held: u64,
    due: Option<Instant>,
    /// Whether writing held items fails.
    full: Arc<AtomicBool>,
}

impl Local {
    pub(in crate::service::tests) fn new(
        consume: impl Fn(&Batch) -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            consume: Arc::new(consume),
            start: Arc::new(|| Ok(())),
            may_block: false,
            queue_bytes: LOCAL_QUEUE.0,
            taken: Arc::default(),
            delay: None,
            held: 0,
            due: None,
            full: Arc::default(),
        }
    }

    pub(in crate::service::tests) fn on_start(
        mut self,
        start: impl Fn() -> anyhow::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.start = Arc::new(start);
        self
    }

    pub(in crate::service::tests) fn blocking(mut self) -> Self {
        self.may_block = true;
        self
    }

    /// The same with this bound of its queue.
    pub(in crate::service::tests) fn queue_bytes(mut self, bytes: u64) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// The same, holding items for `delay` before writing them.
    pub(in crate::service::tests) fn buffering(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Sets whether writing held items fails.
    pub(in crate::service::tests) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// The number of items of each batch consumed.
    pub(in crate::service::tests) fn taken(&self) -> Vec<u64> {
        self.taken.lock().unwrap().clone()
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

impl ExporterConfig for Local {
    fn build(&self, _: &BuildContext) -> anyhow::Result<BuiltExporter> {
        Ok(BuiltExporter::Local(Box::new(self.clone())))
    }

    fn describe(&self) -> String {
        "rig".to_owned()
    }
}

impl Sink for Local {
    fn start(&mut self) -> anyhow::Result<()> {
        (self.start)()
    }

    fn consume(&mut self, batch: Batch, now: Now, out: &mut dyn Discards) {
        let lost = (self.consume)(&batch);
        self.taken.lock().unwrap().push(batch.items());
        out.discard(lost, DropReason::WriteFailed);
        if let Some(delay) = self.delay {
            self.held += batch.items() - lost;
            self.due.get_or_insert(now.monotonic + delay);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn on_deadline(&mut self, _: Now, out: &mut dyn Discards) {
        self.due = None;
        let held = std::mem::take(&mut self.held);
        if self.full.load(Ordering::Relaxed) {
            out.discard(held, DropReason::WriteFailed);
        }
    }

    fn close(&mut self, now: Now, out: &mut dyn Discards) {
        self.on_deadline(now, out);
    }

    fn unsettled(&self) -> u64 {
        self.held
    }

    fn queue_bytes(&self) -> u64 {
        self.queue_bytes
    }

    fn may_block(&self) -> bool {
        self.may_block
    }
}
