//! What all pull receivers share: their targets, when these are polled, the series about the polls,
//! and the HTTP client. A pull receiver itself implements one [`Scraper`] per kind of target.
//!
//! ```yaml
//! collection_interval: 15s   # 100ms to 24h
//! initial_delay: 500ms       # default: within 1 s, hashed from the target; 1 s for this host
//! timeout: 5s                # of one request, 1ms to 10m
//! ```
//!
//! The polls of a remote target come at a phase of the interval that is hashed from its name
//! and the host's, so that neither the targets of one agent nor many agents poll at the same
//! moment. Polls of this host come at whole intervals after the first one, which is after 1 s. If
//! a poll is still running at a tick, that tick is skipped and not made up for. Each target is
//! polled by a task of its own, so that a slow one delays no other.
//!
//! With `resilience` in a pipeline of the receiver, every URL has a guard ([`http::Document`]): a
//! breaker, retries and a cache. A poll requests only what the guards allow. A guard may also
//! have its part polled between the ticks, mostly for a canary. For a part that fails no points
//! are sent; its series keep their last points, and end with a tombstone each once
//! `max_staleness` is over. Without a guard they end at once.
//!
//! In Prometheus's text format a line may have 256 labels, a name 1,024 bytes and a label's value
//! 65,536. A text that exceeds these fails its part with the reason `limit`.
//!
//! # Why a target is polled
//!
//! One function decides it, `Schedule::next`. Each poll carries its [`PollReason`].
//!
//! # Targets
//!
//! A receiver whose targets are written in its configuration hands them to [`Controller::new`].
//! One that finds them gives the controller a [`Discovery`]: a task that says again and again which
//! targets each of its groups has. What goes on unchanged isn't disturbed, whatever else changes.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! use foghorn::pdata::writer::{
//!     MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
//! };
//! use foghorn::receivers::scrape::http::{Access, Asked, Document, FetchRequest};
//! use foghorn::receivers::scrape::{
//!     Candidate, Discovery, FirstPoll, Nudge, Poll, PollPace, Reach, Scrape, ScrapeSeries, Scraper,
//!     Target, TargetIdentity, TargetSets,
//! };
//! use futures_util::future::BoxFuture;
//! use tokio_util::sync::CancellationToken;
//!
//! /// All that makes a target what it is. Two that are equal are the same target.
//! #[derive(Hash)]
//! struct Replica {
//!     url: url::Url,
//!     interval_secs: u64,
//! }
//!
//! struct Replicas {
//!     access: Arc<Access>,
//! }
//!
//! impl Discovery for Replicas {
//!     fn run(self: Box<Self>, sets: TargetSets, stop: CancellationToken) -> BoxFuture<'static, ()> {
//!         Box::pin(async move {
//!             while !stop.is_cancelled() {
//!                 let found: Vec<Replica> = ask_the_control_plane().await;
//!                 let candidates = found.into_iter().map(|replica| {
//!                     let access = Arc::clone(&self.access);
//!                     Candidate::new(replica, move |replica| replica.target(&access))
//!                 });
//!                 sets.set("replicas", candidates.collect());
//! #               return;
//!             }
//!         })
//!     }
//! }
//!
//! impl Replica {
//!     /// Called once the target is let in: makes its scraper, and its document with it.
//!     fn target(&self, access: &Arc<Access>) -> Target {
//!         let request = FetchRequest::new(self.url.clone(), "text/plain");
//!         let page = access.document(request, |page| Ok(page.body.len()));
//!         Target {
//!             endpoint: self.url.as_str().into(),
//!             identity: Arc::new(TargetIdentity::new("replicas", self.url.as_str())),
//!             reach: Reach::Remote,
//!             pace: PollPace {
//!                 interval: Duration::from_secs(self.interval_secs),
//!                 timeout: Duration::from_secs(5),
//!                 first: FirstPoll::AtPhase,
//!             },
//!             series: ScrapeSeries::Own,
//!             advice: "the control plane lists it".into(),
//!             nudge: Nudge::default(),
//!             scraper: Box::new(PageSize(page)),
//!         }
//!     }
//! }
//!
//! /// Shows how long a page is.
//! struct PageSize(Document<usize>);
//!
//! impl Scraper for PageSize {
//!     fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
//!         Box::pin(async move {
//!             if let Asked::New(bytes) = self.0.ask(&poll).await {
//!                 let descriptor = MetricDescriptor { name: "page", unit: "By", description: "" };
//!                 out.metric(MetricKind::Gauge, descriptor);
//!                 out.number(NumberPointData {
//!                     attributes: &[],
//!                     start: None,
//!                     time: poll.now.wall,
//!                     value: Some(PointNumber::Int(bytes as i64)),
//!                 });
//!             }
//!             Scrape::whole(self.0.failure().cloned().map_or(Ok(()), Err))
//!         })
//!     }
//! }
//! # async fn ask_the_control_plane() -> Vec<Replica> { Vec::new() }
//! # use foghorn::receivers::scrape::http::{Client, HttpClientConfig};
//! # let id = "replicas".parse().unwrap();
//! # let context = foghorn::component::BuildContext::standalone(id, foghorn::telemetry::Telemetry::off());
//! # let client = Client::new(&HttpClientConfig::default(), Duration::from_secs(5), []).unwrap();
//! # let replica = Replica { url: "http://replica:9000/metrics".parse().unwrap(), interval_secs: 15 };
//! # let target = replica.target(&Access::new(&context, Arc::new(client)));
//! # assert_eq!(&*target.endpoint, "http://replica:9000/metrics");
//! ```
//!
//! and is built by
//! `Controller::new(context, intake, fixed).discovering(Box::new(Replicas { access }), max)`.
//!
//! - A target that is no longer in its group is polled no more. At its next tick its series end with
//!   a tombstone each, `up` and the other series about its polls included, and its guards leave the
//!   registry. If it returns before, it goes on as if it had never been away.
//! - One with the same identity in its place, such as one with another interval, begins when the
//!   former has ended, which then doesn't wait for its tick. With `resilience` the same holds for
//!   one with the same endpoint, so that it gets the guard.
//! - At most `max` targets are polled. Those beyond are left out until others leave, counted as
//!   `foghorn_scrape_targets_rejected_total{reason="limit"}`, and logged once a minute.
//! - When the agent stops, no series ends: a restart goes on with them.
//! - When a poller panics, `/health` names it, and its target's series end. It isn't begun again, nor
//!   forgotten, while its target is found.
//!
//! # Metrics
//!
//! For each target, on a resource with `service.name` and `service.instance.id` (for configured
//! targets the receiver's id and the endpoint as configured):
//!
//! | name | type | meaning |
//! |---|---|---|
//! | `up` | gauge | 1 when at least one part of the endpoint gave data when it was last asked |
//! | `scrape_duration_seconds` | gauge | how long the poll took |
//! | `scrape_samples_scraped` | gauge | data points that the poll gave, without these |
//! | `scrape_parts_failed` | gauge | parts that gave nothing; sources with parts only |
//! | `scrape_failures_total{reason}` | counter | failures so far, from 0 for remote sources |
//! | `scrape_entries_rejected_total{reason}` | counter | entries that were left out of lists, by `invalid` or `limit`; sources with lists only |
//!
//! A target may ask for the series that Prometheus writes instead ([`ScrapeSeries::Prometheus`]):
//! `up`, `scrape_duration_seconds`, `scrape_samples_scraped`,
//! `scrape_samples_post_metric_relabeling` and `scrape_series_added`, each with the target's labels.
//!
//! Own metrics:
//!
//! | name | type | meaning |
//! |---|---|---|
//! | `otelcol_scraper_{scraped,errored}_metric_points{receiver,scraper}` | counter | how many points a failed part would have given is unknown, so each failed part counts as one errored point |
//! | `foghorn_scrape_failures_total{receiver,reason}` | counter | parts that failed, of all targets |
//! | `foghorn_scrape_targets{receiver}` | gauge | targets that are polled; receivers with a discovery only |
//! | `foghorn_scrape_targets_rejected_total{receiver,reason}` | counter | targets that were found and left out |

