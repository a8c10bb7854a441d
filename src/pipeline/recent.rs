//! What happened last, for as long as anybody should be told.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The last of several events, and when it was.
#[derive(Debug)]
pub(super) struct Recent<T> {
    // Std: the sections move a small value.
    last: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Recent<T> {
    /// Replaces what happened before.
    pub(super) fn note(&self, event: T) {
        *self.lock() = Some((Instant::now(), event));
    }

    /// The last event, unless it was `long` before `now` or earlier.
    pub(super) fn within(&self, long: Duration, now: Instant) -> Option<T> {
        let last = self.lock();
        let (at, event) = last.as_ref()?;
        (now.saturating_duration_since(*at) < long).then(|| event.clone())
    }

    /// Every store leaves it whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, T)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            last: Mutex::new(None),
        }
    }
}
