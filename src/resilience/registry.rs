//! All endpoints of a process.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::active::ActiveTasks;
use super::breaker::Force;
use super::budget::BudgetSettings;
use super::endpoint::{Endpoint, Ties};
use super::events::Observer;
use super::guard::Guard;
use super::id::EndpointId;
use super::isolation::Network;
use super::settings::{BreakerSettings, Settings};
use super::siblings::{Sibling, Siblings};

/// `service.max_endpoints` when nothing is written.
pub const DEFAULT_MAX_ENDPOINTS: usize = 10_000;

/// Why an endpoint can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// As many as allowed are there already.
    #[error("{id}: there are {max} endpoints already, the most that service.max_endpoints allows")]
    Full {
        /// Which one.
        id: EndpointId,
        /// The bound.
        max: usize,
    },
    /// It is there already: two guards would each know half of what happens.
    #[error("{id}: this endpoint is guarded already")]
    Duplicate {
        /// Which one.
        id: EndpointId,
    },
}

/// Every endpoint of a process, with what they share: the network, the shutdown, the
/// observer, and the bound on their number.
pub struct Endpoints {
    max: usize,
    seeds: Mutex<SmallRng>,
    registered: Mutex<Registered>,
    registration_failures: AtomicU64,
    tasks: ActiveTasks,
    pollers: ActiveTasks,
    network: Arc<Network>,
    observer: Option<Arc<dyn Observer>>,
    stop: CancellationToken,
}

/// The endpoints, and those among them that share scheme, host and port.
#[derive(Default)]
struct Registered {
    endpoints: HashMap<EndpointId, Arc<Endpoint>>,
    siblings: HashMap<String, Arc<Siblings>>,
}

impl Endpoints {
    /// None yet, and at most `max`. Cancelling `stop` ends every fetch at once and rejects
    /// new ones.
    pub fn new(max: usize, stop: CancellationToken) -> Self {
        Self {
            max,
            seeds: Mutex::new(SmallRng::from_rng(&mut rand::rng())),
            registered: Mutex::default(),
            registration_failures: AtomicU64::new(0),
            tasks: ActiveTasks::default(),
            pollers: ActiveTasks::default(),
            network: Arc::default(),
            observer: None,
            stop,
        }
    }

    /// The same registry, whose endpoints tell `observer` every event.
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The same, drawing cooldowns and delays from `seed`: the same calls at the same times
    /// then have the same effects, for tests and simulations.
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seeds = Mutex::new(SmallRng::seed_from_u64(seed));
        self
    }

    /// Registers an endpoint and puts a guard around it, for something that is polled.
    ///
    /// # Errors
    ///
    /// When there are too many, or this one is there already. Both are counted.
    pub fn guard<T>(
        &self,
        id: EndpointId,
        settings: Settings,
    ) -> Result<Guard<T>, RegistrationError>
    where
        T: Clone + Send + Sync + 'static,
    {
        let endpoint = self.insert(id, settings.breaker.clone(), Some(settings.retry.budget))?;
        Ok(Guard::new(
            endpoint,
            settings,
            self.stop.clone(),
            self.tasks.clone(),
        ))
    }

    /// Registers an endpoint with a breaker and no guard, for a destination: the caller queues
    /// and retries.
    ///
    /// # Errors
    ///
    /// As [`Endpoints::guard`].
    pub fn breaker(
        &self,
        id: EndpointId,
        settings: BreakerSettings,
    ) -> Result<Arc<Endpoint>, RegistrationError> {
        self.insert(id, settings, None)
    }

    /// Whether an endpoint of that name could be registered now. Unlike an attempt to do so, the
    /// question is counted nowhere.
    pub fn has_room_for(&self, id: &EndpointId) -> bool {
        let registered = self.lock();
        registered.endpoints.len() < self.max && !registered.endpoints.contains_key(id)
    }

    /// Takes an endpoint, and with it its series, off the page. A caller that still holds it may
    /// go on using it.
    pub fn remove(&self, id: &EndpointId) -> Option<Arc<Endpoint>> {
        let mut registered = self.lock();
        let removed = registered.endpoints.remove(id)?;
        let origin = id.origin();
        if let Some(siblings) = registered.siblings.get(&origin)
            && siblings.leave(&*removed)
        {
            registered.siblings.remove(&origin);
        }
        Some(removed)
    }

    /// The endpoint of that name.
    pub fn find(&self, id: &EndpointId) -> Option<Arc<Endpoint>> {
        self.lock().endpoints.get(id).cloned()
    }

    /// Every endpoint, by name.
    pub fn all(&self) -> Vec<Arc<Endpoint>> {
        let mut all: Vec<_> = self.lock().endpoints.values().cloned().collect();
        all.sort_unstable_by(|left, right| left.id().cmp(right.id()));
        all
    }

    /// Does to one breaker what an operator decided. Whether there is one of that name.
    pub fn force(&self, id: &EndpointId, force: Force, now: Instant) -> bool {
        match self.find(id) {
            Some(endpoint) => {
                endpoint.breaker().force(force, now);
                true
            }
            None => false,
        }
    }

    /// Endpoints that couldn't be registered, ever.
    pub fn registration_failures(&self) -> u64 {
        self.registration_failures.load(Ordering::Relaxed)
    }

    /// Fetches in flight, and whatever else was counted through [`Endpoints::tasks`].
    pub fn active_tasks(&self) -> u64 {
        self.tasks.count()
    }

    /// The counter of what is in flight, for pushes.
    pub fn tasks(&self) -> &ActiveTasks {
        &self.tasks
    }

    /// The counter of pollers: each task that polls an endpoint is counted here while it runs.
    pub fn pollers(&self) -> &ActiveTasks {
        &self.pollers
    }

    /// How many are registered.
    pub fn count(&self) -> usize {
        self.lock().endpoints.len()
    }

    /// The bound on their number.
    pub fn max(&self) -> usize {
        self.max
    }

    /// What is known about our own network.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    fn insert(
        &self,
        id: EndpointId,
        settings: BreakerSettings,
        budget: Option<BudgetSettings>,
    ) -> Result<Arc<Endpoint>, RegistrationError> {
        let mut registered = self.lock();
        let problem = if registered.endpoints.contains_key(&id) {
            Some(RegistrationError::Duplicate { id: id.clone() })
        } else if registered.endpoints.len() >= self.max {
            Some(RegistrationError::Full {
                id: id.clone(),
                max: self.max,
            })
        } else {
            None
        };
        if let Some(problem) = problem {
            self.registration_failures.fetch_add(1, Ordering::Relaxed);
            return Err(problem);
        }
        let seed = self
            .seeds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next_u64();
        let siblings = Arc::clone(registered.siblings.entry(id.origin()).or_default());
        let ties = Ties {
            network: Arc::clone(&self.network),
            siblings: Arc::clone(&siblings),
            observer: self.observer.clone(),
        };
        let now = Instant::now();
        let endpoint = Arc::new(Endpoint::new(id.clone(), settings, budget, seed, ties, now));
        siblings.join(Arc::downgrade(&endpoint) as Weak<dyn Sibling>);
        registered.endpoints.insert(id, Arc::clone(&endpoint));
        Ok(endpoint)
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints")
            .field("count", &self.count())
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}
