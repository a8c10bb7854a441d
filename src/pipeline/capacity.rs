//! The room before an exporter, which all pipelines that lead to it share.
//!
//! It is bounded by requests, bytes and items, and room is an object: a [`CapacitySlot`] is
//! reserved before a request is decoded, travels with it, and is given back when the
//! request is delivered or dropped, so that every request that was admitted can be queued. A
//! request that is under way still fills its slot.
//!
//! Each pipeline that leads to the exporter has a share. Half of an even part of the room is
//! kept for each share, and the rest goes to whichever comes first: of `n` shares each can
//! always have 1/2n, and one that floods takes up to (n+1)/2n. If no part were kept, one
//! pipeline whose requests aren't delivered would fill the room, and the senders of all others
//! would be refused; if all of it were divided, a single busy pipeline could use 1/n of the
//! room only. A single share has all of it.
//!
//! How many items a request has is known only when it is decoded. So no request is admitted
//! while the items are at their bound, and requests that were admitted before may overshoot it.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How much may wait or be under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct CapacityBounds {
    pub(super) requests: u64,
    pub(super) bytes: u64,
    /// None where requests are what is counted.
    pub(super) items: Option<u64>,
}

/// The room of one exporter.
#[derive(Debug)]
pub(super) struct Capacity {
    bounds: CapacityBounds,
    // Std: every section adds a few numbers.
    state: Mutex<CapacityState>,
    /// Room was given back, or a queue was closed.
    pub(super) changed: Notify,
}

/// Whose room it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share(usize);

/// Room that was reserved, given back on drop.
#[derive(Debug)]
pub(super) struct CapacitySlot {
    capacity: Arc<Capacity>,
    share: Share,
    taken: Taken,
}

#[derive(Debug, Default)]
struct CapacityState {
    all: Taken,
    shares: Vec<Taken>,
}

/// Promised, waiting, or under way.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    requests: u64,
    bytes: u64,
    /// Once they are known.
    items: u64,
}

impl Capacity {
    pub(super) fn new(bounds: CapacityBounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(super) fn bounds(&self) -> CapacityBounds {
        self.bounds
    }

    /// One more to share it.
    pub(super) fn share(&self) -> Share {
        let mut state = self.lock();
        state.shares.push(Taken::default());
        Share(state.shares.len() - 1)
    }

    /// Reserves room for one request of `bytes`. A request that is bigger than the whole room is
    /// admitted when the room is empty, since it never could be otherwise. A share without a
    /// request may have one, even where fewer requests are allowed than there are shares.
    pub(super) fn try_reserve(self: &Arc<Self>, share: Share, bytes: u64) -> Option<CapacitySlot> {
        let mut state = self.lock();
        let own = state.of(share).requests;
        let fits = (own == 0 || state.fits(share, self.bounds.requests, 1, |t| t.requests))
            && state.fits(share, self.bounds.bytes, bytes, |t| t.bytes)
            && self
                .bounds
                .items
                .is_none_or(|items| state.fits(share, items, 1, |t| t.items));
        if !(fits || state.all.requests == 0) {
            return None;
        }
        let taken = Taken {
            requests: 1,
            bytes,
            items: 0,
        };
        state.change(share, |t| t.add(taken));
        drop(state);
        Some(CapacitySlot {
            capacity: Arc::clone(self),
            share,
            taken,
        })
    }

    /// Whether no more than a quarter of it is taken, or of the share's even part, or one
    /// request alone.
    pub(super) fn is_calm(&self, share: Share) -> bool {
        let state = self.lock();
        let own = state.of(share);
        let parts = 4 * state.shares.len() as u64;
        let within = |taken: Taken, parts: u64| {
            taken.requests <= self.bounds.requests / parts
                && taken.bytes <= self.bounds.bytes / parts
                && self
                    .bounds
                    .items
                    .is_none_or(|items| taken.items <= items / parts)
        };
        own.requests <= 1 || within(state.all, 4) || within(own, parts)
    }

    /// The most that so many of the shares can have of something of which there is `bound`.
    pub(super) fn most(&self, bound: u64, shares: usize) -> u64 {
        let state = self.lock();
        let others = state.shares.len().saturating_sub(shares) as u64;
        bound.saturating_sub(others * state.kept(bound))
    }

    /// Waits until `done` says so, asking whenever room is given back. Cancel safe.
    pub(super) async fn until<T>(&self, mut done: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(result) = done() {
                return result;
            }
            changed.await;
        }
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> (u64, u64) {
        let all = self.lock().all;
        (all.requests, all.bytes)
    }

    /// Every store leaves the state whole, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, CapacityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CapacityState {
    fn of(&self, share: Share) -> Taken {
        self.shares.get(share.0).copied().unwrap_or_default()
    }

    /// What is kept for each share.
    fn kept(&self, bound: u64) -> u64 {
        bound / (2 * self.shares.len().max(1) as u64)
    }

    /// Whether a share can have so much more of something of which there is `bound`, beside
    /// what is kept for the others.
    fn fits(&self, share: Share, bound: u64, more: u64, of: impl Fn(&Taken) -> u64) -> bool {
        let kept = self.kept(bound);
        let own = of(&self.of(share)).saturating_add(more);
        if self.shares.len() > 1 && own <= kept {
            return true;
        }
        let others = self
            .shares
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != share.0);
        let unused: u64 = others
            .map(|(_, taken)| kept.saturating_sub(of(taken)))
            .sum();
        of(&self.all).saturating_add(more).saturating_add(unused) <= bound
    }

