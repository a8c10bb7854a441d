//! The task of a local exporter.
//!
//! A sink that may block gets a thread of its own, since a disk that hangs must not block a
//! worker of the runtime. A thread that hangs can't be ended from outside. So the task shares
//! the items of the request that the sink is working on: when the grace is over, the task counts
//! them as dropped, and leaves the thread to itself.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::alarm::Alarm;
use super::capacity::CapacityBounds;
use super::grace::Grace;
use super::ledger::Claim;
use super::queue::{JoinBounds, Queue, QueuedRequest};
use super::status::ExporterStatus;
use super::{Ending, panic_message};
use crate::component::{Discards, DropReason, Now, Sink};

/// What a request takes at least of `queue_bytes`, so that these bound small ones, too.
const LEAST_BYTES: u64 = 256;

/// How long the start waits for a sink that opens its file: longer than any disk takes
/// that works, and the agent then starts without it.
const START_PATIENCE: Duration = Duration::from_secs(2);

/// One request at a time: joining saves requests to a peer, and a sink makes none.
const ONE: JoinBounds = JoinBounds { bytes: 0, items: 0 };

/// A local exporter's task.
pub(super) struct SinkTask {
    status: Arc<ExporterStatus>,
    queue: Arc<Queue>,
    in_hand: Arc<InHand>,
    state: SinkState,
}

enum SinkState {
    Idle(Box<dyn Sink>),
    /// On a thread of its own, which reports its end.
    Thread(oneshot::Receiver<Result<(), Panic>>),
}

type Panic = Box<dyn Any + Send>;

/// The items of the request that the sink is consuming, and of those that it may still lose:
/// a counter of what was sent never goes back.
// Std: the sections move claims.
#[derive(Debug, Default)]
struct InHand(Mutex<VecDeque<Claim>>);

impl SinkTask {
    pub(super) fn new(sink: Box<dyn Sink>, queue: Arc<Queue>, status: Arc<ExporterStatus>) -> Self {
        Self {
            status,
            queue,
            in_hand: Arc::default(),
            state: SinkState::Idle(sink),
        }
    }

    /// What may wait for the sink and be with it.
    pub(super) fn bounds(sink: &dyn Sink) -> CapacityBounds {
        let bytes = sink.queue_bytes();
        CapacityBounds {
            requests: (bytes / LEAST_BYTES).max(1),
            bytes,
            items: None,
        }
    }

    /// Opens the sink. One that may block is left opening after [`START_PATIENCE`].
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        match &mut self.state {
            SinkState::Idle(sink) if !sink.may_block() => sink.start(),
            SinkState::Idle(_) => self.start_thread().await,
            SinkState::Thread(_) => Ok(()),
        }
    }

    async fn start_thread(&mut self) -> anyhow::Result<()> {
        let (end, ended) = oneshot::channel();
        let (open, opened) = oneshot::channel();
        let SinkState::Idle(mut sink) =
            std::mem::replace(&mut self.state, SinkState::Thread(ended))
        else {
            return Ok(());
        };
        let runtime = Handle::current();
        let (queue, status) = (Arc::clone(&self.queue), Arc::clone(&self.status));
        let in_hand = Arc::clone(&self.in_hand);
        std::thread::Builder::new()
            .name(format!("foghorn-{}", self.status.id))
            .spawn(move || {
                let worked = catch_unwind(AssertUnwindSafe(|| {
                    if let Err(error) = sink.start() {
                        // Nobody listens any more when the sink took longer than the start
                        // had patience for.
                        if let Err(Err(error)) = open.send(Err(error)) {
                            status.failing(&format!("{error:#}"));
                            queue.close(DropReason::Aborted);
                        }
                        return;
                    }
                    let _ = open.send(Ok(()));
                    let worker = Worker {
                        sink,
                        queue,
                        in_hand,
                        status,
                    };
                    runtime.block_on(worker.run());
                }));
                let _ = end.send(worked);
            })
            .context("no thread for it")?;
        match tokio::time::timeout(START_PATIENCE, opened).await {
            Ok(Ok(opened)) => opened,
            // It panicked, which its task will report.
            Ok(Err(_)) => Ok(()),
            Err(_) => {
                tracing::warn!(
                    exporter = %self.status.id,
                    waited_s = START_PATIENCE.as_secs(),
                    "exporter is still opening its output; what comes for it waits in its queue",
                );
                Ok(())
            }
        }
    }

    /// Runs until nothing more can come or the grace is over.
    pub(super) async fn run(self, grace: Grace) -> Ending {
        // However this task ends, its end counts the items that it still has.
        let last_words = SinkLastWords {
            queue: Arc::clone(&self.queue),
            in_hand: Arc::clone(&self.in_hand),
            status: Arc::clone(&self.status),
        };
        let work = async {
            match self.state {
                SinkState::Thread(ended) => match ended.await {
                    Ok(Err(panic)) => Ending::Panicked(panic_message(panic.as_ref())),
                    // The sender was dropped without a message only if the thread was never started.
                    Ok(Ok(())) | Err(_) => Ending::Completed,
                },
                SinkState::Idle(sink) => {
                    let worker = Worker {
                        sink,
                        queue: Arc::clone(&self.queue),
                        in_hand: Arc::clone(&self.in_hand),
                        status: Arc::clone(&self.status),
                    };
                    worker.run().await;
                    Ending::Completed
                }
            }
        };
        tokio::select! {
            biased;
            ending = work => ending,
            () = grace.is_over() => {
                last_words.say(DropReason::Shutdown);
                Ending::Cancelled
            }
        }
    }
}

