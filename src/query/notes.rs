//! What a query's answer comes with: warnings and infos, in Prometheus's words.
//!
//! Prometheus adds where in the text each arose. The parser doesn't keep places, so these
//! don't say.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::LabelSet;
use super::labels::TYPE;

/// At most so many of each kind, as Prometheus has it.
const MOST: usize = 10;

/// Collects warnings and infos, each once.
#[derive(Default)]
pub(super) struct Notes {
    warnings: RefCell<BTreeSet<String>>,
    infos: RefCell<BTreeSet<String>>,
}

impl Notes {
    pub(super) fn warn(&self, text: impl Into<String>) {
        let text = format!("PromQL warning: {}", text.into());
        self.warnings.borrow_mut().insert(text);
    }

    pub(super) fn inform(&self, text: impl Into<String>) {
        let text = format!("PromQL info: {}", text.into());
        self.infos.borrow_mut().insert(text);
    }

    /// Warns of a series that is told from another by its type alone.
    pub(super) fn types_of(&self, labels: &LabelSet) {
        if labels.is_typed() {
            let metric = labels.metric();
            self.warn(format!(
                "metric name {metric:?} has series of different types whose labels are equal: \
                 select one type by {TYPE}"
            ));
        }
    }

    pub(super) fn mixed_range(&self, metric: &str) {
        self.warn(format!(
            "encountered a mix of histograms and floats for metric name {metric:?}"
        ));
    }

    pub(super) fn mixed_group(&self) {
        self.warn("encountered a mix of histograms and floats for aggregation");
    }

    pub(super) fn ignored_in_range(&self, metric: &str) {
        self.inform(format!(
            "ignored histograms in a range containing both floats and histograms for metric \
             name {metric:?}"
        ));
    }

    pub(super) fn ignored_in_aggregation(&self, aggregation: &str) {
        self.inform(format!("ignored histogram in {aggregation} aggregation"));
    }

    pub(super) fn not_counter(&self, metric: &str) {
        self.warn(format!(
            "this native histogram metric is not a counter: {metric:?}"
        ));
    }

    pub(super) fn not_gauge(&self, metric: &str) {
        self.warn(format!(
            "this native histogram metric is not a gauge: {metric:?}"
        ));
    }

    pub(super) fn maybe_not_counter(&self, metric: &str) {
        self.inform(format!(
            "metric might not be a counter, name does not end in \
             _total/_sum/_count/_bucket: {metric:?}"
        ));
    }

    pub(super) fn bad_quantile(&self, quantile: f64) {
        let quantile = super::text::general(quantile);
        self.warn(format!(
            "quantile value should be between 0 and 1, got {quantile}"
        ));
    }

    pub(super) fn incompatible_types(&self, left: &str, operator: &str, right: &str) {
        self.inform(format!(
            "incompatible sample types encountered for binary operator {operator:?}: {left} \
             {operator} {right}"
        ));
    }

    /// The warnings and the infos.
    pub(super) fn finish(self) -> (Vec<String>, Vec<String>) {
        let warnings = at_most(self.warnings.into_inner(), "warning");
        let infos = at_most(self.infos.into_inner(), "info");
        (warnings, infos)
    }
}

fn at_most(texts: BTreeSet<String>, kind: &str) -> Vec<String> {
    let more = texts.len().saturating_sub(MOST);
    let mut texts: Vec<String> = texts.into_iter().take(MOST).collect();
    if more > 0 {
        texts.push(format!("{more} more {kind} annotations omitted"));
    }
    texts
}
