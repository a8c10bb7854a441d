//! `request_metrics`: request rate, error rate and latency of deployments, from the histograms that
//! their instrumentation sends.
//!
//! ```yaml
//! processors:
//!   request_metrics:
//!     interval: 15s              # what the gauges cover; 1s to 1h
//!     match: [deployment.id, k8s.deployment.name]  # attributes of the resource; the first that is there
//!     max_deployments: 10000     # 1 to 1000000
//!     max_replicas: 1000         # of a deployment; 1 to 100000
//!     max_series: 20000          # histograms of all replicas; 1 to 1000000
//!     metric_expiration: 5m      # an unheard replica is forgotten after; 1s to 24h
//! ```
//!
//! It reads `http.server.request.duration`, and the older `http.server.duration` of replicas that
//! don't send the former, and passes on everything unchanged. Both kinds of histograms are read,
//! cumulative ones and deltas; their unit is what they say, and without one seconds and milliseconds
//! in turn. A replica is a resource. How replicas are added up, [`crate::traffic`] says.
//!
//! For each deployment it adds gauges to the pipeline:
//!
//! | name | meaning |
//! |---|---|
//! | `deployment_request_rate` | requests per second |
//! | `deployment_error_rate` | those with a status of 500 or above |
//! | `deployment_latency` | the mean duration in milliseconds |
//! | `deployment_latency_p95`, `deployment_latency_p99` | percentiles of it, likewise |
//!
//! Their labels are `deployment_id` (the attribute that matches), and where they are known
//! `deployment_name` (`k8s.deployment.name`, `deployment.name`) and `k8s_namespace_name`. Their
//! resource has `service.name` = the processor's id. Deployments that are matched by a `k8s.` name
//! are told apart by their namespace as well.
//!
//! The gauges cover the last `interval` before the newest reading of each replica, or the time
//! between its last two readings if that is longer, and come once a second while data comes. A
//! replica counts from its second reading on, or from the first one if that began within the
//! interval. Of one that sends deltas silence means that it has no requests; one that sends totals
//! and is silent for two of its readings (at least for the interval) has ended, and leaves the sum.
//! The series of a deployment without replicas end.
//!
//! Metrics:
//!
//! - `foghorn_request_metrics_deployments{processor}`, `..._replicas`, `..._series`: what is
//!   remembered
//! - `foghorn_request_metrics_refused_total{processor,reason}`: histogram points that were not
//!   taken, or not whole: `max_deployments`, `max_replicas`, `max_series`, `oversized` (a name of
//!   the deployment is longer than 256 bytes), `out_of_order` (older than what is known, or known
//!   already), `unsupported` (neither cumulative nor delta); and taken without their buckets:
//!   `too_wide` (more than 400), `malformed`

mod config;
mod deployments;
mod instrumentation;
mod report;
#[cfg(test)]
mod tests;
mod tracker;

use std::time::Duration;

use tokio::time::Instant;

use self::config::Config;
use self::report::TrafficReport;
use self::tracker::TrafficTracker;
use crate::component::{
    BuildContext, ComponentId, Now, Output, Processor, ProcessorConfig, ProcessorFactory,
};
use crate::pdata::writer::MetricsWriter;
use crate::pdata::{Batch, Signal};

/// The factory of `request_metrics`.
pub const FACTORY: ProcessorFactory = ProcessorFactory {
    kind: "request_metrics",
    aliases: &[],
    summary: "request rate, error rate and latency of deployments, from their histograms",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

/// The gauges come at most this often.
const PACE: Duration = Duration::from_secs(1);

/// Between two slices of an emission, so that the others have their turn.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the gauges may stay without a new point. Their own tombstones come earlier.
const KEEP: Duration = Duration::from_secs(3600);

impl ProcessorConfig for Config {
    fn build(&self, context: &BuildContext, _: Signal) -> anyhow::Result<Box<dyn Processor>> {
        Ok(Box::new(RequestMetrics {
            id: context.id.clone(),
            tracker: TrafficTracker::new(self.clone(), TrafficReport::new(context)),
            sweep_every: self.interval,
            next_emission: None,
            emitted: None,
            next_sweep: None,
            ended: false,
        }))
    }
}

struct RequestMetrics {
    id: ComponentId,
    tracker: TrafficTracker,
    sweep_every: Duration,
    /// When the gauges of deployments that have changed are due; `None` if none has.
    next_emission: Option<Instant>,
    /// When the last emission began.
    emitted: Option<Instant>,
    next_sweep: Option<Instant>,
    /// Whether it was drained: nothing comes any more.
    ended: bool,
}

impl Processor for RequestMetrics {
    fn process(&mut self, batch: Batch, now: Now, out: &mut dyn Output) {
        self.tracker.take(&batch, now);
        out.emit(batch);
        if self.tracker.is_empty() || self.ended {
            return;
        }
        self.next_sweep
            .get_or_insert_with(|| now.monotonic + self.sweep_every);
        self.plan(now);
        if self.next_emission.is_some_and(|due| due <= now.monotonic) {
            self.emit(now, out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.next_emission, self.next_sweep];
        deadlines.into_iter().flatten().min()
    }

    fn on_deadline(&mut self, now: Now, out: &mut dyn Output) {
        if self.next_sweep.is_some_and(|due| due <= now.monotonic) {
            self.tracker.sweep(now);
            self.next_sweep = (!self.tracker.is_empty()).then(|| now.monotonic + self.sweep_every);
            self.plan(now);
        }
        if self.next_emission.is_some_and(|due| due <= now.monotonic) {
            self.emit(now, out);
        }
    }

    fn drain(&mut self, now: Now, out: &mut dyn Output) {
        while self.tracker.has_news() && !self.ended {
            self.emit(now, out);
        }
        self.ended = true;
        self.next_emission = None;
        self.next_sweep = None;
    }
}

impl RequestMetrics {
    /// Sets when the next emission is due, if there is anything new.
    fn plan(&mut self, now: Now) {
        if self.next_emission.is_none() && self.tracker.has_news() {
            let paced = self.emitted.map_or(now.monotonic, |at| at + PACE);
            self.next_emission = Some(paced.max(now.monotonic));
        }
    }

    /// Gives out the gauges of the deployments that have changed, or as many as are computed at a
    /// time.
    fn emit(&mut self, now: Now, out: &mut dyn Output) {
        let mut writer = MetricsWriter::new();
        writer.resource(&[("service.name", self.id.as_str().into())]);
        writer.scope("foghorn/request_metrics", env!("CARGO_PKG_VERSION"));
        self.tracker.write(&mut writer, now);
        let more = self.tracker.has_news();
        self.next_emission = more.then(|| now.monotonic + PAUSE);
        if !more {
            self.emitted = Some(now.monotonic);
        }
        if writer.items() > 0 {
            let mut gauges = writer.finish();
            gauges.keep_series(KEEP);
            out.create(gauges);
        }
    }
}
