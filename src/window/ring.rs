//! The points of one series: sealed chunks, oldest first, and the head.
//!
//! The ring keeps the newest `capacity` points readable. Chunks are dropped whole, so the
//! oldest may hold some points that are no longer read; their number is `skip`.
//!
//! Sealed chunks are merged four at a time, until they hold some hundred points: small chunks
//! cost their headers, large ones are unpacked for every look at a part of them. When a
//! chunk is merged depends on the series, so that ten thousand series that were sealed at once
//! aren't merged at once.

use std::collections::VecDeque;
use std::sync::Arc;

use super::charge::Bill;
use super::chunk::{Chunk, Plain, Unsealed};
use super::codec::Scratch;
use super::digest::Digest;
use super::head::{Arrival, Head};
use super::parts::Parts;
use super::timeline::Timelines;
use super::times::{Joins, Times};

/// What all rings of a store share.
#[derive(Debug)]
pub(super) struct Works {
    pub(super) timelines: Timelines,
    pub(super) joins: Joins,
    pub(super) scratch: Scratch,
    /// What chunks share.
    pub(super) bill: Bill,
    /// Points that are readable in a series.
    pub(super) capacity: usize,
    /// Points in a head of numbers.
    pub(super) head: usize,
    /// How far behind the newest a point may be, in milliseconds.
    pub(super) late: i64,
}

/// What became of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It is the newest of its series.
    Newest,
    /// It came late and has its place among the others.
    Late,
    /// It took the place of a point of the same time.
    Replaced,
}

#[derive(Debug)]
pub(super) struct Ring {
    pub(super) chunks: VecDeque<Arc<Chunk>>,
    /// Points in chunks.
    sealed: u32,
    pub(super) skip: u32,
    /// Points of the oldest chunk, 0 if there is none: a series that is full would else fetch
    /// that chunk from memory for every point.
    oldest_count: u32,
    /// The time of the newest point, if there is any.
    newest: i64,
    pub(super) head: Head,
    bytes: usize,
}

/// Numbers in a head whose points have many.
const HEAD_CELLS: usize = 512;

/// Numbers in a merged chunk.
const MERGED_CELLS: usize = 1 << 16;

/// Points from which a chunk is large enough.
const LARGE: u32 = 256;

/// Chunks at the end of a ring that are looked at for merging.
const TAIL: usize = 32;

impl Ring {
    pub(super) fn new() -> Self {
        Self {
            chunks: VecDeque::new(),
            sealed: 0,
            skip: 0,
            oldest_count: 0,
            newest: i64::MIN,
            head: Head::new(),
            bytes: 0,
        }
    }

