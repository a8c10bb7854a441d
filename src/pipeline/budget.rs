//! The bytes that may be between admission and delivery, which `memory_limiter` bounds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::recent::Recent;
use crate::component::{MemoryExcess, MemoryLimit, REFUSAL_SHOWN, Shortage};
use crate::telemetry::{Throttle, memory_in_use};

/// What is in flight behind one `memory_limiter`, or in one pipeline without.
///
/// Pipelines that name the same `memory_limiter` share its budget. A request that enters
/// two of them counts twice, since either may rewrite its copy.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<MemoryLimit>,
    in_flight: AtomicU64,
    // Std: the section reads a clock, and a small file once per check interval.
    in_use: Mutex<Option<MemoryReading>>,
    /// Asked what is in use, given what may be.
    probe: fn(u64) -> Option<u64>,
    /// Whether the last request was refused for the memory in use.
    refusing: AtomicBool,
    refusals: Throttle,
    /// A request was refused for what is in flight.
    full: Recent<()>,
    full_refusals: Throttle,
}

/// Bytes of a budget, given back on drop.
#[derive(Debug)]
pub(super) struct Hold {
    budget: Arc<Budget>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct MemoryReading {
    at: Instant,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(limit: Option<MemoryLimit>) -> Arc<Self> {
        Self::with_probe(limit, memory_in_use)
    }

    fn with_probe(limit: Option<MemoryLimit>, probe: fn(u64) -> Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            in_flight: AtomicU64::new(0),
            in_use: Mutex::new(None),
            probe,
            refusing: AtomicBool::new(false),
            refusals: Throttle::default(),
            full: Recent::default(),
            full_refusals: Throttle::default(),
        })
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether so many bytes can be held when nothing else is.
    pub(super) fn may_ever_hold(&self, bytes: u64) -> bool {
        self.limit.is_none_or(|limit| bytes <= limit.in_flight)
    }

    pub(super) fn try_hold(self: &Arc<Self>, bytes: u64) -> Option<Hold> {
        let mut hold = self.hold_nothing();
        hold.try_grow(bytes).then_some(hold)
    }

    pub(super) fn hold_nothing(self: &Arc<Self>) -> Hold {
        Hold {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }

    /// Adds `bytes` of a request that needs `whole` together.
    fn try_add(&self, bytes: u64, whole: u64) -> bool {
        let Some(limit) = self.limit else {
            self.in_flight.fetch_add(bytes, Ordering::Relaxed);
            return true;
        };
        if let Some(excess) = self.excess() {
            self.refuse(excess);
            return false;
        }
        if self.refusing.load(Ordering::Relaxed) && self.refusing.swap(false, Ordering::Relaxed) {
            let requests = self.refusals.rest();
            tracing::info!(
                requests,
                "memory is below its limit again: requests are admitted"
            );
        }
        let admitted = self
            .in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes)
                    .filter(|sum| *sum <= limit.in_flight)
            });
        // A request that never could be held says nothing about what is in flight.
        if admitted.is_err() && self.may_ever_hold(whole) {
            self.full.note(());
            if let Some(requests) = self.full_refusals.pass(1, Instant::now()) {
                self.tell_full(limit, requests);
            }
        }
        admitted.is_ok()
    }

    /// Says in the log that so many requests were refused for what is in flight.
    fn tell_full(&self, limit: MemoryLimit, requests: u64) {
        tracing::warn!(
            requests,
            in_flight_bytes = self.in_flight(),
            limit_bytes = limit.in_flight,
            "requests are refused: memory_limiter has no room for more in flight"
        );
    }

    /// Why requests are refused here, if they are at `now` or were within [`REFUSAL_SHOWN`].
    pub(super) fn shortages(&self, now: Instant) -> impl Iterator<Item = Shortage> {
        let full = self.full.within(REFUSAL_SHOWN, now);
        let in_flight = full.and(self.limit).map(|limit| Shortage::InFlight {
            most: limit.in_flight,
        });
        self.excess()
            .map(Shortage::Memory)
            .into_iter()
            .chain(in_flight)
    }

    /// By how much more than it may the process uses; none where it doesn't. As of the last
    /// check, which is made now if it is due, so that it is seen to end where nobody sends.
    pub(super) fn excess(&self) -> Option<MemoryExcess> {
        let limit = self.limit?;
        let most = limit.resident?;
        let in_use = self.in_use(&limit, most);
        (in_use > most).then_some(MemoryExcess { in_use, most })
    }

    #[cold]
    fn refuse(&self, excess: MemoryExcess) {
        self.refusing.store(true, Ordering::Relaxed);
        if let Some(requests) = self.refusals.pass(1, Instant::now()) {
            tracing::warn!(
                requests,
                in_use_bytes = excess.in_use,
                limit_bytes = excess.most,
                "requests are refused: more memory is in use than memory_limiter allows"
            );
        }
    }

    /// Memory in use as of the last check, which is made now if it is due. Where it can't
    /// be read, the backstop is off.
    fn in_use(&self, limit: &MemoryLimit, most: u64) -> u64 {
        let now = Instant::now();
        let mut last = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = *last
            && now.duration_since(reading.at) < limit.check_interval
        {
            return reading.bytes;
        }
        let bytes = (self.probe)(most).unwrap_or(0);
        *last = Some(MemoryReading { at: now, bytes });
        bytes
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        if let (Some(limit), Some(requests)) = (self.limit, self.full_refusals.rest()) {
            self.tell_full(limit, requests);
        }
        if let Some(requests) = self.refusals.rest() {
            tracing::warn!(
                requests,
                "requests were refused: more memory was in use than memory_limiter allows"
            );
        }
    }
}

