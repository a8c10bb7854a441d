//! Logs, once a minute at most, that a peer rejected items or answered in an unusual way.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::body::SuccessAnswer;
use crate::component::{ComponentId, Delivered};

/// The shortest time between two log lines of an exporter.
const INTERVAL: Duration = Duration::from_secs(60);

/// Counts rejected items between two log lines.
#[derive(Debug)]
pub(super) struct AnswerLog {
    exporter: ComponentId,
    state: Mutex<AnswerLogState>,
}

#[derive(Debug, Default)]
struct AnswerLogState {
    rejected: u64,
    last_line: Option<Instant>,
}

impl AnswerLog {
    pub(super) fn new(exporter: ComponentId) -> Self {
        Self {
            exporter,
            state: Mutex::default(),
        }
    }

    /// Records an answer, and logs it unless the last line was less than a minute ago. Returns
    /// what the pipeline counts.
    pub(super) fn note(&self, SuccessAnswer { rejected, remark }: SuccessAnswer) -> Delivered {
        let delivered = Delivered { rejected };
        if rejected == 0 && remark.is_none() {
            return delivered;
        }
        let now = Instant::now();
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.rejected += delivered.rejected;
        if state.last_line.is_none_or(|last| now - last >= INTERVAL) {
            let rejected = std::mem::take(&mut state.rejected);
            state.last_line = Some(now);
            drop(state);
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
