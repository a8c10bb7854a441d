//! Finds the series of all stores that a query wants.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::query::{LabelMatcher, LabelPair, LabelSet, QueryError, SourceRoom, TYPE};
use crate::window::{Excerpt, RingId, RingIdentity, SharedWindows, ValueKind};

use super::derived::{DerivedPart, NAME, are_shown_alike, dividing_label, word};
use super::matching::StoreQuestion;

/// Series whose labels are taken under one lock, which is for some ten microseconds.
const AT_ONCE: usize = 64;

/// Where a series is stored: in which store, and as which series there.
pub(super) type RingPlace = (usize, RingId);

/// A series of one name, kind and labels, wherever it is stored.
#[derive(Debug)]
pub(super) struct SeriesGroup {
    pub(super) labels: LabelSet,
    pub(super) kind: ValueKind,
    pub(super) place: RingPlace,
    /// Where else it is stored.
    pub(super) more: Vec<RingPlace>,
    /// What of it is wanted, ascending; empty for a series that is shown as it is.
    pub(super) parts: Vec<DerivedPart>,
}

/// The series that every matcher wants and that may have points in the span, in the order of
/// their stored labels.
pub(super) fn groups(
    stores: &[SharedWindows],
    matchers: &[LabelMatcher],
    span: (i64, i64),
    room: &dyn SourceRoom,
) -> Result<Vec<SeriesGroup>, QueryError> {
    let mut groups = Vec::new();
    let name: Arc<str> = NAME.into();
    let (types, matchers): (Vec<_>, Vec<_>) = matchers
        .iter()
        .cloned()
        .partition(|matcher| matcher.name == TYPE);
    for (index, store) in stores.iter().enumerate() {
        for question in StoreQuestion::all(store, &matchers, room)? {
            let found = store.lock().find(&question.matchers);
            for ids in found.chunks(AT_ONCE) {
                for ring in rings(store, ids, span) {
                    let kind = word(ring.kind);
                    if !types.iter().all(|matcher| matcher.matches(kind)) {
                        continue;
                    }
                    let Some(parts) = wanted(store, &ring, &question, span) else {
                        continue;
                    };
                    let group = SeriesGroup {
                        kind: ring.kind,
                        place: (index, ring.id),
                        more: Vec::new(),
                        labels: labels(&name, ring),
                        parts,
                    };
                    room.hold(group.bytes())?;
                    groups.push(group);
                }
                room.work(ids.len() * WORK)?;
            }
        }
    }
    groups.sort_by(SeriesGroup::order);
    if stores.len() > 1 {
        groups.dedup_by(|later, earlier| earlier.takes_in(later));
    }
    tell_apart(&mut groups);
    Ok(groups)
}

/// Adds the type to the labels of series, in the order of their labels, that would be shown with
/// those of a series of another type.
fn tell_apart(groups: &mut [SeriesGroup]) {
    let kind: Arc<str> = TYPE.into();
    for same in groups.chunk_by_mut(|one, other| one.labels == other.labels) {
        if same.len() == 1 {
            continue;
        }
        let kinds: Vec<ValueKind> = same.iter().map(|group| group.kind).collect();
        for group in same {
            let others = kinds.iter().filter(|other| **other != group.kind);
            if others
                .copied()
                .any(|other| are_shown_alike(group.kind, other))
            {
                let labels = group.labels.iter().cloned();
                let typed = LabelPair::new(Arc::clone(&kind), word(group.kind));
                group.labels = LabelSet::new(labels.chain([typed]).collect());
            }
        }
    }
}

/// Shows every series that may have points in the span, in no order.
pub(super) fn each_ring(
    stores: &[SharedWindows],
    span: (i64, i64),
    room: &dyn SourceRoom,
    mut show: impl FnMut(RingIdentity),
) -> Result<(), QueryError> {
    for store in stores {
        let all = store.lock().find(&[]);
        for ids in all.chunks(AT_ONCE) {
            rings(store, ids, span).into_iter().for_each(&mut show);
            room.work(ids.len() * WORK)?;
        }
    }
    Ok(())
}

/// How many points take as long to look at as the labels of one series.
const WORK: usize = 256;

/// The series that still are there and have points in the span, or around it.
fn rings(store: &SharedWindows, ids: &[RingId], (from, to): (i64, i64)) -> Vec<RingIdentity> {
    let windows = store.lock();
    let reaching = ids.iter().filter(|id| windows.reaches(**id, from, to));
    reaching.filter_map(|id| windows.identity(*id)).collect()
}

