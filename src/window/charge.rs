//! Memory that several chunks share, counted once.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What an allocation takes beside its bytes.
pub(super) const OVERHEAD: usize = 16;

/// The bytes of all that is shared.
#[derive(Debug, Clone, Default)]
pub(super) struct Bill(Arc<AtomicUsize>);

/// A value that is on the bill as long as anyone has it.
#[derive(Debug)]
pub(super) struct Charged<T> {
    value: T,
    size: usize,
    bill: Bill,
}

impl Bill {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Puts a value on the bill that takes that many bytes beside its own.
    pub(super) fn charge<T>(&self, value: T, more: usize) -> Arc<Charged<T>> {
        let size = size_of::<Charged<T>>() + 2 * OVERHEAD + more;
        self.0.fetch_add(size, Ordering::Relaxed);
        Arc::new(Charged {
            value,
            size,
            bill: self.clone(),
        })
    }
}

impl<T> Deref for Charged<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Charged<T> {
    fn drop(&mut self) {
        self.bill.0.fetch_sub(self.size, Ordering::Relaxed);
    }
}