    fn change(&mut self, share: Share, change: impl Fn(&mut Taken)) {
        change(&mut self.all);
        if let Some(taken) = self.shares.get_mut(share.0) {
            change(taken);
        }
    }
}

impl Taken {
    fn add(&mut self, more: Taken) {
        self.requests += more.requests;
        self.bytes += more.bytes;
        self.items += more.items;
    }

    fn subtract(&mut self, less: Taken) {
        self.requests -= less.requests;
        self.bytes -= less.bytes;
        self.items -= less.items;
    }
}

impl CapacitySlot {
    /// Makes room for more bytes of the same request.
    pub(super) fn try_grow(&mut self, bytes: u64) -> bool {
        let mut state = self.capacity.lock();
        let alone = state.all.requests == self.taken.requests;
        let bound = self.capacity.bounds.bytes;
        if !(alone || state.fits(self.share, bound, bytes, |t| t.bytes)) {
            return false;
        }
        state.change(self.share, |taken| taken.bytes += bytes);
        drop(state);
        self.taken.bytes += bytes;
        true
    }

    /// Takes the share of `part` in `whole`, rounding so that neither side is promised
    /// more than the slot holds.
    pub(super) fn take(&mut self, part: u64, whole: u64) -> CapacitySlot {
        let rest = whole.saturating_sub(part);
        let divide = |all: u64| all - proportion(all, rest, whole);
        let taken = Taken {
            requests: divide(self.taken.requests),
            bytes: divide(self.taken.bytes),
            items: divide(self.taken.items),
        };
        self.taken.subtract(taken);
        CapacitySlot {
            capacity: Arc::clone(&self.capacity),
            share: self.share,
            taken,
        }
    }

    pub(super) fn merge(&mut self, mut other: CapacitySlot) {
        debug_assert!(Arc::ptr_eq(&self.capacity, &other.capacity));
        debug_assert_eq!(self.share, other.share);
        self.taken.add(std::mem::take(&mut other.taken));
    }

    /// Fills the slot with exactly one request of so many bytes and items: gives back what is
    /// too much, and overshoots by what processors have added.
    pub(super) fn settle(&mut self, bytes: u64, items: u64) {
        let (before, after) = (
            self.taken,
            Taken {
                requests: 1,
                bytes,
                items,
            },
        );
        self.capacity.lock().change(self.share, |taken| {
            taken.add(after);
            taken.subtract(before);
        });
        self.taken = after;
        if before.requests > 1 || before.bytes > bytes {
            self.capacity.changed.notify_waiters();
        }
    }
}

impl Drop for CapacitySlot {
    fn drop(&mut self) {
        let less = self.taken;
        self.capacity
            .lock()
            .change(self.share, |taken| taken.subtract(less));
        self.capacity.changed.notify_waiters();
    }
}

