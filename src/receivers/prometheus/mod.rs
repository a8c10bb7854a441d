//! Scrapes Prometheus targets, by a scrape configuration as Prometheus has it.
//!
//! ```yaml
//! receivers:
//!   prometheus:
//!     config:                    # this level may be left out
//!       global:
//!         scrape_interval: 15s   # 1m if nothing is written
//!         scrape_timeout: 10s
//!         external_labels: {region: eu}   # on every series
//!       scrape_configs:
//!       - job_name: node
//!         static_configs:
//!         - targets: [localhost:9100]
//!           labels: {env: dev}
//!         file_sd_configs: [{files: [/etc/foghorn/targets/*.json]}]
//!         http_sd_configs: [{url: "http://inventory.example/targets"}]
//!         dns_sd_configs: [{names: [_metrics._tcp.example]}]
//!         kubernetes_sd_configs: [{role: pod, namespaces: {names: [shop]}}]
//!         relabel_configs: [{source_labels: [__meta_filepath], target_label: file}]
//!         metric_relabel_configs: [{source_labels: [__name__], regex: go_.*, action: drop}]
//!         sample_limit: 10000    # and the other limits of a page
//!         body_size_limit: 10MB  # also if nothing is written
//!     max_targets: 10000         # of all jobs together
//! ```
//!
//! `docs/prometheus-receiver.md` lists all keys, and what of Prometheus differs.
//!
//! Each target is scraped within an interval of being found, and then at its own phase of the
//! interval. Series end with stale markers as in Prometheus: when a page doesn't have them any more,
//! when a scrape fails, and when their target is gone. With `resilience` in the pipeline, the series
//! of a target that doesn't answer end when `max_staleness` is over.
//!
//! Metrics: those of the targets, as [`crate::translation::scraped`] makes OTLP of them; and for
//! each target, with its labels, what Prometheus writes: `up`, `scrape_duration_seconds`,
//! `scrape_samples_scraped`, `scrape_samples_post_metric_relabeling`, `scrape_series_added`, and
//! with `extra_scrape_metrics: true` also `scrape_timeout_seconds`, `scrape_sample_limit` and
//! `scrape_body_size_bytes`.
//!
//! Their resource has `service.name` (the label `job`), `service.instance.id` (`instance`),
//! `server.address`, `server.port` and `url.scheme`.
//!
//! Own metrics, beside those of all pull receivers:
//!
//! | name | type | meaning |
//! |---|---|---|
//! | `foghorn_discovery_failures_total{receiver,job,discovery}` | counter | times that a discovery couldn't say which targets there are |
//! | `foghorn_scrape_targets_rejected_total{receiver,job,reason="invalid"}` | counter | targets that were found and can't be scraped |
//! | `foghorn_scrape_series_rejected_total{receiver,reason}` | counter | values of series that were left out of pages: `too_long` (a rule makes too long a text of the series), `duplicate` (the page has it twice), `out_of_bounds` (of a time more than ten minutes ahead), `inexpressible` (a native histogram that OTLP can't express) |

pub mod config;
mod context;
mod discovery;
pub mod groups;
mod jobs;
mod oauth2;
mod rejections;
pub mod relabel;
mod rules;
mod scraper;
pub mod targets;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::config::Config;
use self::jobs::Jobs;
use crate::component::{BuildContext, Intake, Receiver, ReceiverConfig, ReceiverFactory};
use crate::pdata::Signal;
use crate::receivers::scrape::Controller;
use crate::resilience::PollConfig;

/// The factory of `prometheus`.
pub const FACTORY: ReceiverFactory = ReceiverFactory {
    kind: "prometheus",
    aliases: &[],
    summary: "scrapes Prometheus targets, by Prometheus's own scrape configuration",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(Config::read(value)?)),
};

impl ReceiverConfig for Config {
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        let intake = context.metrics_intake(intakes)?;
        let jobs = Jobs::new(context, self)?;
        let controller = Controller::new(context, intake, Vec::new());
        Ok(Box::new(
            controller.discovering(Box::new(jobs), self.max_targets),
        ))
    }

    fn polls(&self) -> Option<PollConfig> {
        // Each job has an interval and a timeout of its own, to which the guards are adapted.
        Some(PollConfig::default())
    }

    fn endpoints(&self) -> usize {
        self.max_targets
    }

    fn describe(&self) -> String {
        let names: Vec<&str> = self.jobs.iter().map(|job| job.name.as_str()).collect();
        match &*names {
            [name] => format!("job {name}"),
            names => format!("jobs {}", names.join(", ")),
        }
    }
}
