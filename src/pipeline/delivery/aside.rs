//! The requests that have stepped aside, and when each is tried again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::retry::RetryWaits;
use super::suspects::Record;
use crate::pipeline::queue::QueuedRequest;

/// What is known of one load's attempts.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) record: Record,
    pub(super) retry: RetryWaits,
    /// Attempts that were made.
    pub(super) attempts: u32,
    /// Whether it has stepped aside before: then it is attempted once at a time.
    pub(super) is_suspect: bool,
    /// When it is tried again.
    pub(super) due: Instant,
}

/// A request that has stepped aside.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) request: QueuedRequest,
    pub(super) case: Case,
}

/// The requests that have stepped aside. They still fill the room of the queue, as every
/// request that is under way.
#[derive(Debug, Default)]
pub(super) struct Aside {
    // Std: the sections move one request.
    state: Mutex<AsideState>,
}

#[derive(Debug, Default)]
struct AsideState {
    suspects: VecDeque<Suspect>,
    /// How many requests had been delivered when one of them last failed.
    delivered: Option<u64>,
}

impl Case {
    pub(super) fn new(retry: RetryWaits, now: Instant) -> Self {
        Self {
            record: Record::new(),
            retry,
            attempts: 0,
            is_suspect: false,
            due: now,
        }
    }
}

impl Aside {
    pub(super) fn put(&self, suspect: Suspect) {
        self.lock().suspects.push_back(suspect);
    }

    /// One of them was tried and failed.
    pub(super) fn failed(&self, delivered: u64) {
        self.lock().delivered = Some(delivered);
    }

    /// The first that is due. Where `others` wait, it must be their turn: after one of these
    /// has failed, something is delivered before the next is tried, so that they can't open
    /// the breaker by themselves.
    pub(super) fn take(&self, now: Instant, delivered: u64, others: bool) -> Option<Suspect> {
        let mut state = self.lock();
        if others && state.delivered.is_some_and(|before| delivered <= before) {
            return None;
        }
        let mut suspects = state.suspects.iter();
        let first = suspects.position(|suspect| suspect.case.due <= now)?;
        state.suspects.remove(first)
    }

    /// When the next is due, if there is any.
    pub(super) fn due(&self) -> Option<Instant> {
        let state = self.lock();
        state.suspects.iter().map(|suspect| suspect.case.due).min()
    }

    /// The next, due or not.
    pub(super) fn take_any(&self) -> Option<Suspect> {
        self.lock().suspects.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, AsideState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
