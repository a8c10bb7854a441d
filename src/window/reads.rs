//! What can be asked of the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::MetricInfo;
use super::error::StoreRefusal;
use super::excerpt::Excerpt;
use super::id::{LabelTexts, RingId};
use super::matcher::Matcher;
use super::point::ValueKind;
use super::snapshot::Snapshot;
use super::windows::Windows;

/// What the store holds and what it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowTotals {
    /// Series.
    pub series: usize,
    /// Readable points.
    pub samples: usize,
    /// Bytes of all that the store holds.
    pub bytes: usize,
    /// Points and series that were refused, for each reason.
    pub refused: [(StoreRefusal, u64); StoreRefusal::ALL.len()],
    /// Points that were dropped before they had to be, to keep within `max_memory`.
    pub evicted: u64,
    /// Series that were removed since nothing arrived for them.
    pub expired: u64,
}

/// One series of a listing.
#[derive(Debug, Clone)]
pub struct RingInfo {
    /// Its id.
    pub id: RingId,
    /// The metric's name.
    pub name: Arc<str>,
    /// What its values mean.
    pub kind: ValueKind,
    /// Names and values of its labels, sorted by name.
    pub labels: LabelTexts,
    /// Readable points.
    pub points: usize,
    /// The time of the oldest.
    pub oldest: Option<i64>,
    /// The time of the newest.
    pub newest: Option<i64>,
}

/// What one series is.
#[derive(Debug, Clone)]
pub struct RingIdentity {
    /// Its id.
    pub id: RingId,
    /// The metric's name.
    pub name: Arc<str>,
    /// What its values mean.
    pub kind: ValueKind,
    /// Names and values of its labels, sorted by name.
    pub labels: LabelTexts,
}

/// Of what metric one series is, how many points it has, and from when to when.
#[derive(Debug, Clone)]
pub struct RingExtent {
    /// The metric's name.
    pub name: Arc<str>,
    /// What its values mean.
    pub kind: ValueKind,
    /// Readable points.
    pub points: usize,
    /// The time of the oldest.
    pub oldest: Option<i64>,
    /// The time of the newest.
    pub newest: Option<i64>,
}

impl Windows {
    /// The series that fulfil all conditions, in the order of their ids.
    #[must_use]
    pub fn find(&self, matchers: &[Matcher]) -> Vec<RingId> {
        self.catalog.find(matchers)
    }

    /// The series of the key, if it is there. The labels are sorted by name, each name once,
    /// without the metric's own.
    #[must_use]
    pub fn registered(
        &self,
        name: &str,
        kind: ValueKind,
        labels: &[(&str, &str)],
    ) -> Option<RingId> {
        self.catalog.find_key(name, kind, labels)
    }

    /// Whether a series is there.
    #[must_use]
    pub fn contains(&self, id: RingId) -> bool {
        self.catalog.identity(id).is_some()
    }

    /// Whether a series is [kept apart](Self::keep_apart).
    #[must_use]
    pub fn is_apart(&self, id: RingId) -> bool {
        self.catalog.identity(id).is_some_and(|key| key.apart)
    }

    /// The points of a series between two times, both included. `None` if the series isn't
    /// there.
    #[must_use]
    pub fn snapshot(&self, id: RingId, from: i64, to: i64) -> Option<Snapshot> {
        let identity = self.catalog.identity(id)?;
        let name = Arc::clone(self.catalog.text(identity.name));
        let labels = self.catalog.labels(identity);
        let mut excerpt = Excerpt::default();
        self.excerpt(id, from, to, &mut excerpt);
        Some(Snapshot {
            id,
            name,
            kind: identity.kind,
            labels,
            excerpt,
        })
    }

    /// Takes the points of a series between two times, both included, in the place of what
    /// `excerpt` holds. Answers `false` if the series isn't there.
    pub fn excerpt(&self, id: RingId, from: i64, to: i64, excerpt: &mut Excerpt) -> bool {
        let known = self.catalog.identity(id).is_some();
        if known {
            let ring = &self.rings[id.slot as usize].ring;
            excerpt.take(ring, &self.works.timelines, from, to);
        } else {
            excerpt.clear();
        }
        known
    }

    /// The points between two times, both included, of the series that fulfil all conditions.
    /// For many series this takes long, and whoever shares the store should take
    /// [`find`](Self::find) and some snapshots at a time.
    #[must_use]
    pub fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Vec<Snapshot> {
        let found = self.find(matchers).into_iter();
        found.filter_map(|id| self.snapshot(id, from, to)).collect()
    }

    /// The newest point of a series.
    #[must_use]
    pub fn latest(&self, id: RingId) -> Option<Snapshot> {
        self.catalog.identity(id)?;
        let newest = self.rings[id.slot as usize].ring.newest()?;
        self.snapshot(id, newest, newest)
    }

