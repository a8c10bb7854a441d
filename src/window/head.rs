//! The newest points of a series, which aren't sealed yet.
//!
//! Half of all series never change, so points that are all the same number are kept as that
//! number and their times; others are a list.

use std::ops::Range;
use std::sync::Arc;

use super::charge::{Bill, OVERHEAD};
use super::chunk::{Chunk, Plain, Unsealed};
use super::codec::Scratch;
use super::layout::SharedLayout;
use super::timeline::{HeadSpan, Timelines};

/// Points on a timeline.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) span: HeadSpan,
    /// When the source began to count, for all points.
    start: i64,
    /// For each point, once they differ.
    #[allow(
        clippy::box_collection,
        reason = "most series have none: eight bytes, not 24"
    )]
    starts: Option<Box<Vec<i64>>>,
    values: HeadValues,
}

#[derive(Debug)]
enum HeadValues {
    Constant(u64),
    Numbers(Vec<u64>),
    Rows(Box<HeadRows>),
}

#[derive(Debug)]
struct HeadRows {
    layout: SharedLayout,
    rows: Vec<u64>,
}

/// A point that arrives: its start time, its layout (`None` for a number), and its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) start: i64,
    pub(super) layout: Option<&'a SharedLayout>,
    pub(super) row: &'a [u64],
}

/// The least room of a list.
const FEW: usize = 16;

