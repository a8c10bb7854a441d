//! The points of one series within a range of time, as they were at one moment.

use std::sync::Arc;

use super::chunk::{Chunk, Plain};
use super::layout::{Division, SharedLayout};
use super::ring::Ring;
use super::timeline::Timelines;

/// The points of one series within a range of time, without what the series is.
///
/// Sealed chunks are shared with the store and the rest is a copy, so to take one costs
/// little and what the store does afterwards shows in none. One that is used again takes no new
/// memory.
#[derive(Debug, Default)]
pub struct Excerpt {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) chunks: Vec<Arc<Chunk>>,
    /// Points of the first chunk that are no longer readable.
    pub(super) skip: usize,
    /// The points that weren't sealed.
    pub(super) tail: Plain,
    pub(super) tail_layout: Option<SharedLayout>,
}

impl Excerpt {
    /// Takes the points of the ring between two times, both included, in the place of what is
    /// here.
    pub(super) fn take(&mut self, ring: &Ring, timelines: &Timelines, from: i64, to: i64) {
        self.clear();
        (self.from, self.to) = (from, to);
        // From the newest, which is what is asked for most.
        let newer = ring.chunks.iter().rev();
        let after = newer.take_while(|chunk| chunk.first > to).count();
        let until = ring.chunks.len() - after;
        let mut before = until;
        for chunk in ring.chunks.range(..until).rev() {
            if chunk.last < from {
                break;
            }
            before -= 1;
            // To look at the one before it would fetch it from memory for nothing.
            if chunk.first <= from {
                break;
            }
        }
        let range = before..until;
        self.chunks.extend(ring.chunks.range(range).cloned());
        self.skip = if before == 0 { ring.skip as usize } else { 0 };
        let span = ring.head.span;
        let start = timelines.search(span, from).unwrap_or_else(|at| at);
        let end = timelines.search(span, to).map_or_else(|at| at, |at| at + 1);
        if start < end {
            timelines.read(span.cut(start..end), &mut self.tail.times);
            ring.head.copy(start..end, &mut self.tail);
            self.tail_layout = ring.head.layout().cloned();
        }
    }

    /// Lets go of the points, and keeps the memory that isn't shared.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.tail.clear();
        self.tail_layout = None;
    }

    /// Points that reading unpacks: at least those of the range, at most a chunk more on
    /// either side.
    #[must_use]
    pub fn points(&self) -> usize {
        let sealed: usize = self.chunks.iter().map(|chunk| chunk.count as usize).sum();
        sealed + self.tail.times.len()
    }

    /// How the points of a histogram or summary are divided: chunk by chunk, so the same may come
    /// several times.
    pub fn divisions(&self) -> impl Iterator<Item = Division<'_>> {
        let sealed = self.chunks.iter().filter_map(|chunk| chunk.layout());
        let layouts = sealed.chain(&self.tail_layout);
        layouts.filter_map(|layout| layout.division())
    }

    /// Whether all that was asked for lies in `(from, to]`.
    pub(super) fn lies_within(&self, from: i64, to: i64) -> bool {
        from < self.from && self.to <= to
    }
}