    /// Readable points.
    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.sealed - self.skip) as usize + self.head.len()
    }

    pub(super) fn newest(&self) -> Option<i64> {
        (self.len() > 0).then_some(self.newest)
    }

    /// Bytes beside those of the ring itself.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What [`bytes`](Self::bytes) is, counted anew.
    #[cfg(test)]
    pub(super) fn counted_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes()).sum::<usize>() + self.head.bytes()
    }

    /// Whether a point of this time would be the newest.
    #[inline]
    pub(super) fn is_newer(&self, time: i64) -> bool {
        time > self.newest || self.len() == 0
    }

    /// Puts the newest point, a number, behind the others, if that takes neither memory nor
    /// time. Answers by how many the readable points grow.
    #[inline]
    pub(super) fn append_at_once(
        &mut self,
        works: &mut Works,
        time: i64,
        start: i64,
        bits: u64,
    ) -> Option<usize> {
        let full = self.len() >= works.capacity;
        let simple = self.head.has_room(start, bits)
            && self.head.len() + 1 < works.head
            && !(full && self.oldest_count <= self.skip + 1);
        if !simple || !works.timelines.step(&mut self.head.span, time) {
            return None;
        }
        self.head.push(bits);
        self.newest = time;
        self.skip += u32::from(full);
        Some(usize::from(!full))
    }

    /// Puts the newest point behind the others. `ordinal` tells series apart.
    #[inline]
    pub(super) fn append(
        &mut self,
        works: &mut Works,
        ordinal: u32,
        time: i64,
        arrival: &Arrival<'_>,
    ) {
        let most = works.head_points(arrival.row.len());
        let fits = arrival.layout.is_none() || self.head.takes(arrival.layout);
        if !fits || !works.timelines.append(&mut self.head.span, time) {
            self.seal(works, ordinal);
            works.timelines.append(&mut self.head.span, time);
        }
        let growth = self.head.growth(arrival, most);
        if growth == 0 {
            self.head.insert(self.head.len() - 1, arrival, most);
        } else {
            let before = self.head.bytes();
            self.head.insert(self.head.len() - 1, arrival, most);
            self.bytes = self.bytes - before + self.head.bytes();
        }
        self.newest = time;
        if self.head.len() >= most {
            self.seal(works, ordinal);
        }
        if self.len() > works.capacity {
            self.forget_one();
        }
    }

    /// Puts a point that isn't the newest among the others. Answers `None` if it is too late.
    pub(super) fn place(
        &mut self,
        works: &mut Works,
        ordinal: u32,
        time: i64,
        arrival: &Arrival<'_>,
    ) -> Option<Placed> {
        if self.newest.saturating_sub(time) > works.late {
            return None;
        }
        let before = self.len();
        let sealed = self.chunks.back().is_some_and(|chunk| chunk.last >= time);
        if !sealed && self.head.takes(arrival.layout) && self.place_in_head(works, time, arrival) {
            if self.head.len() >= works.head_points(arrival.row.len()) {
                self.seal(works, ordinal);
            }
        } else {
            if !sealed {
                self.seal(works, ordinal);
            }
            if !self.place_in_chunk(works, time, arrival) {
                return None;
            }
        }
        let placed = if self.len() == before {
            Placed::Replaced
        } else {
            Placed::Late
        };
        if self.len() > works.capacity {
            self.forget_one();
        }
        Some(placed)
    }

    /// Makes a chunk of the head.
    pub(super) fn seal(&mut self, works: &mut Works, ordinal: u32) {
        let before = self.head.bytes();
        let chunk = self
            .head
            .seal(&mut works.timelines, &mut works.scratch, &works.bill);
        self.bytes = self.bytes - before + self.head.bytes();
        if let Some(chunk) = chunk {
            self.sealed += chunk.count;
            self.bytes += chunk.bytes();
            self.chunks.push_back(Arc::new(chunk));
            self.merge(works, ordinal);
            self.note_oldest();
        }
    }

    /// Drops the oldest chunk, and answers how many readable points it had.
    pub(super) fn forget_chunk(&mut self) -> usize {
        let Some(chunk) = self.chunks.pop_front() else {
            return 0;
        };
        let readable = chunk.count - self.skip;
        self.sealed -= chunk.count;
        self.skip = 0;
        self.bytes -= chunk.bytes();
        if self.chunks.is_empty() {
            self.chunks.shrink_to(4);
        }
        self.note_oldest();
        readable as usize
    }

    /// When the oldest chunk ends.
    pub(super) fn oldest_chunk(&self) -> Option<i64> {
        self.chunks.front().map(|chunk| chunk.last)
    }

    /// The time of the oldest readable point.
    pub(super) fn oldest(&self, timelines: &Timelines) -> Option<i64> {
        let Some(chunk) = self.chunks.front() else {
            return timelines.at(self.head.span, 0);
        };
        if self.skip == 0 {
            return Some(chunk.first);
        }
        chunk.time(self.skip as usize).ok()
    }

    /// Gives back what isn't the ring's own.
    pub(super) fn clear(&mut self, works: &mut Works) {
        works.timelines.release(&mut self.head.span);
        *self = Self::new();
    }

    fn forget_one(&mut self) {
        self.skip += 1;
        if self.oldest_count == self.skip {
            self.forget_chunk();
        }
    }

    fn place_in_head(&mut self, works: &mut Works, time: i64, arrival: &Arrival<'_>) -> bool {
        let most = works.head_points(arrival.row.len());
        let before = self.head.bytes();
        match works.timelines.search(self.head.span, time) {
            Ok(index) => self.head.replace(index, arrival, most),
            Err(index) => {
                if !works.timelines.insert(&mut self.head.span, index, time) {
                    return false;
                }
                self.head.insert(index, arrival, most);
            }
        }
        self.bytes = self.bytes - before + self.head.bytes();
        true
    }

    /// Packs the chunk anew in which the point belongs.
    fn place_in_chunk(&mut self, works: &mut Works, time: i64, arrival: &Arrival<'_>) -> bool {
        let index = self
            .chunks
            .iter()
            .rposition(|chunk| chunk.first <= time)
            .unwrap_or(0);
        let Some(chunk) = self.chunks.get(index).cloned() else {
            return false;
        };
        let mut plain = Plain::default();
        if chunk.unpack(&mut works.scratch, &mut plain).is_err() {
            return false;
        }
        let found = plain.times.binary_search(&time);
        let at = found.unwrap_or_else(|at| at);
        // What is older than all that is readable would be forgotten at once.
        let behind = if found.is_ok() { at + 1 } else { at };
        if index == 0 && behind <= self.skip as usize && self.is_full(works) {
            return false;
        }
        let most = 2 * works.head_points(arrival.row.len());
        let mut parts = Parts::new(&chunk, plain);
        parts.put(at, found.is_ok(), time, arrival);
        let pieces = parts.seal(most, &mut works.scratch, &works.bill);
        let (mut count, mut bytes) = (0, 0);
        for piece in &pieces {
            count += piece.count;
            bytes += piece.bytes();
        }
        self.sealed = self.sealed - chunk.count + count;
        self.bytes = self.bytes - chunk.bytes() + bytes;
        let behind = self.chunks.split_off(index + 1);
        self.chunks.pop_back();
        self.chunks.extend(pieces.into_iter().map(Arc::new));
        self.chunks.extend(behind);
        self.note_oldest();
        while self.oldest_count > 0 && self.skip >= self.oldest_count {
            let left = self.skip - self.oldest_count;
            self.skip = self.oldest_count;
            self.forget_chunk();
            self.skip = left;
        }
        true
    }

    /// To be called when there are other chunks than before.
    fn note_oldest(&mut self) {
        self.oldest_count = self.chunks.front().map_or(0, |chunk| chunk.count);
    }

    fn is_full(&self, works: &Works) -> bool {
        self.len() >= works.capacity
    }

    /// Merges four chunks of one size, if there are enough of them.
    fn merge(&mut self, works: &mut Works, ordinal: u32) {
        let Some((from, mut len)) = self.mergeable(ordinal) else {
            return;
        };
        let first = Arc::clone(&self.chunks[from]);
        // A late point must never unpack more than a head's worth.
        let settled = self.newest.saturating_sub(works.late);
        let mut count = 0;
        let columns = first.layout().map_or(1, |layout| layout.columns());
        for (index, chunk) in self.chunks.range(from..from + len).enumerate() {
            let cells = (count + chunk.count) as usize * columns;
            let alike = match (first.layout(), chunk.layout()) {
                (None, None) => true,
                (Some(mine), Some(other)) => Arc::ptr_eq(mine, other) || mine.same(other),
                _ => false,
            };
            if !alike || cells > MERGED_CELLS || chunk.last >= settled {
                len = index;
                break;
            }
            count += chunk.count;
        }
        if len < 2 {
            return;
        }
        let mut plain = Plain::default();
        let parts: Box<[_]> = self
            .chunks
            .range(from..from + len)
            .map(|chunk| chunk.part())
            .collect();
        let mut digest = first.digest().map(|_| Digest::default());
        for chunk in self.chunks.range(from..from + len) {
            if let (Some(digest), Some(more)) = (&mut digest, chunk.digest()) {
                digest.merge(&more);
            }
            if chunk.unpack(&mut works.scratch, &mut plain).is_err() {
                return;
            }
        }
        let times = works.joins.find(&parts).unwrap_or_else(|| {
            let times = Times::of(&plain.times, &mut works.scratch, &works.bill);
            works.joins.remember(parts, times.clone());
            times
        });
        let rows: Vec<u64> = plain.rows.iter().map(|value| value.to_bits()).collect();
        let draft = Unsealed {
            first: first.first,
            last: plain.times[plain.times.len() - 1],
            times,
            starts: plain.starts(),
            layout: first.layout(),
            rows: &rows,
            digest,
        };
        let merged = Arc::new(Chunk::seal(draft, &mut works.scratch));
        self.bytes += merged.bytes();
        for chunk in self.chunks.drain(from..from + len) {
            self.bytes -= chunk.bytes();
        }
        self.chunks.insert(from, merged);
    }

    /// Where chunks that should be merged begin, and how many they are.
    fn mergeable(&self, ordinal: u32) -> Option<(usize, usize)> {
        let level = |chunk: &Chunk| chunk.count.min(LARGE).ilog2() / 2;
        let end = self.chunks.len();
        let from = end.saturating_sub(TAIL);
        let small = (from..end)
            .rev()
            .take_while(|index| self.chunks[*index].count < LARGE)
            .count();
        let small = end - small;
        let enough = 4 + (ordinal % 4) as usize;
        // The chunks of one size at the end, then those before them.
        let mut stop = end;
        while stop > small {
            let this = level(&self.chunks[stop - 1]);
            let run = (small..stop)
                .rev()
                .take_while(|index| level(&self.chunks[*index]) == this)
                .count();
            if run >= enough {
                return Some((stop - run, 4));
            }
            stop -= run;
        }
        // Sizes that alternate never make a run.
        (end - small >= TAIL / 2).then_some((small, 4))
    }
}

impl Works {
    /// Points in a head whose points have that many numbers.
    #[inline]
    pub(super) fn head_points(&self, columns: usize) -> usize {
        if columns == 1 {
            self.head
        } else {
            (HEAD_CELLS / columns).max(8).min(self.head)
        }
    }
}
