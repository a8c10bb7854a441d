//! The series of a target, found again by the bytes that its page has for them.

use slab::Slab;

use super::families::PointPart;
use super::index::{HashIndex, IndexHash};

/// What a series of the page became.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum SeriesHome {
    /// Rules dropped it.
    Dropped,
    /// It describes its resource.
    TargetInfo {
        /// Its resource.
        resource: usize,
        /// Which description of it this is.
        number: u64,
    },
    /// It is a part of the points of this OTLP series.
    Point {
        /// Its place among the points.
        point: usize,
        part: PointPart,
    },
}

/// A series of the page.
#[derive(Debug)]
pub(super) struct CachedSeries {
    identity: Box<[u8]>,
    hash: IndexHash,
    pub(super) home: SeriesHome,
    /// The page that showed it first.
    born: u32,
    /// The page that showed it last.
    pub(super) page: u32,
    /// Its place in the order of the last page that showed it.
    place: u32,
    /// What was known of families when its home was found.
    pub(super) known: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct SeriesCache {
    index: HashIndex,
    series: Slab<CachedSeries>,
    /// The series of the last page in its order, and those of the current one so far.
    order: Vec<u32>,
    next_order: Vec<u32>,
}

impl SeriesCache {
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn get(&self, id: u32) -> Option<&CachedSeries> {
        self.series.get(id as usize)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut CachedSeries> {
        self.series.get_mut(id as usize)
    }

    /// What stands in this place of the page, if the target shows the same series in the same
    /// order again.
    pub(super) fn expected(&self, place: usize, known: u32) -> Option<(u32, &[u8])> {
        let id = *self.order.get(place)?;
        let series = self.get(id).filter(|series| series.known == known)?;
        Some((id, &series.identity))
    }

    /// The place behind this series.
    pub(super) fn place_after(&self, id: u32) -> usize {
        self.get(id).map_or(0, |series| series.place as usize + 1)
    }

    /// The series of these bytes, if it is there, and where it would be.
    pub(super) fn find(&self, identity: &[u8]) -> (IndexHash, Option<u32>) {
        let hash = self.index.hash(identity);
        let found = self.index.find(hash, |id| {
            let series = self.series.get(id);
            series.is_some_and(|series| *series.identity == *identity)
        });
        (hash, found.map(|id| id as u32))
    }

    /// Adds a series that isn't there yet, or gives one a new home.
    pub(super) fn settle(
        &mut self,
        (hash, found): (IndexHash, Option<u32>),
        identity: &[u8],
        home: SeriesHome,
        known: u32,
        page: u32,
    ) -> u32 {
        if let Some(id) = found
            && let Some(series) = self.get_mut(id)
        {
            (series.home, series.known) = (home, known);
            return id;
        }
        let id = self.series.insert(CachedSeries {
            identity: identity.into(),
            hash,
            home,
            born: page,
            page: page.wrapping_sub(1),
            place: 0,
            known,
        });
        self.index.insert(hash, id);
        id as u32
    }

    /// Marks a series as seen. Returns whether this page has shown it before.
    pub(super) fn see(&mut self, id: u32, page: u32) -> bool {
        let place = self.next_order.len() as u32;
        let Some(series) = self.series.get_mut(id as usize) else {
            return false;
        };
        if series.page == page {
            return true;
        }
        (series.page, series.place) = (page, place);
        self.next_order.push(id);
        false
    }

    /// Takes over the order of the page, and removes the series that it hasn't shown, telling
    /// where each was at home.
    pub(super) fn turn(&mut self, page: u32, mut gone: impl FnMut(SeriesHome)) {
        std::mem::swap(&mut self.order, &mut self.next_order);
        self.next_order.clear();
        if self.order.len() == self.series.len() {
            return;
        }
        self.remove(|series| series.page == page, &mut gone);
    }

    /// Forgets what a page that failed has brought. Nothing is known of the others.
    pub(super) fn undo(&mut self, page: u32, mut gone: impl FnMut(SeriesHome)) {
        self.next_order.clear();
        self.remove(|series| series.born != page, &mut gone);
    }

    fn remove(&mut self, keep: impl Fn(&CachedSeries) -> bool, gone: &mut impl FnMut(SeriesHome)) {
        let index = &mut self.index;
        self.series.retain(|id, series| {
            if keep(series) {
                return true;
            }
            index.remove(series.hash, id);
            gone(series.home);
            false
        });
        if self.series.len() * 4 < self.series.capacity() {
            self.series.shrink_to_fit();
        }
    }
}
