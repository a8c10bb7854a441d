//! The bounded queue before an exporter.
//!
//! What waits in it fills [room](super::capacity) that several queues may share.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::budget::Hold;
use super::capacity::{Capacity, CapacityBounds, CapacitySlot, Share};
use super::ledger::Claim;
use crate::component::DropReason;
use crate::pdata::Batch;

/// Requests of one signal that wait for one exporter, whichever pipeline they come from.
#[derive(Debug)]
pub(super) struct Queue {
    capacity: Arc<Capacity>,
    // Std: every section moves one request.
    state: Mutex<QueueState>,
    /// The queue refuses every request. Set under the lock; read without it when room is
    /// reserved.
    closed: AtomicBool,
    /// A request waits, or the last producer is gone.
    ready: Notify,
}

/// How much is taken out at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinBounds {
    pub(super) bytes: u64,
    pub(super) items: u64,
}

/// One batch on its way through one leg.
#[derive(Debug)]
pub(super) struct QueuedRequest {
    pub(super) batch: Batch,
    pub(super) claim: Claim,
    /// Keeps the bytes in the memory limit; shared with the other legs.
    pub(super) hold: Arc<Hold>,
    pub(super) slot: CapacitySlot,
}

/// The way of one pipeline into a queue.
#[derive(Debug, Clone)]
pub(super) struct Inlet {
    queue: Arc<Queue>,
    share: Share,
}

/// The right to put requests into a queue, which ends when the last of them is dropped.
#[derive(Debug)]
pub(super) struct Producer {
    inlet: Inlet,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: VecDeque<QueuedRequest>,
    /// Pipelines that lead into it.
    inlets: usize,
    producers: usize,
}

impl Queue {
    /// A queue within this room, alone or beside others.
    pub(super) fn new(capacity: &Arc<Capacity>) -> Arc<Self> {
        Arc::new(Self {
            capacity: Arc::clone(capacity),
            state: Mutex::default(),
            closed: AtomicBool::new(false),
            ready: Notify::new(),
        })
    }

    /// One more pipeline leads into it.
    pub(super) fn inlet(self: &Arc<Self>) -> Inlet {
        self.lock().inlets += 1;
        Inlet {
            queue: Arc::clone(self),
            share: self.capacity.share(),
        }
    }

