//! The limits of a job and the keys about histograms, which `global` has as well.

use super::BodySize;
use crate::yaml::{Fields, is_false, is_zero};

/// The limits of a job. 0 means none, except for `body_size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// `body_size_limit`, in bytes.
    pub body_size: u64,
    /// `sample_limit`.
    pub samples: usize,
    /// `target_limit`.
    pub targets: usize,
    /// `label_limit`.
    pub labels: usize,
    /// `label_name_length_limit`, in bytes.
    pub label_name: usize,
    /// `label_value_length_limit`, in bytes.
    pub label_value: usize,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self {
            body_size: 10 << 20,
            samples: 0,
            targets: 0,
            labels: 0,
            label_name: 0,
            label_value: 0,
        }
    }
}

impl JobLimits {
    /// Reads the limits, with those of `outer` where they aren't written or 0.
    pub(super) fn read(fields: &mut Fields<'_>, outer: Self) -> Self {
        let mut count = |key, outer| match fields.or(key, 0_usize) {
            0 => outer,
            written => written,
        };
        Self {
            samples: count("sample_limit", outer.samples),
            targets: count("target_limit", outer.targets),
            labels: count("label_limit", outer.labels),
            label_name: count("label_name_length_limit", outer.label_name),
            label_value: count("label_value_length_limit", outer.label_value),
            body_size: size(fields, "body_size_limit", outer.body_size),
        }
    }
}

/// The keys about histograms.
pub(super) struct HistogramKeys {
    /// `scrape_native_histograms`.
    pub(super) native: Option<bool>,
    /// `always_scrape_classic_histograms`.
    pub(super) classic_too: Option<bool>,
}

/// Reads the keys about histograms and others that `global` has as well.
pub(super) fn histogram_keys(fields: &mut Fields<'_>) -> HistogramKeys {
    let keys = HistogramKeys {
        native: fields.optional("scrape_native_histograms"),
        classic_too: fields.optional("always_scrape_classic_histograms"),
    };
    let refused = |fields: &mut Fields<'_>, key, why: &str| {
        let value = fields.foreign(key).filter(|value| !value.is_null());
        if let Some(value) = value.filter(|value| !is_zero(value) && !is_false(value)) {
            value.error::<()>(why);
        }
    };
    refused(
        fields,
        "convert_classic_histograms_to_nhcb",
        "classic histograms stay what they are: leave it out",
    );
    for key in [
        "native_histogram_bucket_limit",
        "native_histogram_min_bucket_factor",
    ] {
        refused(
            fields,
            key,
            "native histograms keep the buckets that they have: leave it out",
        );
    }
    fields.without_effect(
        "scrape_failure_log_file",
        |value| value.text() == Some(""),
        "failures are in the agent's own log",
    );
    fields.without_effect(
        "keep_dropped_targets",
        is_zero,
        "targets that rules drop aren't kept",
    );
    keys
}

/// A limit in bytes; 0 means that it isn't written.
fn size(fields: &mut Fields<'_>, key: &'static str, default: u64) -> u64 {
    /// As for the answers of other receivers.
    const LARGEST: BodySize = BodySize(1 << 30);
    match fields.within(key, BodySize(0), BodySize(0)..=LARGEST).0 {
        0 => default,
        bytes => bytes,
    }
}
