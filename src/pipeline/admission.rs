//! Decides which requests enter the pipelines, and reserves room for them.
//!
//! The [vote](super::vote::admit) of a pipeline's remote legs decides, before a push is decoded,
//! whether it is refused; a push that is admitted has room in the queues. Local legs never
//! refuse. A request that enters several pipelines is admitted by all of them or by none, so
//! that a sender that was refused by one and sends again gives no other one a duplicate.
//!
//! Where a leg has `block_on_overflow`, a sender that is ready to wait does so until its
//! deadline before the vote is taken.
//!
//! Pulled batches are our own: only the memory limit refuses them, and on a leg without
//! room they are dropped and counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::budget::{Budget, Hold};
use super::capacity::CapacitySlot;
use super::lease::{Lease, Leased};
use super::ledger::PipelineAccount;
use super::pace;
use super::queue::Inlet;
use super::recent::Recent;
use super::refusals::{ReceiverAccount, RefusalReason};
use super::vote::{self, Voter};
use crate::component::{Admission, ComponentId, Intake, Origin, Refusal};
use crate::pdata::Batch;

/// One signal of one receiver.
#[derive(Debug, Clone)]
pub(super) struct ReceiverIntake {
    shared: Arc<SharedAdmission>,
}

/// The entry of one pipeline.
#[derive(Debug)]
pub(super) struct PipelineGate {
    pub(super) account: Arc<PipelineAccount>,
    pub(super) budget: Arc<Budget>,
    /// The pipeline's remote legs.
    pub(super) voters: Vec<Voter>,
    /// The queues of its local legs.
    pub(super) locals: Vec<Inlet>,
    /// The exporter whose queue had no room for the last request that was refused for that.
    pub(super) full_queue: Arc<Recent<ComponentId>>,
    pub(super) input: mpsc::Sender<Leased>,
}

#[derive(Debug)]
struct SharedAdmission {
    account: Arc<ReceiverAccount>,
    gates: Vec<Arc<PipelineGate>>,
    /// The queues of the local legs, where there are no others that a sender may hold up.
    local_pace: Vec<Inlet>,
    stopping: CancellationToken,
}

/// Room in every pipeline.
struct Admitted {
    shared: Arc<SharedAdmission>,
    origin: Origin,
    /// In the order of the gates.
    rooms: Vec<Room>,
}

/// Room in one pipeline.
struct Room {
    hold: Hold,
    /// In the order of the voters.
    slots: Vec<Option<CapacitySlot>>,
}

impl ReceiverIntake {
    pub(super) fn new(
        account: Arc<ReceiverAccount>,
        gates: Vec<Arc<PipelineGate>>,
        stopping: CancellationToken,
    ) -> Self {
        let remote = gates.iter().any(|gate| !gate.voters.is_empty());
        let locals = gates.iter().flat_map(|gate| &gate.locals);
        let local_pace = locals.filter(|_| !remote).cloned().collect();
        Self {
            shared: Arc::new(SharedAdmission {
                account,
                gates,
                local_pace,
                stopping,
            }),
        }
    }
}

impl Intake for ReceiverIntake {
    fn try_admit(&self, origin: Origin, bytes: u64) -> Result<Box<dyn Admission>, Refusal> {
        self.shared.admit(origin, bytes, Vec::new())
    }

    fn may_wait(&self) -> bool {
        self.shared.voters().any(|voter| voter.block_on_overflow)
    }

    fn admit(
        &self,
        origin: Origin,
        bytes: u64,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Box<dyn Admission>, Refusal>> {
        if origin == Origin::Pull {
            return Box::pin(std::future::ready(self.try_admit(origin, bytes)));
        }
        Box::pin(async move {
            let slots = self.shared.wait_for_room(bytes, deadline).await;
            self.shared.admit(origin, bytes, slots)
        })
    }

    fn refused(&self, items: u64) {
        self.shared
            .account
            .refused
            .fetch_add(items, Ordering::Relaxed);
    }

    fn failed(&self, items: u64) {
        self.shared
            .account
            .failed
            .fetch_add(items, Ordering::Relaxed);
    }
}

impl SharedAdmission {
    /// Admits to every pipeline or to none; `slots` holds what was waited for, per gate.
    fn admit(
        self: &Arc<Self>,
        origin: Origin,
        bytes: u64,
        slots: Vec<Vec<Option<CapacitySlot>>>,
    ) -> Result<Box<dyn Admission>, Refusal> {
        match self.reserve(origin, bytes, slots) {
            Ok(rooms) => Ok(Box::new(Admitted {
                shared: Arc::clone(self),
                origin,
                rooms,
            })),
            Err(reason) => Err(self.refuse(reason, bytes)),
        }
    }

