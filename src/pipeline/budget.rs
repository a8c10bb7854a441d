//! The bytes that may be between admission and delivery, which `memory_limiter` bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::component::MemoryLimit;

/// What is in flight behind one `memory_limiter`, or in one pipeline without.
///
/// Pipelines that name the same `memory_limiter` share its budget. A request that enters
/// two of them counts twice, since either may rewrite its copy.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<MemoryLimit>,
    in_flight: AtomicU64,
    // Std: the section reads a clock, and a small file once per check interval.
    resident: Mutex<Option<Reading>>,
    probe: fn() -> Option<u64>,
}

/// Bytes of a budget, given back on drop.
#[derive(Debug)]
pub(super) struct Hold {
    budget: Arc<Budget>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(limit: Option<MemoryLimit>) -> Arc<Self> {
        Self::with_probe(limit, resident_bytes)
    }

    fn with_probe(limit: Option<MemoryLimit>, probe: fn() -> Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            in_flight: AtomicU64::new(0),
            resident: Mutex::new(None),
            probe,
        })
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
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

    fn try_add(&self, bytes: u64) -> bool {
        let Some(limit) = self.limit else {
            self.in_flight.fetch_add(bytes, Ordering::Relaxed);
            return true;
        };
        if limit
            .resident
            .is_some_and(|most| self.resident(&limit) > most)
        {
            return false;
        }
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes)
                    .filter(|sum| *sum <= limit.in_flight)
            })
            .is_ok()
    }

    /// Resident memory as of the last check, which is made now if it is due. Where it can't
    /// be read, the backstop is off.
    fn resident(&self, limit: &MemoryLimit) -> u64 {
        let now = Instant::now();
        let mut last = self.resident.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = *last
            && now.duration_since(reading.at) < limit.check_interval
        {
            return reading.bytes;
        }
        let bytes = (self.probe)().unwrap_or(0);
        *last = Some(Reading { at: now, bytes });
        bytes
    }
}

impl Hold {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Holds more, if the budget has room.
    pub(super) fn try_grow(&mut self, bytes: u64) -> bool {
        let grown = self.budget.try_add(bytes);
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

/// The second field of `statm` is the resident set in pages.
#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(not(target_os = "linux"))]
fn resident_bytes() -> Option<u64> {
    None
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
        let budget = Budget::with_probe(limit(100, Some(1)), || {
            Some(READINGS.fetch_add(2, Ordering::Relaxed))
        });
        assert!(budget.try_hold(1).is_some(), "the first reading is 0");
        assert!(budget.try_hold(1).is_some(), "and holds for a second");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(budget.try_hold(1).is_none(), "the second reading is 2");
        assert_eq!(READINGS.load(Ordering::Relaxed), 4);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_knows_its_resident_size() {
        assert!(resident_bytes().unwrap() > 1 << 20);
    }
}
