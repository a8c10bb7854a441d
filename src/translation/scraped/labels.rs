//! The labels of a scraped series, from the page to what is kept.

use std::borrow::Cow;

use crate::exposition::read::PageSeries;
use crate::pdata::writer::{EncodedAttributes, MetricKind};

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Up to so many labels are looked through one by one: their names mostly differ in length.
const FEW: usize = 16;

/// One label: name and value.
type Pair<'p> = (Cow<'p, str>, Cow<'p, str>);

/// The labels of a series, its name among them as `__name__`, sorted by name. None has an empty
/// value, since that means the same as no label.
///
/// A page may show a name twice. As in Prometheus that is an error only if both are left when all
/// rules have been applied; until then the first one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrapedLabels<'p> {
    pairs: Vec<Pair<'p>>,
    /// The names that the page has with an empty value.
    empty: Vec<Cow<'p, str>>,
}

/// Why a series can't be kept. Prometheus fails the scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabels {
    /// Rules have removed the name.
    #[error("a series has no name")]
    NoName,
    /// Rules have made a label with an empty name.
    #[error("a label has no name")]
    NoLabelName,
    /// A name is there more than once.
    #[error("a label is there twice")]
    Twice,
}

impl<'p> ScrapedLabels<'p> {
    /// The labels of a series as its page has them.
    pub fn of(series: &PageSeries<'p, '_>) -> Self {
        // With room for those of the target, which are mostly two.
        let mut pairs = Vec::with_capacity(series.labels.len() + 4);
        pairs.extend(series.labels());
        let mut labels = Self {
            pairs,
            empty: Vec::new(),
        };
        labels.sort();
        labels
    }

    /// Sorts by name, and removes every name that somewhere has an empty value.
    fn sort(&mut self) {
        // Stable, so that the first of several stays the first.
        if !self.pairs.is_sorted_by(|a, b| a.0 < b.0) {
            self.pairs.sort_by(|a, b| a.0.cmp(&b.0));
        }
        if self.pairs.iter().any(|(_, value)| value.is_empty()) {
            let mut kept = Vec::with_capacity(self.pairs.len());
            for same in self.pairs.chunk_by(|a, b| a.0 == b.0) {
                if same.iter().all(|(_, value)| !value.is_empty()) {
                    kept.extend_from_slice(same);
                } else {
                    self.empty
                        .extend(same.first().map(|(name, _)| name.clone()));
                }
            }
            self.pairs = kept;
        }
    }

    /// A label's value; empty if there is no such label.
    pub fn get(&self, name: &str) -> &str {
        let found = if self.pairs.len() <= FEW {
            self.pairs.iter().find(|(found, _)| found == name)
        } else {
            let first = self.pairs.get(self.first(name));
            first.filter(|(found, _)| found == name)
        };
        found.map_or("", |(_, value)| value)
    }

    /// Whether there is such a label.
    pub fn has(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// Gives a label this value; an empty one removes it.
    pub fn set(&mut self, name: impl Into<Cow<'p, str>>, value: impl Into<Cow<'p, str>>) {
        let (name, value) = (name.into(), value.into());
        let at = self.first(&name);
        let end = self.end(at, &name);
        let new = (!value.is_empty()).then_some((name, value));
        self.pairs.splice(at..end, new);
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) {
        let at = self.first(name);
        let end = self.end(at, name);
        self.pairs.drain(at..end);
    }

    /// Keeps the labels of which `keep` returns true for name and value.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(name, value)| keep(name, value));
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Encodes those of them that aren't told otherwise, by the metric, its resource, or the parts of such
    /// a point.
    pub(super) fn encode(&self, kind: MetricKind, out: &mut Vec<u8>) {
        let part = match kind {
            MetricKind::Histogram => "le",
            MetricKind::Summary => "quantile",
            _ => "",
        };
        let own = self.iter().filter(|(name, _)| {
            !matches!(*name, METRIC_NAME | "job" | "instance") && *name != part
        });
        EncodedAttributes::encode(kind, own, out);
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Adds the labels of the target. Where the series has a label of the same name already, it
    /// keeps its own if `honor`, even an empty one; otherwise its own gets `exported_` before its
    /// name.
    pub fn add_target(&mut self, target: &'p [(String, String)], honor: bool) {
        let mut exported: Vec<(&str, String)> = Vec::new();
        for (name, value) in target {
            let own = self.get(name);
            if own.is_empty() {
                let keeps_empty = honor && self.empty.iter().any(|empty| empty == name);
                if !keeps_empty && !value.is_empty() {
                    let at = self.first(name);
                    let new = (name.as_str().into(), value.as_str().into());
                    self.pairs.insert(at, new);
                }
            } else if !honor {
                exported.push((name, own.to_owned()));
                self.set(name.as_str(), value.as_str());
            }
        }
        // The shorter first: of `a` and `exported_a`, the second then moves on.
        exported.sort_by_key(|(name, _)| name.len());
        for (name, value) in exported {
            let mut name = format!("exported_{name}");
            while self.has(&name) {
                name.insert_str(0, "exported_");
            }
            self.set(name, value);
        }
    }

    /// Checks what Prometheus checks once all rules have been applied.
    ///
    /// # Errors
    ///
    /// If the series can't be kept.
    pub fn check(&self) -> Result<(), InvalidLabels> {
        if !self.has(METRIC_NAME) {
            return Err(InvalidLabels::NoName);
        }
        if self.pairs.first().is_some_and(|(name, _)| name.is_empty()) {
            return Err(InvalidLabels::NoLabelName);
        }
        if !self.pairs.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(InvalidLabels::Twice);
        }
        Ok(())
    }

    /// Where a name is or would be.
    fn first(&self, name: &str) -> usize {
        self.pairs
            .partition_point(|(found, _)| found.as_ref() < name)
    }

    /// Behind all labels of this name, the first of which is at `at`.
    fn end(&self, at: usize, name: &str) -> usize {
        let same = self.pairs.get(at..).unwrap_or_default().iter();
        at + same.take_while(|(found, _)| found == name).count()
    }
}
