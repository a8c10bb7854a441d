//! What a memo keeps of a series, of its metric and of its stream, and the guess which of
//! them comes next.

use slab::Slab;

/// No series, metric or stream: an index that no slab reaches.
pub(super) const NONE: usize = usize::MAX;

#[derive(Debug)]
pub(super) struct MemoSeries<T> {
    pub(super) id: u128,
    pub(super) metric: usize,
    /// Which series came after this one last time: a guess at the next one.
    pub(super) next: usize,
    /// The encoded attributes; none where other fields stood between them, and nothing can
    /// be compared, or where [`Compared`] has no room for them.
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
pub(super) struct MemoStream {
    pub(super) key: u128,
    pub(super) identity: u128,
    /// How many metrics have it.
    pub(super) metrics: usize,
    pub(super) last_metric: usize,
    pub(super) last_series: usize,
}

/// The stream or metric that was entered.
#[derive(Debug)]
pub(super) struct EnteredAt {
    /// Tells it by its encoding.
    pub(super) key: u128,
    /// Tells it by what it means.
    pub(super) identity: u128,
    /// None until a series hangs on it.
    pub(super) index: Option<usize>,
}

impl EnteredAt {
    pub(super) const NOWHERE: Self = Self {
        key: 0,
        identity: 0,
        index: None,
    };
}

/// Room for the encoded attributes that lookups compare with. Series for which there is no room,
/// since their attributes are longer or there are more of them, are found by their hash, which
/// is slower and needs no further memory.
#[derive(Debug)]
pub(super) struct Compared {
    room: usize,
}

impl Compared {
    /// Of one series.
    const MOST: usize = 4096;
    /// Of a series on average.
    const USUAL: usize = 128;
    /// Of all, however few they may be.
    const LEAST: usize = 64 << 10;

    pub(super) fn new(max_series: usize) -> Self {
        Self {
            room: max_series.saturating_mul(Self::USUAL).max(Self::LEAST),
        }
    }

    /// Keeps a copy, if there is room.
    pub(super) fn keep(&mut self, raw: Option<&[u8]>) -> Option<Box<[u8]>> {
        let raw = raw.filter(|raw| raw.len() <= Self::MOST.min(self.room))?;
        self.room -= raw.len();
        Some(raw.into())
    }

    /// Takes a copy back.
    pub(super) fn forget(&mut self, raw: Option<Box<[u8]>>) {
        self.room += raw.map_or(0, |raw| raw.len());
    }
}

/// What tells a metric from others in its scope. Of one whose name and unit are very long
/// nothing is kept, and it is found by its hash.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) name: String,
    pub(super) unit: String,
}

impl Header {
    /// No metric is of this kind.
    const NO_KIND: u8 = u8::MAX;

    pub(super) fn is(&self, kind: u8, name: &str, unit: &str) -> bool {
        self.kind == kind && self.name == name && self.unit == unit
    }

    pub(super) fn set(&mut self, kind: u8, name: &str, unit: &str) {
        self.name.clear();
        self.unit.clear();
        if name.len() + unit.len() > Compared::MOST {
            self.kind = Self::NO_KIND;
            return;
        }
        self.kind = kind;
        self.name.push_str(name);
        self.unit.push_str(unit);
    }
}

/// What came behind it last time.
pub(super) trait Followed {
    fn next(&self) -> usize;
}

impl<T> Followed for MemoSeries<T> {
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
