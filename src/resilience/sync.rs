//! The primitives under the concurrent parts, or loom's in their place.
//!
//! Loom's types look like std's and run every interleaving of a small program. They are
//! chosen by a cfg that only the crate in `loom/` sets, for itself.

#[cfg(loom)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

/// Locks, also when a thread panicked while it held the lock: every critical section of this
/// module leaves its data valid at each step, so a poisoned mutex can be used.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
