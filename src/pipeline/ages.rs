//! Since when what a leg has been handed is on its way.
//!
//! A request may wait in the queue, be tried again and again, have stepped aside, or lie in the
//! buffer of a sink. So its time isn't kept where it waits, but ends with the claim on its items.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// The times of the requests that a leg has neither sent nor dropped. There are as many as the
/// room before its exporter allows.
// Std: the section changes one entry.
#[derive(Debug, Default)]
pub(super) struct Ages(Mutex<BTreeMap<Instant, u64>>);

/// One request of them, until the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Age(#[expect(dead_code, reason = "held for its drop")] Arc<AgeEntry>);

#[derive(Debug)]
struct AgeEntry {
    ages: Arc<Ages>,
    since: Instant,
}

impl Ages {
    /// One more request, which was handed to the leg at `since`.
    pub(super) fn begin(self: &Arc<Self>, since: Instant) -> Age {
        self.change(|ages| *ages.entry(since).or_default() += 1);
        Age(Arc::new(AgeEntry {
            ages: Arc::clone(self),
            since,
        }))
    }

    /// When the oldest was handed to the leg.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.change(|ages| ages.keys().next().copied())
    }

    /// Every store leaves the map whole, so a panic elsewhere spoils nothing.
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<Instant, u64>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for AgeEntry {
    fn drop(&mut self) {
        self.ages.change(|ages| {
            if let Some(count) = ages.get_mut(&self.since) {
                *count -= 1;
                if *count == 0 {
                    ages.remove(&self.since);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_is_the_one_that_began_first_of_those_that_are_left() {
        let (ages, start) = (Arc::new(Ages::default()), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(ages.oldest(), None);
        let (first, twin, second) = (ages.begin(at(1)), ages.begin(at(1)), ages.begin(at(2)));
        let half = first.clone();
        for gone in [second.clone(), first, twin] {
            drop(gone);
            assert_eq!(ages.oldest(), Some(at(1)));
        }
        drop(half);
        assert_eq!(ages.oldest(), Some(at(2)));
        drop(second);
        assert_eq!(ages.oldest(), None);
    }
}
