//! Logs, once a minute at most, that a peer rejected items or answered in an unusual way.

use tokio::time::Instant;

use super::body::SuccessAnswer;
use crate::component::{ComponentId, Delivered};
use crate::telemetry::Throttle;

/// Counts rejected items, and answers with a remark, between two log lines of their kind.
#[derive(Debug)]
pub(super) struct AnswerLog {
    exporter: ComponentId,
    rejected: Throttle,
    remarks: Throttle,
}

impl AnswerLog {
    pub(super) fn new(exporter: ComponentId) -> Self {
        Self {
            exporter,
            rejected: Throttle::default(),
            remarks: Throttle::default(),
        }
    }

    /// Records an answer, and logs it unless the last line about one like it was less than a
    /// minute ago. Returns what the pipeline counts.
    pub(super) fn note(&self, SuccessAnswer { rejected, remark }: SuccessAnswer) -> Delivered {
        let (exporter, now) = (&self.exporter, Instant::now());
        if rejected > 0 {
            if let Some(rejected) = self.rejected.pass(rejected, now) {
                let message = remark.unwrap_or_default();
                tracing::error!(%exporter, rejected, message, "the peer rejected items");
            }
        } else if let Some(message) = remark
            && let Some(answers) = self.remarks.pass(1, now)
        {
            tracing::warn!(%exporter, answers, message, "the peer took all items with a warning");
        }
        Delivered { rejected }
    }
}

impl Drop for AnswerLog {
    fn drop(&mut self) {
        if let Some(rejected) = self.rejected.rest() {
            tracing::error!(exporter = %self.exporter, rejected, "the peer rejected items");
        }
        if let Some(answers) = self.remarks.rest() {
            tracing::warn!(exporter = %self.exporter, answers, "the peer took all items with a warning");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::log_capture::LogCapture;

    fn answer(rejected: u64, remark: &str) -> SuccessAnswer {
        SuccessAnswer {
            rejected,
            remark: Some(remark.to_owned()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_remark_silences_no_rejection_and_lends_it_no_words() {
        let (log, _capturing) = LogCapture::begin();
        let answers = AnswerLog::new("otlp_http".parse().unwrap());
        answers.note(answer(0, "odd"));
        answers.note(answer(500, "bad unit"));
        answers.note(answer(7, "bad name"));
        answers.note(answer(0, "odd again"));
        drop(answers);
        let told: Vec<_> = log.lines();
        let told: Vec<_> = told
            .iter()
            .map(|line| (&line["rejected"], &line["answers"], &line["message"]))
            .collect();
        let none = &json!(null);
        let expected = [
            (none, &json!(1), &json!("odd")),
            (&json!(500), none, &json!("bad unit")),
            (&json!(7), none, &json!("the peer rejected items")),
            (
                none,
                &json!(1),
                &json!("the peer took all items with a warning"),
            ),
        ];
        assert_eq!(told, expected);
    }
}
