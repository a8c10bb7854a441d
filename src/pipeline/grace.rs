//! The grace of a shutdown, as the tasks that may use it see it.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Starts the grace for every [`Grace`] that was made from it.
#[derive(Debug)]
pub struct GraceControl {
    until: watch::Sender<Option<Instant>>,
}

/// Knows whether the agent is shutting down, and until when work may go on.
#[derive(Debug, Clone)]
pub struct Grace {
    until: watch::Receiver<Option<Instant>>,
}

impl GraceControl {
    /// A control that hasn't begun the grace.
    pub fn new() -> Self {
        Self {
            until: watch::Sender::new(None),
        }
    }

    /// A view for one task.
    pub fn grace(&self) -> Grace {
        Grace {
            until: self.until.subscribe(),
        }
    }

    /// Begins the shutdown: tasks stop waiting for retries and breakers now, and stop working
    /// after `grace`.
    pub fn begin(&self, grace: Duration) {
        self.until.send_replace(Some(Instant::now() + grace));
    }
}

impl Default for GraceControl {
    fn default() -> Self {
        Self::new()
    }
}

impl Grace {
    /// Whether the agent is shutting down.
    pub(super) fn has_begun(&self) -> bool {
        self.until.borrow().is_some()
    }

    /// Resolves when the agent begins to shut down. Cancel safe.
    pub(super) async fn begins(&self) {
        self.end().await;
    }

    /// Resolves when the grace is over. Cancel safe.
    pub(super) async fn is_over(&self) {
        sleep_until(self.end().await).await;
    }

    async fn end(&self) -> Instant {
        let mut until = self.until.clone();
        let begun = match until.wait_for(Option::is_some).await {
            Ok(until) => *until,
            Err(_) => None,
        };
        match begun {
            Some(until) => until,
            // The control was dropped, so that a shutdown will never begin.
            None => pending().await,
        }
    }
}
