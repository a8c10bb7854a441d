//! The store itself: series by id, and the bounds that hold over all of them.

use super::catalog::Catalog;
use super::charge::Bill;
use super::codec::Scratch;
use super::error::StoreRefusal;
use super::head::Arrival;
use super::id::RingId;
use super::layout::{Layout, Layouts};
use super::point::{STALE, StoredExponential, StoredPoint, ValueKind};
use super::ring::{Placed, Ring, Works};
use super::settings::WindowSettings;
use super::timeline::Timelines;
use super::times::Joins;

/// A day of history in memory. See the [module](super) for how it is kept.
///
/// All times are milliseconds since the epoch. The store has no clock: [`advance`] tells it when
/// what follows arrives.
///
/// [`advance`]: Windows::advance
#[derive(Debug)]
pub struct Windows {
    settings: WindowSettings,
    now: i64,
    uptime: i64,
    pub(super) catalog: Catalog,
    pub(super) rings: Vec<RingSlot>,
    pub(super) works: Works,
    layouts: Layouts,
    /// The row of the point that is being stored.
    row: Vec<u64>,
    /// Bytes of all rings beside those of the slots.
    pub(super) ring_bytes: usize,
    pub(super) samples: usize,
    pub(super) refused: [u64; StoreRefusal::ALL.len()],
    pub(super) evicted: u64,
    pub(super) expired: u64,
}

#[derive(Debug)]
pub(super) struct RingSlot {
    generation: u32,
    live: bool,
    kind: ValueKind,
    arrived: i64,
    pub(super) ring: Ring,
}

/// Points in a head of numbers, where the capacity allows it.
const HEAD: usize = 240;

/// Of `max_memory`, what keys and the index may take at most: one half.
const INDEX_SHARE: usize = 2;

/// Of `max_memory`, what one sweep frees: one part in this many.
const SWEEP_SHARE: usize = 64;

/// Times that a store takes, in milliseconds on either side of the epoch.
pub const TIMES: std::ops::RangeInclusive<i64> = -(1 << 52)..=1 << 52;

impl Windows {
    /// An empty store.
    #[must_use]
    pub fn new(settings: WindowSettings) -> Self {
        let capacity = settings.capacity.clamp(1, u32::MAX as usize / 2);
        let head = (capacity / 8).clamp(1, HEAD);
        Self {
            now: 0,
            uptime: 0,
            catalog: Catalog::new(),
            rings: Vec::new(),
            works: Works {
                timelines: Timelines::new(head),
                joins: Joins::default(),
                scratch: Scratch::default(),
                bill: Bill::default(),
                capacity,
                head,
                late: settings.out_of_order_window.max(0),
            },
            layouts: Layouts::default(),
            row: Vec::new(),
            ring_bytes: 0,
            samples: 0,
            refused: [0; StoreRefusal::ALL.len()],
            evicted: 0,
            expired: 0,
            settings,
        }
    }

    /// Sets the time at which what follows arrives, in milliseconds: by a clock that is never
    /// set, from any moment on, and since the epoch. Series expire by the first, as a
    /// machine without a clock of its own may be set forward by years while it runs.
    pub fn advance(&mut self, uptime: i64, now: i64) {
        self.uptime = self.uptime.max(uptime);
        self.now = now;
    }

    /// Notes what a metric is. A metric that has no series yet stays known without any.
    ///
    /// # Errors
    ///
    /// If there are too many metrics without series.
    pub fn describe(
        &mut self,
        name: &str,
        kind: ValueKind,
        unit: &str,
        description: &str,
    ) -> Result<(), StoreRefusal> {
        let size = name.len() + unit.len() + description.len();
        if self.catalog.bytes() + size > self.settings.max_memory / INDEX_SHARE {
            return Err(self.refuse(StoreRefusal::MaxMemory));
        }
        self.catalog.describe(name, kind, unit, description);
        Ok(())
    }

