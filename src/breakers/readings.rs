//! What all breakers show at one moment, taken once for all instruments.
//!
//! Every instrument has a callback of its own, and each could ask the endpoints itself.
//! Then a page could say that a breaker is open in one line and closed in the next, and
//! every line would cost the lock of its breaker. So the first instrument of a collection
//! takes the readings, the others use them, and the last lets them go.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::KeyValue;
use tokio::time::Instant;

use crate::resilience::{
    BreakerSnapshot, CacheResult, CacheStatus, Endpoint, EndpointId, Endpoints, Mode, RetryResult,
};

/// One endpoint at one moment.
#[derive(Debug)]
pub(super) struct BreakerReading {
    /// `component`, `endpoint` and, of a destination, `signal`.
    pub(super) labels: Vec<KeyValue>,
    pub(super) breaker: BreakerSnapshot,
    /// Whether the breaker rejects, and doesn't only observe.
    pub(super) enforces: bool,
    pub(super) retries: [u64; RetryResult::ALL.len()],
    pub(super) cache_requests: [u64; CacheResult::ALL.len()],
    /// Of an endpoint that is polled; the retries of a destination have no budget.
    pub(super) budget_tokens: Option<f64>,
    /// While the cache holds something.
    pub(super) cache: Option<CacheStatus>,
    pub(super) at: Instant,
}

impl BreakerReading {
    pub(super) fn of(endpoint: &Endpoint, at: Instant) -> Self {
        Self {
            labels: labels(endpoint.id()),
            breaker: endpoint.breaker().snapshot(at),
            enforces: endpoint.breaker().mode() == Mode::Enforce,
            retries: endpoint.retries(),
            cache_requests: endpoint.cache_requests(),
            budget_tokens: endpoint.is_polled().then(|| endpoint.budget_tokens()),
            cache: endpoint.cache(),
            at,
        }
    }
}

/// What names an endpoint in all of its series.
pub(super) fn labels(endpoint: &EndpointId) -> Vec<KeyValue> {
    let (component, url) = endpoint.labels();
    let mut labels = vec![
        KeyValue::new("component", component),
        KeyValue::new("endpoint", url),
    ];
    let signal = endpoint.signal();
    labels.extend(signal.map(|signal| KeyValue::new("signal", signal)));
    labels
}

/// The readings of the collection that is under way.
///
/// Two readers of the SDK may collect at the same time and share them. A reader that finds none
/// takes new ones, so no reader gets those of an earlier collection.
#[derive(Debug)]
pub(super) struct Readings {
    endpoints: Arc<Endpoints>,
    taken: Mutex<Option<Arc<[BreakerReading]>>>,
}

impl Readings {
    pub(super) fn new(endpoints: &Arc<Endpoints>) -> Self {
        Self {
            endpoints: Arc::clone(endpoints),
            taken: Mutex::new(None),
        }
    }

    /// Takes new ones: a collection begins.
    pub(super) fn begin(&self) -> Arc<[BreakerReading]> {
        let now = Instant::now();
        let endpoints = self.endpoints.all();
        let readings: Arc<[BreakerReading]> = endpoints
            .iter()
            .map(|endpoint| BreakerReading::of(endpoint, now))
            .collect();
        *self.lock() = Some(Arc::clone(&readings));
        readings
    }

    /// Those of this collection.
    pub(super) fn current(&self) -> Arc<[BreakerReading]> {
        let taken = self.lock().clone();
        taken.unwrap_or_else(|| self.begin())
    }

    /// Those of this collection, for the last time.
    pub(super) fn end(&self) -> Arc<[BreakerReading]> {
        let taken = self.lock().take();
        taken.unwrap_or_else(|| {
            let readings = self.begin();
            self.lock().take();
            readings
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<[BreakerReading]>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
