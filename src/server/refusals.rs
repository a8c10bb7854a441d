//! Reports that a listener refuses connections, and when that is over.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::metrics::{ConnectionRejection, Metrics};
use crate::component::Reporter;

/// How often refusals are logged at most, and how long `/health` shows the listener as degraded
/// after the last one.
const EVERY: Duration = Duration::from_secs(60);

/// The most connections of one listener at a time, and what sets that limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimit {
    pub(super) most: usize,
    set_by: &'static str,
}

impl ConnectionLimit {
    /// `max_connections`, or the listener's share of the file descriptors if that is less.
    pub(super) fn new(max_connections: usize, share: usize) -> Self {
        if share < max_connections {
            Self {
                most: share,
                set_by: "a quarter of the file descriptors that the process may open",
            }
        } else {
            Self {
                most: max_connections,
                set_by: "max_connections",
            }
        }
    }
}

/// The refused connections of one listener.
pub(super) struct Refusals {
    limit: ConnectionLimit,
    reporter: Option<Reporter>,
    /// When the last one was refused; `None` once that is over.
    last: Option<Instant>,
    logged: Option<Instant>,
    /// How many were refused since the last log line.
    untold: u64,
}

impl Refusals {
    /// For a listener with this limit.
    pub(super) fn new(limit: ConnectionLimit, reporter: Option<Reporter>) -> Self {
        Self {
            limit,
            reporter,
            last: None,
            logged: None,
            untold: 0,
        }
    }

    /// Records a refused connection.
    pub(super) fn note(&mut self, metrics: &Metrics) {
        metrics.rejected(ConnectionRejection::Limit);
        let now = Instant::now();
        let ConnectionLimit { most, set_by } = self.limit;
        if self.last.replace(now).is_none()
            && let Some(reporter) = &self.reporter
        {
            reporter.degraded(format!(
                "connections are refused: {most} are open, the limit set by {set_by}"
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
                limit = most,
                "connections are refused: as many are open as the limit allows, set by {set_by}",
            );
        }
    }

    /// Resolves when none has been refused for a minute, and reports that the listener works;
    /// never resolves if none was refused. Cancel safe.
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
