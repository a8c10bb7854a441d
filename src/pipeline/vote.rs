//! The vote of a pipeline's remote legs on what is offered to it.
//!
//! Each votes by its `when_full`: `refuse` is a veto, `drop` abstains, and legs on `auto`
//! refuse only when no voter of the pipeline has room. Local legs have no vote.

use std::sync::Arc;

use super::capacity::CapacitySlot;
use super::queue::Inlet;
use crate::component::ComponentId;
use crate::settings::WhenFull;
use crate::telemetry::Throttle;

/// A remote leg at the entry of its pipeline.
#[derive(Debug, Clone)]
pub(super) struct Voter {
    pub(super) exporter: ComponentId,
    pub(super) queue: Inlet,
    pub(super) when_full: WhenFull,
    pub(super) block_on_overflow: bool,
    /// Requests that were refused for its queue; shared by the clones.
    pub(super) refusals: Arc<Throttle>,
}

impl Voter {
    /// Whether senders wait for room in its queue. False where the queue is closed, since no
    /// room would ever be given back there.
    pub(super) fn is_waited_for(&self) -> bool {
        self.block_on_overflow && !self.queue.is_closed()
    }
}

/// Reserves what is not reserved yet, and decides whether the legs admit a request of so many
/// bytes. `slots` are in the order of the voters, and may be fewer.
///
/// # Errors
///
/// If they don't admit it: the leg that refuses it, or of several the first.
pub(super) fn admit<'v>(
    voters: &'v [Voter],
    bytes: u64,
    slots: &mut Vec<Option<CapacitySlot>>,
) -> Result<(), &'v Voter> {
    slots.resize_with(voters.len(), || None);
    let (mut full, mut with_room) = (None, false);
    for (voter, slot) in voters.iter().zip(slots) {
        if slot.is_none() && voter.when_full != WhenFull::Drop {
            *slot = voter.queue.try_reserve(bytes);
        }
        match (voter.when_full, &slot) {
            (WhenFull::Drop, _) => {}
            (WhenFull::Refuse, None) => return Err(voter),
            (WhenFull::Auto, None) => full = full.or(Some(voter)),
            (_, Some(_)) => with_room = true,
        }
    }
    match full {
        Some(voter) if !with_room => Err(voter),
        _ => Ok(()),
    }
}

/// Room for so many bytes in every queue that is waited for, in the order of the voters, or
/// the first of them that is full.
pub(super) fn waited_slots(
    voters: &[Voter],
    bytes: u64,
) -> Result<Vec<Option<CapacitySlot>>, &Inlet> {
    let slot = |voter: &'_ Voter| match voter.is_waited_for() {
        true => voter.queue.try_reserve(bytes).map(Some).ok_or(()),
        false => Ok(None),
    };
    let slots = voters.iter();
    slots
        .map(|voter| slot(voter).map_err(|()| &voter.queue))
        .collect()
}
