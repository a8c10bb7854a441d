//! A family on the page: its series, found by their texts, which lie side by side in memory.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use bytes::BytesMut;
use foldhash::quality::RandomState;
use tokio::time::Instant;

use super::series::SeriesState;
use super::slots::Slots;
use crate::exposition::{Bounds, Descriptor, Series};

/// A family, and how its series are found by their texts.
#[derive(Debug)]
pub(super) struct StoredFamily {
    pub(super) name: Arc<str>,
    pub(super) descriptor: Descriptor,
    pub(super) born: u64,
    pub(super) slots: Slots<StoreSlot>,
    /// Slots by the hash of their text; empty while the family has few.
    pub(super) by_text: HashMap<u128, usize, RandomState>,
    /// A buffer that the texts of new series are put into. It is freed when the last text in it
    /// is.
    pub(super) shelf: BytesMut,
    /// Bytes of the texts of present series, and of those removed since the last
    /// [`StoredFamily::tidy`].
    pub(super) live: usize,
    pub(super) left: usize,
    /// The bounds of the newest histogram; most histograms of a family have the same.
    pub(super) bounds: Option<Arc<Bounds>>,
}

/// A series of a family.
#[derive(Debug)]
pub(super) struct StoreSlot {
    pub(super) state: SeriesState,
    pub(super) updated: Instant,
    pub(super) born: u64,
}

impl StoredFamily {
    /// The size of the largest shelf in bytes: some 100 texts. Small families have smaller
    /// shelves.
    const SHELF: usize = 16 * 1024;

    /// Up to this many series a linear search is faster than a map, and takes less memory.
    const FEW: usize = 8;

    /// The slot of the series with this text.
    pub(super) fn find(&self, hash: &[RandomState; 2], text: &[u8]) -> Option<usize> {
        if self.by_text.is_empty() {
            let mut slots = self.slots.from(0);
            let (index, _) = slots.find(|(_, slot)| slot.state.series.text() == text)?;
            return Some(index);
        }
        self.by_text.get(&key(hash, text)).copied()
    }

    pub(super) fn insert(&mut self, hash: &[RandomState; 2], mut slot: StoreSlot) -> usize {
        self.shelve(&mut slot.state.series);
        let new = key(hash, slot.state.series.text());
        let index = self.slots.insert(slot);
        if !self.by_text.is_empty() {
            self.by_text.insert(new, index);
        } else if self.slots.len() > Self::FEW {
            let slots = self.slots.from(0);
            let keys = slots.map(|(index, slot)| (key(hash, slot.state.series.text()), index));
            self.by_text = keys.collect();
        }
        index
    }

    fn shelve(&mut self, series: &mut Series) {
        let length = series.text().len();
        if self.shelf.capacity() < length {
            self.shelf = BytesMut::with_capacity(length.max(self.live.min(Self::SHELF)));
        }
        series.shelve(&mut self.shelf);
        self.live += length;
    }

    /// Copies the texts to new shelves once more bytes were removed than are in use, since a
    /// single text keeps its whole shelf in memory.
    pub(super) fn tidy(&mut self) {
        if self.left <= self.live + Self::SHELF {
            return;
        }
        (self.live, self.left) = (0, 0);
        let mut slots = std::mem::take(&mut self.slots);
        for slot in slots.iter_mut() {
            self.shelve(&mut slot.state.series);
        }
        self.slots = slots;
    }
}

/// A seeded hash of 128 bits, so that no sender can construct two texts with the same key.
pub(super) fn key(hash: &[RandomState; 2], text: &[u8]) -> u128 {
    let [high, low] = hash.each_ref().map(|hash| hash.hash_one(text));
    u128::from(high) << 64 | u128::from(low)
}