/// `all * part / whole`, rounded up.
fn proportion(all: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let exact = (u128::from(all) * u128::from(part)).div_ceil(u128::from(whole));
    u64::try_from(exact).unwrap_or(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(requests: u64, bytes: u64, items: Option<u64>) -> Arc<Capacity> {
        Capacity::new(CapacityBounds {
            requests,
            bytes,
            items,
        })
    }

    /// As many requests of so many bytes as a share can have.
    fn flood(capacity: &Arc<Capacity>, share: Share, bytes: u64) -> Vec<CapacitySlot> {
        std::iter::from_fn(|| capacity.try_reserve(share, bytes)).collect()
    }

    #[test]
    fn room_is_counted_in_requests_and_in_bytes() {
        let capacity = capacity(3, 100, None);
        let share = capacity.share();
        let first = capacity.try_reserve(share, 60).unwrap();
        assert!(capacity.try_reserve(share, 41).is_none());
        let second = capacity.try_reserve(share, 20).unwrap();
        let third = capacity.try_reserve(share, 20).unwrap();
        assert!(
            capacity.try_reserve(share, 0).is_none(),
            "the fourth request"
        );
        drop((first, second, third));
        assert_eq!(capacity.taken(), (0, 0));
    }

    #[test]
    fn items_are_counted_once_they_are_known() {
        let capacity = capacity(10, 100, Some(5));
        let share = capacity.share();
        let mut first = capacity.try_reserve(share, 1).unwrap();
        first.settle(1, 4);
        let mut second = capacity.try_reserve(share, 1).unwrap();
        assert!(
            capacity.try_reserve(share, 1).is_some(),
            "4 of 5 are known of"
        );
        second.settle(1, 7);
        assert!(capacity.try_reserve(share, 1).is_none());
        let part = second.take(1, 7);
        drop(second);
        assert!(
            capacity.try_reserve(share, 1).is_none(),
            "4 and 1 of the other"
        );
        drop(part);
        assert!(capacity.try_reserve(share, 1).is_some());
    }

    #[test]
    fn a_request_bigger_than_the_room_has_it_when_nothing_else_is_there() {
        let capacity = capacity(3, 100, None);
        let share = capacity.share();
        let big = capacity.try_reserve(share, 1000).unwrap();
        assert!(capacity.try_reserve(share, 1).is_none());
        drop(big);
        let _small = capacity.try_reserve(share, 1).unwrap();
        assert!(capacity.try_reserve(share, 1000).is_none());
    }

    #[test]
    fn a_flood_in_one_share_leaves_the_others_what_is_kept_for_them() {
        for shares in 1_u64..=5 {
            let capacity = capacity(1000, 100_000, Some(10_000));
            let all: Vec<Share> = (0..shares).map(|_| capacity.share()).collect();
            let flooding = flood(&capacity, all[0], 10);
            let most = 1000 * (shares + 1) / (2 * shares);
            assert!(flooding.len() as u64 >= most, "{shares}");
            for share in &all[1..] {
                let few = flood(&capacity, *share, 10);
                assert!(few.len() as u64 >= 1000 / (2 * shares), "{shares}");
                std::mem::forget(few);
            }
            assert!(capacity.taken().0 <= 1000, "{shares}");
        }
    }

    #[test]
    fn a_flood_of_bytes_or_items_leaves_them_alike() {
        let bytes = capacity(1000, 10_000, None);
        let (one, two) = (bytes.share(), bytes.share());
        let _flood = flood(&bytes, one, 1000);
        let _few = flood(&bytes, two, 500);
        // The quarter that is kept, and what the thousands of the other left over.
        assert_eq!(bytes.taken().1, 7 * 1000 + 6 * 500);

        let items = capacity(1000, 10_000, Some(100));
        let (one, two) = (items.share(), items.share());
        let mut flooding = Vec::new();
        while let Some(mut slot) = items.try_reserve(one, 1) {
            slot.settle(1, 10);
            flooding.push(slot);
        }
        assert_eq!(flooding.len(), 8, "all but the quarter of the other");
        assert!(items.try_reserve(two, 1).is_some());
    }

    #[test]
    fn each_may_have_one_request_however_few_are_allowed() {
        let capacity = capacity(1, 1000, None);
        let (one, two) = (capacity.share(), capacity.share());
        let _first = capacity.try_reserve(one, 10).unwrap();
        assert!(capacity.try_reserve(one, 10).is_none());
        let _second = capacity.try_reserve(two, 10).unwrap();
        assert!(capacity.try_reserve(two, 10).is_none());
    }

    #[test]
    fn who_has_taken_little_is_calm_beside_a_flood() {
        let capacity = capacity(100, 1000, None);
        let (one, two) = (capacity.share(), capacity.share());
        let _flood = flood(&capacity, one, 1);
        let _few: Vec<CapacitySlot> = (0..5).map_while(|_| capacity.try_reserve(two, 1)).collect();
        assert!(!capacity.is_calm(one));
        assert!(capacity.is_calm(two));
    }

    #[test]
    fn whichever_bound_is_a_quarter_taken_ends_the_calm() {
        let f = |requests, bytes, items, expected| {
            let capacity = capacity(100, 1000, Some(200));
            let only = capacity.share();
            let _one = capacity.try_reserve(only, 0).unwrap();
            let slots: Vec<CapacitySlot> = (1..requests)
                .map_while(|_| capacity.try_reserve(only, 0))
                .collect();
            let mut last = capacity.try_reserve(only, bytes).unwrap();
            last.settle(bytes, items);
            assert_eq!(
                capacity.is_calm(only),
                expected,
                "{requests} {bytes} {items}"
            );
            drop(slots);
        };
        f(2, 0, 0, true);
        f(24, 250, 50, true);
        f(25, 0, 0, false);
        f(2, 251, 0, false);
        f(2, 0, 51, false);
    }
}
