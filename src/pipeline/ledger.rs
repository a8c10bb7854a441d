//! Where every item is, exact at any quiescent moment.
//!
//! Before the fan-out, per pipeline:
//!
//! ```text
//! accepted + created = dropped{reason} + held + fanned_out
//! ```
//!
//! Behind it, per pipeline and exporter (a *leg*):
//!
//! ```text
//! fanned_out = sent + queued + dropped{reason}
//! ```
//!
//! Two types keep the counters right. Items before the fan-out are [`Held`], items behind it are
//! a [`Claim`]. A method that says where the items go consumes the value; a value that is
//! dropped without such a call counts its items as dropped with the reason `aborted`. So the
//! sums also hold after a panic or an abort.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::time::Instant;

use super::ages::{Age, Ages};
use crate::component::{ComponentId, DropReason};
use crate::pdata::Signal;

/// The books of all pipelines. A handle: clones read the same books.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pipelines: Arc<[Arc<PipelineAccount>]>,
    legs: Arc<[Arc<LegAccount>]>,
}

/// One pipeline's side of the books.
#[derive(Debug)]
pub(super) struct PipelineAccount {
    pub(super) id: Arc<str>,
    accepted: AtomicU64,
    created: AtomicU64,
    held: AtomicU64,
    fanned_out: AtomicU64,
    dropped: Drops,
}

/// One exporter's side of the books within one pipeline.
#[derive(Debug)]
pub(super) struct LegAccount {
    pub(super) pipeline: Arc<str>,
    pub(super) exporter: ComponentId,
    pub(super) signal: Signal,
    sent: AtomicU64,
    queued: AtomicU64,
    dropped: Drops,
    /// Whether items were lost since any were sent.
    losing: AtomicBool,
    ages: Arc<Ages>,
}

/// Items that a pipeline has and that have not been fanned out yet.
#[derive(Debug)]
pub(super) struct Held {
    items: u64,
    account: Arc<PipelineAccount>,
}

/// Items that a leg has and that are neither sent nor dropped yet.
#[derive(Debug)]
pub(super) struct Claim {
    items: u64,
    account: Arc<LegAccount>,
    /// None once the destination has the items and only their outcome is open.
    age: Option<Age>,
}

/// A reading of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSnapshot {
    /// Before the fan-out.
    pub pipelines: Vec<PipelineEntry>,
    /// Behind it.
    pub legs: Vec<LegEntry>,
}

/// One pipeline's figures, in items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineEntry {
    /// `signal[/name]`.
    pub pipeline: Arc<str>,
    /// Taken from receivers.
    pub accepted: u64,
    /// Made by processors.
    pub created: u64,
    /// In the channel or with a processor.
    pub held: u64,
    /// Handed to the legs.
    pub fanned_out: u64,
    /// Lost before the fan-out, by reason.
    pub dropped: Losses,
}

/// One leg's figures, in items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegEntry {
    /// `signal[/name]`.
    pub pipeline: Arc<str>,
    /// The exporter.
    pub exporter: ComponentId,
    /// Taken by the destination.
    pub sent: u64,
    /// Waiting or under way.
    pub queued: u64,
    /// Lost behind the fan-out, by reason.
    pub dropped: Losses,
}

/// Items lost, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses([u64; DropReason::ALL.len()]);

/// The books don't balance: a defect of the agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// Before the fan-out.
    #[error("{0:?} does not balance")]
    Pipeline(Box<PipelineEntry>),
    /// Behind it.
    #[error("{leg:?} does not balance with {fanned_out} items fanned out")]
    Leg {
        /// The leg.
        leg: Box<LegEntry>,
        /// What its pipeline handed to it.
        fanned_out: u64,
    },
}

impl Ledger {
    pub(super) fn new(pipelines: Vec<Arc<PipelineAccount>>, legs: Vec<Arc<LegAccount>>) -> Self {
        Self {
            pipelines: pipelines.into(),
            legs: legs.into(),
        }
    }

    pub(super) fn pipelines(&self) -> &[Arc<PipelineAccount>] {
        &self.pipelines
    }

    pub(super) fn legs(&self) -> &[Arc<LegAccount>] {
        &self.legs
    }

    /// Reads the books. While data flows the figures are each right, but not of one moment.
    pub fn snapshot(&self) -> LedgerSnapshot {
        LedgerSnapshot {
            pipelines: self.pipelines.iter().map(|p| p.entry()).collect(),
            legs: self.legs.iter().map(|leg| leg.entry()).collect(),
        }
    }
}

impl LedgerSnapshot {
    /// Whether both identities hold, which they do at any quiescent moment.
    ///
    /// # Errors
    ///
    /// Names the first pipeline or leg that doesn't balance.
    pub fn check(&self) -> Result<(), Imbalance> {
        for pipeline in &self.pipelines {
            let ends = pipeline.dropped.total() + pipeline.held + pipeline.fanned_out;
            if pipeline.accepted + pipeline.created != ends {
                return Err(Imbalance::Pipeline(Box::new(pipeline.clone())));
            }
        }
        for leg in &self.legs {
            let fanned_out = self
                .pipeline(&leg.pipeline)
                .map_or(0, |pipeline| pipeline.fanned_out);
            if fanned_out != leg.sent + leg.queued + leg.dropped.total() {
                return Err(Imbalance::Leg {
                    leg: Box::new(leg.clone()),
                    fanned_out,
                });
            }
        }
        Ok(())
    }

    /// One pipeline's figures.
    pub fn pipeline(&self, id: &str) -> Option<&PipelineEntry> {
        self.pipelines.iter().find(|entry| &*entry.pipeline == id)
    }

