//! Tells people that a listener refuses connections, and when that is over.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::metrics::{ConnectionRejection, Metrics};
use crate::component::Reporter;

/// Refusals are logged at most this often, and the line on the board is degraded until so
/// much time has passed without one.
const EVERY: Duration = Duration::from_secs(60);

/// The refusals of one listener.
pub(super) struct Refusals {
    limit: usize,
    reporter: Option<Reporter>,
    /// When the last one was, until it is over.
    last: Option<Instant>,
    logged: Option<Instant>,
    /// Since the log told of them.
    untold: u64,
}

impl Refusals {
    /// None yet, of a listener that takes `limit` connections.
    pub(super) fn new(limit: usize, reporter: Option<Reporter>) -> Self {
        Self {
            limit,
            reporter,
            last: None,
            logged: None,
            untold: 0,
        }
    }

    /// One is refused.
    pub(super) fn note(&mut self, metrics: &Metrics) {
        metrics.rejected(ConnectionRejection::Limit);
        let now = Instant::now();
        let limit = self.limit;
        if self.last.replace(now).is_none()
            && let Some(reporter) = &self.reporter
        {
            reporter.degraded(format!(
                "connections are refused: {limit} are open, as many as max_connections allows"
            ));
        }
        self.untold += 1;
        let due = |at: Instant| now.saturating_duration_since(at) >= EVERY;
        if self.logged.is_none_or(due) {
            self.logged = Some(now);
            let refused = std::mem::take(&mut self.untold);
            let listener = metrics.listener();
            tracing::warn!(
                listener,
                refused,
                max_connections = limit,
                "connections are refused: as many are open as max_connections allows",
            );
        }
    }

    /// Resolves once none has been refused for a minute, which ends what the board says;
    /// never while there is nothing to end. Cancel safe.
    pub(super) async fn over(&mut self) {
        let Some(last) = self.last else {
            return std::future::pending().await;
        };
        sleep_until(last + EVERY).await;
        self.last = None;
        if let Some(reporter) = &self.reporter {
            reporter.working();
        }
    }
}
