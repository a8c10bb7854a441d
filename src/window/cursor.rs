//! Reading points.

use std::ops::Range;

use super::chunk::Plain;
use super::codec::Scratch;
use super::digest::Digest;
use super::excerpt::Excerpt;
use super::layout::Layout;
use super::point::StoredPoint;

/// Memory to which chunks are unpacked, for one cursor after the other.
#[derive(Debug, Default)]
pub struct Buffers {
    plain: Plain,
    scratch: Scratch,
}

/// A reader of points that unpacks a chunk at a time.
#[derive(Debug)]
pub struct Cursor<'s> {
    excerpt: &'s Excerpt,
    /// The chunk that comes next; the one behind the last is the tail.
    next: usize,
    buffers: Buffers,
    /// The points that are unpacked and not read.
    current: Range<usize>,
    layout: Option<&'s Layout>,
}

/// The points of one chunk that lie in the range, at least one.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'c> {
    times: &'c [i64],
    start: i64,
    /// Of each point, where they differ.
    starts: &'c [i64],
    rows: &'c [f64],
    columns: usize,
    layout: Option<&'c Layout>,
}

impl Excerpt {
    /// Reads the points, oldest first.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        self.cursor_with(Buffers::default())
    }

    /// Reads the points, oldest first, with memory that another cursor gave back.
    #[must_use]
    pub fn cursor_with(&self, buffers: Buffers) -> Cursor<'_> {
        Cursor {
            excerpt: self,
            next: 0,
            buffers,
            current: 0..0,
            layout: None,
        }
    }
}

