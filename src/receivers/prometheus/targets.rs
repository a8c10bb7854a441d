//! Targets: what discoveries find, and what becomes of it by a job's rules.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::config::{ScrapeDuration, ScrapeJob};
use super::groups::{ADDRESS, TargetLabelMap};
use super::relabel::{LabelBuilder, RelabelRule, Relabelled};

const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const PARAM: &str = "__param_";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const NATIVE: &str = "__scrape_native_histograms__";
const CLASSIC_TOO: &str = "__always_scrape_classic_histograms__";
const CONVERT: &str = "__convert_classic_histograms_to_nhcb__";
const META: &str = "__meta_";
const RESERVED: &str = "__";
const JOB: &str = "job";
const INSTANCE: &str = "instance";

/// A target that is to be scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeTarget {
    /// Its labels after the rules, sorted by their names; those that begin with `__` among them,
    /// except `__meta_`. Two targets of a job with the same labels are one.
    pub labels: Vec<(String, String)>,
    /// What is requested; `None` where address and scheme make no URL, so that every scrape fails.
    pub url: Option<Url>,
    /// From one scrape to the next.
    pub interval: Duration,
    /// How long a scrape may take; not longer than the interval.
    pub timeout: Duration,
    /// Whether native histograms are read.
    pub native_histograms: bool,
    /// Whether the classic buckets of a native histogram are read beside it.
    pub classic_histograms_too: bool,
}

/// Why something that was discovered can't be scraped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// `__address__` is empty.
    #[error("no address")]
    NoAddress,
    /// `__address__` contains a slash.
    #[error("`{0}` is not a valid hostname")]
    Address(String),
    /// The rules set one of the labels that say how to scrape, and not to what it may be.
    #[error("{0} is `{1}`, which it can't be")]
    Setting(&'static str, String),
    /// The timeout is longer than the interval.
    #[error("the scrape timeout is greater than the scrape interval ({0} > {1})")]
    Timeout(ScrapeDuration, ScrapeDuration),
    /// A rule made a text that is too long.
    #[error("a rule makes a text that is longer than 1 MiB")]
    TooLong,
}

impl ScrapeTarget {
    /// What becomes of a target of a group by the rules of a job: `None` if they drop it.
    ///
    /// # Errors
    ///
    /// When what is left of it can't be scraped.
    pub fn of(
        job: &ScrapeJob,
        target: &TargetLabelMap,
        group: &TargetLabelMap,
    ) -> Result<Option<Self>, TargetError> {
        let mut labels = discovered(job, target, group);
        match RelabelRule::apply(&job.relabel, &mut labels) {
            Relabelled::Kept => {}
            Relabelled::Dropped => return Ok(None),
            Relabelled::TooLong => return Err(TargetError::TooLong),
        }
        let address = labels.value(ADDRESS).to_owned();
        if address.is_empty() {
            return Err(TargetError::NoAddress);
        }
        if address.contains('/') {
            return Err(TargetError::Address(address));
        }
        let interval = duration(&labels, INTERVAL)?;
        let timeout = duration(&labels, TIMEOUT)?;
        if timeout > interval {
            return Err(TargetError::Timeout(timeout, interval));
        }
        if flag(&labels, CONVERT, false)? {
            return Err(TargetError::Setting(CONVERT, "true".to_owned()));
        }
        let native_histograms = flag(&labels, NATIVE, job.native_histograms)?;
        let classic_histograms_too = flag(&labels, CLASSIC_TOO, job.classic_histograms_too)?;
        labels.retain(|name| !name.starts_with(META));
        if labels.value(INSTANCE).is_empty() {
            labels.set(INSTANCE, address);
        }
        let url = url(job, &labels);
        let labels = labels.finish().into_iter();
        Ok(Some(Self {
            labels: labels
                .map(|label| (label.name.into_owned(), label.value.into_owned()))
                .collect(),
            url,
            interval: interval.0,
            timeout: timeout.0,
            native_histograms,
            classic_histograms_too,
        }))
    }

