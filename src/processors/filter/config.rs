//! Reads the blocks of the signals.

use super::super::matching::{Properties, Selection, WantedAttributes};
use super::metrics::MetricFilter;
use crate::settings::{MatchType, Patterns};
use crate::yaml::{Fields, FromValue, PlacedNode};

#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    pub(super) metrics: MetricFilter,
    pub(super) spans: Selection,
    pub(super) logs: Selection,
}

/// What to write instead of conditions.
const METRICS: &str = "metrics: {exclude: {match_type: regexp, metric_names: [^name$]}}";
const SPANS: &str = "spans: {exclude: {match_type: strict, span_names: [name]}}";
const LOGS: &str = "logs: {exclude: {match_type: regexp, bodies: [text]}}";

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let mut config = Self::default();
        if let Some(metrics) = fields.value("metrics")
            && let Some(mut fields) = metrics.fields()
        {
            config.metrics = MetricFilter::from_fields(&mut fields);
            refuse(&mut fields, &["resource", "metric", "datapoint"], METRICS);
            fields.finish();
        }
        if let Some(spans) = fields.value("spans")
            && let Some(mut fields) = spans.fields()
        {
            config.spans = Selection::from_fields(&mut fields);
            fields.finish();
        }
        if let Some(logs) = fields.value("logs")
            && let Some(mut fields) = logs.fields()
        {
            let include = fields
                .optional("include")
                .and_then(|LogProperties(own)| own);
            let exclude = fields
                .optional("exclude")
                .and_then(|LogProperties(own)| own);
            config.logs = Selection::new(include, exclude);
            refuse(&mut fields, &["resource", "log_record"], LOGS);
            fields.finish();
        }
        refuse(&mut fields, &["metric_conditions"], METRICS);
        refuse(&mut fields, &["traces", "trace_conditions"], SPANS);
        refuse(&mut fields, &["log_conditions"], LOGS);
        if let Some(mode) = fields.value("error_mode") {
            mode.warn("error_mode has no effect: matching can't fail");
        }
        fields.finish();
        Some(config)
    }
}

/// Refuses keys under which the Collector takes conditions.
fn refuse(fields: &mut Fields<'_>, keys: &[&'static str], instead: &str) {
    for key in keys {
        if let Some(conditions) = fields.value(key).filter(|value| !value.is_null()) {
            conditions.error::<()>(format_args!(
                "conditions in OTTL aren't supported: write what is to go as `{instead}`"
            ));
        }
    }
}

/// The properties of log records by this processor's own keys; none where none is named.
struct LogProperties(Option<Properties>);

impl FromValue for LogProperties {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let written = fields.value("match_type");
        let match_type: Option<MatchType> = written.as_ref().and_then(PlacedNode::read);
        let read_as = match_type.unwrap_or(MatchType::Strict);
        let properties = Properties {
            resources: WantedAttributes::optional(&mut fields, "resource_attributes", read_as),
            attributes: WantedAttributes::optional(&mut fields, "record_attributes", read_as),
            log_severity_texts: Patterns::optional(&mut fields, "severity_texts", read_as),
            log_severity_number: fields.optional("severity_number"),
            log_bodies: Patterns::optional(&mut fields, "bodies", read_as),
            ..Properties::default()
        };
        fields.finish();
        // A severity is compared in one way only.
        let compares_texts = properties.resources.is_some()
            || properties.attributes.is_some()
            || properties.log_severity_texts.is_some()
            || properties.log_bodies.is_some();
        if written.is_none() && compares_texts {
            return value.error("`match_type` is missing");
        }
        Some(Self((!properties.is_empty()).then_some(properties)))
    }
}