    /// The series of the key, which is added if it isn't there. The labels are sorted by
    /// name, each name once, without the metric's own.
    ///
    /// # Errors
    ///
    /// If there are too many series, or their keys take too much memory.
    pub fn register(
        &mut self,
        name: &str,
        kind: ValueKind,
        labels: &[(&str, &str)],
    ) -> Result<RingId, StoreRefusal> {
        if labels.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            let mut sorted = labels.to_vec();
            sorted.sort_by_key(|(name, _)| *name);
            sorted.dedup_by_key(|(name, _)| *name);
            return self.register(name, kind, &sorted);
        }
        if let Some(id) = self.catalog.find_key(name, kind, labels) {
            return Ok(id);
        }
        if self.catalog.len() >= self.settings.max_series {
            return Err(self.refuse(StoreRefusal::MaxSeries));
        }
        let need = Catalog::estimate(name, labels) + size_of::<RingSlot>();
        let index = self.catalog.bytes() + self.rings.len() * size_of::<RingSlot>() + need;
        if index > self.settings.max_memory / INDEX_SHARE || !self.make_room(need) {
            return Err(self.refuse(StoreRefusal::MaxMemory));
        }
        let id = self.catalog.insert(name, kind, labels);
        let slot = RingSlot {
            generation: id.generation,
            live: true,
            kind,
            arrived: self.uptime,
            ring: Ring::new(),
        };
        match self.rings.get_mut(id.slot as usize) {
            Some(place) => *place = slot,
            None => self.rings.push(slot),
        }
        Ok(id)
    }

    /// Keeps a series apart from those that are aggregated where nobody says which: it says
    /// something about the others, or about the program itself. A condition on series finds it
    /// like any other.
    pub fn keep_apart(&mut self, id: RingId) {
        self.catalog.keep_apart(id);
    }

    /// Stores a number whose source doesn't say since when it counts.
    ///
    /// # Errors
    ///
    /// As [`push_point`](Self::push_point).
    #[inline]
    pub fn push(&mut self, id: RingId, time: i64, value: f64) -> Result<Placed, StoreRefusal> {
        self.push_since(id, 0, time, value)
    }

    /// Stores a number of a source that counts since `start`, 0 if that isn't known.
    ///
    /// # Errors
    ///
    /// As [`push_point`](Self::push_point).
    #[inline]
    pub fn push_since(
        &mut self,
        id: RingId,
        start: i64,
        time: i64,
        value: f64,
    ) -> Result<Placed, StoreRefusal> {
        let row = [value.to_bits()];
        let arrival = Arrival {
            start,
            layout: None,
            row: &row,
        };
        match self.rings.get(id.slot as usize) {
            Some(slot) if slot.kind.is_number() || slot.generation != id.generation => {}
            _ => return Err(self.refuse(StoreRefusal::WrongKind)),
        }
        self.store(id, time, &arrival)
    }

    /// Stores a point of any kind.
    ///
    /// # Errors
    ///
    /// If the point is too old, too far ahead, too wide or of another kind than its series, if
    /// the series isn't there, or if memory is full of what isn't sealed.
    pub fn push_point(
        &mut self,
        id: RingId,
        start: i64,
        time: i64,
        point: &StoredPoint<'_>,
    ) -> Result<Placed, StoreRefusal> {
        if let StoredPoint::Number(value) = point {
            return self.push_since(id, start, time, *value);
        }
        let kind = match point {
            StoredPoint::Histogram(_) => ValueKind::Histogram,
            StoredPoint::Exponential(_) => ValueKind::ExponentialHistogram,
            StoredPoint::Number(_) | StoredPoint::Summary(_) => ValueKind::Summary,
        };
        match self.rings.get(id.slot as usize) {
            Some(slot) if slot.kind == kind || slot.generation != id.generation => {}
            _ => return Err(self.refuse(StoreRefusal::WrongKind)),
        }
        if let StoredPoint::Exponential(histogram) = point
            && histogram.scale < StoredExponential::COARSEST
        {
            return Err(self.refuse(StoreRefusal::Unsupported));
        }
        if Layout::width(point) > self.settings.max_columns {
            return Err(self.refuse(StoreRefusal::TooWide));
        }
        let Some(layout) = self.layouts.of(point, &self.works.bill) else {
            return Err(self.refuse(StoreRefusal::WrongKind));
        };
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        Layout::put_row(point, &mut row);
        let arrival = Arrival {
            start,
            layout: Some(&layout),
            row: &row,
        };
        let placed = self.store(id, time, &arrival);
        self.row = row;
        placed
    }

    /// Marks the end of a series of any kind.
    ///
    /// # Errors
    ///
    /// As [`push_point`](Self::push_point).
    pub fn push_stale(&mut self, id: RingId, time: i64) -> Result<Placed, StoreRefusal> {
        let Some(slot) = self.rings.get(id.slot as usize) else {
            return Err(self.refuse(StoreRefusal::UnknownSeries));
        };
        let layout = if slot.kind.is_number() {
            None
        } else {
            let known = slot.ring.head.layout().cloned();
            let last = || slot.ring.chunks.back()?.layout().cloned();
            let bare = || Layout::bare(slot.kind).share(&self.works.bill);
            Some(known.or_else(last).unwrap_or_else(bare))
        };
        let row = vec![STALE; layout.as_ref().map_or(1, |layout| layout.columns())];
        let arrival = Arrival {
            start: 0,
            layout: layout.as_ref(),
            row: &row,
        };
        self.store(id, time, &arrival)
    }

    /// Removes the series for which nothing arrived for `series_ttl`, and answers how many.
    pub fn expire(&mut self) -> usize {
        let until = self.uptime.saturating_sub(self.settings.series_ttl);
        let gone: Vec<u32> = (0..)
            .zip(&self.rings)
            .filter(|(_, slot)| slot.live && slot.arrived <= until)
            .map(|(slot, _)| slot)
            .collect();
        for slot in &gone {
            let slot = &mut self.rings[*slot as usize];
            slot.live = false;
            slot.generation = slot.generation.wrapping_add(1);
            self.samples -= slot.ring.len();
            self.ring_bytes -= slot.ring.bytes();
            slot.ring.clear(&mut self.works);
        }
        self.catalog.remove(&gone);
        self.expired += gone.len() as u64;
        gone.len()
    }

    /// Counts a point or series that is refused, and answers the reason. Whoever fills the store
    /// counts here what it doesn't even offer, so that all refusals stand in one place.
    #[cold]
    pub fn refuse(&mut self, refusal: StoreRefusal) -> StoreRefusal {
        self.refused[refusal as usize] += 1;
        refusal
    }

    /// Bytes of all that the store holds. What snapshots hold beyond it isn't counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ring_bytes
            + self.rings.capacity() * size_of::<RingSlot>()
            + self.catalog.bytes()
            + self.works.timelines.bytes()
            + self.works.bill.bytes()
    }

    /// The bounds.
    #[must_use]
    pub fn settings(&self) -> &WindowSettings {
        &self.settings
    }

    #[inline]
    fn store(
        &mut self,
        id: RingId,
        time: i64,
        arrival: &Arrival<'_>,
    ) -> Result<Placed, StoreRefusal> {
        let Some(slot) = self.rings.get_mut(id.slot as usize) else {
            return Err(self.refuse(StoreRefusal::UnknownSeries));
        };
        if slot.generation != id.generation || !slot.live {
            return Err(self.refuse(StoreRefusal::UnknownSeries));
        }
        if time.saturating_sub(self.now) > self.settings.max_ahead || !TIMES.contains(&time) {
            return Err(self.refuse(StoreRefusal::TooFarAhead));
        }
        if !slot.ring.is_newer(time) {
            return self.store_late(id, time, arrival);
        }
        if arrival.layout.is_none() {
            let bits = arrival.row[0];
            let ring = &mut slot.ring;
            if let Some(more) = ring.append_at_once(&mut self.works, time, arrival.start, bits) {
                slot.arrived = self.uptime;
                self.samples += more;
                return Ok(Placed::Newest);
            }
        }
        self.append(id, time, arrival)
    }

    /// Puts the newest point behind the others, whatever it takes.
    fn append(
        &mut self,
        id: RingId,
        time: i64,
        arrival: &Arrival<'_>,
    ) -> Result<Placed, StoreRefusal> {
        let most = self.works.head_points(arrival.row.len());
        let growth = self.rings[id.slot as usize].ring.head.growth(arrival, most);
        if growth > 0 && !self.make_room(growth) {
            return Err(self.refuse(StoreRefusal::MaxMemory));
        }
        let slot = &mut self.rings[id.slot as usize];
        let (bytes, len) = (slot.ring.bytes(), slot.ring.len());
        slot.arrived = self.uptime;
        slot.ring.append(&mut self.works, id.slot, time, arrival);
        self.ring_bytes = self.ring_bytes - bytes + slot.ring.bytes();
        self.samples = self.samples - len + slot.ring.len();
        Ok(Placed::Newest)
    }

    #[cold]
    fn store_late(
        &mut self,
        id: RingId,
        time: i64,
        arrival: &Arrival<'_>,
    ) -> Result<Placed, StoreRefusal> {
        if !self.make_room(arrival.row.len() * 16) {
            return Err(self.refuse(StoreRefusal::MaxMemory));
        }
        let slot = &mut self.rings[id.slot as usize];
        let (bytes, len) = (slot.ring.bytes(), slot.ring.len());
        slot.arrived = self.uptime;
        let placed = slot.ring.place(&mut self.works, id.slot, time, arrival);
        self.ring_bytes = self.ring_bytes - bytes + slot.ring.bytes();
        self.samples = self.samples - len + slot.ring.len();
        placed.ok_or_else(|| self.refuse(StoreRefusal::TooOld))
    }

    /// Whether that many bytes are free, or were made so.
    #[inline]
    fn make_room(&mut self, need: usize) -> bool {
        self.bytes() + need <= self.settings.max_memory || self.sweep(need)
    }

    /// Drops the oldest chunks until that many bytes are free. A sweep looks at all series, so
    /// it frees enough for the next to be far. If there are no chunks, the heads become some.
    #[cold]
    fn sweep(&mut self, need: usize) -> bool {
        let most = self.settings.max_memory;
        let target = most.saturating_sub(need.max(most / SWEEP_SHARE));
        while self.bytes() + need > most {
            let mut oldest: Vec<(i64, u32)> = (0..)
                .zip(&self.rings)
                .filter_map(|(slot, ring)| Some((ring.ring.oldest_chunk()?, slot)))
                .collect();
            if oldest.is_empty() && !self.seal_heads() {
                return false;
            }
            oldest.sort_unstable();
            for (_, slot) in oldest {
                let ring = &mut self.rings[slot as usize].ring;
                let (bytes, len) = (ring.bytes(), ring.len());
                ring.forget_chunk();
                self.ring_bytes = self.ring_bytes - bytes + ring.bytes();
                self.samples = self.samples - len + ring.len();
                self.evicted += (len - ring.len()) as u64;
                if self.bytes() <= target {
                    break;
                }
            }
        }
        true
    }

    /// Seals all heads that take memory of their own; `false` if there are none.
    fn seal_heads(&mut self) -> bool {
        let before = self.ring_bytes;
        for (slot, ring) in (0..).zip(&mut self.rings) {
            if ring.ring.head.bytes() > 0 {
                let bytes = ring.ring.bytes();
                ring.ring.seal(&mut self.works, slot);
                self.ring_bytes = self.ring_bytes - bytes + ring.ring.bytes();
            }
        }
        self.ring_bytes != before
    }
}
