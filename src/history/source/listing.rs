//! Lists of series, labels and metrics.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::query::{Interruption, LabelMatcher, LabelSet, QueryError, QueryErrorKind, SourceRoom};
use crate::window::{SharedWindows, TIMES, ValueKind};

use super::HistorySource;
use super::derived::{NAME, dividing_label, part_labels, suffixes, word};
use super::find::{SeriesGroup, each_ring, groups};

/// What is known of a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct MetricMetadata {
    /// The name of its family on the page.
    pub(in super::super) name: Arc<str>,
    /// `gauge`, `counter`, `histogram` or `summary`.
    pub(in super::super) kind: &'static str,
    /// What it is.
    pub(in super::super) help: Arc<str>,
    /// Its unit in words.
    pub(in super::super) unit: Arc<str>,
}

/// Points of work between two questions whether to go on, which takes less than a millisecond.
const BETWEEN_QUESTIONS: usize = 65_536;

impl HistorySource {
    /// The series that every matcher of one of the sets wants and that may have points from one
    /// time to another, sorted, and whether there are more than `limit`.
    ///
    /// # Errors
    /// If that would take too much memory, or the source was interrupted.
    pub(in super::super) fn series(
        &self,
        sets: &[Vec<LabelMatcher>],
        from: i64,
        to: i64,
        limit: usize,
    ) -> Result<(Vec<LabelSet>, bool), QueryError> {
        let room = self.listing_room();
        // No more than the limit are held at a time, however many there are.
        let mut found: BTreeSet<LabelSet> = BTreeSet::new();
        let mut more = false;
        let mut show = |labels: LabelSet| {
            let bytes = |labels: &LabelSet| labels.iter().count() * 32 + 128;
            let taken = bytes(&labels);
            room.hold(taken)?;
            if !found.insert(labels) {
                room.release(taken);
            } else if found.len() > limit {
                more = true;
                room.release(found.pop_last().as_ref().map_or(0, bytes));
            }
            Ok(())
        };
        for set in sets {
            self.each_group(set, (from, to), &room, |group| {
                if group.parts.is_empty() {
                    return show(group.labels);
                }
                for part in &group.parts {
                    room.work(64)?;
                    show(part_labels(&group.labels, *part))?;
                }
                Ok(())
            })?;
        }
        Ok((found.into_iter().collect(), more))
    }

    /// The names of the labels of those series, sorted, and whether there are more than `limit`.
    /// Without a set those of all series that may have points between the times.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub(in super::super) fn label_names(
        &self,
        sets: &[Vec<LabelMatcher>],
        from: i64,
        to: i64,
        limit: usize,
    ) -> Result<(Vec<String>, bool), QueryError> {
        let room = self.listing_room();
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        if sets.is_empty() && is_ever((from, to)) {
            for store in &self.stores {
                let known = store.lock().label_names();
                names.extend(known);
                let kinds = kinds(store);
                let dividing = kinds.into_iter().filter_map(dividing_label);
                names.extend(dividing.map(Arc::from));
            }
        } else if sets.is_empty() {
            each_ring(&self.stores, (from, to), &room, |ring| {
                let dividing = dividing_label(ring.kind);
                for name in [NAME].into_iter().chain(dividing) {
                    if !names.contains(name) {
                        names.insert(name.into());
                    }
                }
                for (name, _) in &ring.labels {
                    if !names.contains(name) {
                        names.insert(Arc::clone(name));
                    }
                }
            })?;
        }
        for set in sets {
            self.each_group(set, (from, to), &room, |group| {
                for label in group.labels.iter() {
                    if !names.contains(&label.name) {
                        names.insert(Arc::clone(&label.name));
                    }
                }
                let mut parts = group.parts.iter();
                let label = parts.find_map(|part| part.label());
                names.extend(label.map(|(name, _)| Arc::from(name)));
                Ok(())
            })?;
        }
        Ok(cut(texts(names), limit))
    }

    /// The values of a label of those series, sorted, and whether there are more than `limit`.
    /// Without a set those of all series that may have points between the times.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub(in super::super) fn label_values(
        &self,
        name: &str,
        sets: &[Vec<LabelMatcher>],
        from: i64,
        to: i64,
        limit: usize,
    ) -> Result<(Vec<String>, bool), QueryError> {
        let room = self.listing_room();
        let mut values: BTreeSet<Arc<str>> = BTreeSet::new();
        let divides = [ValueKind::Histogram, ValueKind::Summary]
            .into_iter()
            .any(|kind| dividing_label(kind) == Some(name));
        if sets.is_empty() && name == NAME {
            let mut metrics: BTreeSet<(Arc<str>, ValueKind)> = BTreeSet::new();
            if is_ever((from, to)) {
                for store in &self.stores {
                    metrics.extend(known_metrics(store));
                }
            } else {
                each_ring(&self.stores, (from, to), &room, |ring| {
                    metrics.insert((ring.name, ring.kind));
                })?;
            }
            values.extend(metrics.iter().flat_map(shown_names));
        } else if sets.is_empty() && !divides && is_ever((from, to)) {
            for store in &self.stores {
                let known = store.lock().label_values(name);
                values.extend(known);
            }
        } else if sets.is_empty() && !divides {
            each_ring(&self.stores, (from, to), &room, |ring| {
                let mut labels = ring.labels.into_iter();
                values.extend(labels.find(|(n, _)| **n == *name).map(|(_, value)| value));
            })?;
        } else {
            let all = [Vec::new()];
            for set in if sets.is_empty() { &all } else { sets } {
                self.each_group(set, (from, to), &room, |group| {
                    add_values(name, &group, &room, &mut values)
                })?;
            }
        }
        Ok(cut(texts(values), limit))
    }

    /// What is known of the metrics, or of one, sorted by name: of `limit` names at most. A metric
    /// that has several types, units or texts is there several times.
    pub(in super::super) fn metadata(
        &self,
        metric: Option<&str>,
        limit: usize,
    ) -> Vec<MetricMetadata> {
        let mut known: BTreeMap<Arc<str>, BTreeSet<MetricMetadata>> = BTreeMap::new();
        for store in &self.stores {
            let metrics: Vec<MetricMetadata> = {
                let windows = store.lock();
                let metrics = windows.metrics();
                let wanted = metrics.filter(|(name, _)| metric.is_none_or(|m| ***name == *m));
                let metrics = wanted.map(|(name, info)| MetricMetadata {
                    name: Arc::clone(name),
                    kind: word(info.kind),
                    help: Arc::clone(&info.description),
                    unit: Arc::clone(&info.unit),
                });
                metrics.collect()
            };
            for metric in metrics {
                let name = Arc::clone(&metric.name);
                known.entry(name).or_default().insert(metric);
            }
        }
        known.into_values().take(limit).flatten().collect()
    }

    /// Shows every group of series that a set wants, and gives back the room that they took.
    fn each_group(
        &self,
        set: &[LabelMatcher],
        span: (i64, i64),
        room: &ListingRoom<'_>,
        show: impl FnMut(SeriesGroup) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let before = room.bytes.get();
        let groups = groups(&self.stores, set, span, room)?;
        let listed = room.bytes.get() - before;
        groups.into_iter().try_for_each(show)?;
        room.release(listed);
        Ok(())
    }

    fn listing_room(&self) -> ListingRoom<'_> {
        ListingRoom {
            interrupted: &*self.interrupted,
            until_question: Cell::new(0),
            bytes: Cell::new(0),
            most_bytes: self.most_bytes,
        }
    }
}

