//! The events of endpoints, of which an observer makes metrics, log lines and spans.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{BreakerState, Rejection, Transition};
use super::id::EndpointId;
use super::outcome::Outcome;

/// Is told what happens at endpoints, on the task on which it happens, outside any lock.
///
/// A transition is published on the very attempt that caused it, before that attempt's own
/// event, so that a span around the attempt carries it.
pub trait Observer: Send + Sync {
    /// Something happened at an endpoint.
    fn on_event(&self, endpoint: &EndpointId, event: &Event<'_>);
}

/// Several, told one after the other in that order.
impl Observer for Vec<Arc<dyn Observer>> {
    fn on_event(&self, endpoint: &EndpointId, event: &Event<'_>) {
        for observer in self {
            observer.on_event(endpoint, event);
        }
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A breaker changed its state.
    Transition(&'a Transition),
    /// A wire attempt ended.
    Attempted {
        /// Which one.
        attempt: Attempt,
        /// What it came to.
        outcome: Outcome,
        /// When it began.
        started: Instant,
        /// How long it took.
        took: Duration,
    },
    /// Another attempt will be made.
    RetryScheduled {
        /// Its number within the poll: the first retry is 1.
        number: u32,
        /// After so long.
        delay: Duration,
        /// What the attempt before came to.
        after: Outcome,
    },
    /// A poll or a retry was rejected.
    Rejected(Rejection),
    /// A stale answer stood in for a failure.
    StaleServed {
        /// Its age.
        age: Duration,
    },
}

/// One wire attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its number within the poll, from 0: the `http.request.resend_count` of its span.
    pub number: u32,
    /// Whether it races another that is slow.
    pub hedge: bool,
    /// Whether it is a canary, which probes an endpoint whose breaker is half open.
    pub canary: bool,
    /// The breaker's generation in which it was admitted.
    pub generation: u64,
    /// The breaker's state when it was admitted.
    pub state: BreakerState,
}
