//! A store that several have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{WindowSettings, Windows};

/// A store that is written by its owners and read by whoever asks. A handle: clones share the
/// store.
#[derive(Debug, Clone)]
pub struct SharedWindows(Arc<Mutex<Windows>>);

impl SharedWindows {
    /// An empty store.
    #[must_use]
    pub fn new(settings: WindowSettings) -> Self {
        Self(Arc::new(Mutex::new(Windows::new(settings))))
    }

    /// Locks the store. What takes long reads snapshots and not the store, so that nobody waits.
    ///
    /// A panic under the lock costs one point at most and leaves the store usable, so a poisoned
    /// lock is used all the same.
    pub fn lock(&self) -> MutexGuard<'_, Windows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn is_locked(&self) -> bool {
        self.0.try_lock().is_err()
    }
}
