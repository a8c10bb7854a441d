//! One fetch, from its first attempt to what is served.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::clock::{AttemptClock, AttemptLimits, AttemptSpan, TimedFetch};
use super::retry::{self, Failed};
use super::{Failure, FetchError, Served, SharedGuard, Trigger};
use crate::resilience::breaker::{BreakerState, Completion, Permit, RejectReason};
use crate::resilience::endpoint::{RetryResult, Retrying};
use crate::resilience::events::{Attempt, Event};
use crate::resilience::hedging;
use crate::resilience::outcome::Outcome;

/// Runs one fetch and hands its result to every poller that waits for it.
pub(super) async fn run<T, F, R>(
    shared: Arc<SharedGuard<T>>,
    trigger: Trigger,
    fetch: TimedFetch<F>,
    send: watch::Sender<Option<Served<T>>>,
) where
    T: Clone,
    F: Fn(Attempt, AttemptClock) -> R,
    R: Future<Output = Result<T, FetchError>>,
{
    let _task = shared.tasks.enter();
    // An answer tells of a moment that isn't earlier than this. Counted from its end, a slow one
    // would still be fresh at the next tick.
    let asked = Instant::now();
    // Also when `fetch` panics: the pollers that wait see the channel close, and later ones
    // start a new flight instead of joining one that never ends.
    let landing = Landing { shared: &*shared };
    let result = tokio::select! {
        biased;
        () = shared.stop.cancelled() => Err(shared.shut_down()),
        result = shared.fetch(trigger, &fetch) => result,
    };
    let now = Instant::now();
    let mut slot = shared.slot();
    let served = match result {
        Ok(value) => {
            slot.cache.store(asked, value.clone());
            *shared.endpoint.cache_status() = slot.cache.status();
            Served::New(value)
        }
        Err(failure) => shared.stand_in(&mut slot, now, failure),
    };
    slot.flight = None;
    drop(slot);
    std::mem::forget(landing);
    shared.tell(&served);
    // Fails where every poller was cancelled, so that none waits.
    let _ = send.send(Some(served));
}

/// Why an attempt was cut.
enum AttemptCut {
    /// No complete answer came within the timeout of the request.
    Timeout,
    /// The poll was over.
    Deadline,
    /// The poll was over when the answer had come and this machine wasn't done with it.
    Unread,
}

impl AttemptCut {
    fn error(self, timeout: Duration) -> FetchError {
        match self {
            Self::Timeout => {
                FetchError::new(Outcome::Timeout, format!("no answer within {timeout:?}"))
            }
            // Not the endpoint's fault: it had less than its timeout.
            Self::Deadline => {
                FetchError::new(Outcome::Cancelled, "cut short by the deadline of the poll")
            }
            Self::Unread => FetchError::new(
                Outcome::Local,
                "the answer came, and this machine had no time to read it before the deadline of \
                 the poll",
            ),
        }
    }
}

/// Awaits an attempt within its limits.
async fn by_clock<R: Future>(
    attempt: R,
    clock: &AttemptClock,
    limits: AttemptLimits,
    deadline: Instant,
) -> Result<R::Output, AttemptCut> {
    tokio::pin!(attempt);
    if let Ok(result) = timeout_at(limits.cut, &mut attempt).await {
        return Ok(result);
    }
    if clock.received().is_some() {
        return timeout_at(deadline, attempt)
            .await
            .map_err(|_| AttemptCut::Unread);
    }
    Err(match limits.is_timeout {
        true => AttemptCut::Timeout,
        false => AttemptCut::Deadline,
    })
}

/// Clears the flight when its task panics.
struct Landing<'a, T: Clone> {
    shared: &'a SharedGuard<T>,
}

impl<T: Clone> Drop for Landing<'_, T> {
    fn drop(&mut self) {
        self.shared.slot().flight = None;
    }
}

impl<T: Clone> SharedGuard<T> {
    async fn fetch<F, R>(&self, trigger: Trigger, fetch: &TimedFetch<F>) -> Result<T, Failure>
    where
        F: Fn(Attempt, AttemptClock) -> R,
        R: Future<Output = Result<T, FetchError>>,
    {
        let breaker = self.endpoint.breaker();
        if trigger == Trigger::Tick
            && breaker.state() == BreakerState::HalfOpen
            && breaker.enforces()
        {
            return Err(self.rejected(RejectReason::HalfOpen));
        }
        let deadline = Instant::now() + self.settings.retry.deadline;
        let mut retries = 0;
        loop {
            let permit = match breaker.acquire(Instant::now()) {
                Ok(permit) => permit,
                Err(rejection) => {
                    if retries > 0 {
                        self.endpoint.count_retry(RetryResult::Rejected);
                    }
                    return Err(rejection.into());
                }
            };
            let canary = permit.is_canary();
            let result = self.attempt(permit, retries, deadline, fetch).await;
            if retries > 0 {
                self.endpoint.count_retry(match &result {
                    Ok(_) => RetryResult::Succeeded,
                    Err(_) => RetryResult::Failed,
                });
            }
            let error = match result {
                Ok(value) => {
                    if retries == 0 {
                        self.endpoint.retrying().budget.earn();
                    }
                    return Ok(value);
                }
                Err(error) => error,
            };
            match self.plan_retry(&error, canary, retries, deadline) {
                Some(delay) => sleep(delay).await,
                None => return Err(error.into()),
            }
            retries += 1;
        }
    }

