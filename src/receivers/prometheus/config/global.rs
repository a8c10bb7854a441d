//! `global`: what all jobs share unless they say otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ScrapeDuration;
use super::labels::label_map;
use super::limits::{JobLimits, histogram_keys};
use super::protocols::{escaping, name_scheme, protocols};
use crate::exposition::read::ScrapeProtocol;
use crate::receivers::prometheus::relabel::NameScheme;
use crate::yaml::{Fields, PlacedNode};

/// The defaults of the jobs.
#[derive(Debug, Clone)]
pub struct GlobalConfig {
    /// `scrape_interval`.
    pub interval: ScrapeDuration,
    /// `scrape_timeout`.
    pub timeout: ScrapeDuration,
    /// `scrape_protocols`, if they are written.
    pub protocols: Option<Vec<ScrapeProtocol>>,
    /// `external_labels`.
    pub external_labels: BTreeMap<String, String>,
    /// The limits.
    pub limits: JobLimits,
    /// `metric_name_validation_scheme`.
    pub names: NameScheme,
    /// `metric_name_escaping_scheme`, if it is written.
    pub escaping: Option<&'static str>,
    /// `scrape_native_histograms`.
    pub native_histograms: bool,
    /// `always_scrape_classic_histograms`.
    pub classic_histograms_too: bool,
    /// `extra_scrape_metrics`.
    pub extra_metrics: bool,
}

impl Default for GlobalConfig {
    fn default() -> Self {
        Self {
            interval: ScrapeDuration(Duration::from_secs(60)),
            timeout: ScrapeDuration(Duration::from_secs(10)),
            protocols: None,
            external_labels: BTreeMap::new(),
            limits: JobLimits::default(),
            names: NameScheme::Utf8,
            escaping: None,
            native_histograms: false,
            classic_histograms_too: false,
            extra_metrics: false,
        }
    }
}

impl GlobalConfig {
    pub(super) fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let default = Self::default();
        let (interval, timeout) = times(&mut fields, &default);
        let written = fields.value("scrape_protocols");
        let written = written.filter(|protocols| !protocols.is_null());
        let external_labels = fields.value("external_labels");
        let names = name_scheme(&mut fields).unwrap_or_default();
        let escaping = escaping(&mut fields, names);
        let histograms = histogram_keys(&mut fields);
        let global = Self {
            interval,
            timeout,
            protocols: written.and_then(|value| protocols(&value)),
            external_labels: external_labels
                .and_then(|labels| label_map(&labels, names))
                .unwrap_or_default(),
            limits: JobLimits::read(&mut fields, default.limits),
            names,
            escaping,
            native_histograms: histograms.native.unwrap_or(false),
            classic_histograms_too: histograms.classic_too.unwrap_or(false),
            extra_metrics: fields.or("extra_scrape_metrics", false),
        };
        for key in ["evaluation_interval", "rule_query_offset", "query_log_file"] {
            fields.without_effect(key, |_| false, "no rules and queries are evaluated by it");
        }
        fields.finish();
        Some(global)
    }
}

/// `scrape_interval` and `scrape_timeout`, with those of `outer` where they aren't written. 0 means
/// the same as nothing.
pub(super) fn times(
    fields: &mut Fields<'_>,
    outer: &GlobalConfig,
) -> (ScrapeDuration, ScrapeDuration) {
    /// More often than this is no scraping.
    const SHORTEST: Duration = Duration::from_millis(100);
    let mut written = |key| {
        let value = fields.value(key).filter(|value| !value.is_null())?;
        let duration: ScrapeDuration = value.read()?;
        (!duration.0.is_zero()).then_some((value, duration))
    };
    let interval = written("scrape_interval");
    let timeout = written("scrape_timeout");
    if let Some((value, interval)) = interval.as_ref().filter(|(_, read)| read.0 < SHORTEST) {
        value.error::<()>(format_args!(
            "{interval} is out of range: use at least 100ms"
        ));
    }
    let interval = interval.map_or(outer.interval, |(_, interval)| interval);
    let timeout = match timeout {
        None => outer.timeout.min(interval),
        Some((value, timeout)) => {
            if timeout > interval {
                value.error::<()>(format_args!(
                    "{timeout} is longer than scrape_interval ({interval})"
                ));
            }
            timeout
        }
    };
    (interval, timeout)
}