    /// The labels that its series get: those that don't begin with `__`.
    pub fn public_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let public = |label: &&(String, String)| !label.0.starts_with(RESERVED);
        let labels = self.labels.iter().filter(public);
        labels.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a label; empty if there is none.
    pub fn label(&self, name: &str) -> &str {
        let mut labels = self.labels.iter();
        labels
            .find(|label| label.0 == name)
            .map_or("", |label| &label.1)
    }
}

/// The labels before the rules: those of target and group, and what the job says.
fn discovered<'t>(
    job: &'t ScrapeJob,
    target: &'t TargetLabelMap,
    group: &'t TargetLabelMap,
) -> LabelBuilder<'t> {
    let mut labels = LabelBuilder::default();
    for (name, value) in target {
        labels.set(name, value);
    }
    for (name, value) in group {
        if !target.contains_key(name) {
            labels.set(name, value);
        }
    }
    let word = |flag: bool| Cow::from(if flag { "true" } else { "false" });
    let settings: [(&str, Cow<'t, str>); 8] = [
        (JOB, job.name.as_str().into()),
        (INTERVAL, job.interval.to_string().into()),
        (TIMEOUT, job.timeout.to_string().into()),
        (METRICS_PATH, job.metrics_path.as_str().into()),
        (SCHEME, job.scheme.as_str().into()),
        (CONVERT, word(false)),
        (CLASSIC_TOO, word(job.classic_histograms_too)),
        (NATIVE, word(job.native_histograms)),
    ];
    for (name, value) in settings {
        if labels.value(name).is_empty() {
            labels.set(name, value);
        }
    }
    for (key, values) in &job.params {
        let name = format!("{PARAM}{key}");
        if let Some(first) = values.first()
            && labels.value(&name).is_empty()
        {
            labels.set(name, first);
        }
    }
    labels
}

/// A duration above 0, in a label.
fn duration(labels: &LabelBuilder<'_>, name: &'static str) -> Result<ScrapeDuration, TargetError> {
    let text = labels.value(name);
    match text.parse::<ScrapeDuration>() {
        Ok(duration) if !duration.0.is_zero() => Ok(duration),
        _ => Err(TargetError::Setting(name, text.to_owned())),
    }
}

/// A flag in a label, in the words that Go knows.
fn flag(labels: &LabelBuilder<'_>, name: &'static str, absent: bool) -> Result<bool, TargetError> {
    match labels.value(name) {
        "" => Ok(absent),
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        other => Err(TargetError::Setting(name, other.to_owned())),
    }
}

/// What is requested of a target.
fn url(job: &ScrapeJob, labels: &LabelBuilder<'_>) -> Option<Url> {
    let scheme = labels.value(SCHEME);
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let mut url = Url::parse(&format!("{scheme}://{}", labels.value(ADDRESS))).ok()?;
    let is_more = url.query().is_some() || url.fragment().is_some();
    if is_more || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    // The path is no text of a URL yet, in which `%20` would be a space.
    url.set_path(&labels.value(METRICS_PATH).replace('%', "%25"));
    let mut params: BTreeMap<&str, Vec<&str>> = job
        .params
        .iter()
        .map(|(key, values)| (key.as_str(), values.iter().map(String::as_str).collect()))
        .collect();
    for label in labels.iter() {
        let Some(key) = label.name.strip_prefix(PARAM) else {
            continue;
        };
        let values = params.entry(key).or_default();
        match values.first_mut() {
            Some(first) => *first = &label.value,
            None => values.push(&label.value),
        }
    }
    params.retain(|_, values| !values.is_empty());
    if !params.is_empty() {
        let mut query = url.query_pairs_mut();
        for (key, values) in params {
            for value in values {
                query.append_pair(key, value);
            }
        }
    }
    Some(url)
}

#[cfg(test)]
mod tests;
