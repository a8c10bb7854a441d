//! The attempts that are made for one load, until it is clear what becomes of it.

use std::pin::pin;

use tokio::time::Instant;

use super::gate::{Pass, Passed};
use super::retry::Retry;
use super::{DeliveryTask, Grace};
use crate::component::{Delivered, DropReason, ExportError, Remedy};
use crate::pdata::Batch;
use crate::pipeline::queue::Request;
use crate::resilience::{Event, Outcome};

/// How a load met its end, or what is to be done with it in pieces.
pub(super) enum Verdict {
    Delivered(Delivered),
    TooLarge,
    Refused,
    GivenUp(DropReason),
    /// The grace is over.
    Cancelled,
}

impl DeliveryTask {
    /// Attempts until there is a verdict. A load is given up only after attempts that
    /// failed, and never because it had to wait for one. `too_large` is what the breaker
    /// hears if the peer finds it so.
    pub(super) async fn bring(
        &self,
        load: &[Request],
        too_large: Outcome,
        grace: &Grace,
    ) -> Verdict {
        let Some(batch) = join(load) else {
            return Verdict::Delivered(Delivered::default());
        };
        let mut due = Instant::now();
        let mut retry = Retry::new(self.settings.retry, due);
        let mut over = pin!(grace.is_over());
        for number in 0.. {
            let attempted = async {
                let Passed { pass, forbidden } = self.gate.pass(due, number, grace).await;
                retry.excuse(forbidden);
                Some(self.attempt(&batch, pass?, too_large).await)
            };
            let result = tokio::select! {
                biased;
                () = &mut over => return Verdict::Cancelled,
                result = attempted => result,
            };
            let error = match result {
                Some(Ok(delivered)) => {
                    self.status.working();
                    return Verdict::Delivered(delivered);
                }
                Some(Err(error)) => error,
                None => return Verdict::GivenUp(DropReason::Shutdown),
            };
            self.status.failing(&error.message);
            match error.remedy {
                Remedy::Retry => {}
                Remedy::Split => return Verdict::TooLarge,
                Remedy::None => return Verdict::Refused,
                Remedy::Unconfirmed => return Verdict::GivenUp(DropReason::Unconfirmed),
            }
            // One attempt each is all that a shutdown leaves time for.
            if grace.has_begun() {
                self.gate.failed_at_last();
                return Verdict::GivenUp(DropReason::Shutdown);
            }
            let now = Instant::now();
            let forbidden = self.gate.forbidden(now);
            let wait = retry.next(now, error.retry_after, forbidden, &mut rand::rng());
            let Some(wait) = wait else { break };
            self.gate.endpoint().publish(&Event::RetryScheduled {
                number: number + 1,
                delay: wait,
                after: error.outcome,
            });
            due = now + wait;
        }
        Verdict::GivenUp(DropReason::RetriesExhausted)
    }

    /// Makes one attempt.
    async fn attempt(
        &self,
        batch: &Batch,
        pass: Pass<'_>,
        too_large: Outcome,
    ) -> Result<Delivered, ExportError> {
        let _under_way = self.status.under_way();
        let limit = self.settings.timeout;
        let mut result = match tokio::time::timeout(limit, self.exporter.export(batch)).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!("no answer within {limit:?}");
                Err(ExportError::new(Remedy::Retry, Outcome::Timeout, message))
            }
        };
        if let Err(error) = &mut result
            && error.remedy == Remedy::Split
        {
            error.outcome = too_large;
        }
        pass.conclude(limit, &result);
        result
    }
}

fn join(load: &[Request]) -> Option<Batch> {
    let (first, rest) = load.split_first()?;
    let mut batch = first.batch.clone();
    for request in rest {
        batch.append(request.batch.clone());
    }
    Some(batch)
}
