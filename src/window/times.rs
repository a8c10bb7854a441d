//! The timestamps of a sealed chunk.
//!
//! Points at one interval are a first timestamp and a step. Intervals with gaps are a few such
//! runs. All else is packed, and as the series of one scrape have the same timestamps, the
//! packed bytes are shared among their chunks. They say whether the points come at about one
//! interval, so that nobody unpacks them to see that none is missing.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::bits::{ByteReader, put_signed, put_varint};
use super::charge::{Bill, Charged, OVERHEAD};
use super::codec::{MAX_VALUES, Scratch, decode_i64, encode_i64};
use super::error::Corrupt;

/// Timestamps, in milliseconds since the epoch, ascending. Their number and the first of them
/// are known to the chunk.
#[derive(Debug, Clone)]
pub(super) enum Times {
    /// All at one interval, which is 0 for a single timestamp.
    Regular(i64),
    /// Bytes: the form and whether it is [`EVEN`], then runs or packed integers.
    Packed(Arc<Charged<Box<[u8]>>>),
}

const RUNS: u8 = 0;
const PACKED: u8 = 1;
const EVEN: u8 = 0x10;

/// Intervals are about one if they differ by no more than one part in this many.
pub(super) const SAME: i64 = 8;

impl Times {
    /// Packs ascending timestamps. What is shared is put on the bill.
    pub(super) fn of(times: &[i64], scratch: &mut Scratch, bill: &Bill) -> Self {
        let step = match times {
            [first, second, ..] => second.wrapping_sub(*first),
            _ => 0,
        };
        if times
            .windows(2)
            .all(|pair| pair[1].wrapping_sub(pair[0]) == step)
        {
            return Self::Regular(step);
        }
        let mut bytes = Vec::new();
        if !put_runs(times, &mut bytes) {
            bytes.clear();
            bytes.push(PACKED);
            encode_i64(times, scratch, &mut bytes);
        }
        if is_even(times) {
            bytes[0] |= EVEN;
        }
        Self::packed(bytes.into(), bill)
    }

    /// The interval of `count` points between two times, on the average, if it is known without
    /// unpacking them that they come at about that: 0 for a single one.
    pub(super) fn interval(&self, first: i64, last: i64, count: usize) -> Option<i64> {
        match self {
            Self::Regular(step) => Some(*step),
            Self::Packed(packed) => {
                let is_even = packed.first().is_some_and(|form| form & EVEN != 0);
                let gaps = i64::try_from(count.saturating_sub(1)).ok()?;
                last.saturating_sub(first)
                    .checked_div(gaps)
                    .filter(|_| is_even)
            }
        }
    }

    /// Appends the timestamps, of which there are `count`.
    ///
    /// # Errors
    ///
    /// If the bytes are no timestamps, or these don't ascend.
    pub(super) fn decode(
        &self,
        first: i64,
        count: usize,
        times: &mut Vec<i64>,
    ) -> Result<(), Corrupt> {
        match self {
            Self::Regular(step) => {
                if count > 1 && *step <= 0 {
                    return Err(Corrupt::Order);
                }
                let last = i64::try_from(count.saturating_sub(1))
                    .ok()
                    .and_then(|steps| step.checked_mul(steps))
                    .and_then(|span| first.checked_add(span));
                if last.is_none() || count > MAX_VALUES {
                    return Err(Corrupt::Count);
                }
                times.extend((0..count as i64).map(|index| first + step * index));
                Ok(())
            }
            Self::Packed(packed) => decode_packed(packed, count, times),
        }
    }

    /// One of the timestamps, of which there are `count`.
    pub(super) fn at(&self, first: i64, count: usize, index: usize) -> Result<i64, Corrupt> {
        let mut found = Vec::new();
        match self {
            Self::Regular(step) => return Ok(first.wrapping_add(step.wrapping_mul(index as i64))),
            Self::Packed(packed) => {
                let mut reader = ByteReader::new(packed);
                if reader.byte()? == PACKED {
                    decode_i64(&mut reader, count, index..index + 1, &mut found)?;
                } else {
                    decode_packed(packed, count, &mut found)?;
                    found.drain(..index.min(found.len()));
                }
            }
        }
        found.first().copied().ok_or(Corrupt::Count)
    }

    /// Appends those of the timestamps that lie in a range, without the first `skip`, and answers
    /// which these are.
    pub(super) fn decode_range(
        &self,
        first: i64,
        count: usize,
        range: RangeInclusive<i64>,
        skip: usize,
        times: &mut Vec<i64>,
    ) -> Result<Range<usize>, Corrupt> {
        let (from, to) = (*range.start(), *range.end());
        if let Self::Regular(step) = self
            && *step > 0
        {
            // Steps until a time is reached, as often as there are points at most.
            let steps = |time: i64| {
                let distance = time.saturating_sub(first);
                usize::try_from(distance.max(0) / step)
                    .unwrap_or(count)
                    .min(count)
            };
            let start = steps(from.saturating_add(step - 1)).max(skip);
            let end = if to < first {
                0
            } else {
                (steps(to) + 1).min(count)
            };
            let found = start..end.max(start);
            times.extend(found.clone().map(|index| first + step * index as i64));
            return Ok(found);
        }
        let before = times.len();
        self.decode(first, count, times)?;
        let all = &times[before..];
        let start = all.partition_point(|time| *time < from).max(skip);
        let end = all.partition_point(|time| *time <= to).max(start);
        times.truncate(before + end);
        times.drain(before..before + start);
        Ok(start..end)
    }

