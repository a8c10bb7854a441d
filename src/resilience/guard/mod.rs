//! Everything that stands between a poller and an endpoint that may be down.
//!
//! [`Guard::poll`] answers from the cache while that is fresh, joins a fetch that is
//! already under way, and otherwise fetches: with a permit of the breaker, a timeout, a
//! deadline for the whole poll, retries as far as the budget goes, and a second request
//! that may overtake a slow first one. [`Served`] tells the poller whether it got a new answer,
//! an old one, or none.
//!
//! The fetch runs in a task of its own. If the poller that started it is dropped, the fetch
//! goes on for the pollers that joined it; the process's shutdown ends it at once.

mod clock;
mod flight;
mod retry;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use clock::TimedFetch;
pub use clock::{AttemptClock, AttemptSpan};

use super::active::ActiveTasks;
use super::breaker::{RejectReason, Rejection};
use super::cache::Cache;
use super::endpoint::{CacheResult, Endpoint};
use super::events::{Attempt, Event};
use super::outcome::Outcome;
use super::retry_after;
use super::settings::Settings;

/// Why a poll happens now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The regular interval. Answered from the cache while that is fresh, and rejected in
    /// HalfOpen, where only the schedule of [`Guard::wake_at`] sends canaries.
    Tick,
    /// The time of [`Guard::wake_at`] has come, or the caller needs a new answer now.
    Wake,
}

/// What a poll came to.
#[derive(Debug, Clone)]
pub enum Served<T> {
    /// An answer that the endpoint gave to this fetch. Exactly one poller gets it, and sends it
    /// on.
    New(T),
    /// An answer that another poll got already and that is still fresh.
    Fresh {
        /// The answer.
        value: T,
        /// Its age.
        age: Duration,
    },
    /// The last good answer, since this poll failed. The poller sends nothing on: the points of
    /// the answer were delivered when it was new, and their series still show them.
    Stale {
        /// The answer.
        value: T,
        /// Its age.
        age: Duration,
        /// What happened.
        failure: Failure,
    },
    /// The poll failed, and there is no answer to stand in for it.
    Failed(Failure),
}

impl<T> Served<T> {
    /// What went wrong, if anything did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::New(_) | Self::Fresh { .. } => None,
            Self::Stale { failure, .. } | Self::Failed(failure) => Some(failure),
        }
    }
}

/// Why a poll has no answer of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The last attempt failed.
    #[error(transparent)]
    Attempt(#[from] FetchError),
    /// No attempt was made.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The agent is ending.
    #[error("cancelled, because the agent is ending")]
    Shutdown,
    /// The fetch panicked.
    #[error("the fetch panicked")]
    Panicked,
}

/// Why one attempt failed, as the fetch tells its guard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// What it came to. A fetch needn't report its own timeout: the guard ends it.
    pub outcome: Outcome,
    /// The status that it answered with, if that is what failed.
    pub status: Option<u16>,
    /// The endpoint's advice.
    pub retry_after: Option<Duration>,
    /// What to tell the user: no credentials, no bodies.
    pub message: String,
}

impl FetchError {
    /// An outcome without advice.
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            status: None,
            retry_after: None,
            message: message.into(),
        }
    }

    /// An answer of HTTP that isn't a success, with its headers `Retry-After` and `Date`.
    pub fn http_status(status: u16, retry_after: Option<&str>, date: Option<&str>) -> Self {
        Self {
            outcome: Outcome::of_http_status(status),
            status: Some(status),
            retry_after: retry_after
                .and_then(|value| retry_after::parse(value, date, SystemTime::now())),
            message: format!("answered with status {status}"),
        }
    }
}

/// The guard around one endpoint that is polled. Cheap to clone; clones are the same guard.
pub struct Guard<T> {
    shared: Arc<SharedGuard<T>>,
}

struct SharedGuard<T> {
    endpoint: Arc<Endpoint>,
    settings: Settings,
    slot: Mutex<FetchSlot<T>>,
    stop: CancellationToken,
    tasks: ActiveTasks,
}

/// The cache and the fetch that may be under way, under one lock, so that a poller finds
/// either the fetch or its answer.
struct FetchSlot<T> {
    cache: Cache<T>,
    flight: Option<watch::Receiver<Option<Served<T>>>>,
}