impl Hold {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Holds more, if the budget has room.
    pub(super) fn try_grow(&mut self, bytes: u64) -> bool {
        let whole = self.bytes.saturating_add(bytes);
        let grown = self.budget.try_add(bytes, whole);
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    /// Follows the size of data that was admitted already, so it may overshoot.
    pub(super) fn resize(&mut self, bytes: u64) {
        let in_flight = &self.budget.in_flight;
        if bytes >= self.bytes {
            in_flight.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            in_flight.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    pub(super) fn take(&mut self, bytes: u64) -> Hold {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Hold {
            budget: Arc::clone(&self.budget),
            bytes,
        }
    }

    pub(super) fn merge(&mut self, mut other: Hold) {
        debug_assert!(Arc::ptr_eq(&self.budget, &other.budget));
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget
            .in_flight
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limit(in_flight: u64, resident: Option<u64>) -> Option<MemoryLimit> {
        Some(MemoryLimit {
            in_flight,
            resident,
            check_interval: Duration::from_secs(1),
        })
    }

    #[test]
    fn what_is_held_is_given_back_whatever_its_way() {
        let budget = Budget::new(limit(100, None));
        let mut hold = budget.try_hold(60).unwrap();
        assert!(budget.try_hold(41).is_none());
        assert!(hold.try_grow(40));
        let part = hold.take(30);
        assert_eq!((hold.bytes(), part.bytes()), (70, 30));
        hold.resize(200);
        assert_eq!(budget.in_flight(), 230, "what was admitted may overshoot");
        hold.resize(10);
        hold.merge(part);
        assert_eq!(budget.in_flight(), 40);
        drop(hold);
        assert_eq!(budget.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_backstop_is_read_once_per_interval() {
        static READINGS: AtomicU64 = AtomicU64::new(0);
        let budget = Budget::with_probe(limit(100, Some(1)), |_| {
            Some(READINGS.fetch_add(2, Ordering::Relaxed))
        });
        assert!(budget.try_hold(1).is_some(), "the first reading is 0");
        assert!(budget.try_hold(1).is_some(), "and holds for a second");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(budget.try_hold(1).is_none(), "the second reading is 2");
        assert_eq!(READINGS.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn the_backstop_lets_go_of_itself_whether_or_not_anybody_sends() {
        static IN_USE: AtomicU64 = AtomicU64::new(0);
        let budget = Budget::with_probe(limit(100, Some(80)), |_| {
            Some(IN_USE.load(Ordering::Relaxed))
        });
        IN_USE.store(124, Ordering::Relaxed);
        assert!(budget.try_hold(1).is_none(), "a burst");
        let excess = MemoryExcess {
            in_use: 124,
            most: 80,
        };
        assert_eq!(budget.excess(), Some(excess));
        IN_USE.store(42, Ordering::Relaxed);
        assert_eq!(budget.excess(), Some(excess), "for a second");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            budget.excess(),
            None,
            "whoever reads the health sees the end"
        );
        assert!(budget.try_hold(1).is_some());
        assert!(!budget.refusing.load(Ordering::Relaxed));
    }
}
