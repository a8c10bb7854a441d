//! The families and series that the page shows.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::ops::Bound;
use std::sync::Arc;

use bytes::BytesMut;
use foldhash::quality::RandomState;
use tokio::time::Instant;

use super::reading::{Mode, Reading, State, lines};
use crate::component::DropReason;
use crate::exposition::{Bounds, Descriptor, Encoder, Kind, Labels, Names, Series, Value};
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
    families: Slots<Family>,
    by_name: BTreeMap<Arc<str>, usize>,
    names: Names,
    max_lines: usize,
    lines: usize,
    series: usize,
    /// Rises with every family and slot, so that those that came later can be told.
    born: u64,
    hash: [RandomState; 2],
}

#[derive(Debug)]
struct Family {
    name: Arc<str>,
    descriptor: Descriptor,
    born: u64,
    slots: Slots<Slot>,
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
struct Slot {
    state: State,
    updated: Instant,
    born: u64,
}

/// A newcomer for the page.
pub(super) struct Newcomer<'a> {
    pub(super) family: usize,
    pub(super) labels: &'a Labels,
    pub(super) reading: Reading,
    pub(super) mode: Mode,
    pub(super) owner: Option<SeriesId>,
    pub(super) timestamps: bool,
    /// As [`State::apply`] has it.
    pub(super) back: u64,
    pub(super) now: Instant,
}

impl Store {
    /// An empty page of at most `max_lines` lines.
    pub(super) fn new(max_lines: usize) -> Self {
        Self {
            families: Slots::default(),
            by_name: BTreeMap::new(),
            names: Names::new(),
            max_lines,
            lines: 0,
            series: 0,
            born: 0,
            hash: [RandomState::default(), RandomState::default()],
        }
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
        let name: Arc<str> = descriptor.name.as_str().into();
        let index = self.families.insert(Family {
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
    /// As [`State::apply`], and `Cardinality` where the page is full.
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
        let mut series = match &reading.value {
            Value::Number(value) => Series::number(&family.descriptor.name, labels, *value),
            Value::Histogram(value) => {
                family.bounds = Some(Arc::clone(&value.bounds));
                Series::histogram(labels, value.as_ref().clone())
            }
            Value::Summary(value) => Series::summary(labels, value.as_ref().clone()),
        };
        let key = key(&self.hash, series.text());
        if let Some(&slot) = family.by_text.get(&key)
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
        if self.lines + lines > self.max_lines {
            return Err(DropReason::Cardinality);
        }
        self.lines += lines;
        self.series += 1;
        self.born += 1;
        family.shelve(&mut series);
        let slot = family.slots.insert(Slot {
            state: State::new(series, reading, owner, timestamps),
            updated: now,
            born: self.born,
        });
        family.by_text.insert(key, slot);
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
    /// As [`State::apply`], and `Cardinality` where the page has no room for more buckets.
    #[inline]
    pub(super) fn apply(
        &mut self,
        at: SlotRef,
        reading: Reading,
        (mode, back): (Mode, u64),
        owner: Option<SeriesId>,
        now: Instant,
    ) -> Result<(), DropReason> {
        let room = self.max_lines - self.lines;
        let Some(slot) = slot_mut(&mut self.families, at) else {
            return Err(DropReason::Unsupported);
        };
        let before = lines(&slot.state.series.value);
        if lines(&reading.value) > before + room {
            return Err(DropReason::Cardinality);
        }
        slot.state.apply(reading, mode, owner, back)?;
        slot.updated = now;
        self.lines = self.lines - before + lines(&slot.state.series.value);
        Ok(())
    }

    /// What a slot shows, if it is still there.
    #[inline]
    pub(super) fn state(&self, at: SlotRef) -> Option<&State> {
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
        for family in 0..self.families.entries.len() {
            let slots = self
                .families
                .get(family)
                .map_or(0, |f| f.slots.entries.len());
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
        }
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
        let slots = self
            .families
            .get(family.family)?
            .slots
            .entries
            .get(from..)?;
        for (offset, slot) in slots.iter().enumerate() {
            if encoder.len() >= enough {
                return Some(from + offset);
            }
            if let Some(slot) = slot
                && slot.born <= born
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
            let text = slot.state.series.text();
            held.by_text.remove(&key(&self.hash, text));
            held.live -= text.len();
            held.left += text.len();
            self.lines -= lines(&slot.state.series.value);
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

impl Family {
    /// Bytes of the largest shelf: some 100 texts. Smaller families have smaller ones.
    const SHELF: usize = 16 * 1024;

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
        for slot in slots.entries.iter_mut().flatten() {
            self.shelve(&mut slot.state.series);
        }
        self.slots = slots;
    }
}

#[inline]
fn slot_mut(families: &mut Slots<Family>, at: SlotRef) -> Option<&mut Slot> {
    let slot = families.get_mut(at.family)?.slots.get_mut(at.slot)?;
    (slot.born == at.born).then_some(slot)
}

/// 128 bits, seeded, so that nobody finds two labels that share them.
fn key(hash: &[RandomState; 2], text: &[u8]) -> u128 {
    let [high, low] = hash.each_ref().map(|hash| hash.hash_one(text));
    u128::from(high) << 64 | u128::from(low)
}

/// Entries that keep their place until they are removed.
#[derive(Debug)]
struct Slots<T> {
    entries: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    fn insert(&mut self, entry: T) -> usize {
        if let Some(index) = self.free.pop()
            && let Some(place) = self.entries.get_mut(index)
        {
            *place = Some(entry);
            return index;
        }
        self.entries.push(Some(entry));
        self.entries.len() - 1
    }

    fn remove(&mut self, index: usize) -> Option<T> {
        let entry = self.entries.get_mut(index)?.take()?;
        self.free.push(index);
        Some(entry)
    }

    fn is_empty(&self) -> bool {
        self.entries.len() == self.free.len()
    }

    #[inline]
    fn get(&self, index: usize) -> Option<&T> {
        self.entries.get(index)?.as_ref()
    }

    #[inline]
    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.entries.get_mut(index)?.as_mut()
    }
}