impl<T: Clone + Send + Sync + 'static> Guard<T> {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        settings: Settings,
        stop: CancellationToken,
        tasks: ActiveTasks,
    ) -> Self {
        let slot = FetchSlot {
            cache: Cache::new(),
            flight: None,
        };
        Self {
            shared: Arc::new(SharedGuard {
                endpoint,
                settings,
                slot: Mutex::new(slot),
                stop,
                tasks,
            }),
        }
    }

    /// Asks the endpoint through `fetch`, if that is needed and allowed.
    ///
    /// `fetch` makes one attempt each time it is called and is dropped when the attempt's
    /// timeout, the deadline or the shutdown cuts it short. With hedging, two may run at
    /// once: `fetch` must be idempotent for that, such as a GET.
    ///
    /// Cancel safe: the fetch goes on in its own task, and its answer is in the cache.
    /// The poller that started it was the one to send that answer on, so a poller that
    /// cancels loses one point, never a state.
    pub async fn poll<F, R>(&self, trigger: Trigger, fetch: F) -> Served<T>
    where
        F: Fn(Attempt) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, FetchError>> + Send + 'static,
    {
        let fetch = move |attempt, _| fetch(attempt);
        self.poll_by_clock(trigger, AttemptSpan::Request, fetch)
            .await
    }

    /// The same for attempts that are more than a request: `span` says what bounds one, and the
    /// clock lets it say when its answer was complete.
    ///
    /// Cancel safe in the same way.
    pub async fn poll_by_clock<F, R>(
        &self,
        trigger: Trigger,
        span: AttemptSpan,
        fetch: F,
    ) -> Served<T>
    where
        F: Fn(Attempt, AttemptClock) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, FetchError>> + Send + 'static,
    {
        let now = Instant::now();
        let shared = &self.shared;
        let (mut answer, leads) = {
            let mut slot = shared.slot();
            let fresh = match trigger {
                Trigger::Tick => slot.cache.fresh(now, &shared.settings.cache),
                Trigger::Wake => None,
            };
            if let Some((value, age)) = fresh {
                shared.endpoint.count_cache(CacheResult::Fresh);
                return Served::Fresh { value, age };
            }
            match &slot.flight {
                Some(flight) => {
                    shared.endpoint.count_cache(CacheResult::Joined);
                    (flight.clone(), false)
                }
                None => {
                    shared.endpoint.count_cache(CacheResult::Miss);
                    let (send, flight) = watch::channel(None);
                    slot.flight = Some(flight.clone());
                    let fetch = TimedFetch { span, fetch };
                    let flight_task = flight::run(Arc::clone(shared), trigger, fetch, send);
                    tokio::spawn(flight_task);
                    (flight, true)
                }
            }
        };
        let served = match answer.wait_for(Option::is_some).await {
            Ok(served) => served.clone(),
            Err(_) => None,
        };
        match served {
            // The poller that started the fetch delivers its points; the others must not
            // deliver them again.
            Some(Served::New(value)) if !leads => Served::Fresh {
                value,
                age: Duration::ZERO,
            },
            Some(served) => served,
            None => shared.fail(Instant::now(), Failure::Panicked),
        }
    }

    /// When to poll with [`Trigger::Wake`] beyond the regular ticks, and when to call
    /// [`Guard::expire`]: at the end of a cooldown, for the next canary, when the
    /// endpoint's advice runs out, at once after recovery, and for a tombstone. May lie
    /// in the past.
    pub fn wake_at(&self) -> Option<Instant> {
        let due = [self.attempt_at(), self.expires_at()];
        due.into_iter().flatten().min()
    }

    /// The part of [`Guard::wake_at`] at which the endpoint is to be asked beyond the ticks.
    pub fn attempt_at(&self) -> Option<Instant> {
        self.shared.endpoint.breaker().wake_at()
    }

    /// The part of [`Guard::wake_at`] at which series end, with nothing to ask for.
    pub fn expires_at(&self) -> Option<Instant> {
        let shared = &self.shared;
        shared.slot().cache.tombstone_at(&shared.settings.cache)
    }

    /// Takes out an answer that is past its longest staleness: its series end now, with
    /// one tombstone each. `None` while there is none, so that it can be called after
    /// every poll and wake.
    pub fn expire(&self, now: Instant) -> Option<T> {
        let shared = &self.shared;
        let mut slot = shared.slot();
        let expired = slot.cache.expire(now, &shared.settings.cache);
        *shared.endpoint.cache_status() = slot.cache.status();
        expired
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.shared.endpoint
    }

    /// What the guard goes by.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }
}

impl<T> Clone for Guard<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("endpoint", &self.shared.endpoint)
            .finish_non_exhaustive()
    }
}

impl<T: Clone> SharedGuard<T> {
    fn slot(&self) -> MutexGuard<'_, FetchSlot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result of a poll that failed: a stale answer, or none.
    fn fail(&self, now: Instant, failure: Failure) -> Served<T> {
        let mut slot = self.slot();
        let served = self.stand_in(&mut slot, now, failure);
        drop(slot);
        self.tell(&served);
        served
    }

    fn stand_in(&self, slot: &mut FetchSlot<T>, now: Instant, failure: Failure) -> Served<T> {
        let stale = slot.cache.fail(now, &self.settings.cache);
        *self.endpoint.cache_status() = slot.cache.status();
        match stale {
            Some((value, age)) => Served::Stale {
                value,
                age,
                failure,
            },
            None => Served::Failed(failure),
        }
    }

    /// Counts and publishes what a failed poll served.
    fn tell(&self, served: &Served<T>) {
        if let Some(Failure::Rejected(rejection)) = served.failure() {
            self.endpoint.publish(&Event::Rejected(*rejection));
        }
        if let Served::Stale { age, .. } = served {
            self.endpoint.count_cache(CacheResult::Stale);
            self.endpoint.publish(&Event::StaleServed { age: *age });
        }
    }

    fn rejected(&self, reason: RejectReason) -> Failure {
        self.endpoint.breaker().count_rejection(reason);
        Failure::Rejected(Rejection {
            reason,
            retry_in: None,
        })
    }
}
