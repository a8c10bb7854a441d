//! What the log says of losses when the agent has ended.
//!
//! While it runs, losses are told once a minute at most, and some only counted. At the end
//! the log tells the rest, so that its lines `items lost` add up to the ledger, exporter by
//! exporter and reason by reason, and so do those of failed attempts.

use std::sync::Arc;

use super::ledger::Ledger;
use super::status::ExporterStatus;
use crate::component::DropReason;

/// Compares the books with what the log has told.
#[derive(Debug)]
pub struct LastWords {
    ledger: Ledger,
    /// One of each exporter, or of each of its signals.
    statuses: Vec<Arc<ExporterStatus>>,
}

impl LastWords {
    pub(super) fn new(ledger: Ledger, statuses: Vec<Arc<ExporterStatus>>) -> Self {
        Self { ledger, statuses }
    }

    /// Says what was lost and not told yet. The books must be closed.
    pub fn say(&self) {
        let books = self.ledger.snapshot();
        for pipeline in &books.pipelines {
            // Before the fan-out only this reason is a loss that nobody asked for.
            let items = pipeline.dropped.of(DropReason::Aborted);
            if items > 0 {
                let (pipeline, reason) = (&*pipeline.pipeline, DropReason::Aborted.as_str());
                tracing::error!(pipeline, items, reason, "items lost");
            }
        }
        for status in &self.statuses {
            status.tell_failures();
            for reason in DropReason::ALL {
                let legs = self.ledger.legs().iter().filter(|leg| status.is_of(leg));
                let lost: u64 = legs.map(|leg| leg.entry().dropped.of(reason)).sum();
                status.tell(lost.saturating_sub(status.told(reason)), reason);
            }
        }
    }
}
