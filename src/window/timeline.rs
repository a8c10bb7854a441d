//! The timestamps of points that aren't sealed yet.
//!
//! The series of one scrape have the same timestamps, so they share a timeline: the first of
//! them to get a point appends its time, the others find it there. A series that goes its own
//! way (it missed a scrape, or a point came late) takes its times along to another timeline;
//! series that leave together go to the same one.

use std::ops::Range;

use super::charge::Bill;
use super::codec::{MAX_VALUES, Scratch};
use super::times::Times;

/// The points of a head on a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadSpan {
    /// Which timeline; [`HeadSpan::EMPTY`] if there are no points.
    pub(super) line: u32,
    pub(super) from: u16,
    pub(super) len: u16,
}

impl HeadSpan {
    pub(super) const EMPTY: Self = Self {
        line: u32::MAX,
        from: 0,
        len: 0,
    };

    /// A part of the span.
    pub(super) fn cut(self, range: Range<usize>) -> Self {
        Self {
            line: self.line,
            from: self.from + range.start as u16,
            len: range.len() as u16,
        }
    }
}

#[derive(Debug)]
struct Timeline {
    /// Series whose heads lie on it.
    users: u32,
    /// Tells the timelines of one slot apart, and a timeline from itself before a change that
    /// wasn't an append.
    serial: u64,
    first: i64,
    listing: Listing,
    /// The last piece of it that was sealed.
    sealed: Option<(u16, u16, Times)>,
}

#[derive(Debug)]
enum Listing {
    /// All at one interval.
    Regular { step: i64, len: u16 },
    /// Milliseconds behind the first.
    Offsets(Vec<u32>),
}

/// All timelines of a store.
#[derive(Debug)]
pub(super) struct Timelines {
    lines: Vec<Timeline>,
    free: Vec<u32>,
    serial: u64,
    /// The timeline that was used last; a new head looks here first.
    recent: u32,
    /// The last series that left: its span and the serial there, and where to.
    left: Option<(HeadSpan, u64, u32, u64)>,
    /// Timestamps that a timeline may hold.
    most: usize,
    bytes: usize,
}

impl Timelines {
    pub(super) fn new(most: usize) -> Self {
        Self {
            lines: Vec::new(),
            free: Vec::new(),
            serial: 0,
            recent: u32::MAX,
            left: None,
            most: most.min(MAX_VALUES),
            bytes: 0,
        }
    }