/// What of a series is wanted: all of it, where the parts are empty; `None` for nothing.
fn wanted(
    store: &SharedWindows,
    ring: &RingIdentity,
    question: &StoreQuestion<'_>,
    span: (i64, i64),
) -> Option<Vec<DerivedPart>> {
    if !question.kinds.contains(&ring.kind) {
        return None;
    }
    if dividing_label(ring.kind).is_none() {
        return Some(Vec::new());
    }
    let parts = parts(store, ring, question, span);
    (!parts.is_empty()).then_some(parts)
}

/// The wanted parts of a histogram or summary: each bound or quantile that it has in the span.
fn parts(
    store: &SharedWindows,
    ring: &RingIdentity,
    question: &StoreQuestion<'_>,
    (from, to): (i64, i64),
) -> Vec<DerivedPart> {
    let divided: fn(f64) -> DerivedPart = match ring.kind {
        ValueKind::Summary => DerivedPart::Quantile,
        _ => DerivedPart::Bucket,
    };
    let undivided = question.wants_division("");
    let wants = |part: DerivedPart| question.wants_name(&ring.name, part.suffix());
    let wants_count = undivided && wants(DerivedPart::Count);
    let wants_sum = undivided && wants(DerivedPart::Sum);
    let wants_divided = wants(divided(0.0));
    if !(wants_count || wants_sum || wants_divided) {
        return Vec::new();
    }
    let mut excerpt = Excerpt::default();
    store.lock().excerpt(ring.id, from, to, &mut excerpt);
    let mut at: Vec<f64> = Vec::new();
    let mut has_sum = false;
    let mut before: &[f64] = &[];
    for division in excerpt.divisions() {
        has_sum |= division.has_sum;
        // Nearly always the same bounds as in the chunk before.
        if wants_divided && division.at != before {
            at.extend_from_slice(division.at);
            before = division.at;
        }
    }
    if wants_divided && ring.kind == ValueKind::Histogram {
        at.push(f64::INFINITY);
    }
    at.sort_by(f64::total_cmp);
    at.dedup_by(|a, b| a.total_cmp(b) == Ordering::Equal);
    let divided = at.into_iter().map(divided);
    let mut parts: Vec<DerivedPart> = divided
        .filter(|part| {
            let label = part.label();
            label.is_some_and(|(_, value)| question.wants_division(&value))
        })
        .collect();
    if wants_count {
        parts.push(DerivedPart::Count);
    }
    if wants_sum && has_sum {
        parts.push(DerivedPart::Sum);
    }
    parts
}

/// The labels of a series, its name among them.
fn labels(name: &Arc<str>, ring: RingIdentity) -> LabelSet {
    let first = LabelPair::new(Arc::clone(name), ring.name);
    let others = ring.labels.into_iter();
    let others = others.map(|(name, value)| LabelPair { name, value });
    LabelSet::in_order(std::iter::once(first).chain(others))
}

impl SeriesGroup {
    /// Everywhere that it is stored.
    pub(super) fn places(&self) -> impl Iterator<Item = RingPlace> {
        std::iter::once(self.place).chain(self.more.iter().copied())
    }

    /// By labels, then by kind. Most texts are those of one store, where equal ones are the same.
    fn order(&self, other: &Self) -> Ordering {
        let text = |a: &Arc<str>, b: &Arc<str>| {
            if Arc::ptr_eq(a, b) {
                Ordering::Equal
            } else {
                a.cmp(b)
            }
        };
        let label = |a: &LabelPair, b: &LabelPair| {
            text(&a.name, &b.name).then_with(|| text(&a.value, &b.value))
        };
        let mut others = other.labels.iter();
        for mine in self.labels.iter() {
            let Some(theirs) = others.next() else {
                return Ordering::Greater;
            };
            let order = label(mine, theirs);
            if order != Ordering::Equal {
                return order;
            }
        }
        match others.next() {
            Some(_) => Ordering::Less,
            None => self.kind.cmp(&other.kind),
        }
    }

    /// Makes two one, if they are the same series. Whether they were.
    fn takes_in(&mut self, other: &mut Self) -> bool {
        let same = self.kind == other.kind && self.labels == other.labels;
        if same {
            self.more.push(other.place);
            self.more.append(&mut other.more);
            self.parts.append(&mut other.parts);
            self.parts.sort_by(DerivedPart::order);
            self.parts.dedup();
        }
        same
    }

    fn bytes(&self) -> usize {
        let labels = self.labels.iter().count() * size_of::<LabelPair>();
        // A part becomes a series of its own.
        let parts = self.parts.len() * (size_of::<DerivedPart>() + 48);
        size_of::<Self>() + 64 + labels + parts
    }
}
