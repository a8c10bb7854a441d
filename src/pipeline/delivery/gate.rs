//! The circuit breaker before an exporter's attempts.
//!
//! Every attempt needs a [`Pass`]. While the breaker is open there is none: a consumer keeps
//! its request and sleeps until the time that the breaker names, or until the breaker's state
//! changes. Until the breaker is Healthy, passes are given out one at a time, so that a
//! destination that has just come back is not flooded and gets the requests in order; then
//! `num_consumers` consumers have one each at the same time.
//!
//! When the agent shuts down no request waits any more. Each gets one last attempt, even if
//! its delay or the peer's advice isn't over, and the first of them also through an open
//! breaker: the destination may be back, and what isn't sent now is lost. If that one fails,
//! no other is attempted. Where an operator forced the breaker open there is none at all.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::Grace;
use crate::component::{Delivered, ExportError};
use crate::resilience::{
    ActiveTask, ActiveTasks, Attempt, BreakerState, Completion, Endpoint, Event, Mode, Outcome,
    Permit, RejectReason, RetryResult,
};

/// A breaker that rejects and names a time that has come is asked again after this. That
/// happens where two consumers ask it at once, and without a pause they would spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// Where consumers get their passes.
pub(super) struct Gate {
    endpoint: Arc<Endpoint>,
    enforces: bool,
    tasks: ActiveTasks,
    /// One permit for each consumer. An attempt that must be alone takes them all.
    lanes: Semaphore,
    width: u32,
    /// The last attempt of a shutdown has found the destination gone.
    hopeless: AtomicBool,
}

/// The right to make one attempt. Dropped without [`Pass::conclude`] it counts as
/// cancelled, which changes no statistic of the breaker.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    /// None where the shutdown doesn't ask the breaker.
    permit: Option<Permit<'a>>,
    /// Attempts of the same request before this one.
    number: u32,
    started: Instant,
    _lane: Option<SemaphorePermit<'a>>,
    _task: ActiveTask,
}

/// A pass, and for how long none was given out.
pub(super) struct Passed<'a> {
    /// None when the agent shuts down and no attempt is allowed any more.
    pub(super) pass: Option<Pass<'a>>,
    pub(super) forbidden: Duration,
}

/// Whether attempts are allowed.
enum Closed {
    No,
    /// The peer asked to be left alone until then.
    Until(Instant),
    /// The breaker is open or half open.
    Open,
}

