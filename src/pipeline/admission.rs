//! The door of the pipelines: who is admitted, and what is reserved for it.
//!
//! A push is refused before it is decoded, or it can be queued to its end. Each remote leg
//! votes by its `when_full`: `refuse` is a veto, `drop` abstains, and legs on `auto` refuse
//! only when no voter of the pipeline has room. Local legs never refuse. A request that
//! enters several pipelines is admitted by all of them or by none, so that a sender that
//! comes again gives none of them a duplicate.
//!
//! Pulled batches are our own: only the memory limit refuses them, and on a leg without
//! room they are dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use super::budget::{Budget, Hold};
use super::lease::{Lease, Leased};
use super::ledger::PipelineAccount;
use super::pace;
use super::queue::{Queue, Slot};
use crate::component::{Admission, ComponentId, Intake, Origin, Refusal};
use crate::pdata::{Batch, Signal};
use crate::settings::WhenFull;

/// How long `block_on_overflow` waits before `when_full` applies: half of what OTLP clients
/// usually wait for an answer.
const OVERFLOW_PATIENCE: Duration = Duration::from_secs(5);

/// One signal of one receiver.
#[derive(Debug, Clone)]
pub(super) struct ReceiverIntake {
    shared: Arc<Shared>,
}

/// The entry of one pipeline.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) account: Arc<PipelineAccount>,
    pub(super) budget: Arc<Budget>,
    /// The pipeline's remote legs.
    pub(super) voters: Vec<Voter>,
    pub(super) input: mpsc::Sender<Leased>,
}

/// A remote leg at the entry.
#[derive(Debug, Clone)]
pub(super) struct Voter {
    pub(super) queue: Arc<Queue>,
    pub(super) when_full: WhenFull,
    pub(super) block_on_overflow: bool,
}

/// What one receiver handed over in one signal.
#[derive(Debug)]
pub(super) struct ReceiverAccount {
    pub(super) receiver: ComponentId,
    pub(super) signal: Signal,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) refusals: [RefusalAccount; Reason::ALL.len()],
}

/// Requests that were refused before they were decoded.
#[derive(Debug, Default)]
pub(super) struct RefusalAccount {
    pub(super) requests: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    MemoryLimit,
    QueueFull,
    Shutdown,
    Unavailable,
}

#[derive(Debug)]
struct Shared {
    account: Arc<ReceiverAccount>,
    gates: Vec<Arc<Gate>>,
    stopping: CancellationToken,
}

/// Room in every pipeline.
struct Admitted {
    shared: Arc<Shared>,
    origin: Origin,
    /// In the order of the gates.
    rooms: Vec<Room>,
}

/// Room in one pipeline.
struct Room {
    hold: Hold,
    /// In the order of the voters.
    slots: Vec<Option<Slot>>,
}

impl ReceiverIntake {
    pub(super) fn new(
        account: Arc<ReceiverAccount>,
        gates: Vec<Arc<Gate>>,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                account,
                gates,
                stopping,
            }),
        }
    }
}

impl Intake for ReceiverIntake {
    fn try_admit(&self, origin: Origin, bytes: u64) -> Result<Box<dyn Admission>, Refusal> {
        self.shared.admit(origin, bytes, Vec::new())
    }