    fn reserve(
        &self,
        origin: Origin,
        bytes: u64,
        slots: Vec<Vec<Option<CapacitySlot>>>,
    ) -> Result<Vec<Room>, RefusalReason> {
        if self.stopping.is_cancelled() {
            return Err(RefusalReason::Shutdown);
        }
        // A pipeline whose task has died must not keep data from the others: while any other
        // runs, the request is admitted, and the copy for the dead one counts as aborted.
        if self.gates.iter().all(|gate| gate.input.is_closed()) {
            return Err(RefusalReason::Unavailable);
        }
        let mut slots = slots.into_iter();
        let rooms = self
            .gates
            .iter()
            .map(|gate| gate.reserve(origin, bytes, slots.next().unwrap_or_default()))
            .collect();
        self.explained(rooms, bytes)
    }

    /// Tells a request of so many bytes for which there is no memory now from one for which
    /// there never will be.
    fn explained<T>(
        &self,
        outcome: Result<T, RefusalReason>,
        bytes: u64,
    ) -> Result<T, RefusalReason> {
        outcome.map_err(|reason| match reason {
            RefusalReason::MemoryLimit if self.is_beyond_memory(bytes) => RefusalReason::TooLarge,
            reason => reason,
        })
    }

    /// Whether a request of so many bytes needs more memory than may be in flight. It counts
    /// once for each of the pipelines that share a budget.
    fn is_beyond_memory(&self, bytes: u64) -> bool {
        self.gates.iter().any(|gate| {
            let shares = |other: &&Arc<PipelineGate>| Arc::ptr_eq(&gate.budget, &other.budget);
            let sharing = self.gates.iter().filter(shares).count() as u64;
            !gate.budget.may_ever_hold(bytes.saturating_mul(sharing))
        })
    }

    fn refuse(&self, reason: RefusalReason, bytes: u64) -> Refusal {
        let account = &self.account.refusals[reason as usize];
        account.requests.fetch_add(1, Ordering::Relaxed);
        account.bytes.fetch_add(bytes, Ordering::Relaxed);
        Refusal {
            reason: reason.as_str(),
            retry_after: reason.retry_after(),
        }
    }

    fn voters(&self) -> impl Iterator<Item = &Voter> {
        self.gates.iter().flat_map(|gate| &gate.voters)
    }

    async fn keep_pace(&self) {
        let pace = async {
            for gate in &self.gates {
                pace::keep(&gate.voters).await;
            }
            pace::keep_to_local(&self.local_pace).await;
        };
        tokio::select! {
            () = pace => {}
            () = self.stopping.cancelled() => {}
        }
    }

    /// Waits until every queue with `block_on_overflow` has room for `bytes`; nothing after
    /// the deadline, when `when_full` applies. It holds no room while it waits: two requests
    /// that each hold what the other lacks would both wait in vain.
    async fn wait_for_room(&self, bytes: u64, deadline: Instant) -> Vec<Vec<Option<CapacitySlot>>> {
        let room = async {
            loop {
                match self.waited_slots(bytes) {
                    Ok(slots) => return slots,
                    Err(full) => {
                        let patience = deadline.saturating_duration_since(Instant::now());
                        if full.reserve(bytes, patience).await.is_none() {
                            return Vec::new();
                        }
                    }
                }
            }
        };
        tokio::select! {
            slots = room => slots,
            () = self.stopping.cancelled() => Vec::new(),
        }
    }

    /// Room in every queue that is waited for, per gate, or the first that is full.
    fn waited_slots(&self, bytes: u64) -> Result<Vec<Vec<Option<CapacitySlot>>>, &Inlet> {
        let gates = self.gates.iter();
        gates
            .map(|gate| vote::waited_slots(&gate.voters, bytes))
            .collect()
    }
}

impl PipelineGate {
    fn reserve(
        &self,
        origin: Origin,
        bytes: u64,
        mut slots: Vec<Option<CapacitySlot>>,
    ) -> Result<Room, RefusalReason> {
        let hold = self
            .budget
            .try_hold(bytes)
            .ok_or(RefusalReason::MemoryLimit)?;
        if origin == Origin::Push {
            self.vote(bytes, &mut slots)?;
        }
        Ok(Room { hold, slots })
    }

    fn vote(&self, bytes: u64, slots: &mut Vec<Option<CapacitySlot>>) -> Result<(), RefusalReason> {
        vote::admit(&self.voters, bytes, slots).map_err(|full| {
            self.full_queue.note(full.exporter.clone());
            if let Some(requests) = full.refusals.pass(1, Instant::now()) {
                self.tell_refused(full, requests);
            }
            RefusalReason::QueueFull
        })
    }

