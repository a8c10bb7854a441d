//! Reports that a listener refuses connections, and when that is over.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::metrics::{ConnectionRejection, Metrics};
use crate::component::Reporter;
use crate::telemetry::Throttle;

/// How long `/health` shows the listener as degraded after the last refusal.
const SHOWN: Duration = Duration::from_secs(60);

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
    log: Throttle,
    listener: String,
}

impl Refusals {
    /// For the listener of this name, with this limit.
    pub(super) fn new(listener: &str, limit: ConnectionLimit, reporter: Option<Reporter>) -> Self {
        Self {
            limit,
            reporter,
            last: None,
            log: Throttle::default(),
            listener: listener.to_owned(),
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
        if let Some(refused) = self.log.pass(1, now) {
            tracing::warn!(
                listener = self.listener,
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
        sleep_until(last + SHOWN).await;
        self.last = None;
        self.tell_rest();
        if let Some(reporter) = &self.reporter {
            reporter.working();
        }
    }

    fn tell_rest(&self) {
        if let Some(refused) = self.log.rest() {
            tracing::warn!(
                listener = self.listener,
                refused,
                "connections were refused: as many were open as the limit allows",
            );
        }
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        self.tell_rest();
    }
}