impl Gate {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        mode: Mode,
        tasks: ActiveTasks,
        consumers: usize,
    ) -> Self {
        let width = u32::try_from(consumers).unwrap_or(u32::MAX).max(1);
        Self {
            endpoint,
            enforces: mode == Mode::Enforce,
            tasks,
            lanes: Semaphore::new(width as usize),
            width,
            hopeless: AtomicBool::new(false),
        }
    }

    /// Waits until an attempt may be made, but not before `due`. Cancel safe.
    pub(super) async fn pass(&self, due: Instant, number: u32, grace: &Grace) -> Passed<'_> {
        let mut forbidden = Duration::ZERO;
        loop {
            // Before anything is looked at, so that no change falls in between.
            let changed = self.endpoint.changed();
            let now = Instant::now();
            let (until, may_not) = if now < due {
                match self.closed(now) {
                    Closed::No => (Some(due), false),
                    Closed::Until(end) => (Some(due.min(end)), true),
                    Closed::Open => (Some(due), true),
                }
            } else {
                match self.enter(number).await {
                    Ok(pass) => {
                        let pass = Some(pass);
                        return Passed { pass, forbidden };
                    }
                    Err(until) => (until, true),
                }
            };
            tokio::select! {
                biased;
                () = grace.begins() => {
                    let pass = self.last_pass(number).await;
                    return Passed { pass, forbidden };
                }
                () = changed => {}
                () = at(until) => {}
            }
            if may_not {
                forbidden += now.elapsed();
            }
        }
    }

    /// For how long from `now` on no attempt will be allowed, as far as is known. An open
    /// breaker has no time of its own: what waits for its canary isn't at fault, either.
    pub(super) fn forbidden(&self, now: Instant) -> Duration {
        match self.closed(now) {
            Closed::No => Duration::ZERO,
            Closed::Until(end) => end.saturating_duration_since(now),
            Closed::Open => Duration::MAX,
        }
    }

    /// The agent is shutting down, and an attempt failed: where the breaker is open, it
    /// was the last.
    pub(super) fn failed_at_last(&self) {
        let open = !self.endpoint.breaker().state().is_closed();
        self.hopeless.store(open, Ordering::Relaxed);
    }

    /// Whether attempts are made as usual, and not to find out whether the destination is
    /// back.
    pub(super) fn is_open(&self) -> bool {
        !self.enforces || self.endpoint.breaker().state().is_closed()
    }

    /// The destination.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A pass, or the time at which to ask again; `None` where only a change of the breaker's
    /// state can allow an attempt.
    async fn enter(&self, number: u32) -> Result<Pass<'_>, Option<Instant>> {
        let breaker = self.endpoint.breaker();
        loop {
            let healthy = self.is_healthy();
            let lane = self.lane(healthy).await;
            // While this one waited for its lane, another's attempt may have changed the state.
            if self.is_healthy() != healthy {
                continue;
            }
            let now = Instant::now();
            // A passed canary is followed by the next a second later, not at once.
            if !healthy && breaker.state() == BreakerState::HalfOpen {
                let next = breaker.wake_at().filter(|next| *next > now);
                if next.is_some() {
                    return Err(next);
                }
            }
            return match breaker.acquire(now) {
                Ok(permit) => Ok(self.handing_out(Some(permit), number, lane)),
                Err(rejection) => {
                    self.endpoint.publish(&Event::Rejected(rejection));
                    Err(self.wakes(now))
                }
            };
        }
    }

    /// The one attempt that a request gets during the shutdown, if it gets any.
    async fn last_pass(&self, number: u32) -> Option<Pass<'_>> {
        let lane = self.lane(self.is_healthy()).await;
        let permit = self.endpoint.breaker().acquire(Instant::now());
        let barred = match &permit {
            Ok(_) => false,
            // The operator's command holds during the shutdown, too.
            Err(rejection) if rejection.reason == RejectReason::ForcedOpen => true,
            Err(_) => self.hopeless.load(Ordering::Relaxed),
        };
        if barred {
            return None;
        }
        let permit = permit.ok();
        Some(self.handing_out(permit, number, lane))
    }

    async fn lane(&self, healthy: bool) -> Option<SemaphorePermit<'_>> {
        let lanes = if healthy { 1 } else { self.width };
        // The semaphore is never closed, so this is never `None`.
        self.lanes.acquire_many(lanes).await.ok()
    }

    fn handing_out<'a>(
        &'a self,
        permit: Option<Permit<'a>>,
        number: u32,
        lane: Option<SemaphorePermit<'a>>,
    ) -> Pass<'a> {
        Pass {
            gate: self,
            permit,
            number,
            started: Instant::now(),
            _lane: lane,
            _task: self.tasks.enter(),
        }
    }

    fn is_healthy(&self) -> bool {
        !self.enforces || self.endpoint.breaker().state() == BreakerState::Healthy
    }

    fn closed(&self, now: Instant) -> Closed {
        let breaker = self.endpoint.breaker();
        if !self.enforces {
            return Closed::No;
        }
        if !breaker.state().is_closed() {
            return Closed::Open;
        }
        match breaker.wake_at() {
            Some(end) if end > now => Closed::Until(end),
            _ => Closed::No,
        }
    }

    /// When to ask again after a rejection; `None` is when the state has changed.
    fn wakes(&self, now: Instant) -> Option<Instant> {
        let breaker = self.endpoint.breaker();
        let wakes = breaker.wake_at();
        // Forced open, which no time ends.
        if wakes.is_none() && breaker.state() == BreakerState::CoolingDown {
            return None;
        }
        wakes.max(Some(now + SHORTEST_WAIT))
    }
}

impl Pass<'_> {
    /// Whether the breaker tries the destination with it.
    pub(super) fn is_canary(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_canary)
    }

    /// Tells the breaker, and all who watch the endpoint, how the attempt ended. `limit`
    /// is how long it could have taken.
    pub(super) fn conclude(self, limit: Duration, result: &Result<Delivered, ExportError>) {
        let (outcome, advice) = match result {
            Ok(_) => (Outcome::Success, None),
            Err(error) => (error.outcome, error.retry_after),
        };
        let endpoint = &self.gate.endpoint;
        if self.number > 0 {
            endpoint.count_retry(match result {
                Ok(_) => RetryResult::Succeeded,
                Err(_) => RetryResult::Failed,
            });
        }
        let Some(permit) = self.permit else {
            return;
        };
        let attempt = Attempt {
            number: self.number,
            hedge: false,
            canary: permit.is_canary(),
            generation: permit.generation(),
            state: permit.state(),
        };
        let latency = match outcome {
            Outcome::Timeout => limit,
            _ => self.started.elapsed(),
        };
        let completion = Completion::new(outcome, latency).advised(advice);
        endpoint.conclude(permit, attempt, self.started, completion);
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
