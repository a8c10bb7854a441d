//! What travels with a batch: the proof that it is in the books, and the room it was given.

use super::budget::Hold;
use super::ledger::Held;
use super::queue::Slot;
use crate::component::DropReason;
use crate::pdata::Batch;

/// Items of one pipeline with everything that was reserved for them. Dropping it gives all
/// of that back and counts the items as dropped with the reason `aborted`.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) held: Held,
    pub(super) hold: Hold,
    /// Room on the queue of each of the pipeline's remote legs, in their order. `None`
    /// where there was none, and for what the pipeline made itself.
    pub(super) slots: Vec<Option<Slot>>,
}

/// A batch with its lease.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) batch: Batch,
    pub(super) lease: Lease,
}

impl Lease {
    pub(super) fn items(&self) -> u64 {
        self.held.items()
    }

    /// Takes `items` of these with their share of the room. It takes everything where
    /// there are no more, so that nothing is reserved for nothing.
    pub(super) fn take(lease: &mut Option<Lease>, items: u64) -> Option<Lease> {
        let whole = lease.as_ref()?.items();
        if items >= whole {
            return lease.take();
        }
        let from = lease.as_mut()?;
        let bytes = proportion(from.hold.bytes(), items, whole);
        Some(Lease {
            held: from.held.take(items),
            hold: from.hold.take(bytes),
            slots: from
                .slots
                .iter_mut()
                .map(|slot| slot.as_mut().map(|slot| slot.take(items, whole)))
                .collect(),
        })
    }

    pub(super) fn merge(&mut self, other: Lease) {
        self.held.merge(other.held);
        self.hold.merge(other.hold);
        for (slot, other) in self.slots.iter_mut().zip(other.slots) {
            match (slot.as_mut(), other) {
                (Some(slot), Some(other)) => slot.merge(other),
                (None, Some(other)) => *slot = Some(other),
                (_, None) => {}
            }
        }
    }

    pub(super) fn discard(self, reason: DropReason) {
        self.held.discard(reason);
    }
}

fn proportion(all: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(all) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(all)
}