impl Cursor<'_> {
    /// Gives the memory back to which chunks were unpacked.
    #[must_use]
    pub fn into_buffers(self) -> Buffers {
        self.buffers
    }

    /// The next point and its time in milliseconds since the epoch.
    #[allow(
        clippy::should_implement_trait,
        reason = "the point borrows from the cursor"
    )]
    pub fn next(&mut self) -> Option<(i64, StoredPoint<'_>)> {
        if self.current.is_empty() && !self.unpack() {
            return None;
        }
        let at = self.current.start;
        self.current.start += 1;
        let time = self.plain().times[at];
        Some((time, self.piece(at..at + 1).point(0)))
    }

    /// The points that are left of the chunk that is being read, or those of the next.
    pub fn next_piece(&mut self) -> Option<Piece<'_>> {
        if self.current.is_empty() && !self.unpack() {
            return None;
        }
        let range = std::mem::take(&mut self.current);
        Some(self.piece(range))
    }

    /// The values of the points that [`next_piece`](Self::next_piece) would answer; spares
    /// unpacking their times where all of the chunk lies in the range.
    pub fn next_values(&mut self) -> Option<&[f64]> {
        if self.current.is_empty() && self.is_whole() {
            let index = self.next;
            let all = 0..self.excerpt.chunks[index].count as usize;
            if self.unpack_rows(index, all) {
                self.next += 1;
                return Some(&self.buffers.plain.rows);
            }
        }
        self.next_piece().map(|piece| piece.values())
    }

    /// The digest of the next chunk and the times of its first and last point, if all of the
    /// chunk is finite numbers within the range. [`skip_chunk`](Self::skip_chunk) then goes on
    /// without unpacking it.
    #[must_use]
    pub fn peek_digest(&self) -> Option<(Digest, i64, i64)> {
        if !self.current.is_empty() || !self.is_whole() {
            return None;
        }
        let chunk = self.excerpt.chunks.get(self.next)?;
        let digest = chunk.digest().filter(Digest::is_whole)?;
        Some((digest, chunk.first, chunk.last))
    }

    /// Counts the points that are left of the chunk that is being read, or else all of the next,
    /// as read.
    pub fn skip_chunk(&mut self) {
        if self.current.is_empty() {
            self.next = (self.next + 1).min(self.excerpt.chunks.len() + 1);
        }
        self.current = 0..0;
    }

    /// Whether there is a next chunk of numbers, and all of it is in range.
    fn is_whole(&self) -> bool {
        let excerpt = self.excerpt;
        excerpt.chunks.get(self.next).is_some_and(|chunk| {
            chunk.first >= excerpt.from
                && chunk.last <= excerpt.to
                && chunk.layout().is_none()
                && !(self.next == 0 && excerpt.skip > 0)
        })
    }

    /// Unpacks chunks until one has points in range.
    fn unpack(&mut self) -> bool {
        let excerpt = self.excerpt;
        loop {
            let index = self.next;
            if index > excerpt.chunks.len() {
                return false;
            }
            self.next += 1;
            self.current = match excerpt.chunks.get(index) {
                None => {
                    self.layout = excerpt.tail_layout.as_ref().map(|layout| &***layout);
                    0..excerpt.tail.times.len()
                }
                Some(chunk) => {
                    self.layout = chunk.layout().map(|layout| &***layout);
                    0..self.unpack_range(index)
                }
            };
            if !self.current.is_empty() {
                return true;
            }
        }
    }

    /// Unpacks the points of a chunk that are in range, and answers how many these are.
    fn unpack_range(&mut self, index: usize) -> usize {
        let excerpt = self.excerpt;
        let times = &mut self.buffers.plain.times;
        times.clear();
        let skip = if index == 0 { excerpt.skip } else { 0 };
        let range = excerpt.chunks[index].unpack_times(excerpt.from, excerpt.to, skip, times);
        match range {
            Ok(range) => {
                let count = range.len();
                let unpacked = count > 0 && self.unpack_rows(index, range);
                if unpacked { count } else { 0 }
            }
            Err(_) => {
                debug_assert!(false, "a sealed chunk is damaged");
                0
            }
        }
    }

    /// Unpacks the rows of a chunk that stand in the range.
    fn unpack_rows(&mut self, index: usize, range: Range<usize>) -> bool {
        let Buffers { plain, scratch } = &mut self.buffers;
        plain.rows.clear();
        plain.starts.clear();
        // What this process packed it can unpack.
        let unpacked = self.excerpt.chunks[index]
            .unpack_rows(range, scratch, plain)
            .is_ok();
        debug_assert!(unpacked, "a sealed chunk is damaged");
        unpacked
    }

    /// What was unpacked, or the tail.
    fn plain(&self) -> &Plain {
        if self.next > self.excerpt.chunks.len() {
            &self.excerpt.tail
        } else {
            &self.buffers.plain
        }
    }

    fn piece(&self, range: Range<usize>) -> Piece<'_> {
        let plain = self.plain();
        let columns = self.layout.map_or(1, Layout::columns);
        Piece {
            times: &plain.times[range.clone()],
            start: plain.start,
            starts: plain.starts.get(range.clone()).unwrap_or(&[]),
            rows: &plain.rows[range.start * columns..range.end * columns],
            columns,
            layout: self.layout,
        }
    }
}

impl<'c> Piece<'c> {
    /// When the points were measured, in milliseconds since the epoch, ascending.
    #[must_use]
    pub fn times(&self) -> &'c [i64] {
        self.times
    }

    /// The numbers, one for each time; empty if the points are something else.
    #[must_use]
    pub fn values(&self) -> &'c [f64] {
        if self.layout.is_some() {
            &[]
        } else {
            self.rows
        }
    }

    /// One of the points.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[must_use]
    pub fn point(&self, index: usize) -> StoredPoint<'c> {
        let row = self.row(index);
        match self.layout {
            Some(layout) => layout.point(row),
            None => StoredPoint::Number(row[0]),
        }
    }

    /// One of the points as a row of numbers.
    pub(super) fn row(&self, index: usize) -> &'c [f64] {
        &self.rows[index * self.columns..(index + 1) * self.columns]
    }

    /// When the source of the point began to count, in milliseconds since the epoch; 0 if that
    /// isn't known.
    #[must_use]
    pub fn start(&self, index: usize) -> i64 {
        self.starts.get(index).copied().unwrap_or(self.start)
    }
}
