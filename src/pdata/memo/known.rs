//! What a memo keeps of a series, of its metric and of its stream, and the guess which of
//! them comes next.

use slab::Slab;

/// No series, metric or stream: an index that no slab reaches.
pub(super) const NONE: usize = usize::MAX;

#[derive(Debug)]
pub(super) struct Series<T> {
    pub(super) id: u128,
    pub(super) metric: usize,
    /// Which series came behind this one last time; a guess.
    pub(super) next: usize,
    /// The encoded attributes; none where other fields stood between them, and nothing can
    /// be compared.
    pub(super) raw: Option<Box<[u8]>>,
    pub(super) value: T,
}

#[derive(Debug)]
pub(super) struct KnownMetric {
    pub(super) key: u128,
    pub(super) identity: u128,
    pub(super) stream: usize,
    /// How many series have it.
    pub(super) series: usize,
    /// Which metric came behind this one last time; a guess.
    pub(super) next: usize,
    pub(super) header: Header,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) key: u128,
    pub(super) identity: u128,
    /// How many metrics have it.
    pub(super) metrics: usize,
    pub(super) last_metric: usize,
    pub(super) last_series: usize,
}

/// The stream or metric that was entered.
#[derive(Debug)]
pub(super) struct At {
    /// Tells it by its encoding.
    pub(super) key: u128,
    /// Tells it by what it means.
    pub(super) identity: u128,
    /// None until a series hangs on it.
    pub(super) index: Option<usize>,
}

impl At {
    pub(super) const NOWHERE: Self = Self {
        key: 0,
        identity: 0,
        index: None,
    };
}

/// What tells a metric from others in its scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) name: String,
    pub(super) unit: String,
}

impl Header {
    pub(super) fn is(&self, kind: u8, name: &str, unit: &str) -> bool {
        self.kind == kind && self.name == name && self.unit == unit
    }

    pub(super) fn set(&mut self, kind: u8, name: &str, unit: &str) {
        self.kind = kind;
        self.name.clear();
        self.name.push_str(name);
        self.unit.clear();
        self.unit.push_str(unit);
    }
}

/// What came behind it last time.
pub(super) trait Followed {
    fn next(&self) -> usize;
}

impl<T> Followed for Series<T> {
    fn next(&self) -> usize {
        self.next
    }
}

impl Followed for KnownMetric {
    fn next(&self) -> usize {
        self.next
    }
}

/// Tries what came behind `last` before, then `last` itself (a series with several points
/// in a row), then the one after next (one has left).
#[inline]
pub(super) fn guess<E: Followed>(
    slab: &Slab<E>,
    last: usize,
    is_it: impl Fn(&E) -> bool,
) -> Option<usize> {
    let last_entry = slab.get(last)?;
    let next = last_entry.next();
    let next_entry = slab.get(next);
    if next_entry.is_some_and(&is_it) {
        return Some(next);
    }
    if is_it(last_entry) {
        return Some(last);
    }
    let after = next_entry?.next();
    slab.get(after).filter(|entry| is_it(entry))?;
    Some(after)
}
