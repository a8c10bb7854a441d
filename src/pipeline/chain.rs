//! A pipeline's processors in their order, and the accounts of the items that they hold.
//!
//! A processor never sees a lease. Beside each stands a *pot*: the lease of everything that
//! it holds. What goes in is added to the pot, what comes out is taken from it, and so the
//! processor can keep, merge and split batches as it likes while every item stays in the
//! ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::budget::Budget;
use super::lease::{Lease, Leased};
use super::ledger::PipelineAccount;
use crate::component::{ComponentId, DropReason, Now, Output, Processor};
use crate::pdata::Batch;

/// The processors of one pipeline.
pub(super) struct Chain {
    stages: Vec<ChainStage>,
    books: Books,
}

/// What one processor took and gave, in items.
#[derive(Debug)]
pub(super) struct StageAccount {
    pub(super) pipeline: Arc<str>,
    pub(super) processor: ComponentId,
    pub(super) incoming: AtomicU64,
    pub(super) outgoing: AtomicU64,
    /// Items that the processor emitted without having been given them, which is a defect.
    invented: AtomicU64,
}

struct ChainStage {
    processor: Box<dyn Processor>,
    pot: Option<Lease>,
    account: Arc<StageAccount>,
}

/// Where the items are counted that a processor makes itself.
struct Books {
    account: Arc<PipelineAccount>,
    budget: Arc<Budget>,
    /// Remote legs, which is how many slots a lease has.
    remote_legs: usize,
}

impl Chain {
    pub(super) fn new(
        account: Arc<PipelineAccount>,
        budget: Arc<Budget>,
        remote_legs: usize,
    ) -> Self {
        Self {
            stages: Vec::new(),
            books: Books {
                account,
                budget,
                remote_legs,
            },
        }
    }

    /// Adds a processor at the end.
    pub(super) fn push(
        &mut self,
        id: &ComponentId,
        processor: Box<dyn Processor>,
    ) -> Arc<StageAccount> {
        let account = Arc::new(StageAccount {
            pipeline: Arc::clone(&self.books.account.id),
            processor: id.clone(),
            incoming: AtomicU64::new(0),
            outgoing: AtomicU64::new(0),
            invented: AtomicU64::new(0),
        });
        self.stages.push(ChainStage {
            processor,
            pot: None,
            account: Arc::clone(&account),
        });
        account
    }

    /// Passes one batch through; what comes out at the end is added to `done`.
    pub(super) fn process(&mut self, leased: Leased, now: Now, done: &mut Vec<Leased>) {
        feed(&mut self.stages, leased, &self.books, now, done);
    }

    /// Items that came out of processors and had never gone in.
    pub(super) fn invented(&self) -> u64 {
        self.stages
            .iter()
            .map(|stage| stage.account.invented.load(Ordering::Relaxed))
            .sum()
    }

    /// The earliest time at which a processor wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.stages
            .iter()
            .filter_map(|stage| stage.processor.deadline())
            .min()
    }

    /// Calls the processors whose time has come.
    pub(super) fn on_deadline(&mut self, now: Now, done: &mut Vec<Leased>) {
        self.each(now, done, |processor, out| {
            if processor
                .deadline()
                .is_some_and(|deadline| deadline <= now.monotonic)
            {
                processor.on_deadline(now, out);
            }
        });
    }

    /// Empties the processors, the first first, so that each sees what those before it
    /// still had.
    pub(super) fn drain(&mut self, now: Now, done: &mut Vec<Leased>) {
        self.each(now, done, |processor, out| processor.drain(now, out));
        for stage in &mut self.stages {
            if let Some(left) = stage.pot.take().filter(|left| left.items() > 0) {
                tracing::error!(
                    processor = %stage.account.processor,
                    pipeline = %stage.account.pipeline,
                    items = left.items(),
                    "processor kept items when it was drained: they are lost",
                );
                left.discard(DropReason::Aborted);
            }
        }
    }

    fn each(
        &mut self,
        now: Now,
        done: &mut Vec<Leased>,
        mut call: impl FnMut(&mut dyn Processor, &mut dyn Output),
    ) {
        for i in 0..self.stages.len() {
            let Some((stage, rest)) = self.stages.get_mut(i..).and_then(<[_]>::split_first_mut)
            else {
                return;
            };
            let mut out = StageOutput {
                pot: &mut stage.pot,
                account: &stage.account,
                rest,
                books: &self.books,
                now,
                done,
            };
            call(stage.processor.as_mut(), &mut out);
        }
    }
}

fn feed(
    stages: &mut [ChainStage],
    leased: Leased,
    books: &Books,
    now: Now,
    done: &mut Vec<Leased>,
) {
    let Some((stage, rest)) = stages.split_first_mut() else {
        done.push(leased);
        return;
    };
    let Leased { batch, lease } = leased;
    stage
        .account
        .incoming
        .fetch_add(batch.items(), Ordering::Relaxed);
    match stage.pot.as_mut() {
        Some(pot) => pot.merge(lease),
        None => stage.pot = Some(lease),
    }
    let mut out = StageOutput {
        pot: &mut stage.pot,
        account: &stage.account,
        rest,
        books,
        now,
        done,
    };
    stage.processor.process(batch, now, &mut out);
    // Room that was reserved for items that are gone.
    if stage.pot.as_ref().is_some_and(|pot| pot.items() == 0) {
        stage.pot = None;
    }
}

/// One processor's output: the processors behind it.
struct StageOutput<'a> {
    pot: &'a mut Option<Lease>,
    account: &'a StageAccount,
    rest: &'a mut [ChainStage],
    books: &'a Books,
    now: Now,
    done: &'a mut Vec<Leased>,
}

impl StageOutput<'_> {
    fn pass_on(&mut self, batch: Batch, mut lease: Lease) {
        self.account
            .outgoing
            .fetch_add(lease.items(), Ordering::Relaxed);
        lease.hold.resize(batch.weight());
        feed(
            self.rest,
            Leased { batch, lease },
            self.books,
            self.now,
            self.done,
        );
    }
}

impl Output for StageOutput<'_> {
    fn emit(&mut self, batch: Batch) {
        let items = batch.items();
        let mut lease = Lease::take(self.pot, items).unwrap_or_else(|| self.books.create(0));
        let invented = items.saturating_sub(lease.items());
        if invented > 0 {
            // A defect of the processor; the books must balance all the same.
            self.account.invented.fetch_add(invented, Ordering::Relaxed);
            tracing::error!(
                processor = %self.account.processor,
                items = invented,
                "processor emitted items that it never got: counted as created",
            );
            lease.held.merge(self.books.account.create(invented));
        }
        self.pass_on(batch, lease);
    }

    fn create(&mut self, batch: Batch) {
        let lease = self.books.create(batch.items());
        self.pass_on(batch, lease);
    }

    fn discard(&mut self, items: u64, reason: DropReason) {
        if items > 0
            && let Some(lease) = Lease::take(self.pot, items)
        {
            lease.discard(reason);
        }
    }
}

impl Books {
    fn create(&self, items: u64) -> Lease {
        Lease {
            held: self.account.create(items),
            hold: self.budget.hold_nothing(),
            slots: (0..self.remote_legs).map(|_| None).collect(),
        }
    }
}
