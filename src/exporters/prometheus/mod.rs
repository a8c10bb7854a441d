//! Serves metrics to Prometheus: `GET /metrics`, as text 0.0.4 or OpenMetrics 1.0.
//!
//! ```yaml
//! exporters:
//!   prometheus:
//!     endpoint: 127.0.0.1:8889    # absent: on the agent's own HTTP server
//!     allow_insecure_bind: false  # with `endpoint`, also `tls` and `auth`
//!     namespace: ""               # goes before every name
//!     const_labels: {}            # on every series, but not on target_info
//!     send_timestamps: false      # write the time of each value
//!     metric_expiration: 5m       # without an update a series leaves the page
//!     enable_open_metrics: true   # for scrapers that prefer it
//!     created_samples: false      # OpenMetrics: `_created` for series with a start time
//!     resource_to_telemetry_conversion:
//!       enabled: false            # resource attributes as labels of every series
//!     without_scope_info: false   # true leaves out otel_scope_*
//!     add_metric_suffixes: true   # older form of:
//!     translation_strategy: UnderscoreEscapingWithSuffixes
//!     max_series: 200000          # lines of the page, buckets included
//!     max_text_bytes: 4KiB        # one name, key, value, unit, help text; 64 to 1MiB
//!     max_series_bytes: 64KiB     # all lines of one series; 256 to 64MiB
//!     max_page_bytes: 64MiB       # all series; 64KiB to 16GiB
//!     queue_bytes: 16MiB          # encoded bytes that wait for the page; 64KiB to 1GiB
//! ```
//!
//! Names, labels and types are translated as by the Collector's `prometheus` exporter;
//! `docs/prometheus.md` has the rules, and each difference with its reason. The page is always
//! valid: points that would make it invalid are dropped and counted.
//!
//! The ledger counts points as sent, or as dropped with a reason: `unsupported` (Prometheus has
//! no form for it, or a metric of another type has its name), `out_of_order` (older than the
//! shown one, or a delta that was counted already), `cardinality` (the page has `max_series`
//! lines or `max_page_bytes`), `oversized` (a text of the point, its metric, its scope or its
//! resource has more than `max_text_bytes`, or its series would write more than
//! `max_series_bytes`). `target_info` leaves out a resource's attributes that are longer than
//! `max_text_bytes`.
//!
//! A batch locks the series while it is taken in, a page for 64 KiB at a time, so neither delays
//! the other for longer.
//!
//! Metrics:
//!
//! - `foghorn_prometheus_series{exporter}`: series on the page, a histogram being one
//! - `foghorn_prometheus_page_bytes{exporter}`: bytes of the page, without compression
//! - `foghorn_prometheus_conflicts_total{exporter,conflict}`: new series that contradict
//!   what is on the page: `type` (dropped), `unit` and `help` (the first stays), `label`
//!   (a point's own label became `exported_...`), `length` (an attribute that is too long was
//!   left out of `target_info`)

mod config;
mod family;
mod ingest;
mod limits;
mod page;
mod series;
mod slots;
mod store;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::time::Instant;

use self::config::Config;
use self::ingest::PageUpdater;
use self::limits::StoreLimits;
use self::page::PageHandler;
use crate::component::{
    BuildContext, BuiltExporter, Claimed, Discards, ExporterConfig, ExporterFactory, Listener, Now,
    ResourceClaim, Route, Sink,
};
use crate::pdata::{Batch, Signal};
use crate::translation::Translation;

/// The factory of `prometheus`.
pub const FACTORY: ExporterFactory = ExporterFactory {
    kind: "prometheus",
    aliases: &[],
    summary: "serves metrics to Prometheus, as text or OpenMetrics",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(Config::read(value)?)),
};

/// The key of the page's address.
const ENDPOINT: &str = "endpoint";

/// The path of the page.
const PATH: &str = "/metrics";

/// How many times per `metric_expiration` expired series are removed at most. A series may stay
/// for a sixteenth longer, but isn't shown.
const SWEEPS: u32 = 16;

/// How series are translated and the page is written.
#[derive(Debug, Clone)]
struct PageSettings {
    translation: Translation,
    send_timestamps: bool,
    openmetrics: bool,
    created_samples: bool,
    expiration: Duration,
    limits: StoreLimits,
}

/// The page, shared by the sink and the requests that read it.
type SharedPage = Arc<Mutex<PageUpdater>>;

impl ExporterConfig for Config {
    fn build(&self, context: &BuildContext) -> anyhow::Result<BuiltExporter> {
        Ok(BuiltExporter::Local(Box::new(PrometheusSink::new(
            self.clone(),
            context.clone(),
        ))))
    }

