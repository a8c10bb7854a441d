//! A sealed piece of a series: points that don't change any more, packed.
//!
//! Points that are all the same number are one number. Others are packed column by column, and
//! numbers have their [`Digest`] beside them. As bytes a chunk is: count, kind of body, first
//! timestamp, timestamps, start times, then layout and columns.

use std::ops::Range;
use std::sync::Arc;

use super::bits::{ByteReader, put_signed, put_varint};
use super::charge::{Bill, OVERHEAD};
use super::codec::{MAX_VALUES, Scratch, decode, decode_i64, encode, encode_i64};
use super::digest::Digest;
use super::error::Corrupt;
use super::layout::{Layout, SharedLayout};
use super::times::{Times, TimesPart};

/// The most numbers in all points of a chunk.
pub(super) const MAX_CELLS: usize = 1 << 18;

/// Points of one series and one layout, at least one.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) count: u32,
    /// When the source began to count, 0 if that is not known or not the same for all points.
    start: i64,
    times: Times,
    body: ChunkBody,
}

#[derive(Debug)]
enum ChunkBody {
    Constant(u64),
    Numbers(Box<PackedNumbers>),
    Rows(Box<PackedRows>),
}

#[derive(Debug)]
struct PackedNumbers {
    digest: Digest,
    /// Whether the start times of the points stand before the column.
    varied: bool,
    bytes: Box<[u8]>,
}

#[derive(Debug)]
struct PackedRows {
    layout: SharedLayout,
    varied: bool,
    bytes: Box<[u8]>,
}

/// Points that are to be sealed.
#[derive(Debug)]
pub(super) struct Unsealed<'a> {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) times: Times,
    pub(super) starts: &'a [i64],
    /// `None` for numbers.
    pub(super) layout: Option<&'a SharedLayout>,
    /// The points one after the other.
    pub(super) rows: &'a [u64],
    /// The digest of the numbers, if it is known.
    pub(super) digest: Option<Digest>,
}

/// Points that were unpacked.
#[derive(Debug, Default)]
pub(super) struct Plain {
    pub(super) times: Vec<i64>,
    /// When the source began to count, for all points.
    pub(super) start: i64,
    /// For each point, if they differ.
    pub(super) starts: Vec<i64>,
    /// The points one after the other.
    pub(super) rows: Vec<f64>,
}

impl Plain {
    /// Forgets the points and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.times.clear();
        self.starts.clear();
        self.rows.clear();
    }

    /// The start times as a draft has them.
    pub(super) fn starts(&self) -> &[i64] {
        if self.starts.is_empty() {
            std::slice::from_ref(&self.start)
        } else {
            &self.starts
        }
    }

    /// Adds the start times of points behind `before` others.
    fn add_starts(&mut self, before: usize, count: usize, start: i64, starts: &[i64]) {
        if before == 0 && starts.is_empty() {
            self.start = start;
        } else if !self.starts.is_empty() || !starts.is_empty() || start != self.start {
            if self.starts.is_empty() {
                self.starts.resize(before, self.start);
            }
            self.starts.extend_from_slice(starts);
            self.starts.resize(before + count, start);
        }
    }
}

impl Chunk {
    /// Packs points. There is a start time for all, or one for each.
    pub(super) fn seal(draft: Unsealed<'_>, scratch: &mut Scratch) -> Self {
        let columns = draft.layout.map_or(1, |layout| layout.columns());
        let count = draft.rows.len() / columns;
        let start = draft.starts.first().copied().unwrap_or(0);
        let varied = draft.starts.iter().any(|other| *other != start);
        let mut bytes = Vec::new();
        if varied {
            encode_i64(draft.starts, scratch, &mut bytes);
        }
        let body = match draft.layout {
            None if !varied && draft.rows.iter().all(|bits| *bits == draft.rows[0]) => {
                ChunkBody::Constant(draft.rows[0])
            }
            None => {
                encode(draft.rows, scratch, &mut bytes);
                ChunkBody::Numbers(Box::new(PackedNumbers {
                    digest: draft.digest.unwrap_or_else(|| {
                        Digest::of(draft.rows.iter().map(|bits| f64::from_bits(*bits)))
                    }),
                    varied,
                    bytes: bytes.into(),
                }))
            }
            Some(layout) => {
                let mut column = Vec::with_capacity(count);
                for index in 0..columns {
                    column.clear();
                    column.extend(draft.rows.iter().skip(index).step_by(columns));
                    encode(&column, scratch, &mut bytes);
                }
                ChunkBody::Rows(Box::new(PackedRows {
                    layout: Arc::clone(layout),
                    varied,
                    bytes: bytes.into(),
                }))
            }
        };
        Self {
            first: draft.first,
            last: draft.last,
            count: count as u32,
            start: if varied { 0 } else { start },
            times: draft.times,
            body,
        }
    }

