//! The families and series that the page shows.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::ops::Bound;
use std::sync::Arc;

use bytes::BytesMut;
use foldhash::quality::RandomState;
use tokio::time::Instant;

use super::limits::{PageLimits, family_bytes, series_bytes};
use super::reading::{PointMode, PointReading, SeriesState, lines};
use super::slots::Slots;
use crate::component::DropReason;
use crate::exposition::{
    Bounds, Descriptor, Encoder, FamilyNames, Kind, Labels, SampleValue, Series,
};
use crate::pdata::SeriesId;

/// Where a slot is. Stays right until the slot is removed, and never leads to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotRef {
    family: usize,
    slot: usize,
    born: u64,
}

/// A family on the page, as a page in the making knows it.
#[derive(Debug, Clone)]
pub(super) struct FamilyRef {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    family: usize,
    pub(super) born: u64,
}

/// What a family of that name says already, where a newcomer says something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    /// Another kind, or one of its sample's names: the newcomer can't be shown.
    Kind,
    /// Another unit: the first stays.
    Unit,
    /// Another help text: the first stays.
    Help,
}

/// Families by name, and their series. Pure: whoever owns it decides when, and locks it.
#[derive(Debug)]
pub(super) struct Store {
    families: Slots<StoredFamily>,
    by_name: BTreeMap<Arc<str>, usize>,
    names: FamilyNames,
    limits: PageLimits,
    lines: usize,
    /// What all that is shown writes, by [`series_bytes`] and [`family_bytes`].
    bytes: usize,
    series: usize,
    /// Rises with every family and slot, so that those that came later can be told.
    born: u64,
    hash: [RandomState; 2],
}

#[derive(Debug)]
struct StoredFamily {
    name: Arc<str>,
    descriptor: Descriptor,
    born: u64,
    slots: Slots<StoreSlot>,
    /// Slots by their text's hash; empty as long as they are few.
    by_text: HashMap<u128, usize, RandomState>,
    /// Where the next series' text goes. A shelf is freed with the last text on it.
    shelf: BytesMut,
    /// Bytes of the texts that are shown, and of those that left since the last tidying.
    live: usize,
    left: usize,
    /// Of the last new histogram: most of a family have the same.
    bounds: Option<Arc<Bounds>>,
}

#[derive(Debug)]
struct StoreSlot {
    state: SeriesState,
    updated: Instant,
    born: u64,
}

/// A newcomer for the page.
pub(super) struct Newcomer<'a> {
    pub(super) family: usize,
    pub(super) labels: &'a Labels,
    pub(super) reading: PointReading,
    pub(super) mode: PointMode,
    pub(super) owner: Option<SeriesId>,
    pub(super) timestamps: bool,
    /// As [`SeriesState::apply`] has it.
    pub(super) back: u64,
    pub(super) now: Instant,
}

impl Store {
    /// An empty page within these limits.
    pub(super) fn new(limits: PageLimits) -> Self {
        Self {
            families: Slots::default(),
            by_name: BTreeMap::new(),
            names: FamilyNames::new(),
            limits,
            lines: 0,
            bytes: 0,
            series: 0,
            born: 0,
            hash: [RandomState::default(), RandomState::default()],
        }
    }

    /// How many bytes a page has, within a few for each line.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many series there are; a histogram is one.
    pub(super) fn len(&self) -> usize {
        self.series
    }

    /// Finds the family of this name, or makes it. The second value says how the one that
    /// is there differs.
    ///
    /// # Errors
    ///
    /// When the name belongs to a family of another kind.
    pub(super) fn family(
        &mut self,
        descriptor: Descriptor,
    ) -> Result<(usize, Option<Conflict>), Conflict> {
        if let Some(&index) = self.by_name.get(descriptor.name.as_str()) {
            let held = self.families.get(index).map(|family| &family.descriptor);
            return match held {
                Some(held) if held.kind != descriptor.kind => Err(Conflict::Kind),
                Some(held) if held.unit != descriptor.unit => Ok((index, Some(Conflict::Unit))),
                Some(held) if held.help != descriptor.help => Ok((index, Some(Conflict::Help))),
                _ => Ok((index, None)),
            };
        }
        if !self.names.claim(&descriptor.name, descriptor.kind) {
            return Err(Conflict::Kind);
        }
        self.born += 1;
        self.bytes += family_bytes(&descriptor);
        let name: Arc<str> = descriptor.name.as_str().into();
        let index = self.families.insert(StoredFamily {
            name: Arc::clone(&name),
            descriptor,
            born: self.born,
            slots: Slots::default(),
            by_text: HashMap::default(),
            shelf: BytesMut::new(),
            live: 0,
            left: 0,
            bounds: None,
        });
        self.by_name.insert(name, index);
        Ok((index, None))
    }

    /// Bounds that a new histogram of the family likely has.
    pub(super) fn usual_bounds(&self, family: usize) -> Option<&Arc<Bounds>> {
        self.families.get(family)?.bounds.as_ref()
    }

