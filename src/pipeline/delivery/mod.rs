//! The task of a remote exporter: queue, join, attempt, retry, split, behind a breaker.
//!
//! Requests that wait are joined into one as far as `sending_queue.batch` allows, so that a
//! slow link carries fewer and bigger requests. No request waits for others to be joined with.
//! A consumer keeps a request until it is delivered or dropped, so with one consumer order is
//! kept, retries included; a request that may itself be what fails steps aside (see
//! [`suspects`]) and loses its place.
//!
//! Where the peer finds a request too large, [`cutter`] says in which pieces it is sent.
//!
//! While the breaker is open no attempt is made and no request is dropped: requests wait until
//! the queue is full. See [`gate`] for the attempts that are made, and for what happens to the
//! rest when the agent ends.

mod aside;
mod attempts;
mod cutter;
mod gate;
mod rest;
mod retry;
mod suspects;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use self::aside::{Aside, Case, Suspect};
use self::attempts::LoadVerdict;
use self::cutter::{Cut, Cutter};
use self::gate::Gate;
use self::rest::{Rest, items};
use self::retry::RetryWaits;
use self::suspects::Record;
use super::Ending;
use super::capacity::CapacityBounds;
use super::grace::Grace;
use super::queue::{JoinBounds, Queue, QueuedRequest};
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
    aside: Aside,
    /// Loads that were delivered.
    delivered: AtomicU64,
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
            aside: Aside::default(),
            delivered: AtomicU64::new(0),
        }
    }

    pub(super) fn bounds(settings: &DeliverySettings) -> CapacityBounds {
        CapacityBounds {
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
        // However this task ends, its end counts the requests that still wait.
        let _last_words = DeliveryLastWords {
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
            let work = tokio::select! {
                biased;
                () = &mut over => {
                    self.queue.close(DropReason::Shutdown);
                    while let Some(suspect) = self.aside.take_any() {
                        self.lose([suspect.request], DropReason::Shutdown);
                    }
                    return Ending::Cancelled;
                }
                work = self.next(join, grace) => work,
            };
            let Some((requests, case)) = work else {
                return Ending::Completed;
            };
            self.deliver(requests, case, grace).await;
        }
    }

    /// The next load to deliver: requests from the queue, or one that had stepped aside. Cancel
    /// safe.
    async fn next(
        &self,
        join: JoinBounds,
        grace: &Grace,
    ) -> Option<(Vec<QueuedRequest>, Option<Case>)> {
        loop {
            let now = Instant::now();
            let others = !self.queue.is_empty();
            let suspect = match (others, grace.has_begun()) {
                (true, true) => None,
                (true, false) if !self.gate.is_open() => None,
                (false, true) => self.aside.take_any(),
                _ => self
                    .aside
                    .take(now, self.delivered.load(Ordering::Relaxed), others),
            };
            if let Some(Suspect { request, case }) = suspect {
                return Some((vec![request], Some(case)));
            }
            let Some(due) = self.aside.due() else {
                return Some((self.queue.pop(join).await?, None));
            };
            let again = async || {
                tokio::select! {
                    () = sleep_until(due.max(now)) => {}
                    () = grace.begins(), if !grace.has_begun() => {}
                }
            };
            tokio::select! {
                biased;
                requests = self.queue.pop(join) => match requests {
                    Some(requests) => return Some((requests, None)),
                    // The queue is closed and empty: only requests that stepped aside are left.
                    None => again().await,
                },
                () = again() => {}
            }
        }
    }

    /// Brings joined requests to their end, in pieces where the peer won't have the whole.
    /// `case` is what is known of a request that had stepped aside.
    async fn deliver(&self, requests: Vec<QueuedRequest>, case: Option<Case>, grace: &Grace) {
        let mut rest = Rest::new(requests);
        let mut cutter = Cutter::new();
        // Until when the peer wants no piece.
        let mut not_before = Instant::now();
        while let Some(load) = rest.next(cutter.size()) {
            let (items, last) = (items(&load), rest.is_empty());
            let too_large = |took| cutter.outcome(items, last, took);
            let mut case = case.clone().unwrap_or_else(|| {
                let begins = not_before.max(Instant::now());
                Case::new(RetryWaits::new(self.settings.retry, begins), begins)
            });
            case.due = case.due.max(not_before);
            match self.bring(&load, &mut case, &too_large, grace).await {
                LoadVerdict::Aside => self.set_aside(load, case),
                LoadVerdict::Delivered(delivered) => {
                    self.delivered.fetch_add(1, Ordering::Relaxed);
                    cutter.taken(items);
                    self.settle(load, delivered);
                }
                LoadVerdict::TooLarge { took, advice } => {
                    not_before = Instant::now() + advice.unwrap_or_default();
                    match cutter.too_large(items, last, took) {
                        Cut::Smaller => rest.put_back(load),
                        Cut::Lost => self.lose(load, DropReason::TooLarge),
                        Cut::GivenUp => {
                            self.lose(load, DropReason::TooLarge);
                            self.lose(rest.take(), DropReason::TooLarge);
                        }
                    }
                }
                // One bad request must not cost the requests that it was joined with.
                LoadVerdict::Refused if load.len() > 1 => rest.put_back_apart(load),
                LoadVerdict::Refused => self.lose(load, DropReason::Permanent),
                LoadVerdict::GivenUp(reason) => self.lose(load, reason),
                LoadVerdict::Cancelled => {
                    self.lose(load, DropReason::Shutdown);
                    self.lose(rest.take(), DropReason::Shutdown);
                }
            }
        }
    }

    /// The requests of the load go on one by one, so that one of them can't hold up those
    /// it was joined with.
    fn set_aside(&self, load: Vec<QueuedRequest>, mut case: Case) {
        let now = Instant::now();
        case.is_suspect = true;
        let alone = load.len() == 1;
        for request in load {
            let case = match alone {
                true => case.clone(),
                false => Case {
                    record: Record::new(),
                    due: now,
                    ..case.clone()
                },
            };
            self.aside.put(Suspect { request, case });
        }
    }

    fn settle(&self, load: Vec<QueuedRequest>, delivered: Delivered) {
        // A peer can't reject more than it got.
        let mut rejected = delivered.rejected.min(items(&load));
        if rejected > 0 {
            self.status.lost(rejected, DropReason::RejectedByPeer);
        }
        // A peer doesn't say which items it rejected: they are counted against the first
        // requests of the load.
        for mut request in load {
            let theirs = request.claim.take(rejected);
            rejected -= theirs.items();
            theirs.discard(DropReason::RejectedByPeer);
            request.claim.sent();
        }
    }

    fn lose(&self, load: impl IntoIterator<Item = QueuedRequest>, reason: DropReason) {
        for request in load {
            self.status.lost(request.claim.items(), reason);
            request.claim.discard(reason);
        }
    }
}

struct DeliveryLastWords {
    queue: Arc<Queue>,
    status: Arc<ExporterStatus>,
}

impl Drop for DeliveryLastWords {
    fn drop(&mut self) {
        self.queue.close(DropReason::Aborted);
        self.status.ended();
    }
}
