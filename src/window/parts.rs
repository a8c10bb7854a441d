//! A sealed chunk that a late point changes.

use std::ops::Range;

use super::charge::Bill;
use super::chunk::{Chunk, Plain, Unsealed};
use super::codec::Scratch;
use super::head::Arrival;
use super::layout::SharedLayout;
use super::times::Times;

/// A chunk that is unpacked to be changed, and the chunks that it becomes: a point of another
/// layout than the others has a chunk of its own.
pub(super) struct Parts {
    plain: Plain,
    layout: Option<SharedLayout>,
    columns: usize,
    other: Option<Other>,
}

/// A point of another layout, and before which of the others it belongs.
struct Other {
    at: usize,
    time: i64,
    start: i64,
    layout: Option<SharedLayout>,
    row: Vec<u64>,
}

impl Parts {
    pub(super) fn new(chunk: &Chunk, mut plain: Plain) -> Self {
        if plain.starts.is_empty() {
            plain.starts.resize(plain.times.len(), plain.start);
        }
        let layout = chunk.layout().cloned();
        Self {
            plain,
            columns: layout.as_ref().map_or(1, |layout| layout.columns()),
            layout,
            other: None,
        }
    }

    pub(super) fn put(&mut self, at: usize, replace: bool, time: i64, arrival: &Arrival<'_>) {
        let plain = &mut self.plain;
        let cells = at * self.columns..(at + usize::from(replace)) * self.columns;
        if replace {
            plain.times.remove(at);
            plain.starts.remove(at);
        }
        let alike = match (&self.layout, arrival.layout) {
            (None, None) => true,
            (Some(mine), Some(other)) => mine.same(other),
            _ => false,
        };
        if alike {
            plain.times.insert(at, time);
            plain.starts.insert(at, arrival.start);
            let row = arrival.row.iter().map(|bits| f64::from_bits(*bits));
            plain.rows.splice(cells, row);
        } else {
            plain.rows.drain(cells);
            self.other = Some(Other {
                at,
                time,
                start: arrival.start,
                layout: arrival.layout.cloned(),
                row: arrival.row.to_vec(),
            });
        }
    }

    /// The chunks that it becomes: two, if there are more than `most` points.
    pub(super) fn seal(&self, most: usize, scratch: &mut Scratch, bill: &Bill) -> Vec<Chunk> {
        let count = self.plain.times.len();
        let pieces = match &self.other {
            Some(other) => {
                let draft = Unsealed {
                    first: other.time,
                    last: other.time,
                    times: Times::Regular(0),
                    starts: &[other.start],
                    layout: other.layout.as_ref(),
                    rows: &other.row,
                    digest: None,
                };
                let alone = Chunk::seal(draft, scratch);
                let before = self.piece(0..other.at, scratch, bill);
                let behind = self.piece(other.at..count, scratch, bill);
                [before, Some(alone), behind]
            }
            None if count > most => {
                let middle = count / 2;
                [
                    self.piece(0..middle, scratch, bill),
                    self.piece(middle..count, scratch, bill),
                    None,
                ]
            }
            None => [self.piece(0..count, scratch, bill), None, None],
        };
        pieces.into_iter().flatten().collect()
    }

    fn piece(&self, range: Range<usize>, scratch: &mut Scratch, bill: &Bill) -> Option<Chunk> {
        let times = &self.plain.times[range.clone()];
        let cells = range.start * self.columns..range.end * self.columns;
        let rows: Vec<u64> = self.plain.rows[cells]
            .iter()
            .map(|value| value.to_bits())
            .collect();
        let draft = Unsealed {
            first: *times.first()?,
            last: *times.last()?,
            times: Times::of(times, scratch, bill),
            starts: &self.plain.starts[range],
            layout: self.layout.as_ref(),
            rows: &rows,
            digest: None,
        };
        Some(Chunk::seal(draft, scratch))
    }
}