    pub(super) fn push(&self, request: QueuedRequest) {
        let mut state = self.lock();
        if self.is_closed() {
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
    pub(super) async fn pop(&self, join: JoinBounds) -> Option<Vec<QueuedRequest>> {
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
                if self.is_closed() || state.producers == 0 {
                    return None;
                }
            }
            ready.await;
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Waits until something waits. Cancel safe.
    pub(super) async fn filled(&self) {
        loop {
            let mut ready = pin!(self.ready.notified());
            ready.as_mut().enable();
            if !self.is_empty() {
                // Passes the wake-up on to a consumer, for whom it was meant.
                self.ready.notify_one();
                return;
            }
            ready.await;
        }
    }

    /// Refuses everything from now on, and lets go of what waits with the given reason.
    pub(super) fn close(&self, reason: DropReason) {
        let waiting = {
            let mut state = self.lock();
            self.closed.store(true, Ordering::Release);
            std::mem::take(&mut state.waiting)
        };
        for request in waiting {
            request.claim.discard(reason);
        }
        self.ready.notify_waiters();
        self.capacity.changed.notify_waiters();
    }

    /// Whether it takes anything at all.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Requests that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> u64 {
        self.lock().waiting.len() as u64
    }

    /// What waits and what may, in items where they are bounded, and else in requests.
    pub(super) fn size_and_capacity(&self) -> (u64, u64) {
        let CapacityBounds {
            items, requests, ..
        } = self.capacity.bounds();
        let state = self.lock();
        let waiting = state.waiting.iter();
        let (size, bound) = match items {
            Some(items) => (waiting.map(|r| r.batch.items()).sum(), items),
            None => (waiting.len() as u64, requests),
        };
        (size, self.capacity.most(bound, state.inlets))
    }

    /// Every store leaves the state whole, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn join_to(&mut self, first: QueuedRequest, join: JoinBounds) -> Vec<QueuedRequest> {
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

impl Inlet {
    /// Reserves room for one request of `bytes`.
    pub(super) fn try_reserve(&self, bytes: u64) -> Option<CapacitySlot> {
        match self.queue.is_closed() {
            true => None,
            false => self.queue.capacity.try_reserve(self.share, bytes),
        }
    }

    /// Waits until there is room, or for as long as `patience` lasts. Cancel safe.
    pub(super) async fn reserve(&self, bytes: u64, patience: Duration) -> Option<CapacitySlot> {
        let reserved = self.queue.capacity.until(|| match self.is_closed() {
            true => Some(None),
            false => self.try_reserve(bytes).map(Some),
        });
        tokio::time::timeout(patience, reserved)
            .await
            .ok()
            .flatten()
    }

    /// Whether the pipeline has taken little of the room, or little of it is taken at all.
    pub(super) fn is_calm(&self) -> bool {
        self.is_closed() || self.queue.capacity.is_calm(self.share)
    }

    /// Waits until it [is calm](Self::is_calm). Cancel safe.
    pub(super) async fn calm(&self) {
        let calm = || self.is_calm().then_some(());
        self.queue.capacity.until(calm).await;
    }

    pub(super) fn push(&self, request: QueuedRequest) {
        self.queue.push(request);
    }

    /// Whether the queue takes anything at all.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    pub(super) fn producer(&self) -> Producer {
        self.queue.lock().producers += 1;
        Producer {
            inlet: self.clone(),
        }
    }
}

impl Producer {
    pub(super) fn inlet(&self) -> &Inlet {
        &self.inlet
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let last = {
            let mut state = self.inlet.queue.lock();
            state.producers -= 1;
            state.producers == 0
        };
        if last {
            self.inlet.queue.ready.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::budget::Budget;
    use super::super::ledger::{LegAccount, PipelineAccount};
    use super::*;
    use crate::pdata::Signal;
    use crate::pipeline::testing::points;

    fn inlet(requests: u64, bytes: u64) -> Inlet {
        let capacity = Capacity::new(CapacityBounds {
            requests,
            bytes,
            items: None,
        });
        Queue::new(&capacity).inlet()
    }

    fn request(inlet: &Inlet, items: usize) -> QueuedRequest {
        let batch = points(items);
        let account = PipelineAccount::new("metrics");
        let exporter = "remote".parse().unwrap();
        let leg = LegAccount::new(&account, &exporter, Signal::Metrics);
        let held = account.accept(items as u64);
        let slot = inlet.try_reserve(batch.size()).unwrap();
        QueuedRequest {
            claim: held
                .fan_out(Instant::now(), [&leg].into_iter())
                .pop()
                .unwrap(),
            hold: Arc::new(Budget::new(None).hold_nothing()),
            slot,
            batch,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_room_gets_it_when_it_is_given_back() {
        let inlet = inlet(1, 100);
        let slot = inlet.try_reserve(1).unwrap();
        let waiter = tokio::spawn({
            let inlet = inlet.clone();
            async move { inlet.reserve(1, Duration::from_secs(10)).await.is_some() }
        });
        tokio::time::sleep(Duration::from_secs(9)).await;
        drop(slot);
        assert!(waiter.await.unwrap());
        let _slot = inlet.try_reserve(1).unwrap();
        assert!(inlet.reserve(1, Duration::from_secs(1)).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn several_consumers_are_all_woken() {
        let inlet = inlet(10, 1 << 20);
        let producer = inlet.producer();
        let one = JoinBounds { bytes: 0, items: 0 };
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&inlet.queue);
                tokio::spawn(async move {
                    let mut taken = 0;
                    while let Some(requests) = queue.pop(one).await {
                        taken += requests.len();
                        // Holds it as a slow peer would.
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        requests.into_iter().for_each(|r| r.claim.sent());
                    }
                    taken
                })
            })
            .collect();
        for _ in 0..3 {
            inlet.push(request(&inlet, 1));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(inlet.queue.len(), 0, "each consumer has one");
        drop(producer);
        for consumer in consumers {
            assert_eq!(consumer.await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn what_waits_still_comes_when_the_producers_are_gone() {
        let inlet = inlet(10, 1 << 20);
        let producer = inlet.producer();
        inlet.push(request(&inlet, 1));
        drop(producer);
        let all = JoinBounds {
            bytes: u64::MAX,
            items: u64::MAX,
        };
        assert_eq!(inlet.queue.pop(all).await.unwrap().len(), 1);
        assert!(inlet.queue.pop(all).await.is_none());
    }
}
