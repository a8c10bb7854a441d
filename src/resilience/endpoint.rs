//! One endpoint: its name, its breaker, its retry budget, and what is counted about it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::breaker::{self, Breaker, Completion, Permit, Transition};
use super::budget::{BudgetSettings, RetryBudget};
use super::cache::CacheStatus;
use super::durations::{DurationCounts, DurationHistogram};
use super::events::{Attempt, Event, Observer};
use super::id::EndpointId;
use super::isolation::Network;
use super::outcome::Outcome;
use super::settings::BreakerSettings;
use super::siblings::{Sibling, Siblings};

/// How a retry went, or why it wasn't made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryResult {
    /// It succeeded.
    Succeeded,
    /// It failed as well.
    Failed,
    /// The budget had no token for it.
    NoBudget,
    /// It wouldn't have had its full timeout before the deadline.
    NoTime,
    /// The breaker's state forbade it.
    Rejected,
}

impl RetryResult {
    /// Every result, in the order in which metrics list them.
    pub const ALL: [RetryResult; 5] = [
        Self::Succeeded,
        Self::Failed,
        Self::NoBudget,
        Self::NoTime,
        Self::Rejected,
    ];

    /// The value of the `result` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "success",
            Self::Failed => "failure",
            Self::NoBudget => "no_budget",
            Self::NoTime => "no_time",
            Self::Rejected => "rejected",
        }
    }
}

/// What a poll found in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// A fresh answer.
    Fresh,
    /// Nothing fresh: the endpoint was asked.
    Miss,
    /// Another poll that was already asking.
    Joined,
    /// A stale answer, after asking failed.
    Stale,
}

impl CacheResult {
    /// Every result, in the order in which metrics list them.
    pub const ALL: [CacheResult; 4] = [Self::Fresh, Self::Miss, Self::Joined, Self::Stale];

    /// The value of the `result` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Miss => "miss",
            Self::Joined => "joined",
            Self::Stale => "stale",
        }
    }
}

/// One endpoint, as its guard uses it and its metrics show it.
pub struct Endpoint {
    id: EndpointId,
    peer: Box<str>,
    breaker: Breaker,
    retrying: Mutex<Retrying>,
    polled: bool,
    cache: Mutex<Option<CacheStatus>>,
    retries: [AtomicU64; RetryResult::ALL.len()],
    cached: [AtomicU64; CacheResult::ALL.len()],
    durations: DurationCounts,
    ties: Ties,
    changed: Arc<Notify>,
}

/// The objects that an endpoint shares with others.
pub(super) struct Ties {
    pub(super) network: Arc<Network>,
    pub(super) siblings: Arc<Siblings>,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

/// The budget of the retries, and the random source of their delays.
pub(super) struct Retrying {
    pub(super) budget: RetryBudget,
    pub(super) rng: SmallRng,
}

impl Endpoint {
    pub(super) fn new(
        id: EndpointId,
        settings: BreakerSettings,
        budget: Option<BudgetSettings>,
        seed: u64,
        ties: Ties,
        now: Instant,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        let herald = Herald {
            changed: Arc::clone(&changed),
            observer: ties
                .observer
                .as_ref()
                .map(|observer| (id.clone(), Arc::clone(observer))),
        };
        let breaker = Breaker::new(settings, seed, now)
            .on_network(Arc::clone(&ties.network))
            .observed_by(Arc::new(herald));
        Self {
            peer: id.peer().into(),
            id,
            breaker,
            retrying: Mutex::new(Retrying {
                budget: RetryBudget::new(budget.unwrap_or(BudgetSettings {
                    capacity: 0,
                    per_success: 0.0,
                })),
                rng: SmallRng::seed_from_u64(seed),
            }),
            polled: budget.is_some(),
            cache: Mutex::new(None),
            retries: Default::default(),
            cached: Default::default(),
            durations: DurationCounts::default(),
            ties,
            changed,
        }
    }

    /// Its name.
    pub fn id(&self) -> &EndpointId {
        &self.id
    }

    /// Its breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Tells the network, the breaker and the observer how an attempt ended that began at
    /// `started` with `permit`. For callers that use the breaker without a guard: an outcome
    /// recorded on the permit alone wouldn't reach the network.
    pub fn conclude(
        &self,
        permit: Permit<'_>,
        attempt: Attempt,
        started: Instant,
        completion: Completion,
    ) {
        let now = Instant::now();
        let outcome = completion.outcome;
        let took = now.saturating_duration_since(started);
        match outcome {
            // It says when its caller gave up, and not how long the endpoint takes.
            Outcome::Cancelled => {}
            // Here the latency is the limit, also if a 408 came before it.
            Outcome::Timeout => self.durations.record(took),
            _ => self.durations.record(completion.latency),
        }
        self.ties.network.record(now, &self.peer, outcome);
        if permit.record(now, completion) {
            self.ties.siblings.hasten(self, now);
        }
        self.publish(&Event::Attempted {
            attempt,
            outcome,
            started,
            took,
        });
    }

    /// Resolves at the next transition of the breaker, and when its cooldown is ended early,
    /// from the moment of this call on. For those who wait for an attempt to be admitted:
    /// [`Breaker::wake_at`] says when that is unless somebody forces the breaker, records on
    /// it, or finds a sibling answering meanwhile. Cancel safe.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// The network that it shares with the others. A caller that records outcomes on
    /// [`Endpoint::breaker`] itself must record them here as well.
    pub fn network(&self) -> &Network {
        &self.ties.network
    }

    /// Whether a guard polls it: only then it has a retry budget and a cache.
    pub fn is_polled(&self) -> bool {
        self.polled
    }

    /// Retry tokens left.
    pub fn budget_tokens(&self) -> f64 {
        self.retrying().budget.tokens()
    }

    /// The age of the answer in its cache; `None` while the cache is empty.
    pub fn cache(&self) -> Option<CacheStatus> {
        *self.cache_status()
    }

    /// Retries by [`RetryResult::ALL`].
    pub fn retries(&self) -> [u64; RetryResult::ALL.len()] {
        self.retries
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// Polls by [`CacheResult::ALL`].
    pub fn cache_requests(&self) -> [u64; CacheResult::ALL.len()] {
        self.cached
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// How long its attempts took, each retry on its own and without those that were cancelled.
    pub fn durations(&self) -> DurationHistogram {
        self.durations.histogram()
    }

    pub(super) fn retrying(&self) -> MutexGuard<'_, Retrying> {
        self.retrying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cache_status(&self) -> MutexGuard<'_, Option<CacheStatus>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a retry that was made, or the reason for which it wasn't.
    pub fn count_retry(&self, result: RetryResult) {
        if let Some(count) = self.retries.get(result as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_cache(&self, result: CacheResult) {
        if let Some(count) = self.cached.get(result as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells the observer of something that happened here.
    pub fn publish(&self, event: &Event<'_>) {
        if let Some(observer) = &self.ties.observer {
            observer.on_event(&self.id, event);
        }
    }
}

impl Sibling for Endpoint {
    fn hasten(&self, now: Instant) {
        if self.breaker.hasten(now) {
            self.changed.notify_waiters();
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

/// Tells the endpoint's observer of a breaker's transitions, and wakes the tasks that wait
/// for one in [`Endpoint::changed`].
struct Herald {
    changed: Arc<Notify>,
    observer: Option<(EndpointId, Arc<dyn Observer>)>,
}

impl breaker::BreakerObserver for Herald {
    fn on_transition(&self, transition: &Transition) {
        self.changed.notify_waiters();
        if let Some((id, observer)) = &self.observer {
            observer.on_event(id, &Event::Transition(transition));
        }
    }
}
