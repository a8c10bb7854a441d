//! The last good answer of one endpoint, and whether it may still be used.
//!
//! An answer is *fresh* until its ttl is over; then the next poll asks the endpoint again. If
//! that poll fails, the answer is *stale*: it is still shown, marked as stale. When it is older
//! than the longest staleness it isn't shown any more, and the receiver ends the series that
//! were made from it with a tombstone.
//!
//! Only a failed poll makes an answer stale. An endpoint that is polled less often than
//! its answers expire, and always answers, never shows a gap.

use std::time::Duration;

use tokio::time::Instant;

use super::settings::CacheSettings;

/// Runtimes wake in whole milliseconds; a tombstone that is due "after" the longest
/// staleness is due this much after it.
const TICK: Duration = Duration::from_millis(1);

/// One endpoint's last good answer.
#[derive(Debug)]
pub(super) struct Cache<T> {
    entry: Option<CacheEntry<T>>,
}

/// How old the answer is that a cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    /// When the poll that brought it began.
    pub fetched: Instant,
    /// Whether a poll has failed since.
    pub stale: bool,
}

#[derive(Debug)]
struct CacheEntry<T> {
    value: T,
    status: CacheStatus,
}

impl<T: Clone> Cache<T> {
    pub(super) const fn new() -> Self {
        Self { entry: None }
    }

    /// The answer and its age, while it is so young that it needn't be asked for again.
    pub(super) fn fresh(&self, now: Instant, settings: &CacheSettings) -> Option<(T, Duration)> {
        let entry = self.entry.as_ref()?;
        let age = entry.age(now);
        (age < settings.ttl).then(|| (entry.value.clone(), age))
    }

    /// Keeps a complete success of a poll that began at `asked`.
    pub(super) fn store(&mut self, asked: Instant, value: T) {
        self.entry = Some(CacheEntry {
            value,
            status: CacheStatus {
                fetched: asked,
                stale: false,
            },
        });
    }

    /// Takes note of a failed poll, and returns what may stand in for it.
    pub(super) fn fail(&mut self, now: Instant, settings: &CacheSettings) -> Option<(T, Duration)> {
        let entry = self.entry.as_mut()?;
        entry.status.stale = true;
        let age = entry.age(now);
        let serves = !settings.max_staleness.is_zero() && age <= settings.max_staleness;
        serves.then(|| (entry.value.clone(), age))
    }

    /// When the answer's series are to end, unless a new answer replaces it before.
    pub(super) fn tombstone_at(&self, settings: &CacheSettings) -> Option<Instant> {
        let entry = self.entry.as_ref()?;
        entry.status.stale.then(|| {
            if settings.max_staleness.is_zero() {
                entry.status.fetched
            } else {
                entry.status.fetched + settings.max_staleness + TICK
            }
        })
    }

    /// Gives out an answer that is past its longest staleness, once.
    pub(super) fn expire(&mut self, now: Instant, settings: &CacheSettings) -> Option<T> {
        if self.tombstone_at(settings)? <= now {
            self.entry.take().map(|entry| entry.value)
        } else {
            None
        }
    }

    pub(super) fn status(&self) -> Option<CacheStatus> {
        self.entry.as_ref().map(|entry| entry.status)
    }
}

impl<T> CacheEntry<T> {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.status.fetched)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const SETTINGS: CacheSettings = CacheSettings {
        ttl: Duration::from_secs(10),
        max_staleness: Duration::from_secs(300),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_is_fresh_below_its_ttl_only() {
        let start = Instant::now();
        let mut cache = Cache::new();
        cache.store(start, 'a');
        assert_eq!(
            cache.fresh(start + seconds(9), &SETTINGS),
            Some(('a', seconds(9)))
        );
        assert_eq!(cache.fresh(start + seconds(10), &SETTINGS), None);
        let off = CacheSettings {
            ttl: Duration::ZERO,
            ..SETTINGS
        };
        assert_eq!(cache.fresh(start, &off), None);
    }

    #[test]
    fn a_failure_is_bridged_up_to_the_longest_staleness() {
        let start = Instant::now();
        let mut cache = Cache::new();
        assert_eq!(
            cache.fail(start, &SETTINGS),
            None::<(char, _)>,
            "nothing to bridge with"
        );
        cache.store(start, 'a');
        assert_eq!(
            cache.fail(start + seconds(300), &SETTINGS),
            Some(('a', seconds(300)))
        );
        assert_eq!(cache.fail(start + seconds(301), &SETTINGS), None);
    }

    #[test]
    fn the_tombstone_is_due_once_and_only_after_a_failure() {
        let start = Instant::now();
        let mut cache = Cache::new();
        cache.store(start, 'a');
        assert_eq!(cache.tombstone_at(&SETTINGS), None);
        assert_eq!(
            cache.expire(start + seconds(1_000), &SETTINGS),
            None,
            "no poll has failed"
        );
        cache.fail(start + seconds(15), &SETTINGS);
        let due = cache.tombstone_at(&SETTINGS).unwrap();
        assert!(due > start + seconds(300));
        assert_eq!(cache.expire(start + seconds(300), &SETTINGS), None);
        assert_eq!(cache.expire(due, &SETTINGS), Some('a'));
        assert_eq!(cache.expire(due, &SETTINGS), None);
        assert_eq!(cache.status(), None);
    }

    #[test]
    fn a_success_takes_the_tombstone_back() {
        let start = Instant::now();
        let mut cache = Cache::new();
        cache.store(start, 'a');
        cache.fail(start + seconds(15), &SETTINGS);
        cache.store(start + seconds(30), 'b');
        assert_eq!(cache.tombstone_at(&SETTINGS), None);
        assert_eq!(
            cache.status(),
            Some(CacheStatus {
                fetched: start + seconds(30),
                stale: false
            })
        );
    }

    #[test]
    fn without_staleness_the_first_failure_ends_the_series() {
        let start = Instant::now();
        let none = CacheSettings {
            max_staleness: Duration::ZERO,
            ..SETTINGS
        };
        let mut cache = Cache::new();
        cache.store(start, 'a');
        assert_eq!(cache.fail(start + seconds(15), &none), None);
        assert_eq!(cache.expire(start + seconds(15), &none), Some('a'));
    }
}