    /// Bytes of all timelines.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.lines.capacity() * size_of::<Timeline>() + self.free.capacity() * 4
    }

    /// Extends the span by a time behind its last. An empty span finds a timeline. Answers
    /// `false` if the span has to be sealed first.
    #[inline]
    pub(super) fn append(&mut self, span: &mut HeadSpan, time: i64) -> bool {
        self.step(span, time) || self.append_elsewhere(span, time)
    }

    /// Extends the span by a time behind its last, if its timeline has it there or ends.
    #[inline]
    pub(super) fn step(&mut self, span: &mut HeadSpan, time: i64) -> bool {
        let Some(line) = self.lines.get_mut(span.line as usize) else {
            return false;
        };
        if span.len == 0 {
            return false;
        }
        let next = span.from as usize + span.len as usize;
        let len = line.listing.len();
        let found = if next < len {
            line.at(next) == time
        } else {
            len < self.most && line.append(time, &mut self.bytes)
        };
        if found {
            span.len += 1;
            self.recent = span.line;
        }
        found
    }

    /// Puts a time where it belongs among those of the span, none of which it equals. Answers
    /// `false`, and does nothing, if they are too far apart.
    pub(super) fn insert(&mut self, span: &mut HeadSpan, at: usize, time: i64) -> bool {
        let mut times = Vec::with_capacity(span.len as usize + 1);
        self.read(*span, &mut times);
        times.insert(at, time);
        if times[times.len() - 1].wrapping_sub(times[0]) > i64::from(u32::MAX) {
            return false;
        }
        self.release(span);
        self.settle(&times, span)
    }

    /// Appends the times of the span.
    pub(super) fn read(&self, span: HeadSpan, times: &mut Vec<i64>) {
        if let Some(line) = self.lines.get(span.line as usize) {
            let from = span.from as usize;
            times.extend((from..from + span.len as usize).map(|index| line.at(index)));
        }
    }

    /// The time of the span's point.
    pub(super) fn at(&self, span: HeadSpan, index: usize) -> Option<i64> {
        let line = self.lines.get(span.line as usize)?;
        (index < span.len as usize).then(|| line.at(span.from as usize + index))
    }

    /// Where the time stands among those of the span, or would stand.
    pub(super) fn search(&self, span: HeadSpan, time: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, span.len as usize);
        while low < high {
            let middle = low.midpoint(high);
            match self.at(span, middle) {
                Some(found) if found == time => return Ok(middle),
                Some(found) if found < time => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }

    /// The times of the span as a chunk has them.
    pub(super) fn seal(&mut self, span: HeadSpan, scratch: &mut Scratch, bill: &Bill) -> Times {
        if let Some(line) = self.lines.get(span.line as usize)
            && let Some((from, len, times)) = &line.sealed
            && (*from, *len) == (span.from, span.len)
        {
            return times.clone();
        }
        let mut times = Vec::with_capacity(span.len as usize);
        self.read(span, &mut times);
        let sealed = Times::of(&times, scratch, bill);
        if let Some(line) = self.lines.get_mut(span.line as usize) {
            line.sealed = Some((span.from, span.len, sealed.clone()));
        }
        sealed
    }

    /// Empties the span.
    pub(super) fn release(&mut self, span: &mut HeadSpan) {
        if let Some(line) = self.lines.get_mut(span.line as usize)
            && span.len > 0
        {
            line.users -= 1;
            if line.users == 0 {
                self.bytes -= line.listing.bytes();
                line.listing = Listing::Regular { step: 0, len: 0 };
                line.sealed = None;
                self.serial += 1;
                line.serial = self.serial;
                self.free.push(span.line);
            }
        }
        *span = HeadSpan::EMPTY;
    }

    /// A time that the span's timeline doesn't have where it should.
    #[cold]
    fn append_elsewhere(&mut self, span: &mut HeadSpan, time: i64) -> bool {
        if span.len == 0 {
            return self.enter(span, time);
        }
        if span.len as usize >= self.most {
            return false;
        }
        let serial = self.lines[span.line as usize].serial;
        // Where the series before this one went, if it was where this one is.
        if let Some((left, from_serial, to, to_serial)) = self.left
            && (left, from_serial) == (*span, serial)
            && let Some(line) = self.lines.get(to as usize)
            && line.serial == to_serial
            && line.listing.len() > span.len as usize
            && line.at(span.len as usize) == time
        {
            let len = span.len + 1;
            self.release(span);
            self.lines[to as usize].users += 1;
            *span = HeadSpan {
                line: to,
                from: 0,
                len,
            };
            self.recent = to;
            return true;
        }
        let mut times = Vec::with_capacity(span.len as usize + 1);
        self.read(*span, &mut times);
        if time.wrapping_sub(times[0]) > i64::from(u32::MAX) {
            return false;
        }
        times.push(time);
        let left = *span;
        self.release(span);
        let settled = self.settle(&times, span);
        if settled {
            let to = self.lines[span.line as usize].serial;
            self.left = Some((left, serial, span.line, to));
        }
        settled
    }

    /// Begins a span with its first time.
    fn enter(&mut self, span: &mut HeadSpan, time: i64) -> bool {
        if let Some(line) = self.lines.get_mut(self.recent as usize)
            && line.users > 0
        {
            let len = line.listing.len();
            if line.at(len - 1) == time {
                line.users += 1;
                *span = HeadSpan {
                    line: self.recent,
                    from: (len - 1) as u16,
                    len: 1,
                };
                return true;
            }
        }
        self.settle(&[time], span)
    }

    /// Makes a timeline of the times for one series.
    fn settle(&mut self, times: &[i64], span: &mut HeadSpan) -> bool {
        self.serial += 1;
        let mut line = Timeline {
            users: 1,
            serial: self.serial,
            first: times[0],
            listing: Listing::Regular { step: 0, len: 1 },
            sealed: None,
        };
        let mut bytes = 0;
        for time in &times[1..] {
            if !line.append(*time, &mut bytes) {
                return false;
            }
        }
        self.bytes += bytes;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.lines[slot as usize] = line;
                slot
            }
            None => {
                self.lines.push(line);
                (self.lines.len() - 1) as u32
            }
        };
        *span = HeadSpan {
            line: slot,
            from: 0,
            len: times.len() as u16,
        };
        self.recent = slot;
        true
    }
}

impl Timeline {
    #[inline]
    fn at(&self, index: usize) -> i64 {
        match &self.listing {
            Listing::Regular { step, .. } => self.first + step * index as i64,
            Listing::Offsets(offsets) => self.first + i64::from(offsets[index]),
        }
    }

    /// Appends a later time, unless it is too far from the first.
    fn append(&mut self, time: i64, bytes: &mut usize) -> bool {
        let Ok(offset) = u32::try_from(time.wrapping_sub(self.first)) else {
            return false;
        };
        match &mut self.listing {
            Listing::Regular { step, len } => {
                if *len == 1 {
                    *step = i64::from(offset);
                }
                if *step * i64::from(*len) == i64::from(offset) {
                    *len += 1;
                    return true;
                }
                let mut offsets = Vec::with_capacity((*len as usize + 1).next_power_of_two());
                offsets.extend((0..i64::from(*len)).map(|index| (*step * index) as u32));
                offsets.push(offset);
                self.listing = Listing::Offsets(offsets);
                *bytes += self.listing.bytes();
            }
            Listing::Offsets(offsets) => {
                *bytes -= offsets.capacity() * 4;
                offsets.push(offset);
                *bytes += offsets.capacity() * 4;
            }
        }
        true
    }
}

impl Listing {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::Regular { len, .. } => *len as usize,
            Self::Offsets(offsets) => offsets.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Regular { .. } => 0,
            Self::Offsets(offsets) => offsets.capacity() * 4,
        }
    }
}
