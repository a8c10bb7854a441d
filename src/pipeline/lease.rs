//! What travels with a batch: its entry in the ledger, and the room that is reserved for it.

use super::budget::Hold;
use super::capacity::CapacitySlot;
use super::ledger::Held;
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
    pub(super) slots: Vec<Option<CapacitySlot>>,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::budget::Budget;
    use super::super::capacity::{Capacity, CapacityBounds, Share};
    use super::super::ledger::PipelineAccount;
    use super::*;

    struct Desk {
        account: Arc<PipelineAccount>,
        budget: Arc<Budget>,
        capacity: Arc<Capacity>,
        share: Share,
    }

    impl Desk {
        fn new() -> Self {
            let bounds = CapacityBounds {
                requests: 1000,
                bytes: 1 << 30,
                items: None,
            };
            let capacity = Capacity::new(bounds);
            Self {
                account: PipelineAccount::new("metrics"),
                budget: Budget::new(None),
                share: capacity.share(),
                capacity,
            }
        }

        fn admit(&self, items: u64, bytes: u64) -> Lease {
            Lease {
                held: self.account.accept(items),
                hold: self.budget.try_hold(bytes).unwrap(),
                slots: vec![Some(self.capacity.try_reserve(self.share, bytes).unwrap())],
            }
        }
    }

    #[test]
    fn a_lease_in_pieces_is_worth_what_it_was_worth_whole() {
        let desk = Desk::new();
        let mut pot = Some(desk.admit(10, 1000));
        pot.as_mut().unwrap().merge(desk.admit(30, 1000));
        let piece = Lease::take(&mut pot, 10).unwrap();
        assert_eq!((piece.items(), piece.hold.bytes()), (10, 500));
        assert_eq!(desk.capacity.taken(), (2, 2000));
        let rest = Lease::take(&mut pot, 99).unwrap();
        assert_eq!((rest.items(), rest.hold.bytes()), (30, 1500));
        assert!(pot.is_none(), "nothing is reserved for nothing");
        drop((piece, rest));
        assert_eq!(desk.capacity.taken(), (0, 0));
        assert_eq!(desk.budget.in_flight(), 0);
        assert_eq!(desk.account.entry().dropped.of(DropReason::Aborted), 40);
    }

    #[test]
    fn a_pot_that_never_empties_does_not_hoard_room() {
        let desk = Desk::new();
        let mut pot = Some(desk.admit(1000, 100_000));
        // As a batch processor that joins eight requests and keeps the remainder.
        for _ in 0..500 {
            for _ in 0..8 {
                pot.as_mut().unwrap().merge(desk.admit(1000, 100_000));
            }
            let mut batch = Lease::take(&mut pot, 8000).unwrap();
            let slot = batch.slots[0].as_mut().unwrap();
            slot.settle(800_000, 1);
            assert_eq!(pot.as_ref().unwrap().items(), 1000);
        }
        let (requests, bytes) = desk.capacity.taken();
        assert!(requests <= 2, "{requests} requests for one that waits");
        assert!(bytes.abs_diff(100_000) < 1000, "{bytes}");
        assert!(desk.budget.in_flight().abs_diff(100_000) < 1000);
    }

    #[test]
    fn what_was_promised_stays_promised_when_it_meets_what_was_not() {
        let desk = Desk::new();
        let mut pot = desk.admit(10, 100);
        let pulled = Lease {
            held: desk.account.accept(5),
            hold: desk.budget.hold_nothing(),
            slots: vec![None],
        };
        let mut joined = pulled;
        joined.merge(Lease::take(&mut Some(desk.admit(1, 10)), 1).unwrap());
        assert!(joined.slots[0].is_some());
        pot.merge(joined);
        let mut pot = Some(pot);
        let crumb = Lease::take(&mut pot, 1).unwrap();
        assert!(crumb.slots[0].is_some(), "even a crumb may be queued");
    }
}
