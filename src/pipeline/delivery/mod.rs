//! The task of a remote exporter: queue, join, attempt, retry, split, behind a breaker.
//!
//! What waits is joined into one request as far as `sending_queue.batch` allows, without
//! ever delaying anything, so that a slow link is filled by bigger requests. A request
//! stays at the head until it has met its end, so order is kept, retries included.
//!
//! Where the peer finds a request too large, [`cutter`] says in which pieces it is sent.
//!
//! While the destination is given up nothing is attempted and nothing is lost: what bounds
//! the waiting is the queue. See [`gate`] for the attempts that are made, and for what
//! becomes of the rest when the agent ends.

mod attempts;
mod cutter;
mod gate;
mod rest;
mod retry;

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::join_all;

use self::attempts::Verdict;
use self::cutter::{Cut, Cutter};
use self::gate::Gate;
use self::rest::{Rest, items};
use super::Ending;
use super::capacity::Bounds;
use super::grace::Grace;
use super::queue::{JoinBounds, Queue, Request};
use super::status::ExporterStatus;
use crate::component::{Delivered, DropReason, Exporter};
use crate::resilience::{ActiveTasks, Endpoint};
use crate::settings::DeliverySettings;

/// A remote exporter's task.
pub(super) struct DeliveryTask {
    exporter: Box<dyn Exporter>,
    settings: DeliverySettings,
    queue: Arc<Queue>,
    status: Arc<ExporterStatus>,
    gate: Gate,
}

impl DeliveryTask {
    /// `tasks` counts the attempts that are under way.
    pub(super) fn new(
        exporter: Box<dyn Exporter>,
        settings: DeliverySettings,
        queue: Arc<Queue>,
        status: Arc<ExporterStatus>,
        endpoint: Arc<Endpoint>,
        tasks: ActiveTasks,
    ) -> Self {
        let (mode, consumers) = (settings.breaker.mode(), settings.queue.num_consumers);
        Self {
            exporter,
            settings,
            queue,
            status,
            gate: Gate::new(endpoint, mode, tasks, consumers),
        }
    }

    pub(super) fn bounds(settings: &DeliverySettings) -> Bounds {
        Bounds {
            requests: settings.queue.requests,
            bytes: settings.queue.bytes,
            items: settings.queue.items,
        }
    }

    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        self.exporter.start().await
    }

    /// Runs until nothing more can come or the grace is over.
    pub(super) async fn run(mut self, grace: Grace) -> Ending {
        // Whatever ends this task, what still waits is counted.
        let _last_words = LastWords {
            queue: Arc::clone(&self.queue),
            status: Arc::clone(&self.status),
        };
        let consumers = self.settings.queue.num_consumers;
        let endings = join_all((0..consumers).map(|_| self.consume(&grace))).await;
        tokio::select! {
            () = self.exporter.shutdown() => {}
            () = grace.is_over() => {}
        }
        if endings
            .into_iter()
            .all(|ending| ending == Ending::Completed)
        {
            Ending::Completed
        } else {
            Ending::Cancelled
        }
    }

    async fn consume(&self, grace: &Grace) -> Ending {
        let join = JoinBounds {
            bytes: self.settings.queue.join_bytes,
            items: self.settings.queue.join_items,
        };
        let mut over = pin!(grace.is_over());
        loop {
            let requests = tokio::select! {
                biased;
                () = &mut over => {
                    self.queue.close(DropReason::Shutdown);
                    return Ending::Cancelled;
                }
                requests = self.queue.pop(join) => requests,
            };
            let Some(requests) = requests else {
                return Ending::Completed;
            };
            self.deliver(requests, grace).await;
        }
    }

    /// Brings joined requests to their end, in pieces where the peer won't have the whole.
    async fn deliver(&self, requests: Vec<Request>, grace: &Grace) {
        let mut rest = Rest::new(requests);
        let mut cutter = Cutter::new();
        while let Some(load) = rest.next(cutter.size()) {
            let (items, last) = (items(&load), rest.is_empty());
            let too_large = cutter.outcome(items, last);
            match self.bring(&load, too_large, grace).await {
                Verdict::Delivered(delivered) => {
                    cutter.taken(items);
                    self.settle(load, delivered);
                }
                Verdict::TooLarge => match cutter.too_large(items, last) {
                    Cut::Smaller => rest.put_back(load),
                    Cut::Lost => self.lose(load, DropReason::TooLarge),
                    Cut::GivenUp => {
                        self.lose(load, DropReason::TooLarge);
                        self.lose(rest.take(), DropReason::TooLarge);
                    }
                },
                // One bad request must not take those it was joined with.
                Verdict::Refused if load.len() > 1 => rest.put_back_apart(load),
                Verdict::Refused => self.lose(load, DropReason::Permanent),
                Verdict::GivenUp(reason) => self.lose(load, reason),
                Verdict::Cancelled => {
                    self.lose(load, DropReason::Shutdown);
                    self.lose(rest.take(), DropReason::Shutdown);
                }
            }
        }
    }

    fn settle(&self, load: Vec<Request>, delivered: Delivered) {
        let mut rejected = delivered.rejected;
        if rejected > 0 {
            self.status.lost(rejected, DropReason::RejectedByPeer);
        }
        // A peer doesn't say which items it rejected: they are taken off the first.
        for mut request in load {
            let theirs = request.claim.take(rejected);
            rejected -= theirs.items();
            theirs.discard(DropReason::RejectedByPeer);
            request.claim.sent();
        }
    }

    fn lose(&self, load: impl IntoIterator<Item = Request>, reason: DropReason) {
        for request in load {
            self.status.lost(request.claim.items(), reason);
            request.claim.discard(reason);
        }
    }
}

struct LastWords {
    queue: Arc<Queue>,
    status: Arc<ExporterStatus>,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        self.queue.close(DropReason::Aborted);
        self.status.ended();
    }
}