    fn claims(&self) -> Vec<ResourceClaim> {
        vec![ResourceClaim {
            key: ENDPOINT,
            claimed: Claimed::Page(self.listener.clone(), PATH.to_owned()),
        }]
    }

    fn describe(&self) -> String {
        match &self.listener {
            Listener::Agent => format!("the page {PATH} of the agent"),
            Listener::At(listener) => {
                let scheme = if listener.tls.is_some() {
                    "https"
                } else {
                    "http"
                };
                format!("{scheme}://{}{PATH}", listener.endpoint)
            }
        }
    }

    fn translation(&self) -> Option<&Translation> {
        Some(&self.settings.translation)
    }
}

struct PrometheusSink {
    listener: Listener,
    context: BuildContext,
    queue_bytes: u64,
    settings: Arc<PageSettings>,
    shared: SharedPage,
    conflicts: Counter<u64>,
    /// The next sweep isn't due before; see [`SWEEPS`].
    not_before: Option<Instant>,
}

impl PrometheusSink {
    fn new(config: Config, context: BuildContext) -> Self {
        let settings = Arc::new(config.settings);
        let shared: SharedPage = Arc::new(Mutex::new(PageUpdater::new(Arc::clone(&settings))));
        let meter = context.telemetry.meter("foghorn.exporters.prometheus");
        let observed = Arc::downgrade(&shared);
        let exporter = KeyValue::new("exporter", context.id.to_string());
        meter
            .u64_observable_gauge("foghorn_prometheus_series")
            .with_description("Series on the page of a prometheus exporter")
            .with_callback(move |observer| {
                if let Some(shared) = observed.upgrade() {
                    let series = lock(&shared).store.len() as u64;
                    observer.observe(series, std::slice::from_ref(&exporter));
                }
            })
            .build();
        let observed = Arc::downgrade(&shared);
        let exporter = KeyValue::new("exporter", context.id.to_string());
        meter
            .u64_observable_gauge("foghorn_prometheus_page_bytes")
            .with_description("Bytes of the page of a prometheus exporter, uncompressed")
            .with_callback(move |observer| {
                if let Some(shared) = observed.upgrade() {
                    let bytes = lock(&shared).store.bytes() as u64;
                    observer.observe(bytes, std::slice::from_ref(&exporter));
                }
            })
            .build();
        let conflicts = meter
            .u64_counter("foghorn_prometheus_conflicts_total")
            .with_description("New series that contradict what is on the page")
            .build();
        Self {
            listener: config.listener,
            context,
            queue_bytes: config.queue_bytes,
            settings,
            shared,
            conflicts,
            not_before: None,
        }
    }
}

impl Sink for PrometheusSink {
    fn start(&mut self) -> anyhow::Result<()> {
        // The agent's own families are on the page at the agent's own listener.
        let own = (self.listener == Listener::Agent).then(|| self.context.telemetry.clone());
        self.context.routes.register(Route {
            listener: self.listener.clone(),
            path: PATH.to_owned(),
            owner: format!("exporters::{}::{ENDPOINT}", self.context.id),
            handler: Arc::new(PageHandler::new(
                Arc::clone(&self.shared),
                Arc::clone(&self.settings),
                own,
            )),
        });
        Ok(())
    }

    fn queue_bytes(&self) -> u64 {
        self.queue_bytes
    }

    fn consume(&mut self, batch: Batch, now: Now, out: &mut dyn Discards) {
        let conflicts = {
            let mut ingest = lock(&self.shared);
            ingest.batch(&batch, now, out);
            ingest.take_conflicts()
        };
        for (conflict, count) in [
            ("type", conflicts.kind),
            ("unit", conflicts.unit),
            ("help", conflicts.help),
            ("label", conflicts.label),
            ("length", conflicts.length),
        ] {
            if count > 0 {
                self.conflicts.add(
                    count,
                    &[
                        KeyValue::new("exporter", self.context.id.to_string()),
                        KeyValue::new("conflict", conflict),
                    ],
                );
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let due = lock(&self.shared).deadline()?;
        Some(self.not_before.map_or(due, |earliest| due.max(earliest)))
    }

    fn on_deadline(&mut self, now: Now, _out: &mut dyn Discards) {
        lock(&self.shared).expire(now.monotonic);
        self.not_before = Some(now.monotonic + self.settings.expiration / SWEEPS);
    }
}

/// A panic under the lock costs one point at most and leaves the page valid, so a poisoned lock
/// is used all the same.
fn lock(shared: &SharedPage) -> MutexGuard<'_, PageUpdater> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
