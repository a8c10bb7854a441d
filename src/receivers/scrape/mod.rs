//! What every pull receiver has in common: when it polls, what it reports about its polls,
//! and how it asks over HTTP. A pull receiver itself is a [`Scraper`] and nothing more.
//!
//! ```yaml
//! collection_interval: 15s   # 100ms to 24h
//! initial_delay: 500ms       # default: within 1 s, at a place hashed from the endpoint
//! timeout: 5s                # of one request, 1ms to 10m
//! ```
//!
//! Every endpoint is polled on a phase of its own, hashed from its name and the host's, so
//! that neither the endpoints of one agent nor the agents of a fleet act in step. A tick
//! that comes while a poll is still running is skipped, never made up for.
//!
//! With `resilience` in a pipeline of the receiver, every URL has a guard ([`http::Document`]):
//! its breaker, retries and cache. A poll asks for what the guards let pass, and each of them
//! may have its part of the endpoint polled beside the ticks, for a canary above all. A part
//! that fails sends nothing: its series stay as they are, until past `max_staleness` they
//! end with a tombstone each. Without a guard they end at once.
//!
//! Of text in Prometheus's format a line has at most 128 labels, a name 1,024 bytes and a
//! label's value 4,096; what goes beyond fails its part with the reason `limit`.
//!
//! Metrics, for each endpoint, on the resource `service.name` = the receiver's id,
//! `service.instance.id` = the endpoint as configured:
//!
//! | name | type | meaning |
//! |---|---|---|
//! | `up` | gauge | 1 when at least one part of the endpoint gave data when it was last asked |
//! | `scrape_duration_seconds` | gauge | how long the poll took |
//! | `scrape_samples_scraped` | gauge | data points that the poll gave, without these |
//! | `scrape_parts_failed` | gauge | parts that gave nothing; sources with parts only |
//! | `scrape_failures_total{reason}` | counter | failures so far, from 0 for remote sources |
//! | `scrape_entries_rejected_total{reason}` | counter | entries that were left out of lists; sources with lists only |
//!
//! Own metrics: `otelcol_scraper_{scraped,errored}_metric_points{receiver,scraper}`. How many
//! points a part that failed would have given is unknown: each counts one as errored.

mod clock;
mod controller;
mod failure;
pub mod http;
mod schedule;
mod series;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub use clock::SetBack;
pub use controller::{Controller, Reach, Target};
pub use failure::{FailureReason, PartFailure};
pub use schedule::PollSettings;

use crate::component::{ComponentId, Now};
use crate::pdata::writer::MetricsWriter;
use crate::resilience::{Endpoint, Trigger};

/// Asks one endpoint.
pub trait Scraper: Send {
    /// Called once when the controller starts, before the first delay. A scraper whose
    /// values are differences reads its first counters here.
    fn start(&mut self, _now: Now) {}

    /// Asks the endpoint once and writes what it answered, as of `now`. A tick asks for all
    /// of it, a wake for what [`Scraper::wake_at`] was about.
    ///
    /// `out` stands in the endpoint's resource and scope: an implementation writes metrics,
    /// and starts neither. A part that fails leaves its metrics out. The future applies the
    /// timeout of its requests itself, since parts that fail independently each have one.
    ///
    /// Dropped when the agent stops; what was written until then is dropped with it.
    fn scrape<'a>(
        &'a mut self,
        now: Now,
        trigger: Trigger,
        out: &'a mut MetricsWriter,
    ) -> BoxFuture<'a, Scrape>;

    /// Told before a scrape when the wall clock was set back since the last one: starts of
    /// counters that the scraper remembers would lie in the future.
    fn clock_set_back(&mut self, _by: &SetBack) {}

    /// When it wants to be polled beside the ticks: a canary is due, an advice runs out, or
    /// series are to end. May lie in the past.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// What stands before the endpoint or each of its parts, as far as they have been asked.
    fn guards(&self) -> Vec<Arc<Endpoint>> {
        Vec::new()
    }

    /// Writes what belongs to no single endpoint, after every poll: starts a resource and
    /// scope of its own.
    fn write_shared(&mut self, _now: Now, _receiver: &ComponentId, _out: &mut MetricsWriter) {}
}

/// What came of one poll, beside the metrics.
#[derive(Debug)]
pub struct Scrape {
    /// 1, or the number of parts.
    parts: usize,
    failures: Vec<PartFailure>,
    /// Of parts that weren't asked this time, and failed when they were.
    earlier: Vec<PartFailure>,
    has_parts: bool,
    idle: bool,
    /// Entries that were left out of lists, by reason.
    rejected: Vec<(FailureReason, u64)>,
}

impl Scrape {
    /// Of a source that answers as a whole.
    pub fn whole(outcome: Result<(), PartFailure>) -> Self {
        Self {
            parts: 1,
            failures: outcome.err().into_iter().collect(),
            earlier: Vec::new(),
            has_parts: false,
            idle: false,
            rejected: Vec::new(),
        }
    }

    /// Of a source with parts that fail independently: how many there are, and those that
    /// were asked and gave no data.
    pub fn parts(parts: usize, failures: Vec<PartFailure>) -> Self {
        Self {
            parts,
            failures,
            earlier: Vec::new(),
            has_parts: true,
            idle: false,
            rejected: Vec::new(),
        }
    }

    /// The same, when others weren't asked this time but gave no data when they were.
    pub fn beside(self, earlier: Vec<PartFailure>) -> Self {
        Self { earlier, ..self }
    }

    /// The same, when nothing was asked at all, and series were ended at most.
    pub fn idle(self) -> Self {
        Self { idle: true, ..self }
    }

    /// The same, of a source with lists, from which so many entries were left out because
    /// they couldn't be used. A reason is counted from the first poll that names it, with 0
    /// or more.
    pub fn rejecting(self, entries: impl IntoIterator<Item = (FailureReason, u64)>) -> Self {
        let rejected = entries.into_iter().collect();
        Self { rejected, ..self }
    }

    /// Whether at least one part gave data.
    pub fn up(&self) -> bool {
        self.failing().count() < self.parts
    }

    /// The parts that were asked and gave none, and why.
    pub fn failures(&self) -> &[PartFailure] {
        &self.failures
    }

    /// All parts of which there is no data, and why.
    pub fn failing(&self) -> impl Iterator<Item = &PartFailure> {
        self.failures.iter().chain(&self.earlier)
    }
}
