//! What a query's answer comes with: warnings and infos, in Prometheus's words.
//!
//! Prometheus adds where in the text each arose. The parser doesn't keep places, so these
//! don't say.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::BuildHasher as _;

use super::LabelSet;
use super::labels::TYPE;
use super::text::shortened;

/// At most so many of each kind, as Prometheus has it.
const MOST: usize = 10;

/// Of how many more of each kind it is known that they are different.
const MOST_COUNTED: usize = 4_096;

/// Collects warnings and infos, each once.
#[derive(Default)]
pub(super) struct Notes {
    warnings: RefCell<NoteTexts>,
    infos: RefCell<NoteTexts>,
}

/// The first of the texts by their order, and how many others there were. A function may have
/// one to tell at every step, so that neither their number nor their length is bounded.
#[derive(Default)]
struct NoteTexts {
    first: BTreeSet<String>,
    /// The hashes of the others.
    others: HashSet<u64, foldhash::fast::RandomState>,
}

impl NoteTexts {
    fn insert(&mut self, text: String) {
        if self.first.contains(&text) {
            return;
        }
        self.first.insert(text);
        if self.first.len() <= MOST {
            return;
        }
        if let Some(last) = self.first.pop_last()
            && self.others.len() < MOST_COUNTED
        {
            let hash = self.others.hasher().hash_one(&last);
            self.others.insert(hash);
        }
    }

    fn finish(self, kind: &str) -> Vec<String> {
        let more = self.others.len();
        let or_more = if more < MOST_COUNTED { "" } else { "at least " };
        let mut texts: Vec<String> = self.first.into_iter().collect();
        if more > 0 {
            texts.push(format!("{or_more}{more} more {kind} annotations omitted"));
        }
        texts
    }
}

impl Notes {
    pub(super) fn warn(&self, text: fmt::Arguments<'_>) {
        let text = shortened(format_args!("PromQL warning: {text}"));
        self.warnings.borrow_mut().insert(text);
    }

    pub(super) fn inform(&self, text: fmt::Arguments<'_>) {
        let text = shortened(format_args!("PromQL info: {text}"));
        self.infos.borrow_mut().insert(text);
    }

    /// Warns of a series that is told from another by its type alone.
    pub(super) fn types_of(&self, labels: &LabelSet) {
        if labels.is_typed() {
            let metric = labels.metric();
            self.warn(format_args!(
                "metric name {metric:?} has series of different types whose labels are equal: \
                 select one type by {TYPE}"
            ));
        }
    }

    /// Tells something of a histogram's observations, with the metric's name, where there is
    /// one.
    pub(super) fn of_observations(&self, note: &str, metric: &str) {
        if metric.is_empty() {
            self.inform(format_args!("{note}"));
        } else {
            self.inform(format_args!("{note} for metric name {metric:?}"));
        }
    }

    pub(super) fn mixed_range(&self, metric: &str) {
        self.warn(format_args!(
            "encountered a mix of histograms and floats for metric name {metric:?}"
        ));
    }

    pub(super) fn mixed_group(&self) {
        self.warn(format_args!(
            "encountered a mix of histograms and floats for aggregation"
        ));
    }

    pub(super) fn ignored_in_range(&self, metric: &str) {
        self.inform(format_args!(
            "ignored histograms in a range containing both floats and histograms for metric \
             name {metric:?}"
        ));
    }

    pub(super) fn ignored_in_aggregation(&self, aggregation: &str) {
        self.inform(format_args!(
            "ignored histogram in {aggregation} aggregation"
        ));
    }

    pub(super) fn not_counter(&self, metric: &str) {
        self.warn(format_args!(
            "this native histogram metric is not a counter: {metric:?}"
        ));
    }

    pub(super) fn not_gauge(&self, metric: &str) {
        self.warn(format_args!(
            "this native histogram metric is not a gauge: {metric:?}"
        ));
    }

    pub(super) fn maybe_not_counter(&self, metric: &str) {
        self.inform(format_args!(
            "metric might not be a counter, name does not end in \
             _total/_sum/_count/_bucket: {metric:?}"
        ));
    }

    pub(super) fn bad_quantile(&self, quantile: f64) {
        let quantile = super::text::general(quantile);
        self.warn(format_args!(
            "quantile value should be between 0 and 1, got {quantile}"
        ));
    }

    pub(super) fn incompatible_types(&self, left: &str, operator: &str, right: &str) {
        self.inform(format_args!(
            "incompatible sample types encountered for binary operator {operator:?}: {left} \
             {operator} {right}"
        ));
    }

    /// The warnings and the infos.
    pub(super) fn finish(self) -> (Vec<String>, Vec<String>) {
        let warnings = self.warnings.into_inner().finish("warning");
        let infos = self.infos.into_inner().finish("info");
        (warnings, infos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded_in_number_and_length() {
        let notes = Notes::default();
        for number in (0..100_000).rev() {
            notes.warn(format_args!("{number:06}"));
        }
        notes.inform(format_args!("{:?}", "\u{1}".repeat(1 << 20)));
        for number in 0..12 {
            // Twice the same is one.
            notes.inform(format_args!("{number:02}"));
            notes.inform(format_args!("{number:02}"));
        }
        let held = notes.warnings.borrow();
        assert_eq!((held.first.len(), held.others.len()), (MOST, MOST_COUNTED));
        drop(held);
        let (warnings, infos) = notes.finish();
        assert_eq!(warnings[0], "PromQL warning: 000000");
        assert_eq!(warnings[9], "PromQL warning: 000009");
        assert_eq!(
            warnings[10],
            "at least 4096 more warning annotations omitted"
        );
        assert_eq!(infos[10], "3 more info annotations omitted");
        assert!(infos.iter().all(|info| info.len() < 5_000));
    }
}
