//! Logs, once a minute at most, that a peer rejected items or answered in an unusual way.

use tokio::time::Instant;

use super::body::SuccessAnswer;
use crate::component::{ComponentId, Delivered};
use crate::telemetry::Throttle;

/// Counts rejected items between two log lines.
#[derive(Debug)]
pub(super) struct AnswerLog {
    exporter: ComponentId,
    rejected: Throttle,
}

impl AnswerLog {
    pub(super) fn new(exporter: ComponentId) -> Self {
        Self {
            exporter,
            rejected: Throttle::default(),
        }
    }

    /// Records an answer, and logs it unless the last line was less than a minute ago. Returns
    /// what the pipeline counts.
    pub(super) fn note(&self, SuccessAnswer { rejected, remark }: SuccessAnswer) -> Delivered {
        let delivered = Delivered { rejected };
        if rejected == 0 && remark.is_none() {
            return delivered;
        }
        if let Some(rejected) = self.rejected.pass(rejected, Instant::now()) {
            let message = remark.unwrap_or_default();
            if rejected > 0 {
                tracing::error!(exporter = %self.exporter, rejected, message, "the peer rejected items");
            } else {
                tracing::warn!(exporter = %self.exporter, message, "the peer took all items with a warning");
            }
        }
        delivered
    }
}

impl Drop for AnswerLog {
    fn drop(&mut self) {
        if let Some(rejected) = self.rejected.rest() {
            tracing::error!(exporter = %self.exporter, rejected, "the peer rejected items");
        }
    }
}