    /// Shows a point whose slot isn't known: in the slot with these labels, or a new one.
    ///
    /// # Errors
    ///
    /// As [`SeriesState::apply`], `Oversized` where it writes more than a series may, and
    /// `Cardinality` where the page is full.
    pub(super) fn add(&mut self, newcomer: Newcomer<'_>) -> Result<SlotRef, DropReason> {
        let Newcomer {
            family: index,
            labels,
            reading,
            mode,
            owner,
            timestamps,
            back,
            now,
        } = newcomer;
        let Some(family) = self.families.get_mut(index) else {
            return Err(DropReason::Unsupported);
        };
        let series = match &reading.value {
            SampleValue::Number(value) => Series::number(&family.descriptor.name, labels, *value),
            SampleValue::Histogram(value) => {
                family.bounds = Some(Arc::clone(&value.bounds));
                Series::histogram(labels, value.as_ref().clone())
            }
            SampleValue::Summary(value) => Series::summary(labels, value.as_ref().clone()),
        };
        if let Some(slot) = family.find(&self.hash, series.text())
            && let Some(held) = family.slots.get(slot)
        {
            let at = SlotRef {
                family: index,
                slot,
                born: held.born,
            };
            return self
                .apply(at, reading, (mode, back), owner, now)
                .map(|()| at);
        }
        let lines = lines(&reading.value);
        let bytes = series_bytes(&family.name, series.text(), &reading.value);
        if bytes > self.limits.series_bytes {
            return Err(DropReason::Oversized);
        }
        if self.lines + lines > self.limits.lines || self.bytes + bytes > self.limits.page_bytes {
            return Err(DropReason::Cardinality);
        }
        self.lines += lines;
        self.bytes += bytes;
        self.series += 1;
        self.born += 1;
        let slot = family.insert(
            &self.hash,
            StoreSlot {
                state: SeriesState::new(series, reading, owner, timestamps),
                updated: now,
                born: self.born,
            },
        );
        Ok(SlotRef {
            family: index,
            slot,
            born: self.born,
        })
    }

    /// Shows a point in its slot.
    ///
    /// # Errors
    ///
    /// As [`SeriesState::apply`], `Oversized` where it has more buckets than a series may, and
    /// `Cardinality` where the page has no room for them.
    #[inline]
    pub(super) fn apply(
        &mut self,
        at: SlotRef,
        reading: PointReading,
        (mode, back): (PointMode, u64),
        owner: Option<SeriesId>,
        now: Instant,
    ) -> Result<(), DropReason> {
        let Some(family) = self.families.get_mut(at.family) else {
            return Err(DropReason::Unsupported);
        };
        let name = &family.name;
        let slot = family.slots.get_mut(at.slot);
        let Some(slot) = slot.filter(|slot| slot.born == at.born) else {
            return Err(DropReason::Unsupported);
        };
        let (before, after) = (lines(&slot.state.series.value), lines(&reading.value));
        if before == after {
            slot.state.apply(reading, mode, owner, back)?;
            slot.updated = now;
            return Ok(());
        }
        // Other buckets than before.
        let series = &slot.state.series;
        let bytes_of = |value| series_bytes(name, series.text(), value);
        let (bytes_before, bytes_after) = (bytes_of(&series.value), bytes_of(&reading.value));
        if bytes_after > self.limits.series_bytes {
            return Err(DropReason::Oversized);
        }
        let lines = self.lines - before + after;
        let bytes = self.bytes - bytes_before + bytes_after;
        if lines > self.limits.lines || bytes > self.limits.page_bytes {
            return Err(DropReason::Cardinality);
        }
        slot.state.apply(reading, mode, owner, back)?;
        slot.updated = now;
        (self.lines, self.bytes) = (lines, bytes);
        Ok(())
    }

    /// What a slot shows, if it is still there.
    #[inline]
    pub(super) fn state(&self, at: SlotRef) -> Option<&SeriesState> {
        let slot = self.families.get(at.family)?.slots.get(at.slot)?;
        (slot.born == at.born).then_some(&slot.state)
    }

    /// Keeps a slot from expiring.
    pub(super) fn touch(&mut self, at: SlotRef, now: Instant) -> bool {
        slot_mut(&mut self.families, at)
            .map(|slot| slot.updated = now)
            .is_some()
    }

    /// Ends a series.
    pub(super) fn remove(&mut self, at: SlotRef) {
        if self.state(at).is_some() {
            self.take_out(at.family, at.slot);
        }
    }

