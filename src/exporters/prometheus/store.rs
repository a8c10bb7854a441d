//! The families and series on the page.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use bytes::BytesMut;
use foldhash::quality::RandomState;
use tokio::time::Instant;

use super::family::{StoreSlot, StoredFamily, key};
use super::limits::{StoreLimits, family_bytes, series_bytes};
use super::series::{SeriesState, lines};
use super::slots::Slots;
use crate::component::DropReason;
use crate::exposition::{
    Bounds, Descriptor, Encoder, FamilyNames, Kind, Labels, SampleValue, Series,
};
use crate::pdata::SeriesId;
use crate::translation::{PointMode, TranslatedPoint};

/// The place of a series. Valid until the series is removed; never leads to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeriesRef {
    family: usize,
    slot: usize,
    born: u64,
}

/// The key of a family, as a page that is being written keeps it.
#[derive(Debug, Clone)]
pub(super) struct FamilyRef {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    family: usize,
    pub(super) born: u64,
}

/// How a new series contradicts the family that has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    /// The type differs, or the name is one that another family's samples use: it can't be shown.
    Kind,
    /// The unit differs: the family keeps its own.
    Unit,
    /// The help text differs: the family keeps its own.
    Help,
}

/// Families by name, and their series. Pure: the owner passes the time and does the locking.
#[derive(Debug)]
pub(super) struct Store {
    families: Slots<StoredFamily>,
    by_name: BTreeMap<Arc<str>, usize>,
    names: FamilyNames,
    limits: StoreLimits,
    lines: usize,
    /// The bytes of everything on the page, by [`series_bytes`] and [`family_bytes`].
    bytes: usize,
    series: usize,
    /// Counts the families and series ever created, which numbers each of them.
    born: u64,
    hash: [RandomState; 2],
}

/// A point whose series isn't known, with what is needed to show it.
pub(super) struct NewSeries<'a> {
    pub(super) family: usize,
    pub(super) labels: &'a Labels,
    pub(super) reading: TranslatedPoint,
    pub(super) mode: PointMode,
    pub(super) owner: Option<SeriesId>,
    pub(super) timestamps: bool,
    /// As in [`SeriesState::apply`].
    pub(super) back: u64,
    pub(super) now: Instant,
}

impl Store {
    /// An empty page with these limits.
    pub(super) fn new(limits: StoreLimits) -> Self {
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

    /// The bytes of the page, accurate to a few per line.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many series there are; a histogram counts as one.
    pub(super) fn len(&self) -> usize {
        self.series
    }

    /// Finds or creates the family of this name. The second value says how an existing one
    /// differs.
    ///
    /// # Errors
    ///
    /// When a family of another type has the name.
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

    /// The bounds that a new histogram of the family most likely has.
    pub(super) fn usual_bounds(&self, family: usize) -> Option<&Arc<Bounds>> {
        self.families.get(family)?.bounds.as_ref()
    }

    /// Shows a point whose series isn't known: in the series with these labels, or in a new one.
    ///
    /// # Errors
    ///
    /// As [`SeriesState::apply`], also for the first point of a series; `Oversized` if the series
    /// would write too many bytes, `Cardinality` if the page is full.
    pub(super) fn add(&mut self, newcomer: NewSeries<'_>) -> Result<SeriesRef, DropReason> {
        let NewSeries {
            family: index,
            labels,
            reading,
            mode,
            owner,
            timestamps,
            back,
            now,
        } = newcomer;
        if !mode.admits(&reading.value) {
            return Err(DropReason::Unsupported);
        }
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
            let at = SeriesRef {
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
        Ok(SeriesRef {
            family: index,
            slot,
            born: self.born,
        })
    }

    /// Shows a point in its series.
    ///
    /// # Errors
    ///
    /// As [`SeriesState::apply`]; `Oversized` if the series would write too many bytes,
    /// `Cardinality` if the page has no room for more buckets.
    #[inline]
    pub(super) fn apply(
        &mut self,
        at: SeriesRef,
        reading: TranslatedPoint,
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
        // The number of lines changes.
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

    /// What a series shows, if it still exists.
    #[inline]
    pub(super) fn state(&self, at: SeriesRef) -> Option<&SeriesState> {
        let slot = self.families.get(at.family)?.slots.get(at.slot)?;
        (slot.born == at.born).then_some(&slot.state)
    }

    /// Marks a series as updated, so that it doesn't expire. Returns whether it exists.
    pub(super) fn touch(&mut self, at: SeriesRef, now: Instant) -> bool {
        slot_mut(&mut self.families, at)
            .map(|slot| slot.updated = now)
            .is_some()
    }

    /// Ends a series, if it still exists.
    pub(super) fn remove(&mut self, at: SeriesRef) {
        if self.state(at).is_some() {
            self.take_out(at.family, at.slot);
        }
    }

    /// Ends the series that were last updated at `since` or before, and families that have none
    /// left. Returns when the oldest of the others was updated.
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

    /// The number of the newest family or series; later ones have greater numbers.
    pub(super) fn born(&self) -> u64 {
        self.born
    }

    /// Up to `most` families by name, those after the name `after`.
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

    /// The metadata of a family, if it still exists.
    pub(super) fn descriptor(&self, family: &FamilyRef) -> Option<&Descriptor> {
        let held = self.families.get(family.family)?;
        (held.born == family.born).then_some(&held.descriptor)
    }

    /// Writes the series of a family from the slot `from` on, until the encoder holds `enough`
    /// bytes. Returns the slot to continue with, or `None` at the end.
    ///
    /// Left out are series with a number greater than `born` (a series that was removed and
    /// created again would be written twice), those not updated after `since`, and those for
    /// whose text `unless` is true.
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

    /// Removes a family that was created for a series which couldn't be added.
    pub(super) fn settle(&mut self, family: usize) {
        self.drop_if_empty(family);
    }
}

#[inline]
fn slot_mut(families: &mut Slots<StoredFamily>, at: SeriesRef) -> Option<&mut StoreSlot> {
    let slot = families.get_mut(at.family)?.slots.get_mut(at.slot)?;
    (slot.born == at.born).then_some(slot)
}
