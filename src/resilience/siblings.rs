//! The endpoints behind one scheme, host and port.
//!
//! They usually come back together, since one process serves them. So a canary that passed at
//! one of them makes the canaries of the others due at once. An ordinary success does not: a
//! path that fails by itself for good would then be asked after every poll of its siblings.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;

/// One of them.
pub(super) trait Sibling: Send + Sync {
    /// A canary of another passed: a cooldown ends now.
    fn hasten(&self, now: Instant);
}

/// Those that share scheme, host and port, of every component alike.
#[derive(Default)]
pub(super) struct Siblings(Mutex<Vec<Weak<dyn Sibling>>>);

impl Siblings {
    /// Adds one more.
    pub(super) fn join(&self, sibling: Weak<dyn Sibling>) {
        let mut siblings = self.lock();
        // Those that somebody dropped without taking them off the registry.
        siblings.retain(|sibling| sibling.strong_count() > 0);
        siblings.push(sibling);
    }

    /// Takes one out. True if none is left.
    pub(super) fn leave<S: Sibling>(&self, leaving: &S) -> bool {
        let mut siblings = self.lock();
        siblings.retain(|sibling| !std::ptr::addr_eq(sibling.as_ptr(), leaving));
        siblings.is_empty()
    }

    /// A canary passed at `back`: those of the others are due now.
    pub(super) fn hasten<S: Sibling>(&self, back: &S, now: Instant) {
        let siblings: Vec<Arc<dyn Sibling>> =
            self.lock().iter().filter_map(Weak::upgrade).collect();
        for sibling in siblings {
            if !std::ptr::addr_eq(Arc::as_ptr(&sibling), back) {
                sibling.hasten(now);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Sibling>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