    /// Ends the series that nobody updated since `since`, and families that are left
    /// without any. Returns when the oldest of the others was updated.
    pub(super) fn expire(&mut self, since: Instant) -> Option<Instant> {
        let mut oldest: Option<Instant> = None;
        for family in 0..self.families.end() {
            let slots = self.families.get(family).map_or(0, |f| f.slots.end());
            for slot in 0..slots {
                let updated = self
                    .families
                    .get(family)
                    .and_then(|family| family.slots.get(slot))
                    .map(|slot| slot.updated);
                match updated {
                    Some(updated) if updated <= since => self.take_out(family, slot),
                    Some(updated) => oldest = Some(oldest.map_or(updated, |o| o.min(updated))),
                    None => {}
                }
            }
            self.drop_if_empty(family);
            if let Some(held) = self.families.get_mut(family) {
                held.slots.compact();
            }
        }
        self.families.compact();
        oldest
    }

    /// How many families and slots there have been, by which those that come later are told.
    pub(super) fn born(&self) -> u64 {
        self.born
    }

    /// Up to `most` families in the order of the page, those behind the name `after`.
    pub(super) fn families(&self, after: Option<&str>, most: usize) -> Vec<FamilyRef> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name
            .range::<str, _>((from, Bound::Unbounded))
            .take(most)
            .filter_map(|(_, &index)| Some((index, self.families.get(index)?)))
            .map(|(index, family)| FamilyRef {
                name: Arc::clone(&family.name),
                kind: family.descriptor.kind,
                family: index,
                born: family.born,
            })
            .collect()
    }

    /// What a family says of itself, if it is still there.
    pub(super) fn descriptor(&self, family: &FamilyRef) -> Option<&Descriptor> {
        let held = self.families.get(family.family)?;
        (held.born == family.born).then_some(&held.descriptor)
    }

    /// Writes the series of a family from the slot numbered `from` on, until the encoder
    /// holds `enough` bytes. Returns where to go on, or none at the end.
    ///
    /// Left out are slots younger than `born`, since what has moved would come twice, those
    /// not updated since `since`, and those that `unless` knows.
    pub(super) fn write(
        &self,
        family: &FamilyRef,
        from: usize,
        encoder: &mut Encoder,
        enough: usize,
        (born, since): (u64, Option<Instant>),
        unless: impl Fn(&[u8]) -> bool,
    ) -> Option<usize> {
        self.descriptor(family)?;
        for (index, slot) in self.families.get(family.family)?.slots.from(from) {
            if encoder.len() >= enough {
                return Some(index);
            }
            if slot.born <= born
                && since.is_none_or(|since| slot.updated > since)
                && !unless(slot.state.series.text())
            {
                encoder.series(&slot.state.series);
            }
        }
        None
    }

    fn take_out(&mut self, family: usize, slot: usize) {
        if let Some(held) = self.families.get_mut(family)
            && let Some(slot) = held.slots.remove(slot)
        {
            let Series { value, .. } = &slot.state.series;
            let text = slot.state.series.text();
            held.by_text.remove(&key(&self.hash, text));
            held.live -= text.len();
            held.left += text.len();
            self.lines -= lines(value);
            self.bytes -= series_bytes(&held.name, text, value);
            self.series -= 1;
        }
        self.drop_if_empty(family);
        if let Some(held) = self.families.get_mut(family) {
            held.tidy();
        }
    }

    fn drop_if_empty(&mut self, family: usize) {
        if let Some(held) = self.families.get(family)
            && held.slots.is_empty()
            && let Some(held) = self.families.remove(family)
        {
            self.bytes -= family_bytes(&held.descriptor);
            self.by_name.remove(&held.name);
            self.names
                .release(&held.descriptor.name, held.descriptor.kind);
        }
    }

    /// Drops a family that was made for a series which then found no place.
    pub(super) fn settle(&mut self, family: usize) {
        self.drop_if_empty(family);
    }
}

impl StoredFamily {
    /// Bytes of the largest shelf: some 100 texts. Smaller families have smaller ones.
    const SHELF: usize = 16 * 1024;

    /// So many series are looked through faster than a map is asked, and take less memory.
    const FEW: usize = 8;

    /// The slot of the series with this text.
    fn find(&self, hash: &[RandomState; 2], text: &[u8]) -> Option<usize> {
        if self.by_text.is_empty() {
            let mut slots = self.slots.from(0);
            let (index, _) = slots.find(|(_, slot)| slot.state.series.text() == text)?;
            return Some(index);
        }
        self.by_text.get(&key(hash, text)).copied()
    }

    fn insert(&mut self, hash: &[RandomState; 2], mut slot: StoreSlot) -> usize {
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

    /// Puts the texts together anew once more of them have left than stayed, since one that
    /// stays keeps its whole shelf.
    fn tidy(&mut self) {
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

#[inline]
fn slot_mut(families: &mut Slots<StoredFamily>, at: SlotRef) -> Option<&mut StoreSlot> {
    let slot = families.get_mut(at.family)?.slots.get_mut(at.slot)?;
    (slot.born == at.born).then_some(slot)
}

/// 128 bits, seeded, so that nobody finds two labels that share them.
fn key(hash: &[RandomState; 2], text: &[u8]) -> u128 {
    let [high, low] = hash.each_ref().map(|hash| hash.hash_one(text));
    u128::from(high) << 64 | u128::from(low)
}
