//! The bounded queue before an exporter.
//!
//! It is bounded by requests, bytes and items, and room in it is an object: a [`Slot`] is
//! reserved before a request is decoded, travels with it, and is given back when the
//! request has met its end, so that what was promised to a sender can always be queued. A
//! request that is under way still fills its slot.
//!
//! How many items a request has shows only when it is decoded, so nobody is admitted while
//! the items are at their bound, and those who were admitted before may overshoot it.

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
    /// None where requests are what is counted.
    pub(super) items: Option<u64>,
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
    /// Once they are known.
    items: u64,
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
    taken_items: u64,
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
            && state.taken_bytes.saturating_add(bytes) <= self.bounds.bytes
            && self
                .bounds
                .items
                .is_none_or(|items| state.taken_items < items);
        if state.closed || !(fits || state.taken_requests == 0) {
            return None;
        }
        state.taken_requests += 1;
        state.taken_bytes += bytes;
        Some(Slot {
            queue: Arc::clone(self),
            requests: 1,
            bytes,
            items: 0,
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

    /// Whether no more than a quarter of it is taken, or by one request alone.
    pub(super) fn is_calm(&self) -> bool {
        let state = self.lock();
        let Bounds {
            requests, bytes, ..
        } = self.bounds;
        state.closed
            || state.taken_requests <= 1
            || (state.taken_requests <= requests / 4 && state.taken_bytes <= bytes / 4)
    }

    /// Waits until it [is calm](Self::is_calm). Cancel safe.
    pub(super) async fn calm(&self) {
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            if self.is_calm() {
                return;
            }
            room.await;
        }
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
    #[cfg(test)]
    pub(super) fn len(&self) -> u64 {
        self.lock().waiting.len() as u64
    }

    /// What waits and what may, in items where they are bounded, and else in requests.
    pub(super) fn size_and_capacity(&self) -> (u64, u64) {
        let waiting = &self.lock().waiting;
        match self.bounds.items {
            Some(items) => (waiting.iter().map(|r| r.batch.items()).sum(), items),
            None => (waiting.len() as u64, self.bounds.requests),
        }
    }

    /// Since when the oldest request has been waiting.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.lock().waiting.front().map(|request| request.since)
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> (u64, u64) {
        let state = self.lock();
        (state.taken_requests, state.taken_bytes)
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
        let items = self.items - share(self.items, rest, whole);
        self.requests -= requests;
        self.bytes -= bytes;
        self.items -= items;
        Slot {
            queue: Arc::clone(&self.queue),
            requests,
            bytes,
            items,
        }
    }

    pub(super) fn merge(&mut self, mut other: Slot) {
        debug_assert!(Arc::ptr_eq(&self.queue, &other.queue));
        self.requests += std::mem::take(&mut other.requests);
        self.bytes += std::mem::take(&mut other.bytes);
        self.items += std::mem::take(&mut other.items);
    }

    /// Fills the slot with exactly one request of so many bytes and items: gives back what is
    /// too much, and overshoots by what processors have added.
    pub(super) fn settle(&mut self, bytes: u64, items: u64) {
        {
            let mut state = self.queue.lock();
            state.taken_requests = state.taken_requests + 1 - self.requests;
            state.taken_bytes = state.taken_bytes + bytes - self.bytes;
            state.taken_items = state.taken_items + items - self.items;
        }
        let gave_back = self.requests > 1 || self.bytes > bytes;
        self.requests = 1;
        self.bytes = bytes;
        self.items = items;
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
            state.taken_items -= self.items;
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

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::super::ledger::{LegAccount, PipelineAccount};
    use super::*;
    use crate::pdata::Signal;
    use crate::pipeline::testing::points;

    fn queue(requests: u64, bytes: u64) -> Arc<Queue> {
        Queue::new(Bounds {
            requests,
            bytes,
            items: None,
        })
    }

    fn request(queue: &Arc<Queue>, items: usize) -> Request {
        let batch = points(items);
        let account = PipelineAccount::new("metrics");
        let exporter = "remote".parse().unwrap();
        let leg = LegAccount::new(&account, &exporter, Signal::Metrics);
        let held = account.accept(items as u64);
        let slot = queue.try_reserve(batch.size()).unwrap();
        Request {
            claim: held.fan_out([&leg].into_iter()).pop().unwrap(),
            hold: Arc::new(Budget::new(None).hold_nothing()),
            slot,
            since: Instant::now(),
            batch,
        }
    }

    #[test]
    fn room_is_counted_in_requests_and_in_bytes() {
        let queue = queue(3, 100);
        let first = queue.try_reserve(60).unwrap();
        assert!(queue.try_reserve(41).is_none());
        let second = queue.try_reserve(20).unwrap();
        let third = queue.try_reserve(20).unwrap();
        assert!(queue.try_reserve(0).is_none(), "the fourth request");
        drop((first, second, third));
        assert_eq!(queue.taken(), (0, 0));
    }

    #[test]
    fn items_are_counted_once_they_are_known() {
        let queue = Queue::new(Bounds {
            requests: 10,
            bytes: 100,
            items: Some(5),
        });
        let mut first = queue.try_reserve(1).unwrap();
        first.settle(1, 4);
        let mut second = queue.try_reserve(1).unwrap();
        assert!(queue.try_reserve(1).is_some(), "4 of 5 are known of");
        second.settle(1, 7);
        assert!(queue.try_reserve(1).is_none());
        let part = second.take(1, 7);
        drop(second);
        assert!(queue.try_reserve(1).is_none(), "4 and 1 of the other");
        drop(part);
        assert!(queue.try_reserve(1).is_some());
    }

    #[test]
    fn a_request_bigger_than_the_queue_has_room_in_an_empty_one() {
        let queue = queue(3, 100);
        let big = queue.try_reserve(1000).unwrap();
        assert!(queue.try_reserve(1).is_none());
        drop(big);
        let _small = queue.try_reserve(1).unwrap();
        assert!(queue.try_reserve(1000).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_room_gets_it_when_it_is_given_back() {
        let queue = queue(1, 100);
        let slot = queue.try_reserve(1).unwrap();
        let waiter = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.reserve(1, Duration::from_secs(10)).await.is_some() }
        });
        tokio::time::sleep(Duration::from_secs(9)).await;
        drop(slot);
        assert!(waiter.await.unwrap());
        let _slot = queue.try_reserve(1).unwrap();
        assert!(queue.reserve(1, Duration::from_secs(1)).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn several_consumers_are_all_woken() {
        let queue = queue(10, 1 << 20);
        let producer = queue.producer();
        let one = JoinBounds { bytes: 0, items: 0 };
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
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
            queue.push(request(&queue, 1));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(queue.len(), 0, "each consumer has one");
        drop(producer);
        for consumer in consumers {
            assert_eq!(consumer.await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn what_waits_still_comes_when_the_producers_are_gone() {
        let queue = queue(10, 1 << 20);
        let producer = queue.producer();
        queue.push(request(&queue, 1));
        drop(producer);
        let all = JoinBounds {
            bytes: u64::MAX,
            items: u64::MAX,
        };
        assert_eq!(queue.pop(all).await.unwrap().len(), 1);
        assert!(queue.pop(all).await.is_none());
    }
}