    /// Appends the points to what `plain` holds.
    ///
    /// # Errors
    ///
    /// If the bytes of the chunk are damaged, which those of a sealed one never are.
    pub(super) fn unpack(&self, scratch: &mut Scratch, plain: &mut Plain) -> Result<(), Corrupt> {
        let count = self.count as usize;
        self.times.decode(self.first, count, &mut plain.times)?;
        self.unpack_rows(0..count, scratch, plain)
    }

    /// Appends the timestamps between two times, both included, but for those of the first
    /// `skip` points, and answers which these are.
    pub(super) fn unpack_times(
        &self,
        from: i64,
        to: i64,
        skip: usize,
        times: &mut Vec<i64>,
    ) -> Result<Range<usize>, Corrupt> {
        let count = self.count as usize;
        self.times
            .decode_range(self.first, count, from..=to, skip, times)
    }

    /// The interval of the points, on the average, if it is known without unpacking them that
    /// they come at about that: 0 for a single one.
    pub(super) fn interval(&self) -> Option<i64> {
        self.times
            .interval(self.first, self.last, self.count as usize)
    }

    /// The timestamp of one of the points.
    pub(super) fn time(&self, index: usize) -> Result<i64, Corrupt> {
        self.times.at(self.first, self.count as usize, index)
    }

    /// `None` for numbers.
    pub(super) fn layout(&self) -> Option<&SharedLayout> {
        match &self.body {
            ChunkBody::Rows(rows) => Some(&rows.layout),
            ChunkBody::Constant(_) | ChunkBody::Numbers(_) => None,
        }
    }

    fn columns(&self) -> usize {
        self.layout().map_or(1, |layout| layout.columns())
    }

    /// `None` for what isn't numbers.
    pub(super) fn digest(&self) -> Option<Digest> {
        match &self.body {
            ChunkBody::Constant(bits) => {
                Some(Digest::of_constant(f64::from_bits(*bits), self.count))
            }
            ChunkBody::Numbers(numbers) => Some(numbers.digest),
            ChunkBody::Rows(_) => None,
        }
    }

    /// What merging compares and shares.
    pub(super) fn part(&self) -> TimesPart {
        (self.first, self.count, self.times.clone())
    }

    /// Bytes that the chunk takes, without timestamps and layouts that are shared.
    pub(super) fn bytes(&self) -> usize {
        let body = match &self.body {
            ChunkBody::Constant(_) => 0,
            ChunkBody::Numbers(numbers) => {
                size_of::<PackedNumbers>() + numbers.bytes.len() + 2 * OVERHEAD
            }
            ChunkBody::Rows(rows) => size_of::<PackedRows>() + rows.bytes.len() + 2 * OVERHEAD,
        };
        size_of::<Self>() + 2 * OVERHEAD + body
    }