    /// What a series is and has.
    #[must_use]
    pub fn ring(&self, id: RingId) -> Option<RingInfo> {
        let identity = self.catalog.identity(id)?;
        let ring = &self.rings[id.slot as usize].ring;
        Some(RingInfo {
            id,
            name: Arc::clone(self.catalog.text(identity.name)),
            kind: identity.kind,
            labels: self.catalog.labels(identity),
            points: ring.len(),
            oldest: ring.oldest(&self.works.timelines),
            newest: ring.newest(),
        })
    }

    /// What the values of a series mean, and the name of its metric.
    #[must_use]
    pub fn metric_of(&self, id: RingId) -> Option<(ValueKind, Arc<str>)> {
        let identity = self.catalog.identity(id)?;
        let name = self.catalog.text(identity.name);
        Some((identity.kind, Arc::clone(name)))
    }

    /// What a series is, which takes less than all of [`ring`](Self::ring).
    #[must_use]
    pub fn identity(&self, id: RingId) -> Option<RingIdentity> {
        let identity = self.catalog.identity(id)?;
        Some(RingIdentity {
            id,
            name: Arc::clone(self.catalog.text(identity.name)),
            kind: identity.kind,
            labels: self.catalog.labels(identity),
        })
    }

    /// Whether a series has points on both sides of what lies between two times, or there.
    /// Nothing of its chunks is read if its newest point lies there.
    #[must_use]
    pub fn reaches(&self, id: RingId, from: i64, to: i64) -> bool {
        if self.catalog.identity(id).is_none() {
            return false;
        }
        let ring = &self.rings[id.slot as usize].ring;
        let is_before = || {
            ring.oldest(&self.works.timelines)
                .is_some_and(|oldest| oldest <= to)
        };
        ring.newest()
            .is_some_and(|newest| newest >= from && (newest <= to || is_before()))
    }

    /// What a series is but for its labels, which takes less than all of [`ring`](Self::ring).
    #[must_use]
    pub fn ring_extent(&self, id: RingId) -> Option<RingExtent> {
        let identity = self.catalog.identity(id)?;
        let ring = &self.rings[id.slot as usize].ring;
        Some(RingExtent {
            name: Arc::clone(self.catalog.text(identity.name)),
            kind: identity.kind,
            points: ring.len(),
            oldest: ring.oldest(&self.works.timelines),
            newest: ring.newest(),
        })
    }

    /// All series, in the order of their ids.
    pub fn rings(&self) -> impl Iterator<Item = RingInfo> {
        self.catalog.ids().filter_map(|id| self.ring(id))
    }

    /// The times of the oldest and the newest readable point of all.
    #[must_use]
    pub fn extent(&self) -> Option<(i64, i64)> {
        let timelines = &self.works.timelines;
        let extent = |id: RingId| {
            let ring = &self.rings[id.slot as usize].ring;
            Some((ring.oldest(timelines)?, ring.newest()?))
        };
        let extents = self.catalog.ids().filter_map(extent);
        extents.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }

    /// Readable points by metric, in the order of the names.
    #[must_use]
    pub fn points_by_name(&self) -> BTreeMap<Arc<str>, usize> {
        let mut points = BTreeMap::new();
        for id in self.catalog.ids() {
            if let Some(key) = self.catalog.identity(id) {
                let name = Arc::clone(self.catalog.text(key.name));
                *points.entry(name).or_default() += self.rings[id.slot as usize].ring.len();
            }
        }
        points
    }

    /// Metrics, with series and without, in no order.
    pub fn metrics(&self) -> impl Iterator<Item = (&Arc<str>, &MetricInfo)> {
        self.catalog.metrics()
    }

    /// The names of all labels, `__name__` among them, in no order: to sort them is for whoever
    /// asks, after the store is unlocked.
    #[must_use]
    pub fn label_names(&self) -> Vec<Arc<str>> {
        self.catalog.label_names()
    }

    /// The values of a label, or for `__name__` the names of metrics, in no order.
    #[must_use]
    pub fn label_values(&self, name: &str) -> Vec<Arc<str>> {
        self.catalog.label_values(name)
    }

    /// Counts.
    #[must_use]
    pub fn totals(&self) -> WindowTotals {
        WindowTotals {
            series: self.catalog.len(),
            samples: self.samples,
            bytes: self.bytes(),
            refused: std::array::from_fn(|index| (StoreRefusal::ALL[index], self.refused[index])),
            evicted: self.evicted,
            expired: self.expired,
        }
    }
}

#[cfg(test)]
impl Windows {
    pub(super) fn ring_bytes(&self) -> usize {
        self.ring_bytes
    }

    pub(super) fn counted_ring_bytes(&self) -> usize {
        self.rings
            .iter()
            .map(|slot| slot.ring.counted_bytes())
            .sum()
    }
}