    /// One leg's figures.
    pub fn leg(&self, pipeline: &str, exporter: &str) -> Option<&LegEntry> {
        self.legs
            .iter()
            .find(|leg| &*leg.pipeline == pipeline && leg.exporter.as_str() == exporter)
    }
}

impl Losses {
    /// Items lost for one reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Items lost for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl PipelineAccount {
    pub(super) fn new(id: impl fmt::Display) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_string().into(),
            accepted: AtomicU64::new(0),
            created: AtomicU64::new(0),
            held: AtomicU64::new(0),
            fanned_out: AtomicU64::new(0),
            dropped: Drops::default(),
        })
    }

    /// Items from a receiver.
    pub(super) fn accept(self: &Arc<Self>, items: u64) -> Held {
        add(&self.accepted, items);
        self.hold(items)
    }

    /// Items that a processor made.
    pub(super) fn create(self: &Arc<Self>, items: u64) -> Held {
        add(&self.created, items);
        self.hold(items)
    }

    pub(super) fn entry(&self) -> PipelineEntry {
        PipelineEntry {
            pipeline: Arc::clone(&self.id),
            accepted: read(&self.accepted),
            created: read(&self.created),
            held: read(&self.held),
            fanned_out: read(&self.fanned_out),
            dropped: self.dropped.read(),
        }
    }

    fn hold(self: &Arc<Self>, items: u64) -> Held {
        add(&self.held, items);
        Held {
            items,
            account: Arc::clone(self),
        }
    }
}

impl Held {
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// Takes `items` of these, or all where there are fewer.
    pub(super) fn take(&mut self, items: u64) -> Held {
        let items = items.min(self.items);
        self.items -= items;
        Held {
            items,
            account: Arc::clone(&self.account),
        }
    }

    /// Adds items of the same pipeline.
    pub(super) fn merge(&mut self, mut other: Held) {
        debug_assert!(Arc::ptr_eq(&self.account, &other.account));
        self.items += std::mem::take(&mut other.items);
    }

    pub(super) fn discard(mut self, reason: DropReason) {
        self.release(reason);
    }

    /// Hands the items to every leg at `now`.
    pub(super) fn fan_out<'a>(
        mut self,
        now: Instant,
        legs: impl Iterator<Item = &'a Arc<LegAccount>>,
    ) -> Vec<Claim> {
        let items = std::mem::take(&mut self.items);
        add(&self.account.fanned_out, items);
        let claims = legs.map(|leg| leg.claim(items, now)).collect();
        subtract(&self.account.held, items);
        claims
    }

    fn release(&mut self, reason: DropReason) {
        let items = std::mem::take(&mut self.items);
        if items > 0 {
            self.account.dropped.add(reason, items);
            subtract(&self.account.held, items);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release(DropReason::Aborted);
    }
}

impl LegAccount {
    pub(super) fn new(
        pipeline: &PipelineAccount,
        exporter: &ComponentId,
        signal: Signal,
    ) -> Arc<Self> {
        Arc::new(Self {
            pipeline: Arc::clone(&pipeline.id),
            exporter: exporter.clone(),
            signal,
            sent: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            dropped: Drops::default(),
            losing: AtomicBool::new(false),
            ages: Arc::default(),
        })
    }

    pub(super) fn entry(&self) -> LegEntry {
        LegEntry {
            pipeline: Arc::clone(&self.pipeline),
            exporter: self.exporter.clone(),
            sent: read(&self.sent),
            queued: read(&self.queued),
            dropped: self.dropped.read(),
        }
    }

    /// Whether items were lost since any were sent.
    pub(super) fn is_losing(&self) -> bool {
        self.losing.load(Ordering::Relaxed)
    }

    /// When the oldest request that is neither sent nor dropped was handed to it.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.ages.oldest()
    }

    fn claim(self: &Arc<Self>, items: u64, now: Instant) -> Claim {
        add(&self.queued, items);
        Claim {
            items,
            account: Arc::clone(self),
            age: Some(self.ages.begin(now)),
        }
    }
}

impl Claim {
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// Takes `items` of these, or all where there are fewer.
    pub(super) fn take(&mut self, items: u64) -> Claim {
        let items = items.min(self.items);
        self.items -= items;
        Claim {
            items,
            account: Arc::clone(&self.account),
            age: self.age.clone(),
        }
    }

    /// The destination has the items, and will say later what became of them: they don't wait.
    pub(super) fn received(&mut self) {
        self.age = None;
    }

    pub(super) fn sent(mut self) {
        let items = std::mem::take(&mut self.items);
        if items > 0 {
            add(&self.account.sent, items);
            subtract(&self.account.queued, items);
            if self.account.is_losing() {
                self.account.losing.store(false, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn discard(mut self, reason: DropReason) {
        self.release(reason);
    }

    fn release(&mut self, reason: DropReason) {
        let items = std::mem::take(&mut self.items);
        if items > 0 {
            self.account.dropped.add(reason, items);
            subtract(&self.account.queued, items);
            if reason.is_loss() {
                self.account.losing.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.release(DropReason::Aborted);
    }
}

/// Counters of losses, by reason.
#[derive(Debug, Default)]
struct Drops([AtomicU64; DropReason::ALL.len()]);

impl Drops {
    fn add(&self, reason: DropReason, items: u64) {
        add(&self.0[reason as usize], items);
    }

    fn read(&self) -> Losses {
        Losses(std::array::from_fn(|i| read(&self.0[i])))
    }
}

// Relaxed: each figure is right by itself, and at a quiescent moment, which something else
// has made visible, they are of one moment.

fn add(counter: &AtomicU64, items: u64) {
    counter.fetch_add(items, Ordering::Relaxed);
}

fn subtract(counter: &AtomicU64, items: u64) {
    counter.fetch_sub(items, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