    fn admit(
        &self,
        origin: Origin,
        bytes: u64,
    ) -> BoxFuture<'_, Result<Box<dyn Admission>, Refusal>> {
        if origin == Origin::Pull || !self.shared.may_block() {
            return Box::pin(std::future::ready(self.try_admit(origin, bytes)));
        }
        Box::pin(async move {
            let slots = self.shared.wait_for_room(bytes).await;
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

impl Shared {
    /// Admits to every pipeline or to none; `slots` holds what was waited for, per gate.
    fn admit(
        self: &Arc<Self>,
        origin: Origin,
        bytes: u64,
        slots: Vec<Vec<Option<Slot>>>,
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
        slots: Vec<Vec<Option<Slot>>>,
    ) -> Result<Vec<Room>, Reason> {
        if self.stopping.is_cancelled() {
            return Err(Reason::Shutdown);
        }
        // A pipeline whose task has died must not silence the others: it is offered its
        // copy, which counts as aborted, while any other lives.
        if self.gates.iter().all(|gate| gate.input.is_closed()) {
            return Err(Reason::Unavailable);
        }
        let mut slots = slots.into_iter();
        self.gates
            .iter()
            .map(|gate| gate.reserve(origin, bytes, slots.next().unwrap_or_default()))
            .collect()
    }

    fn refuse(&self, reason: Reason, bytes: u64) -> Refusal {
        let account = &self.account.refusals[reason as usize];
        account.requests.fetch_add(1, Ordering::Relaxed);
        account.bytes.fetch_add(bytes, Ordering::Relaxed);
        Refusal {
            reason: reason.as_str(),
            retry_after: reason.retry_after(),
        }
    }

    fn may_block(&self) -> bool {
        self.gates
            .iter()
            .flat_map(|gate| &gate.voters)
            .any(|voter| voter.block_on_overflow)
    }

    async fn keep_pace(&self) {
        for gate in &self.gates {
            tokio::select! {
                () = pace::keep(gate) => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    async fn wait_for_room(&self, bytes: u64) -> Vec<Vec<Option<Slot>>> {
        let deadline = tokio::time::Instant::now() + OVERFLOW_PATIENCE;
        let mut rooms = Vec::with_capacity(self.gates.len());
        for gate in &self.gates {
            let mut slots = Vec::with_capacity(gate.voters.len());
            for voter in &gate.voters {
                slots.push(if voter.block_on_overflow {
                    let patience = deadline.saturating_duration_since(tokio::time::Instant::now());
                    tokio::select! {
                        slot = voter.queue.reserve(bytes, patience) => slot,
                        () = self.stopping.cancelled() => None,
                    }
                } else {
                    None
                });
            }
            rooms.push(slots);
        }
        rooms
    }
}

impl Gate {
    fn reserve(
        &self,
        origin: Origin,
        bytes: u64,
        mut slots: Vec<Option<Slot>>,
    ) -> Result<Room, Reason> {
        let hold = self.budget.try_hold(bytes).ok_or(Reason::MemoryLimit)?;
        slots.resize_with(self.voters.len(), || None);
        if origin == Origin::Push {
            self.vote(bytes, &mut slots)?;
        }
        Ok(Room { hold, slots })
    }

    fn vote(&self, bytes: u64, slots: &mut [Option<Slot>]) -> Result<(), Reason> {
        let (mut voters, mut with_room) = (0, 0);
        for (voter, slot) in self.voters.iter().zip(slots) {
            if slot.is_none() && voter.when_full != WhenFull::Drop {
                *slot = voter.queue.try_reserve(bytes);
            }
            match (voter.when_full, &slot) {
                (WhenFull::Drop, _) => {}
                (WhenFull::Refuse, None) => return Err(Reason::QueueFull),
                (_, slot) => {
                    voters += 1;
                    with_room += u32::from(slot.is_some());
                }
            }
        }
        if voters > 0 && with_room == 0 {
            return Err(Reason::QueueFull);
        }
        Ok(())
    }
}

impl Admission for Admitted {
    fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        for (gate, room) in self.shared.gates.iter().zip(&mut self.rooms) {
            if let Err(reason) = room.grow(gate, self.origin, bytes) {
                return Err(self.shared.refuse(reason, bytes));
            }
        }
        Ok(())
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
            // First to those that have room, so that a busy pipeline holds up no other.
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
            // What has been handed over must not be held by who waits for its answer.
            drop(batch);
            if origin == Origin::Push {
                shared.keep_pace().await;
            }
        })
    }
}

impl Gate {
    fn lease(&self, batch: &Batch, room: Room) -> Leased {
        let Room { mut hold, slots } = room;
        hold.resize(batch.size());
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
    fn grow(&mut self, gate: &Gate, origin: Origin, bytes: u64) -> Result<(), Reason> {
        if !self.hold.try_grow(bytes) {
            return Err(Reason::MemoryLimit);
        }
        if origin == Origin::Push {
            // A leg that can't follow loses its promise, and the vote is taken again.
            for slot in &mut self.slots {
                if slot.as_mut().is_some_and(|slot| !slot.try_grow(bytes)) {
                    *slot = None;
                }
            }
            return gate.vote(self.hold.bytes(), &mut self.slots);
        }
        Ok(())
    }
}

impl ReceiverAccount {
    pub(super) fn new(receiver: &ComponentId, signal: Signal) -> Arc<Self> {
        Arc::new(Self {
            receiver: receiver.clone(),
            signal,
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refusals: Default::default(),
        })
    }
}

impl Reason {
    pub(super) const ALL: [Reason; 4] = [
        Self::MemoryLimit,
        Self::QueueFull,
        Self::Shutdown,
        Self::Unavailable,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::MemoryLimit => "memory_limit",
            Self::QueueFull => "queue_full",
            Self::Shutdown => "shutdown",
            Self::Unavailable => "unavailable",
        }
    }

    /// Memory is free again within a request's passage; a queue is full because a
    /// destination is down, and an agent that is going away needs a moment to come back.
    fn retry_after(self) -> Duration {
        Duration::from_secs(match self {
            Self::MemoryLimit => 1,
            Self::QueueFull | Self::Shutdown => 5,
            Self::Unavailable => 30,
        })
    }
}