    fn plan_retry(
        &self,
        error: &FetchError,
        canary: bool,
        retries: u32,
        deadline: Instant,
    ) -> Option<Duration> {
        let now = Instant::now();
        let breaker = self.endpoint.breaker();
        let failed = Failed {
            outcome: error.outcome,
            canary,
            retries,
            state: breaker.state(),
            // The breaker stretched the advice, and remembers what came before.
            not_before: breaker
                .not_before()
                .max(error.retry_after.map(|advice| now + advice)),
            deadline,
            timeout: self.settings.timeout,
        };
        let planned = {
            let mut retrying = self.endpoint.retrying();
            let Retrying { budget, rng } = &mut *retrying;
            retry::plan(&self.settings.retry, now, failed, budget, rng)
        };
        match planned {
            Ok(delay) => {
                self.endpoint.publish(&Event::RetryScheduled {
                    number: retries + 1,
                    delay,
                    after: error.outcome,
                });
                Some(delay)
            }
            Err(reason) => {
                if let Some(reason) = reason {
                    self.endpoint.count_retry(reason);
                }
                None
            }
        }
    }

    /// Makes one attempt, and a second one beside it where the first is slow and hedging
    /// is on. The first success wins; the other is dropped, which cancels it.
    async fn attempt<F, R>(
        &self,
        permit: Permit<'_>,
        number: u32,
        deadline: Instant,
        fetch: &TimedFetch<F>,
    ) -> Result<T, FetchError>
    where
        F: Fn(Attempt, AttemptClock) -> R,
        R: Future<Output = Result<T, FetchError>>,
    {
        let now = Instant::now();
        let breaker = self.endpoint.breaker();
        let hedge_at = hedging::delay(&self.settings.hedging, permit.state(), || breaker.p95(now))
            .map(|delay| now + delay);
        let first = self.wire_attempt(permit, number, false, deadline, fetch);
        let Some(hedge_at) = hedge_at else {
            return first.await;
        };
        tokio::pin!(first);
        tokio::select! {
            biased;
            result = &mut first => return result,
            () = sleep_until(hedge_at) => {}
        }
        let second = self.hedge_permit(deadline);
        let second: OptionFuture<_> = second
            .map(|permit| self.wire_attempt(permit, number, true, deadline, fetch))
            .into();
        tokio::pin!(second);
        tokio::select! {
            result = &mut first => match result {
                Ok(value) => Ok(value),
                Err(error) => match second.await {
                    Some(Ok(value)) => Ok(value),
                    _ => Err(error),
                },
            },
            Some(result) = &mut second => match result {
                Ok(value) => Ok(value),
                Err(_) => first.await,
            },
        }
    }

    /// A permit and a token for a second request.
    fn hedge_permit(&self, deadline: Instant) -> Option<Permit<'_>> {
        let now = Instant::now();
        let breaker = self.endpoint.breaker();
        if now >= deadline || breaker.state() != BreakerState::Healthy {
            return None;
        }
        let permit = breaker.acquire(now).ok()?;
        self.endpoint
            .retrying()
            .budget
            .try_spend(false)
            .then_some(permit)
    }

    async fn wire_attempt<F, R>(
        &self,
        permit: Permit<'_>,
        number: u32,
        hedge: bool,
        deadline: Instant,
        fetch: &TimedFetch<F>,
    ) -> Result<T, FetchError>
    where
        F: Fn(Attempt, AttemptClock) -> R,
        R: Future<Output = Result<T, FetchError>>,
    {
        let attempt = Attempt {
            number,
            hedge,
            canary: permit.is_canary(),
            generation: permit.generation(),
            state: permit.state(),
        };
        let started = Instant::now();
        let (timeout, whole) = (self.settings.timeout, self.settings.retry.deadline);
        let limits = AttemptLimits::new(fetch.span, started, timeout, whole, deadline);
        let clock = AttemptClock::new(limits.until);
        let result = by_clock(
            (fetch.fetch)(attempt, clock.clone()),
            &clock,
            limits,
            deadline,
        );
        let result = result.await.unwrap_or_else(|late| Err(late.error(timeout)));
        let (outcome, advice) = match &result {
            Ok(_) => (Outcome::Success, None),
            Err(error) => (error.outcome, error.retry_after),
        };
        let received = clock.received().unwrap_or_else(Instant::now);
        let latency = match outcome {
            Outcome::Timeout if fetch.span == AttemptSpan::Request => timeout,
            _ => received.saturating_duration_since(started),
        };
        let completion = Completion::new(outcome, latency).advised(advice);
        self.endpoint.conclude(permit, attempt, started, completion);
        result
    }

    fn shut_down(&self) -> Failure {
        self.endpoint
            .breaker()
            .count_rejection(RejectReason::Shutdown);
        Failure::Shutdown
    }
}
