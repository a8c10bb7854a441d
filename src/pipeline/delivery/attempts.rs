//! The attempts that are made for one load, until it is clear what becomes of it.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::aside::Case;
use super::gate::{Pass, Passed};
use super::suspects::Judgement;
use super::{DeliveryTask, Grace};
use crate::component::{Delivered, DropReason, ExportError, Remedy};
use crate::pdata::Batch;
use crate::pipeline::queue::QueuedRequest;
use crate::resilience::{Event, Outcome};

/// How a load met its end, or what is to be done with it in pieces.
pub(super) enum LoadVerdict {
    Delivered(Delivered),
    /// The peer found it too large.
    TooLarge {
        /// How long it took to say so.
        took: Duration,
        /// How long it wants to be left alone.
        advice: Option<Duration>,
    },
    Refused,
    GivenUp(DropReason),
    /// The load steps aside, and other requests go before it.
    Aside,
    /// The grace is over.
    Cancelled,
}

/// The outcome of an attempt that took so long and was refused for its size.
type TooLarge<'a> = &'a (dyn Fn(Duration) -> Outcome + Sync);

/// For how long a request that has stepped aside isn't tried again after it made way for
/// another: otherwise it would be back at the gate before the other one is through.
const GIVING_WAY: Duration = Duration::from_millis(10);

impl DeliveryTask {
    /// Makes attempts until there is a verdict. Until the shutdown a load is given up only after
    /// attempts that failed, and not because it had to wait for one. `too_large` gives the outcome
    /// that the breaker hears if the peer takes so long to find the load too large.
    pub(super) async fn bring(
        &self,
        load: &[QueuedRequest],
        case: &mut Case,
        too_large: TooLarge<'_>,
        grace: &Grace,
    ) -> LoadVerdict {
        let Some(batch) = join(load) else {
            return LoadVerdict::Delivered(Delivered::default());
        };
        let mut due = case.due.max(Instant::now());
        let mut over = pin!(grace.is_over());
        for number in case.attempts.. {
            let passed = tokio::select! {
                biased;
                () = &mut over => return LoadVerdict::Cancelled,
                passed = self.gate.pass(due, number, grace) => passed,
                // A suspect that must wait for the gate lets the requests in the queue go first.
                () = self.queue.filled(), if case.is_suspect => {
                    case.due = Instant::now() + GIVING_WAY;
                    return LoadVerdict::Aside;
                }
            };
            let Passed { pass, forbidden } = passed;
            case.retry.excuse(forbidden);
            let Some(pass) = pass else {
                return LoadVerdict::GivenUp(DropReason::Shutdown);
            };
            let canary = pass.is_canary();
            let begun = Instant::now();
            let (result, took) = tokio::select! {
                biased;
                () = &mut over => return LoadVerdict::Cancelled,
                attempt = self.attempt(&batch, pass, begun, too_large) => attempt,
            };
            case.attempts = number + 1;
            // A canary's time doesn't count towards `max_elapsed_time`: the breaker asked for it.
            if canary {
                case.retry.excuse(took);
            }
            let error = match result {
                Ok(delivered) => {
                    self.status.working();
                    return LoadVerdict::Delivered(delivered);
                }
                Err(error) => error,
            };
            self.status.failing(&error.message);
            match error.remedy {
                Remedy::Retry => {}
                Remedy::Split => {
                    let advice = error.retry_after;
                    return LoadVerdict::TooLarge { took, advice };
                }
                Remedy::None => return LoadVerdict::Refused,
                Remedy::Unconfirmed => return LoadVerdict::GivenUp(DropReason::Unconfirmed),
            }
            // One attempt each is all that a shutdown leaves time for.
            if grace.has_begun() {
                // A suspect's failure may be its own fault, so the others still get their
                // attempt.
                if !case.is_suspect {
                    self.gate.failed_at_last();
                }
                return LoadVerdict::GivenUp(DropReason::Shutdown);
            }
            let now = Instant::now();
            let judgement = self.judge(case, now, canary, error.outcome);
            if judgement == Judgement::GiveUp {
                return LoadVerdict::GivenUp(DropReason::KeepsFailing);
            }
            let forbidden = self.gate.forbidden(now);
            let rng = &mut rand::rng();
            let wait = match case.is_suspect {
                true => Some(case.retry.pause(error.retry_after, rng)),
                false => case.retry.next(now, error.retry_after, forbidden, rng),
            };
            let Some(wait) = wait else { break };
            self.gate.endpoint().publish(&Event::RetryScheduled {
                number: number + 1,
                delay: wait,
                after: error.outcome,
            });
            due = now + wait;
            if case.is_suspect || judgement == Judgement::StepAside {
                case.due = due;
                return LoadVerdict::Aside;
            }
        }
        LoadVerdict::GivenUp(DropReason::RetriesExhausted)
    }

    fn judge(&self, case: &mut Case, now: Instant, canary: bool, outcome: Outcome) -> Judgement {
        let delivered = self.delivered.load(Ordering::Relaxed);
        let most = self.settings.retry.max_elapsed_time;
        let judgement = case.record.failed(now, delivered, canary, outcome, most);
        if case.is_suspect {
            self.aside.failed(delivered);
        }
        judgement
    }

    /// Makes one attempt, which begins at `begun`, and tells how long it took.
    async fn attempt(
        &self,
        batch: &Batch,
        pass: Pass<'_>,
        begun: Instant,
        too_large: TooLarge<'_>,
    ) -> (Result<Delivered, ExportError>, Duration) {
        let _under_way = self.status.under_way();
        let limit = self.settings.timeout;
        let mut result = match tokio::time::timeout(limit, self.exporter.export(batch)).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!("no answer within {limit:?}");
                Err(ExportError::new(Remedy::Retry, Outcome::Timeout, message))
            }
        };
        let took = begun.elapsed();
        if let Err(error) = &mut result
            && error.remedy == Remedy::Split
        {
            error.outcome = too_large(took);
        }
        pass.conclude(limit, &result);
        (result, took)
    }
}

fn join(load: &[QueuedRequest]) -> Option<Batch> {
    let (first, rest) = load.split_first()?;
    let mut batch = first.batch.clone();
    for request in rest {
        batch.append(request.batch.clone());
    }
    Some(batch)
}
