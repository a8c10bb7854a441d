//! What all pull receivers share: when they poll, the series about their polls, and the HTTP
//! client. A pull receiver itself implements only [`Scraper`].
//!
//! ```yaml
//! collection_interval: 15s   # 100ms to 24h
//! initial_delay: 500ms       # default: within 1 s, hashed from the endpoint; 1 s for this host
//! timeout: 5s                # of one request, 1ms to 10m
//! ```
//!
//! The polls of a remote endpoint come at a phase of the interval that is hashed from its name
//! and the host's, so that neither the endpoints of one agent nor many agents poll at the same
//! moment. Polls of this host come at whole intervals after the first one, which is after 1 s. If
//! a poll is still running at a tick, that tick is skipped and not made up for.
//!
//! With `resilience` in a pipeline of the receiver, every URL has a guard ([`http::Document`]): a
//! breaker, retries and a cache. A poll requests only what the guards allow. A guard may also
//! have its part polled between the ticks, mostly for a canary. For a part that fails no points
//! are sent; its series keep their last points, and end with a tombstone each once
//! `max_staleness` is over. Without a guard they end at once.
//!
//! In Prometheus's text format a line may have 128 labels, a name 1,024 bytes and a label's value
//! 4,096. A text that exceeds these fails its part with the reason `limit`.
//!
//! Metrics, for each endpoint, on a resource with `service.name` = the receiver's id and
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
//! points a failed part would have given is unknown, so each failed part counts as one errored
//! point.

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

/// Polls one endpoint.
pub trait Scraper: Send {
    /// Called once when the controller starts, before the first poll's delay. A scraper whose
    /// values are differences reads its first counters here.
    fn start(&mut self, _now: Now) {}

    /// Polls the endpoint once and writes its values to `out` with the time `now`. After a tick
    /// it requests all parts, after a wake only those that [`Scraper::wake_at`] named.
    ///
    /// The endpoint's resource and scope have already been written to `out`: an implementation
    /// writes metrics only. A part that fails leaves its metrics out. The future applies the
    /// timeout of its requests itself, since each part has its own.
    ///
    /// The controller drops the future when the agent stops, and with it whatever has been
    /// written.
    /// Dropped when the agent stops; what was written until then is dropped with it.
    fn scrape<'a>(
        &'a mut self,
        now: Now,
        trigger: Trigger,
        out: &'a mut MetricsWriter,
    ) -> BoxFuture<'a, Scrape>;

    /// Called before a scrape if the wall clock was set back since the last one. The scraper
    /// corrects the start times that it remembers, which would lie in the future.
    fn clock_set_back(&mut self, _by: &SetBack) {}

    /// When it wants to be polled between ticks: a canary is due, the wait that an endpoint
    /// advised is over, or series must end. May lie in the past.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// The guarded endpoints, one for each part that has been requested.
    fn guards(&self) -> Vec<Arc<Endpoint>> {
        Vec::new()
    }

    /// Writes metrics that belong to no single endpoint, after every poll. An implementation
    /// writes their resource and scope itself.
    fn write_shared(&mut self, _now: Now, _receiver: &ComponentId, _out: &mut MetricsWriter) {}
}

/// The result of one poll, apart from the metrics.
#[derive(Debug)]
pub struct Scrape {
    /// 1, or the number of parts.
    parts: usize,
    failures: Vec<PartFailure>,
    /// Parts that this poll didn't request, and that failed when they were last requested.
    earlier: Vec<PartFailure>,
    has_parts: bool,
    idle: bool,
    /// Entries that were left out of lists, by reason.
    rejected: Vec<(FailureReason, u64)>,
}

impl Scrape {
    /// The result of an endpoint without parts.
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

    /// The result of an endpoint with parts that fail independently: how many there are, and
    /// those that were requested and failed.
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

    /// Adds the parts that this poll didn't request and that failed when they were last
    /// requested.
    pub fn beside(self, earlier: Vec<PartFailure>) -> Self {
        Self { earlier, ..self }
    }

    /// Marks a poll that requested nothing, and at most ended series.
    pub fn idle(self) -> Self {
        Self { idle: true, ..self }
    }

    /// Adds how many entries of lists were left out because they couldn't be used. A reason that
    /// is named has a series from then on, also with 0.
    pub fn rejecting(self, entries: impl IntoIterator<Item = (FailureReason, u64)>) -> Self {
        let rejected = entries.into_iter().collect();
        Self { rejected, ..self }
    }

    /// Whether at least one part gave data.
    pub fn up(&self) -> bool {
        self.failing().count() < self.parts
    }

    /// The parts that this poll requested and that failed.
    pub fn failures(&self) -> &[PartFailure] {
        &self.failures
    }

    /// All parts that failed when they were last requested.
    pub fn failing(&self) -> impl Iterator<Item = &PartFailure> {
        self.failures.iter().chain(&self.earlier)
    }
}