impl Head {
    pub(super) fn new() -> Self {
        Self {
            span: HeadSpan::EMPTY,
            start: 0,
            starts: None,
            values: HeadValues::Constant(0),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.span.len as usize
    }

    /// Whether the point can lie in one chunk with those that are here.
    pub(super) fn takes(&self, layout: Option<&SharedLayout>) -> bool {
        match (&self.values, layout) {
            _ if self.span.len == 0 => true,
            (HeadValues::Rows(rows), Some(layout)) => {
                Arc::ptr_eq(&rows.layout, layout) || rows.layout.same(layout)
            }
            (HeadValues::Constant(_) | HeadValues::Numbers(_), None) => true,
            _ => false,
        }
    }

    /// Whether a number can be put behind the others without memory, and at once.
    #[inline]
    pub(super) fn has_room(&self, start: i64, bits: u64) -> bool {
        let room = match &self.values {
            HeadValues::Constant(known) => *known == bits,
            HeadValues::Numbers(list) => list.len() < list.capacity(),
            HeadValues::Rows(_) => false,
        };
        room && self.span.len > 0 && self.start == start && self.starts.is_none()
    }

    /// Puts a number for which there is room behind the others, whose time the span has already.
    #[inline]
    pub(super) fn push(&mut self, bits: u64) {
        if let HeadValues::Numbers(list) = &mut self.values {
            list.push(bits);
        }
    }

    /// Bytes that one more point takes at most.
    #[inline]
    pub(super) fn growth(&self, arrival: &Arrival<'_>, most: usize) -> usize {
        let values = match &self.values {
            _ if self.span.len == 0 => arrival.row.len() * 8 * FEW,
            HeadValues::Constant(bits) if arrival.layout.is_none() => {
                if *bits == arrival.row[0] {
                    0
                } else {
                    room(self.len() + 1, most) * 8 + OVERHEAD
                }
            }
            HeadValues::Numbers(list) if list.len() < list.capacity() => 0,
            HeadValues::Numbers(list) => list.len().max(FEW) * 8,
            HeadValues::Rows(rows) if rows.rows.len() < rows.rows.capacity() => 0,
            HeadValues::Rows(rows) => rows.rows.capacity() * 8,
            HeadValues::Constant(_) => arrival.row.len() * 8 * FEW,
        };
        match &self.starts {
            None if self.span.len == 0 || self.start == arrival.start => values,
            None => values + room(self.len() + 1, most) * 8 + 3 * OVERHEAD,
            Some(starts) if starts.len() < starts.capacity() => values,
            Some(starts) => values + starts.capacity() * 8,
        }
    }

    /// Puts the point at an index of the points whose times the span already has.
    #[inline]
    pub(super) fn insert(&mut self, index: usize, arrival: &Arrival<'_>, most: usize) {
        let len = self.span.len as usize;
        debug_assert!(index < len);
        if len == 1 {
            self.begin(arrival);
            return;
        }
        match &mut self.values {
            HeadValues::Constant(bits) if *bits == arrival.row[0] => {}
            HeadValues::Constant(bits) => {
                let mut list = Vec::with_capacity(room(len, most));
                list.resize(len - 1, *bits);
                list.insert(index, arrival.row[0]);
                self.values = HeadValues::Numbers(list);
            }
            HeadValues::Numbers(list) => {
                if list.len() == list.capacity() {
                    list.reserve_exact(room(len, most) - list.len());
                }
                if index == list.len() {
                    list.push(arrival.row[0]);
                } else {
                    list.insert(index, arrival.row[0]);
                }
            }
            HeadValues::Rows(rows) => {
                let at = index * arrival.row.len();
                rows.rows.splice(at..at, arrival.row.iter().copied());
            }
        }
        if self.starts.is_some() || self.start != arrival.start {
            let start = self.start;
            let starts = self
                .starts
                .get_or_insert_with(|| Box::new(vec![start; len - 1]));
            starts.insert(index, arrival.start);
        }
    }

    /// Puts the point in the place of another.
    pub(super) fn replace(&mut self, index: usize, arrival: &Arrival<'_>, most: usize) {
        let len = self.span.len as usize;
        if len == 1 {
            self.begin(arrival);
            return;
        }
        match &mut self.values {
            HeadValues::Constant(bits) if *bits == arrival.row[0] => {}
            HeadValues::Constant(bits) => {
                let mut list = Vec::with_capacity(room(len, most));
                list.resize(len, *bits);
                list[index] = arrival.row[0];
                self.values = HeadValues::Numbers(list);
            }
            HeadValues::Numbers(list) => list[index] = arrival.row[0],
            HeadValues::Rows(rows) => {
                let at = index * arrival.row.len();
                rows.rows[at..at + arrival.row.len()].copy_from_slice(arrival.row);
            }
        }
        if self.starts.is_some() || self.start != arrival.start {
            let start = self.start;
            let starts = self
                .starts
                .get_or_insert_with(|| Box::new(vec![start; len]));
            starts[index] = arrival.start;
        }
    }

    /// Makes a chunk of the points, and leaves none.
    pub(super) fn seal(
        &mut self,
        timelines: &mut Timelines,
        scratch: &mut Scratch,
        bill: &Bill,
    ) -> Option<Chunk> {
        let len = self.span.len as usize;
        let first = timelines.at(self.span, 0)?;
        let last = timelines.at(self.span, len - 1)?;
        let times = timelines.seal(self.span, scratch, bill);
        timelines.release(&mut self.span);
        let start = [self.start];
        let starts = self.starts.take();
        let starts = starts.as_deref().map_or(&start[..], |starts| &starts[..]);
        let values = std::mem::replace(&mut self.values, HeadValues::Constant(0));
        let constant;
        let (layout, rows) = match &values {
            HeadValues::Constant(bits) => {
                constant = vec![*bits; len];
                (None, &constant)
            }
            HeadValues::Numbers(list) => (None, list),
            HeadValues::Rows(rows) => (Some(&rows.layout), &rows.rows),
        };
        let draft = Unsealed {
            first,
            last,
            times,
            starts,
            layout,
            rows,
            digest: None,
        };
        Some(Chunk::seal(draft, scratch))
    }

    /// Appends the rows of some points, and their start times, to what holds no others.
    pub(super) fn copy(&self, range: Range<usize>, plain: &mut Plain) {
        plain.start = self.start;
        if let Some(starts) = &self.starts {
            plain.starts.extend_from_slice(&starts[range.clone()]);
        }
        let bits = |bits: &u64| f64::from_bits(*bits);
        match &self.values {
            HeadValues::Constant(value) => plain.rows.resize(range.len(), f64::from_bits(*value)),
            HeadValues::Numbers(list) => plain.rows.extend(list[range].iter().map(bits)),
            HeadValues::Rows(all) => {
                let columns = all.layout.columns();
                let cells = range.start * columns..range.end * columns;
                plain.rows.extend(all.rows[cells].iter().map(bits));
            }
        }
    }

    pub(super) fn layout(&self) -> Option<&SharedLayout> {
        match &self.values {
            HeadValues::Rows(rows) => Some(&rows.layout),
            HeadValues::Constant(_) | HeadValues::Numbers(_) => None,
        }
    }

    /// Bytes beside those of the head itself.
    pub(super) fn bytes(&self) -> usize {
        let values = match &self.values {
            HeadValues::Constant(_) => 0,
            HeadValues::Numbers(list) => list.capacity() * 8 + OVERHEAD,
            HeadValues::Rows(rows) => {
                size_of::<HeadRows>() + rows.rows.capacity() * 8 + 2 * OVERHEAD
            }
        };
        let starts = self.starts.as_ref().map_or(0, |starts| {
            size_of::<Vec<i64>>() + starts.capacity() * 8 + 2 * OVERHEAD
        });
        values + starts
    }

    /// Makes the point the only one.
    fn begin(&mut self, arrival: &Arrival<'_>) {
        self.start = arrival.start;
        self.starts = None;
        self.values = match arrival.layout {
            None => HeadValues::Constant(arrival.row[0]),
            Some(layout) => HeadValues::Rows(Box::new(HeadRows {
                layout: Arc::clone(layout),
                rows: arrival.row.to_vec(),
            })),
        };
    }
}

/// Room for that many points in a list that will have at most `most`.
fn room(len: usize, most: usize) -> usize {
    len.next_power_of_two().clamp(FEW, most.max(len).max(FEW))
}
