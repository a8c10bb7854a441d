//! Reads a scrape configuration as Prometheus has it, with `config:` around it, as in the
//! Collector, or without.
//!
//! Every key of Prometheus is known: it has its effect, or is accepted with a warning where it
//! changes nothing here, or is refused with its place.

mod discovery;
mod global;
mod http;
mod job;
mod kubernetes;
mod labels;
mod limits;
mod protocols;
mod quantity;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::yaml::{Fields, PlacedNode, is_empty, is_false};

pub use discovery::{
    DiscoveryConfig, DnsConfig, DnsRecords, FileConfig, HttpDiscoveryConfig, PathPattern, group,
};
pub use global::GlobalConfig;
pub use http::{HttpConfig, OAuth2Config};
pub use job::ScrapeJob;
pub use kubernetes::{KubernetesConfig, KubernetesRole, ObjectSelector};
pub use limits::JobLimits;
pub use quantity::{BodySize, NoDuration, ScrapeDuration};

/// A valid scrape configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The jobs, in the order in which they are written.
    pub jobs: Vec<ScrapeJob>,
    /// `external_labels`, which every series gets.
    pub external_labels: BTreeMap<String, String>,
    /// `max_targets`: how many targets there may be at once, in all jobs together.
    pub max_targets: usize,
}

impl Config {
    /// Reads the receiver's configuration. What is wrong is reported with its place.
    pub fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let inner = fields.value("config").filter(|value| !value.is_null());
        let max_targets = fields.within("max_targets", 10_000, 1..=1_000_000);
        collector_keys(&mut fields);
        let extra = fields.or("report_extra_scrape_metrics", false);
        let read = match &inner {
            Some(inner) => {
                for key in ["scrape_configs", "global"] {
                    if let Some(value) = fields.value(key) {
                        value.error::<()>(format_args!(
                            "`{key}` stands in `config` or beside it, and here both are written"
                        ));
                    }
                }
                let mut inner = inner.fields()?;
                let read = Self::sections(&mut inner, extra);
                inner.finish();
                read
            }
            None => Self::sections(&mut fields, extra),
        };
        fields.finish();
        let (global, jobs) = read?;
        Some(Self {
            jobs,
            external_labels: global.external_labels,
            max_targets,
        })
    }

    /// Reads the sections of Prometheus's own configuration.
    fn sections(fields: &mut Fields<'_>, extra: bool) -> Option<(GlobalConfig, Vec<ScrapeJob>)> {
        let global = match fields.value("global") {
            Some(value) => GlobalConfig::read(&value),
            None => Some(GlobalConfig::default()),
        };
        let jobs = fields.value("scrape_configs");
        foreign_sections(fields);
        let Some(jobs) = jobs.filter(|jobs| !is_empty(jobs)) else {
            return fields
                .map()
                .error("`scrape_configs` is missing: there is nothing to scrape");
        };
        let mut global = global?;
        global.extra_metrics |= extra;
        let items = jobs.items()?;
        // Every job is read, so that every wrong one is reported.
        let read: Vec<Option<ScrapeJob>> = items
            .iter()
            .map(|item| ScrapeJob::read(item, &global))
            .collect();
        let mut jobs: Vec<ScrapeJob> = Vec::new();
        for (item, job) in items.iter().zip(read) {
            let job = job?;
            if jobs.iter().any(|other| other.name == job.name) {
                return item.error(format_args!(
                    "there are two jobs with the name `{}`",
                    job.name
                ));
            }
            jobs.push(job);
        }
        Some((global, jobs))
    }
}

/// A key that is refused, what it may say nevertheless, and why it is refused.
type RefusedKey = (&'static str, fn(&PlacedNode<'_>) -> bool, &'static str);

/// Keys that the Collector's receiver has beside `config`.
fn collector_keys(fields: &mut Fields<'_>) {
    let is_off: fn(&PlacedNode<'_>) -> bool =
        |value| is_empty(value) || value.step("enabled").is_some_and(|(_, on)| is_false(&on));
    let refusals: [RefusedKey; 4] = [
        (
            "trim_metric_suffixes",
            is_false,
            "names are kept as the targets write them: leave it out",
        ),
        (
            "target_allocator",
            is_empty,
            "there is no target allocator: give each agent the targets that it should scrape",
        ),
        (
            "api_server",
            is_off,
            "there is no such API here: leave it out",
        ),
        (
            "use_start_time_metric",
            is_false,
            "start times are those that targets give: leave it out",
        ),
    ];
    refuse(fields, &refusals);
}

/// Sections of Prometheus's configuration that don't concern scraping.
fn foreign_sections(fields: &mut Fields<'_>) {
    let refusals: [RefusedKey; 5] = [
        (
            "rule_files",
            is_empty,
            "no rules are evaluated here: leave it out",
        ),
        (
            "alerting",
            is_empty,
            "no alerts are sent from here: leave it out",
        ),
        (
            "remote_write",
            is_empty,
            "data leaves by the exporters of the pipeline: leave it out",
        ),
        (
            "remote_read",
            is_empty,
            "nothing is read from elsewhere: leave it out",
        ),
        (
            "scrape_config_files",
            is_empty,
            "write the jobs under scrape_configs, or give `--config` several files",
        ),
    ];
    refuse(fields, &refusals);
    for key in ["storage", "tracing", "otlp", "runtime"] {
        fields.without_effect(key, is_empty, "it doesn't concern scraping");
    }
}

/// Refuses keys that ask for what there isn't, unless they ask for nothing.
fn refuse(fields: &mut Fields<'_>, keys: &[RefusedKey]) {
    for (key, is_nothing, why) in keys {
        let value = fields.foreign(key).filter(|value| !value.is_null());
        if let Some(value) = value.filter(|value| !is_nothing(value)) {
            value.error::<()>(why);
        }
    }
}