/// Counts what is left when the task ends.
struct SinkLastWords {
    queue: Arc<Queue>,
    in_hand: Arc<InHand>,
    status: Arc<ExporterStatus>,
}

impl SinkLastWords {
    fn say(&self, reason: DropReason) {
        self.queue.close(reason);
        for claim in self.in_hand.take() {
            claim.discard(reason);
        }
    }
}

impl Drop for SinkLastWords {
    fn drop(&mut self) {
        self.say(DropReason::Aborted);
        self.status.ended();
    }
}

/// Feeds the sink.
struct Worker {
    sink: Box<dyn Sink>,
    queue: Arc<Queue>,
    in_hand: Arc<InHand>,
    status: Arc<ExporterStatus>,
}

impl Worker {
    async fn run(mut self) {
        let mut alarm = Alarm::default();
        loop {
            alarm.set(self.sink.deadline());
            let requests = tokio::select! {
                biased;
                () = alarm.ring() => {
                    self.call(|sink, now, out| sink.on_deadline(now, out));
                    continue;
                }
                requests = self.queue.pop(ONE) => requests,
            };
            let Some(requests) = requests else { break };
            for request in requests {
                self.consume(request);
            }
        }
        self.call(|sink, now, out| sink.close(now, out));
    }

    fn consume(&mut self, request: QueuedRequest) {
        let QueuedRequest {
            batch,
            claim,
            hold: _hold,
            slot: _slot,
        } = request;
        self.in_hand.put(claim);
        self.call(|sink, now, lost| sink.consume(batch, now, lost));
    }

    /// Lets the sink work, and books what it lost and what it has settled.
    fn call(&mut self, work: impl FnOnce(&mut dyn Sink, Now, &mut dyn Discards)) {
        let mut lost = Lost::default();
        work(self.sink.as_mut(), Now::read(), &mut lost);
        let failed = lost.of(DropReason::WriteFailed);
        let sent = self.in_hand.settle(lost, self.sink.unsettled());
        if failed > 0 {
            self.status.failing("items could not be written");
            self.status.lost(failed, DropReason::WriteFailed);
        } else if sent > 0 {
            // A sink whose items are all unsettled hasn't shown yet that it works.
            self.status.working();
        }
    }
}

impl InHand {
    fn put(&self, claim: Claim) {
        self.claims().push_back(claim);
    }

    fn take(&self) -> VecDeque<Claim> {
        std::mem::take(&mut *self.claims())
    }

    /// Books the losses, the latest items first, and as sent what is older than the last
    /// `unsettled` items; returns how many those were. There is nothing left to book when
    /// the grace ended while a disk hung.
    fn settle(&self, lost: Lost, unsettled: u64) -> u64 {
        let mut claims = self.claims();
        for (mut items, reason) in lost.0 {
            while items > 0
                && let Some(mut latest) = claims.pop_back()
            {
                let part = latest.take(items);
                items -= part.items();
                part.discard(reason);
                if latest.items() > 0 {
                    claims.push_back(latest);
                }
            }
        }
        let open: u64 = claims.iter().map(Claim::items).sum();
        let sent = open.saturating_sub(unsettled);
        let mut settled = sent;
        while let Some(mut oldest) = claims.pop_front() {
            let part = oldest.take(settled);
            settled -= part.items();
            part.sent();
            if oldest.items() > 0 {
                claims.push_front(oldest);
                break;
            }
        }
        // What lies in the sink's buffer by its own choice isn't late. The others were received
        // before.
        if let Some(latest) = claims.back_mut() {
            latest.received();
        }
        sent
    }

    fn claims(&self) -> std::sync::MutexGuard<'_, VecDeque<Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Lost(Vec<(u64, DropReason)>);

impl Lost {
    fn of(&self, reason: DropReason) -> u64 {
        let of_it = self.0.iter().filter(|(_, other)| *other == reason);
        of_it.map(|(items, _)| items).sum()
    }
}

impl Discards for Lost {
    fn discard(&mut self, items: u64, reason: DropReason) {
        if items > 0 {
            self.0.push((items, reason));
        }
    }
}
