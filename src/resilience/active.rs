//! How many fetches, pushes and pollers there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what is in flight.
#[derive(Debug, Clone, Default)]
pub struct ActiveTasks(Arc<AtomicU64>);

impl ActiveTasks {
    /// Counts one until the returned value is dropped, on whichever path that happens.
    pub fn enter(&self) -> ActiveTask {
        self.0.fetch_add(1, Ordering::Relaxed);
        ActiveTask(self.clone())
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One thing in flight.
#[must_use = "it is in flight until this is dropped"]
#[derive(Debug)]
pub struct ActiveTask(ActiveTasks);

impl Drop for ActiveTask {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
