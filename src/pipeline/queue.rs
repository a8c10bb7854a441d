//! The bounded queue before an exporter.
//!
//! It is bounded by requests and by bytes, and room in it is an object: a [`Slot`] is
//! reserved before a request is decoded, travels with it, and is given back when the
//! request has met its end, so that what was promised to a sender can always be queued. A
//! request that is under way still fills its slot.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::Hold;
use super::ledger::Claim;
use crate::component::DropReason;
use crate::pdata::Batch;

/// Requests that wait for one exporter, whichever pipeline they come from.
#[derive(Debug)]
pub(super) struct Queue {
    bounds: Bounds,
    // Std: every section moves one request or adds a few numbers.
    state: Mutex<State>,
    /// Something waits, or nothing more will come.
    ready: Notify,
    /// Room was given back.
    room: Notify,
}

/// How much may wait or be under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) requests: u64,
    pub(super) bytes: u64,
}

/// How much is taken out at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinBounds {
    pub(super) bytes: u64,
    pub(super) items: u64,
}

/// One batch on its way through one leg.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) claim: Claim,
    /// Keeps the bytes in the memory limit; shared with the other legs.
    pub(super) hold: Arc<Hold>,
    pub(super) slot: Slot,
    pub(super) since: Instant,
}

/// Room in a queue, given back on drop.
#[derive(Debug)]
pub(super) struct Slot {
    queue: Arc<Queue>,
    requests: u64,
    bytes: u64,
}

/// The right to put requests into a queue, which ends when the last of them is dropped.
#[derive(Debug)]
pub(super) struct Producer {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Promised, waiting, or under way.
    taken_requests: u64,
    taken_bytes: u64,
    producers: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            state: Mutex::default(),
            ready: Notify::new(),
            room: Notify::new(),
        })
    }

    pub(super) fn producer(self: &Arc<Self>) -> Producer {
        self.lock().producers += 1;
        Producer {
            queue: Arc::clone(self),
        }
    }

    /// Reserves room for one request of `bytes`. One that is bigger than the whole queue
    /// has room when it is empty, or it never would.
    pub(super) fn try_reserve(self: &Arc<Self>, bytes: u64) -> Option<Slot> {
        let mut state = self.lock();
        let fits = state.taken_requests < self.bounds.requests
            && state.taken_bytes.saturating_add(bytes) <= self.bounds.bytes;
        if state.closed || !(fits || state.taken_requests == 0) {
            return None;
        }
        state.taken_requests += 1;
        state.taken_bytes += bytes;
        Some(Slot {
            queue: Arc::clone(self),
            requests: 1,
            bytes,
        })
    }

    /// Waits until there is room, or for as long as `patience` lasts. Cancel safe.
    pub(super) async fn reserve(self: &Arc<Self>, bytes: u64, patience: Duration) -> Option<Slot> {
        let reserved = async {
            loop {
                let mut room = pin!(self.room.notified());
                room.as_mut().enable();
                if let Some(slot) = self.try_reserve(bytes) {
                    return Some(slot);
                }
                if self.lock().closed {
                    return None;
                }
                room.await;
            }
        };
        tokio::time::timeout(patience, reserved)
            .await
            .ok()
            .flatten()
    }

    pub(super) fn push(&self, request: Request) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            request.claim.discard(DropReason::Aborted);
            return;
        }
        state.waiting.push_back(request);
        drop(state);
        self.ready.notify_one();
    }

    /// Takes the next request, and with it those behind it that fit beside it. `None` once
    /// nothing more will come. Cancel safe.
    pub(super) async fn pop(&self, join: JoinBounds) -> Option<Vec<Request>> {
        loop {
            let mut ready = pin!(self.ready.notified());
            ready.as_mut().enable();
            {
                let mut state = self.lock();
                if let Some(first) = state.waiting.pop_front() {
                    let requests = state.join_to(first, join);
                    if !state.waiting.is_empty() {
                        self.ready.notify_one();
                    }
                    return Some(requests);
                }
                if state.closed || state.producers == 0 {
                    return None;
                }
            }
            ready.await;
        }
    }

    /// Refuses everything from now on, and lets go of what waits with the given reason.
    pub(super) fn close(&self, reason: DropReason) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        for request in waiting {
            request.claim.discard(reason);
        }
        self.ready.notify_waiters();
        self.room.notify_waiters();
    }

    /// Whether it takes anything at all.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Requests that wait.
    pub(super) fn len(&self) -> u64 {
        self.lock().waiting.len() as u64
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Since when the oldest request has been waiting.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.lock().waiting.front().map(|request| request.since)
    }

    /// Every store leaves the state whole, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join_to(&mut self, first: Request, join: JoinBounds) -> Vec<Request> {
        let (mut bytes, mut items) = (first.batch.size(), first.batch.items());
        let signal = first.batch.signal();
        let mut requests = vec![first];
        while let Some(next) = self.waiting.front() {
            bytes += next.batch.size();
            items += next.batch.items();
            if next.batch.signal() != signal || bytes > join.bytes || items > join.items {
                break;
            }
            requests.extend(self.waiting.pop_front());
        }
        requests
    }
}

impl Slot {
    /// Makes room for more bytes of the same request.
    pub(super) fn try_grow(&mut self, bytes: u64) -> bool {
        let mut state = self.queue.lock();
        let alone = state.taken_requests == self.requests;
        let fits = state.taken_bytes.saturating_add(bytes) <= self.queue.bounds.bytes;
        if !(fits || alone) {
            return false;
        }
        state.taken_bytes += bytes;
        drop(state);
        self.bytes += bytes;
        true
    }

    /// Takes the share of `part` in `whole`, rounding so that neither side is promised
    /// more than the slot holds.
    pub(super) fn take(&mut self, part: u64, whole: u64) -> Slot {
        let rest = whole.saturating_sub(part);
        let requests = self.requests - share(self.requests, rest, whole);
        let bytes = self.bytes - share(self.bytes, rest, whole);
        self.requests -= requests;
        self.bytes -= bytes;
        Slot {
            queue: Arc::clone(&self.queue),
            requests,
            bytes,
        }
    }

    pub(super) fn merge(&mut self, mut other: Slot) {
        debug_assert!(Arc::ptr_eq(&self.queue, &other.queue));
        self.requests += std::mem::take(&mut other.requests);
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Fills the slot with exactly one request of `bytes`: gives back what is too much, and
    /// overshoots by what processors have added.
    pub(super) fn settle(&mut self, bytes: u64) {
        {
            let mut state = self.queue.lock();
            state.taken_requests = state.taken_requests + 1 - self.requests;
            state.taken_bytes = state.taken_bytes + bytes - self.bytes;
        }
        let gave_back = self.requests > 1 || self.bytes > bytes;
        self.requests = 1;
        self.bytes = bytes;
        if gave_back {
            self.queue.room.notify_waiters();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.queue.lock();
            state.taken_requests -= self.requests;
            state.taken_bytes -= self.bytes;
        }
        self.queue.room.notify_waiters();
    }
}

impl Producer {
    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let last = {
            let mut state = self.queue.lock();
            state.producers -= 1;
            state.producers == 0
        };
        if last {
            self.queue.ready.notify_waiters();
        }
    }
}

/// `all * part / whole`, rounded up.
fn share(all: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let exact = (u128::from(all) * u128::from(part)).div_ceil(u128::from(whole));
    u64::try_from(exact).unwrap_or(all)
}
