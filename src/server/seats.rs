//! The connections that are open, and which of them gives way.

use std::collections::HashMap;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::deadlines::ConnectionWatch;
use super::metrics::{ConnectionRejection, Metrics};

/// The tasks of a listener's connections. Those that gave way count no more, although
/// their tasks end a moment later.
pub(super) struct Seats<'a> {
    metrics: &'a Metrics,
    tasks: JoinSet<()>,
    taken: HashMap<Id, Seat>,
}

struct Seat {
    task: AbortHandle,
    watch: ConnectionWatch,
}

impl<'a> Seats<'a> {
    /// None taken yet.
    pub(super) fn new(metrics: &'a Metrics) -> Self {
        Self {
            metrics,
            tasks: JoinSet::new(),
            taken: HashMap::new(),
        }
    }

    /// How many are taken.
    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// Runs a connection, which has to tell the watch what it waits for.
    pub(super) fn take<F>(&mut self, serve: impl FnOnce(ConnectionWatch) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.metrics.opened();
        let watch = ConnectionWatch::default();
        let task = self.tasks.spawn(serve(watch.clone()));
        self.taken.insert(task.id(), Seat { task, watch });
    }

    /// Closes the connection that is the most dispensable.
    pub(super) fn displace(&mut self) {
        let ranked = self.taken.iter();
        let first = ranked.min_by_key(|(_, seat)| seat.watch.rank());
        if let Some(id) = first.map(|(id, _)| *id)
            && let Some(seat) = self.taken.remove(&id)
        {
            seat.task.abort();
            self.metrics.rejected(ConnectionRejection::Displaced);
        }
    }

    /// Resolves when a connection has ended; never while there are none. Cancel safe.
    pub(super) async fn one_left(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.left(ended),
            None => std::future::pending().await,
        }
    }

    /// Resolves when all have ended. Cancel safe.
    pub(super) async fn all_left(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.left(ended);
        }
    }

    /// Ends all of them.
    pub(super) async fn clear(&mut self) {
        self.tasks.abort_all();
        self.all_left().await;
    }

    fn left(&mut self, ended: Result<(Id, ()), JoinError>) {
        self.metrics.closed();
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.taken.remove(&id);
        if let Err(error) = ended
            && error.is_panic()
        {
            let listener = self.metrics.listener();
            tracing::error!(%error, listener, "a connection was lost to a panic");
        }
    }
}
