//! The end of a pipeline: every batch goes to every leg, and no leg waits for another.
//!
//! A leg whose queue is full drops the batch for itself alone. If the pipeline waited for a
//! local leg, even for a second, every destination beside it would be served as slowly as a
//! slow terminal. But a sink that doesn't block may share its worker with the pipeline, and may
//! not have run since its queue filled: so before a local leg drops, the pipeline yields once.

use std::sync::Arc;

use tokio::time::Instant;

use super::capacity::CapacitySlot;
use super::lease::{Lease, Leased};
use super::ledger::{Claim, LegAccount};
use super::queue::{Producer, QueuedRequest};
use super::status::ExporterStatus;
use crate::component::DropReason;
use crate::pdata::Batch;

/// The legs of one pipeline.
#[derive(Debug)]
pub(super) struct Fanout {
    legs: Vec<Leg>,
}

/// One exporter as one pipeline sees it.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) account: Arc<LegAccount>,
    pub(super) producer: Producer,
    /// Where in the lease admission has reserved room; none for a local leg, which has no
    /// vote.
    pub(super) vote: Option<usize>,
    /// Where it is told what was lost because the queue was full.
    pub(super) status: Arc<ExporterStatus>,
}

impl Fanout {
    pub(super) fn new(legs: Vec<Leg>) -> Self {
        Self { legs }
    }

    /// Hands the batch to every leg, and waits for none.
    pub(super) async fn send(&self, leased: Leased, now: Instant) {
        let Leased { batch, lease } = leased;
        let Lease {
            held,
            hold,
            mut slots,
        } = lease;
        if batch.parts().is_empty() {
            return;
        }
        let hold = Arc::new(hold);
        let parcel = |claim, slot| QueuedRequest {
            batch: batch.clone(),
            claim,
            hold: Arc::clone(&hold),
            slot,
        };
        let claims = held.fan_out(now, self.legs.iter().map(|leg| &leg.account));
        let mut full = Vec::new();
        for (leg, claim) in self.legs.iter().zip(claims) {
            match leg.room(&batch, &mut slots) {
                Some(slot) => leg.producer.inlet().push(parcel(claim, slot)),
                None if leg.vote.is_none() => full.push((leg, claim)),
                None => leg.give_up(claim),
            }
        }
        if !full.is_empty() {
            tokio::task::yield_now().await;
        }
        for (leg, claim) in full {
            match leg.room(&batch, &mut slots) {
                Some(slot) => leg.producer.inlet().push(parcel(claim, slot)),
                None => leg.give_up(claim),
            }
        }
    }
}

impl Leg {
    fn room(&self, batch: &Batch, slots: &mut [Option<CapacitySlot>]) -> Option<CapacitySlot> {
        let promised = self.vote.and_then(|vote| slots.get_mut(vote)?.take());
        let mut slot = match promised {
            Some(slot) => slot,
            None => self.producer.inlet().try_reserve(batch.size())?,
        };
        slot.settle(batch.size(), batch.items());
        Some(slot)
    }

    fn give_up(&self, claim: Claim) {
        // A queue is closed while a pipeline runs only if its exporter's task has died.
        let reason = match self.producer.inlet().is_closed() {
            true => DropReason::Aborted,
            false => DropReason::QueueFull,
        };
        if claim.items() > 0 {
            self.status.lost(claim.items(), reason);
        }
        claim.discard(reason);
    }
}