    /// Whether two chunks are known to have the same timestamps, if their first and their count
    /// are the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Regular(mine), Self::Regular(other)) => mine == other,
            (Self::Packed(mine), Self::Packed(other)) => Arc::ptr_eq(mine, other),
            _ => false,
        }
    }

    /// Writes what [`read`](Self::read) reads.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Regular(step) => {
                out.push(0);
                put_signed(*step, out);
            }
            Self::Packed(packed) => {
                put_varint(packed.len() as u64, out);
                out.extend_from_slice(packed);
            }
        }
    }

    pub(super) fn read(reader: &mut ByteReader<'_>, bill: &Bill) -> Result<Self, Corrupt> {
        match reader.count(MAX_VALUES * 16)? {
            0 => reader.signed().map(Self::Regular),
            len => Ok(Self::packed(reader.take(len)?.into(), bill)),
        }
    }

    fn packed(bytes: Box<[u8]>, bill: &Bill) -> Self {
        let more = bytes.len() + OVERHEAD;
        Self::Packed(bill.charge(bytes, more))
    }
}

/// Whether the timestamps come at about one interval.
fn is_even(times: &[i64]) -> bool {
    let [first, second, ..] = times else {
        return true;
    };
    let usual = second.saturating_sub(*first);
    times.windows(2).all(|pair| {
        let gap = pair[1].saturating_sub(pair[0]);
        gap.saturating_sub(usual).abs() <= usual / SAME
    })
}

/// Writes runs of one interval each, unless there are too many to be worth it.
fn put_runs(times: &[i64], out: &mut Vec<u8>) -> bool {
    out.push(RUNS);
    let most = times.len() / 16 + 2;
    let mut end = 0_i64;
    let mut rest = times;
    for _ in 0..most {
        let Some(&first) = rest.first() else {
            return true;
        };
        let step = rest.get(1).map_or(0, |second| second.wrapping_sub(first));
        let len = 1 + rest
            .windows(2)
            .take_while(|pair| pair[1].wrapping_sub(pair[0]) == step)
            .count();
        put_signed(first.wrapping_sub(end), out);
        put_varint(len as u64, out);
        put_signed(step, out);
        end = rest[len - 1];
        rest = &rest[len..];
    }
    rest.is_empty()
}

fn decode_packed(bytes: &[u8], count: usize, times: &mut Vec<i64>) -> Result<(), Corrupt> {
    let mut reader = ByteReader::new(bytes);
    let start = times.len();
    match reader.byte()? & !EVEN {
        RUNS => {
            let mut left = count;
            let mut end = 0_i64;
            while left > 0 {
                let mut time = end.wrapping_add(reader.signed()?);
                let len = reader.count(left.min(MAX_VALUES))?;
                let step = reader.signed()?;
                if len == 0 {
                    return Err(Corrupt::Count);
                }
                for _ in 0..len {
                    times.push(time);
                    end = time;
                    time = time.wrapping_add(step);
                }
                left -= len;
            }
        }
        PACKED => {
            let mut packed = Vec::new();
            decode_i64(&mut reader, count, 0..count, &mut packed)?;
            times.extend_from_slice(&packed);
        }
        _ => return Err(Corrupt::Form),
    }
    if !reader.is_at_end() {
        return Err(Corrupt::Long);
    }
    if times[start..].windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(Corrupt::Order);
    }
    Ok(())
}

/// The last merges of timestamps, so that the series of one scrape share what comes of them.
#[derive(Debug, Default)]
pub(super) struct Joins {
    recent: Vec<(Box<[TimesPart]>, Times)>,
    next: usize,
}

/// The timestamps of one chunk: the first, their number, and the rest.
pub(super) type TimesPart = (i64, u32, Times);

impl Joins {
    /// Merges that are remembered.
    const RECENT: usize = 16;

    /// What the parts became when they were merged before.
    pub(super) fn find(&self, parts: &[TimesPart]) -> Option<Times> {
        let same = |mine: &TimesPart, other: &TimesPart| {
            mine.0 == other.0 && mine.1 == other.1 && mine.2.same(&other.2)
        };
        self.recent
            .iter()
            .find(|(known, _)| {
                known.len() == parts.len() && known.iter().zip(parts).all(|(a, b)| same(a, b))
            })
            .map(|(_, times)| times.clone())
    }

    pub(super) fn remember(&mut self, parts: Box<[TimesPart]>, times: Times) {
        if !matches!(times, Times::Packed(_)) {
            return;
        }
        if self.recent.len() < Self::RECENT {
            self.recent.push((parts, times));
        } else {
            self.recent[self.next] = (parts, times);
            self.next = (self.next + 1) % Self::RECENT;
        }
    }
}