    /// The chunk as bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (kind, varied, bytes): (u8, bool, &[u8]) = match &self.body {
            ChunkBody::Constant(_) => (0, false, &[]),
            ChunkBody::Numbers(numbers) => (1, numbers.varied, &numbers.bytes),
            ChunkBody::Rows(rows) => (2, rows.varied, &rows.bytes),
        };
        put_varint(u64::from(self.count), out);
        out.push(kind | u8::from(varied) << 4);
        put_signed(self.first, out);
        self.times.write(out);
        put_signed(self.start, out);
        if let ChunkBody::Constant(value) = &self.body {
            out.extend_from_slice(&value.to_le_bytes());
        }
        if let ChunkBody::Rows(rows) = &self.body {
            rows.layout.write(out);
        }
        out.extend_from_slice(bytes);
    }

    /// Reads what [`write`](Self::write) wrote, and unpacks it to see that all of it is sound.
    pub(super) fn read(bytes: &[u8], bill: &Bill) -> Result<Self, Corrupt> {
        let mut reader = ByteReader::new(bytes);
        let count = reader.count(MAX_VALUES)?;
        if count == 0 {
            return Err(Corrupt::Count);
        }
        let form = reader.byte()?;
        let varied = form & 0x10 != 0;
        let first = reader.signed()?;
        let times = Times::read(&mut reader, bill)?;
        let start = reader.signed()?;
        let mut plain = Plain::default();
        times.decode(first, count, &mut plain.times)?;
        let body = match form & !0x10 {
            0 if !varied => ChunkBody::Constant(reader.word()?),
            1 => ChunkBody::Numbers(Box::new(PackedNumbers {
                digest: Digest::default(),
                varied,
                bytes: reader.rest().into(),
            })),
            2 => ChunkBody::Rows(Box::new(PackedRows {
                layout: Layout::read(&mut reader)?.share(bill),
                varied,
                bytes: reader.rest().into(),
            })),
            _ => return Err(Corrupt::Form),
        };
        if !reader.is_at_end() {
            return Err(Corrupt::Long);
        }
        let mut chunk = Self {
            first,
            last: plain.times[count - 1],
            count: count as u32,
            start,
            times,
            body,
        };
        if plain.times[0] != first {
            return Err(Corrupt::Order);
        }
        plain.times.clear();
        chunk.unpack(&mut Scratch::default(), &mut plain)?;
        if let ChunkBody::Numbers(numbers) = &mut chunk.body {
            numbers.digest = Digest::of(plain.rows.iter().copied());
        }
        Ok(chunk)
    }

    /// All but the timestamps of the points that stand in the range.
    pub(super) fn unpack_rows(
        &self,
        range: Range<usize>,
        scratch: &mut Scratch,
        plain: &mut Plain,
    ) -> Result<(), Corrupt> {
        let (all, count) = (self.count as usize, range.len());
        let before = plain.rows.len() / self.columns();
        let (bytes, varied, columns) = match &self.body {
            ChunkBody::Constant(bits) => {
                plain.add_starts(before, count, self.start, &[]);
                plain.rows.resize(before + count, f64::from_bits(*bits));
                return Ok(());
            }
            ChunkBody::Numbers(numbers) => (&numbers.bytes, numbers.varied, 1),
            ChunkBody::Rows(rows) => (&rows.bytes, rows.varied, rows.layout.columns()),
        };
        let mut reader = ByteReader::new(bytes);
        let mut starts = Vec::new();
        if varied {
            decode_i64(&mut reader, all, range.clone(), &mut starts)?;
        }
        plain.add_starts(before, count, self.start, &starts);
        if columns == 1 {
            decode(&mut reader, all, range, scratch, &mut plain.rows)?;
        } else {
            if count * columns > MAX_CELLS {
                return Err(Corrupt::Count);
            }
            let before = plain.rows.len();
            plain.rows.resize(before + count * columns, 0.0);
            let mut column = Vec::with_capacity(count);
            for index in 0..columns {
                column.clear();
                decode(&mut reader, all, range.clone(), scratch, &mut column)?;
                let places = plain.rows[before..].iter_mut().skip(index);
                for (place, value) in places.step_by(columns).zip(&column) {
                    *place = *value;
                }
            }
        }
        if reader.is_at_end() {
            Ok(())
        } else {
            Err(Corrupt::Long)
        }
    }
}

/// Reads a chunk from bytes and unpacks it; answers how many points it has. The store never
/// reads foreign bytes: this is for tests that damage them.
///
/// # Errors
///
/// If the bytes are no chunk.
#[doc(hidden)]
pub fn decode_chunk(bytes: &[u8]) -> Result<usize, Corrupt> {
    let chunk = Chunk::read(bytes, &Bill::default())?;
    Ok(chunk.count as usize)
}

/// The bytes of a chunk of numbers at such times, both of one length; for tests that damage
/// them. Empty if there are no points.
#[doc(hidden)]
#[must_use]
pub fn encode_chunk(times: &[i64], values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut scratch = Scratch::default();
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        let rows: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
        let draft = Unsealed {
            first: *first,
            last: *last,
            times: Times::of(times, &mut scratch, &Bill::default()),
            starts: &[0],
            layout: None,
            rows: &rows,
            digest: None,
        };
        Chunk::seal(draft, &mut scratch).write(&mut bytes);
    }
    bytes
}
