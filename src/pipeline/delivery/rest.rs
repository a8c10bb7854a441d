//! What is left to be sent of joined requests.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::pipeline::queue::QueuedRequest;

/// Requests in their order, of which any number of items can be taken.
#[derive(Debug)]
pub(super) struct Rest {
    requests: VecDeque<QueuedRequest>,
    /// How many items at the front are sent request by request.
    apart: u64,
}

impl Rest {
    pub(super) fn new(requests: Vec<QueuedRequest>) -> Self {
        Self {
            requests: requests.into(),
            apart: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Takes the next `most` items (at least one), or as many as there are.
    pub(super) fn next(&mut self, most: u64) -> Option<Vec<QueuedRequest>> {
        self.cut_front(most);
        let first = self.requests.pop_front()?;
        let mut count = first.batch.items();
        let mut load = vec![first];
        if self.apart > 0 {
            self.apart = self.apart.saturating_sub(count);
            return Some(load);
        }
        while count < most && !self.requests.is_empty() {
            self.cut_front(most - count);
            let Some(next) = self.requests.pop_front() else {
                break;
            };
            count += next.batch.items();
            load.push(next);
        }
        Some(load)
    }

    /// The load stands at the front again.
    pub(super) fn put_back(&mut self, load: Vec<QueuedRequest>) {
        if self.apart > 0 {
            self.apart += items(&load);
        }
        for request in load.into_iter().rev() {
            self.requests.push_front(request);
        }
    }

    /// The same, and each of its requests is sent by itself.
    pub(super) fn put_back_apart(&mut self, load: Vec<QueuedRequest>) {
        let count = items(&load);
        self.put_back(load);
        self.apart = self.apart.max(count);
    }

    /// Everything that is left.
    pub(super) fn take(&mut self) -> VecDeque<QueuedRequest> {
        std::mem::take(&mut self.requests)
    }

    /// Cuts the first request until it has no more than `most` items. It is cut near its
    /// middle, and then the front of it, so that a large request isn't copied once for each
    /// piece.
    fn cut_front(&mut self, most: u64) {
        let most = most.max(1);
        while let Some(front) = self.requests.pop_front() {
            let pieces = front.batch.items().div_ceil(most);
            if pieces <= 1 {
                self.requests.push_front(front);
                return;
            }
            let (front, back) = front.cut(pieces / 2 * most);
            self.requests.push_front(back);
            self.requests.push_front(front);
        }
    }
}

/// The items of a load.
pub(super) fn items(load: &[QueuedRequest]) -> u64 {
    load.iter().map(|request| request.batch.items()).sum()
}

impl QueuedRequest {
    /// Two requests, the first with so many items, which must be fewer than it has.
    fn cut(mut self, items: u64) -> (QueuedRequest, QueuedRequest) {
        let whole = self.batch.items();
        let (front, back) = self.batch.split_at(items);
        let front = QueuedRequest {
            claim: self.claim.take(front.items()),
            hold: Arc::clone(&self.hold),
            slot: self.slot.take(front.items(), whole),
            batch: front,
        };
        self.batch = back;
        (front, self)
    }
}