mod clock;
mod controller;
mod discovery;
mod failure;
pub mod http;
pub mod json;
mod link;
mod poller;
mod roster;
mod schedule;
mod series;
mod target;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use clock::SetBack;
pub use controller::{Controller, DEFAULT_MAX_TARGETS};
pub use discovery::{Candidate, Discovery, TargetSets};
pub use failure::{FailureReason, PartFailure, UnusableEntry};
pub use link::Nudge;
pub use schedule::{FirstPoll, NextPoll, Poll, PollPace, PollReason, PollSettings};
pub use target::{Reach, ScrapeSeries, Target, TargetIdentity};

use crate::component::{ComponentId, Now};
use crate::pdata::writer::MetricsWriter;
use crate::resilience::Endpoint;

/// Polls one target.
pub trait Scraper: Send {
    /// Called once when the target's task starts, before the first poll's delay. A scraper whose
    /// values are differences reads its first counters here.
    fn start(&mut self, _now: Now) {}

    /// Polls the target once and writes its values to `out` with the time of the poll. What it
    /// requests is decided by each document from the poll ([`http::Document::ask`]).
    ///
    /// The target's resource and scope have already been written to `out`: an implementation
    /// writes metrics only. A part that fails leaves its metrics out. The future applies the
    /// timeout of its requests itself, since each part has its own.
    ///
    /// The controller drops the future when the agent stops, and with it whatever has been
    /// written.
    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape>;

    /// Writes a point for each series that has points and hasn't been ended: the target was
    /// removed, or its poller has panicked, and `out` makes tombstones of all that is written. Only
    /// targets that a discovery found are ever removed.
    fn end(&mut self, _now: Now, _out: &mut MetricsWriter) {}

    /// Called before a scrape if the wall clock was set back since the last one. The scraper
    /// corrects the start times that it remembers, which would lie in the future.
    fn clock_set_back(&mut self, _by: &SetBack) {}

    /// When it wants to be polled between ticks, and why. May lie in the past. It is asked again
    /// after every poll, when a breaker of [`Scraper::guards`] changes, and after a
    /// [`Nudge`] of the target.
    fn wish(&self) -> Option<NextPoll> {
        None
    }

    /// The guarded endpoints: one for each document that has been requested and has a guard. They
    /// leave the registry when the target is removed, and when its poller panics.
    fn guards(&self) -> Vec<Arc<Endpoint>> {
        Vec::new()
    }

    /// Writes metrics that belong to no single target, after every poll. An implementation
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
    rejected: Vec<(UnusableEntry, u64)>,
    counts: Option<ScrapeCounts>,
}

/// What Prometheus tells of a scrape beside `up`. A scrape that fails may have counts: those of the
/// samples that exceeded a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrapeCounts {
    /// Samples that the target exposed.
    pub scraped: u64,
    /// Those that are left after relabelling.
    pub kept: u64,
    /// Series that the last scrape didn't have.
    pub added: u64,
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
            counts: None,
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
            counts: None,
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
    pub fn rejecting(self, entries: impl IntoIterator<Item = (UnusableEntry, u64)>) -> Self {
        let rejected = entries.into_iter().collect();
        Self { rejected, ..self }
    }

    /// Adds how many samples there were. Without it, what was written counts.
    pub fn counting(self, counts: ScrapeCounts) -> Self {
        Self {
            counts: Some(counts),
            ..self
        }
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
