//! The places of queries: so many are answered at a time, on threads beside the workers, and
//! whoever finds none waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::metrics::{QueryMetrics, QueryRejection, QueryStage};
use super::refusal::{ApiRefusal, RefusalKind};
use crate::lane::Lane;
use crate::query::Interruption;

/// The places. Clones share them.
#[derive(Clone)]
pub(super) struct QueryPlaces {
    free: Arc<Semaphore>,
    /// As many threads as there are places: whoever holds a place finds one.
    lane: Lane,
    metrics: QueryMetrics,
}

/// A place, taken until this is dropped.
pub(super) struct QueryPlace {
    _permit: OwnedSemaphorePermit,
    _stage: StageGuard,
}

/// Counts a request as long as it is in a stage.
struct StageGuard(QueryMetrics, QueryStage);

/// Tells work on a thread when to end.
pub(super) struct QueryWatch {
    abandoned: Arc<AtomicBool>,
    deadline: Instant,
}

/// Tells the work that nobody waits for it any more, unless it is dropped after the work.
struct Abandon(Arc<AtomicBool>);

impl QueryPlaces {
    pub(super) fn new(places: usize, metrics: &QueryMetrics) -> Self {
        Self {
            free: Arc::new(Semaphore::new(places)),
            lane: Lane::in_background(places),
            metrics: metrics.clone(),
        }
    }

    /// Takes a place, waiting for one until the deadline.
    ///
    /// Cancel safe: whoever goes away doesn't wait any more.
    pub(super) async fn take(&self, deadline: Instant) -> Result<QueryPlace, ApiRefusal> {
        let free = Arc::clone(&self.free);
        let waiting = self.stage(QueryStage::Waiting);
        // The semaphore is never closed, so only the time can run out.
        let permit = timeout_at(deadline, free.acquire_owned()).await;
        drop(waiting);
        match permit {
            Ok(Ok(permit)) => Ok(QueryPlace {
                _permit: permit,
                _stage: self.stage(QueryStage::Running),
            }),
            _ => {
                self.metrics.rejected(QueryRejection::NoPlace);
                let message = "query timed out in query queue";
                Err(ApiRefusal::new(RefusalKind::Timeout, message))
            }
        }
    }

    /// Runs work in a place, on a thread, and hands the place back with what came out.
    ///
    /// If this is dropped, the work is told to end, and keeps its place until it has.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: QueryPlace,
        deadline: Instant,
        work: impl FnOnce(&Arc<QueryWatch>) -> T + Send + 'static,
    ) -> (QueryPlace, T) {
        let abandoned = Arc::new(AtomicBool::new(false));
        let _abandon = Abandon(Arc::clone(&abandoned));
        let watch = Arc::new(QueryWatch {
            abandoned,
            deadline,
        });
        let work = move || {
            let value = work(&watch);
            (place, value)
        };
        self.lane.run(work).await
    }

    /// The threads of those that hold a place.
    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    fn stage(&self, stage: QueryStage) -> StageGuard {
        self.metrics.entered(stage);
        StageGuard(self.metrics.clone(), stage)
    }
}

impl QueryWatch {
    /// Why the work has to end, if it has to.
    pub(super) fn interruption(&self) -> Option<Interruption> {
        if self.abandoned.load(Ordering::Relaxed) {
            Some(Interruption::Cancelled)
        } else if Instant::now() >= self.deadline {
            Some(Interruption::TimedOut)
        } else {
            None
        }
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for StageGuard {
    fn drop(&mut self) {
        self.0.left(self.1);
    }
}
