//! Whether a failed attempt is followed by another within the same poll, and when.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use crate::resilience::backoff;
use crate::resilience::breaker::BreakerState;
use crate::resilience::budget::RetryBudget;
use crate::resilience::endpoint::RetryResult;
use crate::resilience::outcome::{Outcome, Retry};
use crate::resilience::settings::RetrySettings;

/// What is known when an attempt has failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) outcome: Outcome,
    /// Whether it was a canary.
    pub(super) canary: bool,
    /// Retries that this poll has made already.
    pub(super) retries: u32,
    /// The breaker's state after the attempt.
    pub(super) state: BreakerState,
    /// The endpoint's advice: not before this.
    pub(super) not_before: Option<Instant>,
    /// When the poll must have ended.
    pub(super) deadline: Instant,
    /// How long one attempt may take.
    pub(super) timeout: Duration,
}

/// Decides whether there is another attempt: `Ok` is the delay before it, `Err` the reason
/// for which a retry that was due isn't made, and `Err(None)` says that none was due.
pub(super) fn plan(
    settings: &RetrySettings,
    now: Instant,
    failed: Failed,
    budget: &mut RetryBudget,
    rng: &mut impl Rng,
) -> Result<Duration, Option<RetryResult>> {
    let allowed = match failed.outcome.retry() {
        Retry::Never => false,
        Retry::OnAdvice => failed.not_before.is_some(),
        Retry::Allowed => true,
    };
    if !allowed || failed.retries >= settings.max {
        return Err(None);
    }
    let most = match failed.state {
        _ if failed.canary => 0,
        BreakerState::Healthy => settings.max,
        BreakerState::Degraded => 1,
        BreakerState::CoolingDown | BreakerState::HalfOpen => 0,
    };
    if failed.retries >= most {
        return Err(Some(RetryResult::Rejected));
    }
    let backoff = backoff::retry_delay(settings.base, failed.retries, rng);
    let at = failed
        .not_before
        .map_or(now + backoff, |gate| gate.max(now + backoff));
    if at + failed.timeout > failed.deadline {
        return Err(Some(RetryResult::NoTime));
    }
    if !budget.try_spend(failed.outcome == Outcome::Timeout) {
        return Err(Some(RetryResult::NoBudget));
    }
    Ok(at.saturating_duration_since(now))
}
