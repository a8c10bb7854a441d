//! One element of `scrape_configs`.

use std::collections::BTreeMap;

use super::ScrapeDuration;
use super::discovery::{DiscoveryConfig, discoveries};
use super::global::{GlobalConfig, times};
use super::http::HttpConfig;
use super::limits::{JobLimits, histogram_keys};
use super::protocols::{escaping, name_scheme, protocols, usual_escaping};
use crate::exposition::read::ScrapeProtocol;
use crate::receivers::prometheus::relabel::{NameScheme, RelabelRule};
use crate::yaml::{Fields, PlacedNode};

/// A job: what is scraped, and how.
#[derive(Debug, Clone)]
pub struct ScrapeJob {
    /// `job_name`, the label `job` of its series.
    pub name: String,
    /// `scrape_interval`.
    pub interval: ScrapeDuration,
    /// `scrape_timeout`, at most the interval.
    pub timeout: ScrapeDuration,
    /// `scrape_protocols`, the most wanted first; never empty.
    pub protocols: Vec<ScrapeProtocol>,
    /// `fallback_scrape_protocol`.
    pub fallback: Option<ScrapeProtocol>,
    /// `metrics_path`.
    pub metrics_path: String,
    /// `scheme`, `http` or `https`.
    pub scheme: String,
    /// `params`.
    pub params: BTreeMap<String, Vec<String>>,
    /// `honor_labels`.
    pub honor_labels: bool,
    /// `honor_timestamps`.
    pub honor_timestamps: bool,
    /// `track_timestamps_staleness`.
    pub track_timestamps_staleness: bool,
    /// The limits.
    pub limits: JobLimits,
    /// `metric_name_validation_scheme`.
    pub names: NameScheme,
    /// `metric_name_escaping_scheme`, as it stands in `Accept`.
    pub escaping: &'static str,
    /// `scrape_native_histograms`.
    pub native_histograms: bool,
    /// `always_scrape_classic_histograms`.
    pub classic_histograms_too: bool,
    /// `extra_scrape_metrics`.
    pub extra_metrics: bool,
    /// `relabel_configs`.
    pub relabel: Vec<RelabelRule>,
    /// `metric_relabel_configs`.
    pub metric_relabel: Vec<RelabelRule>,
    /// How targets are requested.
    pub http: HttpConfig,
    /// Where targets come from; may be empty.
    pub discoveries: Vec<DiscoveryConfig>,
}

impl ScrapeJob {
    pub(super) fn read(value: &PlacedNode<'_>, global: &GlobalConfig) -> Option<Self> {
        if value.is_null() {
            return value.error("the job is empty");
        }
        let mut fields = value.fields()?;
        let name: Option<String> = fields.required("job_name");
        if name.as_deref() == Some("") {
            value.error::<()>("`job_name` is empty");
        }
        let (interval, timeout) = times(&mut fields, global);
        let histograms = histogram_keys(&mut fields);
        let native_histograms = histograms.native.unwrap_or(global.native_histograms);
        let own_names = name_scheme(&mut fields);
        let names = own_names.unwrap_or(global.names);
        let inherited = global.escaping.filter(|_| own_names.is_none());
        let escaping = escaping(&mut fields, names).or(inherited);
        let written = written_protocols(&mut fields).or_else(|| global.protocols.clone());
        let fallback = fields.value("fallback_scrape_protocol");
        let fallback = fallback.filter(|value| !value.is_null() && value.text() != Some(""));
        let rules = |fields: &mut Fields<'_>, key| match fields.value(key) {
            Some(value) => RelabelRule::read_all(&value, names),
            None => Some(Vec::new()),
        };
        let relabel = rules(&mut fields, "relabel_configs");
        let metric_relabel = rules(&mut fields, "metric_relabel_configs");
        let is_relabelled = relabel.as_ref().is_none_or(|rules| !rules.is_empty());
        let discoveries = discoveries(&mut fields, names, !is_relabelled);
        let http = HttpConfig::read(&mut fields);
        let scheme = fields.value("scheme").filter(|value| !value.is_null());
        let scheme = scheme.map(|value| {
            let schemes = [("http", "http"), ("https", "https")];
            value.choice(&schemes).unwrap_or("http")
        });
        let job = Self {
            name: name.unwrap_or_default(),
            interval,
            timeout,
            protocols: written.unwrap_or_else(|| usual_protocols(native_histograms)),
            fallback: fallback.and_then(|value| value.choice(&ScrapeProtocol::ALL)),
            metrics_path: fields.or("metrics_path", "/metrics".to_owned()),
            scheme: scheme.unwrap_or("http").to_owned(),
            params: fields.or("params", BTreeMap::new()),
            honor_labels: fields.or("honor_labels", false),
            honor_timestamps: fields.or("honor_timestamps", true),
            track_timestamps_staleness: fields.or("track_timestamps_staleness", false),
            limits: JobLimits::read(&mut fields, global.limits),
            names,
            escaping: escaping.unwrap_or_else(|| usual_escaping(names)),
            native_histograms,
            classic_histograms_too: histograms
                .classic_too
                .unwrap_or(global.classic_histograms_too),
            extra_metrics: fields.or("extra_scrape_metrics", global.extra_metrics),
            relabel: relabel.unwrap_or_default(),
            metric_relabel: metric_relabel.unwrap_or_default(),
            http: http.unwrap_or_default(),
            discoveries: discoveries.unwrap_or_default(),
        };
        fields.finish();
        Some(job)
    }
}

fn written_protocols(fields: &mut Fields<'_>) -> Option<Vec<ScrapeProtocol>> {
    let value = fields.value("scrape_protocols")?;
    if value.is_null() {
        return None;
    }
    protocols(&value)
}

fn usual_protocols(native_histograms: bool) -> Vec<ScrapeProtocol> {
    match native_histograms {
        true => ScrapeProtocol::PROTOBUF_FIRST.to_vec(),
        false => ScrapeProtocol::DEFAULT.to_vec(),
    }
}