    /// Says in the log that so many requests were refused for a leg whose queue is full.
    fn tell_refused(&self, full: &Voter, requests: u64) {
        tracing::warn!(
            pipeline = &*self.account.id,
            exporter = %full.exporter,
            reason = RefusalReason::QueueFull.as_str(),
            requests,
            "requests are refused: the exporter's queue is full"
        );
    }
}

impl Drop for PipelineGate {
    fn drop(&mut self) {
        for voter in &self.voters {
            if let Some(requests) = voter.refusals.rest() {
                self.tell_refused(voter, requests);
            }
        }
    }
}

impl Admission for Admitted {
    fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.try_grow(bytes)
            .map_err(|reason| self.shared.refuse(reason, bytes))
    }

    fn grow_memory(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.try_grow_memory(bytes)
            .map_err(|reason| self.shared.refuse(reason, bytes))
    }

    fn grow_until(&mut self, bytes: u64, deadline: Instant) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let mut grown = self.try_grow(bytes);
            let has_memory = !matches!(
                grown,
                Err(RefusalReason::MemoryLimit | RefusalReason::TooLarge)
            );
            if has_memory && self.lacks_room() {
                grown = self.wait_for_room(deadline).await;
            }
            grown.map_err(|reason| self.shared.refuse(reason, bytes))
        })
    }

    fn accept(self: Box<Self>, batch: Batch) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Self {
                shared,
                origin,
                rooms,
            } = *self;
            let items = batch.items();
            shared.account.accepted.fetch_add(items, Ordering::Relaxed);
            let mut busy = Vec::new();
            // First to the pipelines whose channel has room, so that a busy one delays no other.
            for (gate, room) in shared.gates.iter().zip(rooms) {
                let leased = gate.lease(&batch, room);
                match gate.input.try_send(leased) {
                    Ok(()) => {}
                    Err(TrySendError::Full(leased)) => busy.push((gate, leased)),
                    // The lease counts what a dead pipeline can't take.
                    Err(TrySendError::Closed(_)) => {}
                }
            }
            for (gate, leased) in busy {
                let _ = gate.input.send(leased).await;
            }
            // The batch belongs to the pipelines now: the sender waits without holding its
            // bytes.
            drop(batch);
            if origin == Origin::Push {
                shared.keep_pace().await;
            }
        })
    }
}

impl Admitted {
    fn try_grow(&mut self, bytes: u64) -> Result<(), RefusalReason> {
        self.try_grow_memory(bytes)?;
        if self.origin == Origin::Pull {
            return Ok(());
        }
        let mut rooms = self.shared.gates.iter().zip(&mut self.rooms);
        rooms.try_for_each(|(gate, room)| room.grow(gate, bytes))
    }

    fn try_grow_memory(&mut self, bytes: u64) -> Result<(), RefusalReason> {
        let before = self.rooms.first().map_or(0, |room| room.hold.bytes());
        if self.rooms.iter_mut().all(|room| room.hold.try_grow(bytes)) {
            return Ok(());
        }
        let whole = before.saturating_add(bytes);
        self.shared
            .explained(Err(RefusalReason::MemoryLimit), whole)
    }

    /// Whether this request has no room in a queue that its sender should wait for.
    fn lacks_room(&self) -> bool {
        let rooms = self.shared.gates.iter().zip(&self.rooms);
        let mut slots = rooms.flat_map(|(gate, room)| gate.voters.iter().zip(&room.slots));
        slots.any(|(voter, slot)| slot.is_none() && voter.is_waited_for())
    }

    async fn wait_for_room(&mut self, deadline: Instant) -> Result<(), RefusalReason> {
        for room in &mut self.rooms {
            room.slots.fill_with(|| None);
        }
        let bytes = self.rooms.first().map_or(0, |room| room.hold.bytes());
        let mut waited_for = self.shared.wait_for_room(bytes, deadline).await.into_iter();
        for (gate, room) in self.shared.gates.iter().zip(&mut self.rooms) {
            if let Some(slots) = waited_for.next() {
                room.slots = slots;
            }
            gate.vote(bytes, &mut room.slots)?;
        }
        Ok(())
    }
}

impl PipelineGate {
    fn lease(&self, batch: &Batch, room: Room) -> Leased {
        let Room { mut hold, slots } = room;
        hold.resize(batch.weight());
        Leased {
            batch: batch.clone(),
            lease: Lease {
                held: self.account.accept(batch.items()),
                hold,
                slots,
            },
        }
    }
}

impl Room {
    /// Follows the bytes that the hold has gained. A leg that can't follow loses its
    /// promise, and the vote is taken again.
    fn grow(&mut self, gate: &PipelineGate, bytes: u64) -> Result<(), RefusalReason> {
        for slot in &mut self.slots {
            if slot.as_mut().is_some_and(|slot| !slot.try_grow(bytes)) {
                *slot = None;
            }
        }
        gate.vote(self.hold.bytes(), &mut self.slots)
    }
}
