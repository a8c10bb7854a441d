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
//! Metrics, for each endpoint, on the resource `service.name` = the receiver's id,
//! `service.instance.id` = the endpoint as configured:
//!
//! | name | type | meaning |
//! |---|---|---|
//! | `up` | gauge | 1 when at least one part of the endpoint gave data |
//! | `scrape_duration_seconds` | gauge | how long the poll took |
//! | `scrape_samples_scraped` | gauge | data points that the poll gave, without these |
//! | `scrape_parts_failed` | gauge | parts that gave nothing; sources with parts only |
//! | `scrape_failures_total{reason}` | counter | failures so far, from 0 for remote sources |
//!
//! Own metrics: `otelcol_scraper_{scraped,errored}_metric_points{receiver,scraper}`. How many
//! points a part that failed would have given is unknown: each counts one as errored.

mod controller;
mod failure;
pub mod http;
mod schedule;
mod series;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;

use futures_util::future::BoxFuture;

pub use controller::{Controller, Reach, Target};
pub use failure::{Failure, Reason};
pub use schedule::Settings;

use crate::component::{ComponentId, Now};
use crate::pdata::writer::MetricsWriter;

/// Asks one endpoint.
pub trait Scraper: Send {
    /// Called once when the controller starts, before the first delay. A scraper whose
    /// values are differences reads its first counters here.
    fn start(&mut self, _now: Now) {}

    /// Asks the endpoint once and writes what it answered, as of `now`.
    ///
    /// `out` stands in the endpoint's resource and scope: an implementation writes metrics,
    /// and starts neither. A part that fails leaves its metrics out. The future applies the
    /// timeout of its requests itself, since parts that fail independently each have one.
    ///
    /// Dropped when the agent stops; what was written until then is dropped with it.
    fn scrape<'a>(&'a mut self, now: Now, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape>;

    /// Writes what belongs to no single endpoint, after every poll: starts a resource and
    /// scope of its own.
    fn write_shared(&mut self, _now: Now, _receiver: &ComponentId, _out: &mut MetricsWriter) {}
}

/// What came of one poll, beside the metrics.
#[derive(Debug)]
pub struct Scrape {
    /// What was asked: 1, or the number of parts.
    asked: usize,
    failures: Vec<Failure>,
    has_parts: bool,
}

impl Scrape {
    /// Of a source that answers as a whole.
    pub fn whole(outcome: Result<(), Failure>) -> Self {
        Self {
            asked: 1,
            failures: outcome.err().into_iter().collect(),
            has_parts: false,
        }
    }

    /// Of a source with parts that fail independently: how many were asked, and those
    /// that gave no data.
    pub fn parts(asked: usize, failures: Vec<Failure>) -> Self {
        Self {
            asked,
            failures,
            has_parts: true,
        }
    }

    /// Whether at least one part gave data.
    pub fn up(&self) -> bool {
        self.failures.len() < self.asked
    }

    /// The parts that gave none, and why.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}
