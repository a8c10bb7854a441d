//! The open connections of a listener, and which of them is closed for a new one.

use std::collections::HashMap;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::deadlines::ConnectionWatch;
use super::metrics::{ConnectionRejection, Metrics};

/// The tasks of the open connections. A connection that was closed for another one is no longer
/// counted, although its task ends a moment later.
pub(super) struct OpenConnections<'a> {
    metrics: &'a Metrics,
    tasks: JoinSet<()>,
    taken: HashMap<Id, Seat>,
    /// Connections so far.
    count: u64,
}

struct Seat {
    /// How many connections came before it.
    number: u64,
    task: AbortHandle,
    watch: ConnectionWatch,
}

impl<'a> OpenConnections<'a> {
    /// Without connections.
    pub(super) fn new(metrics: &'a Metrics) -> Self {
        Self {
            metrics,
            tasks: JoinSet::new(),
            taken: HashMap::new(),
            count: 0,
        }
    }

    /// How many connections are open.
    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// Runs a connection; `serve` has to record in the watch what it waits for.
    pub(super) fn take<F>(&mut self, serve: impl FnOnce(ConnectionWatch) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.metrics.opened();
        let watch = ConnectionWatch::default();
        let task = self.tasks.spawn(serve(watch.clone()));
        let number = self.count;
        self.count += 1;
        let id = task.id();
        self.taken.insert(
            id,
            Seat {
                number,
                task,
                watch,
            },
        );
    }

    /// Closes the connection with the lowest rank; of several that have it, the one that came
    /// first.
    pub(super) fn displace(&mut self) {
        let ranked = self.taken.iter();
        let first = ranked.min_by_key(|(_, seat)| (seat.watch.rank(), seat.number));
        if let Some(id) = first.map(|(id, _)| *id)
            && let Some(seat) = self.taken.remove(&id)
        {
            seat.task.abort();
            self.metrics.rejected(ConnectionRejection::Displaced);
        }
    }

    /// Resolves when a connection has ended; never if there is none. Cancel safe.
    pub(super) async fn one_left(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.left(ended),
            None => std::future::pending().await,
        }
    }

    /// Resolves when all connections have ended. Cancel safe.
    pub(super) async fn all_left(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.left(ended);
        }
    }

    /// Aborts all connections, and waits until they have ended.
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