/// Adds the values that a label has in the series of a group.
fn add_values(
    name: &str,
    group: &SeriesGroup,
    room: &ListingRoom<'_>,
    values: &mut BTreeSet<Arc<str>>,
) -> Result<(), QueryError> {
    if dividing_label(group.kind) == Some(name) {
        for part in &group.parts {
            room.work(16)?;
            if let Some((_, value)) = part.label()
                && !values.contains(value.as_str())
            {
                values.insert(value.into());
            }
        }
        return Ok(());
    }
    let Some(label) = group.labels.iter().find(|label| *label.name == *name) else {
        return Ok(());
    };
    if name == NAME && !group.parts.is_empty() {
        let mut suffixes: Vec<&str> = group.parts.iter().map(|part| part.suffix()).collect();
        suffixes.dedup();
        values.extend(suffixes.iter().map(|s| [&*label.value, s].concat().into()));
    } else if !values.contains(&label.value) {
        values.insert(Arc::clone(&label.value));
    }
    Ok(())
}

/// Whether no time that a store takes lies outside, so that every series may have points.
fn is_ever((from, to): (i64, i64)) -> bool {
    from <= *TIMES.start() && to >= *TIMES.end()
}

/// The metrics of which a store has series.
fn known_metrics(store: &SharedWindows) -> Vec<(Arc<str>, ValueKind)> {
    let windows = store.lock();
    let metrics = windows.metrics().filter(|(_, info)| info.series > 0);
    let known = metrics.map(|(name, info)| (Arc::clone(name), info.kind));
    known.collect()
}

/// The names of a metric's series as they are shown.
fn shown_names((name, kind): &(Arc<str>, ValueKind)) -> impl Iterator<Item = Arc<str>> {
    suffixes(*kind).iter().map(|suffix| match *suffix {
        "" => Arc::clone(name),
        suffix => [name, suffix].concat().into(),
    })
}

/// The kinds of the series of a store.
fn kinds(store: &SharedWindows) -> BTreeSet<ValueKind> {
    let windows = store.lock();
    let metrics = windows.metrics().filter(|(_, info)| info.series > 0);
    metrics.map(|(_, info)| info.kind).collect()
}

fn texts(sorted: BTreeSet<Arc<str>>) -> Vec<String> {
    sorted.iter().map(|text| text.to_string()).collect()
}

fn cut<T>(mut all: Vec<T>, limit: usize) -> (Vec<T>, bool) {
    let more = all.len() > limit;
    all.truncate(limit);
    (all, more)
}

/// What one list may use.
struct ListingRoom<'i> {
    interrupted: &'i dyn Fn() -> Option<Interruption>,
    until_question: Cell<usize>,
    bytes: Cell<usize>,
    most_bytes: usize,
}

impl SourceRoom for ListingRoom<'_> {
    fn work(&self, points: usize) -> Result<(), QueryError> {
        let left = self.until_question.get();
        if points < left {
            self.until_question.set(left - points);
            return Ok(());
        }
        self.until_question.set(BETWEEN_QUESTIONS);
        match (self.interrupted)() {
            Some(interruption) => Err(interruption.into()),
            None => Ok(()),
        }
    }

    fn hold(&self, bytes: usize) -> Result<(), QueryError> {
        let all = self.bytes.get().saturating_add(bytes);
        if all > self.most_bytes {
            let most = self.most_bytes;
            return Err(QueryError {
                kind: QueryErrorKind::Limit,
                message: format!("the series would take more than {most} bytes of memory"),
            });
        }
        self.bytes.set(all);
        Ok(())
    }

    fn release(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
    }
}
