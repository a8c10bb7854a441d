//! The end of a pipeline: every batch goes to every leg, and no leg waits for another.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::lease::{Lease, Leased};
use super::ledger::{Claim, LegAccount};
use super::queue::{Producer, Request, Slot};
use crate::component::DropReason;
use crate::pdata::Batch;

/// How long a pipeline waits for room on a local leg before that leg drops for itself
/// alone. Long enough for a sink that is merely busy, whose pipeline then slows down with
/// it instead of losing data; a hung disk costs the others this once.
const PATIENCE: Duration = Duration::from_secs(1);

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
    pub(super) kind: LegKind,
}

/// What a full queue means.
#[derive(Debug)]
pub(super) enum LegKind {
    /// Admission has reserved room in this slot of the lease, or the data has to find it.
    Remote { slot: usize },
    /// The pipeline waits a moment, unless it has just done so in vain.
    Local { stalled: bool },
}

impl Fanout {
    pub(super) fn new(legs: Vec<Leg>) -> Self {
        Self { legs }
    }

    /// Hands the batch to every leg. Waits only for local legs, and at most for
    /// [`PATIENCE`] each.
    pub(super) async fn send(&mut self, leased: Leased, now: Instant) {
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
        let parcel = |claim, slot| Request {
            batch: batch.clone(),
            claim,
            hold: Arc::clone(&hold),
            slot,
            since: now,
        };
        let claims = held.fan_out(self.legs.iter().map(|leg| &leg.account));
        let mut busy = Vec::new();
        for (leg, claim) in self.legs.iter_mut().zip(claims) {
            match leg.room(&batch, &mut slots) {
                Some(slot) => leg.producer.queue().push(parcel(claim, slot)),
                None if leg.may_wait() => busy.push((leg, claim)),
                None => leg.give_up(claim),
            }
        }
        for (leg, claim) in busy {
            match leg.producer.queue().reserve(batch.size(), PATIENCE).await {
                Some(slot) => leg.producer.queue().push(parcel(claim, slot)),
                None => {
                    leg.give_up(claim);
                    leg.kind = LegKind::Local { stalled: true };
                }
            }
        }
    }
}

impl Leg {
    fn room(&mut self, batch: &Batch, slots: &mut [Option<Slot>]) -> Option<Slot> {
        let promised = match self.kind {
            LegKind::Remote { slot } => slots.get_mut(slot).and_then(Option::take),
            LegKind::Local { .. } => None,
        };
        if let Some(mut slot) = promised {
            slot.settle(batch.size(), batch.items());
            return Some(slot);
        }
        let mut slot = self.producer.queue().try_reserve(batch.size())?;
        slot.settle(batch.size(), batch.items());
        if let LegKind::Local { stalled } = &mut self.kind {
            *stalled = false;
        }
        Some(slot)
    }

    fn may_wait(&self) -> bool {
        matches!(self.kind, LegKind::Local { stalled: false }) && !self.producer.queue().is_closed()
    }

    fn give_up(&self, claim: Claim) {
        // A queue is closed while a pipeline runs only if its exporter's task has died.
        claim.discard(if self.producer.queue().is_closed() {
            DropReason::Aborted
        } else {
            DropReason::QueueFull
        });
    }
}
