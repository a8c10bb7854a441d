//! Reads the points of stored series.

use std::sync::Arc;

use crate::query::{NativeHistogram, QueryError, STALE, SeriesPoints, SourceRoom};
use crate::window::{
    Buffers, Excerpt, Piece, RingId, SharedWindows, StoredExponential, StoredPoint,
};

use super::derived::DerivedPart;
use super::table::PartTable;

/// Memory for reading one series after the other.
#[derive(Default)]
pub(super) struct PointReader {
    excerpt: Excerpt,
    buffers: Buffers,
}

/// The width of zero buckets, as Prometheus makes histograms of OTLP.
const ZERO_THRESHOLD: f64 = 1e-128;

/// The finest schema of native histograms.
const FINEST: i32 = 8;

impl PointReader {
    /// Adds the points of a series of numbers or of exponential histograms. What they take is
    /// held while they are read, and then left to whoever asked.
    pub(super) fn whole(
        &mut self,
        store: &SharedWindows,
        id: RingId,
        span: (i64, i64),
        room: &dyn SourceRoom,
        into: &mut SeriesPoints,
    ) -> Result<(), QueryError> {
        let mut held = 0;
        let mut hold = |bytes| {
            held += bytes;
            room.hold(bytes)
        };
        self.pieces(store, id, span, |piece| {
            room.work(piece.times().len())?;
            let values = piece.values();
            if values.is_empty() {
                return histograms(piece, &mut hold, into);
            }
            hold(values.len() * 16)?;
            into.times.extend_from_slice(piece.times());
            into.values.extend_from_slice(values);
            Ok(())
        })?;
        room.release(held);
        Ok(())
    }

    /// Reads the parts of a histogram or summary. What the table takes stays held.
    pub(super) fn parts(
        &mut self,
        store: &SharedWindows,
        id: RingId,
        span: (i64, i64),
        parts: &[DerivedPart],
        room: &dyn SourceRoom,
        table: &mut PartTable,
    ) -> Result<(), QueryError> {
        self.pieces(store, id, span, |piece| table.add(piece, parts, room))
    }

    fn pieces(
        &mut self,
        store: &SharedWindows,
        id: RingId,
        (from, to): (i64, i64),
        mut each: impl FnMut(&Piece<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        store.lock().excerpt(id, from, to, &mut self.excerpt);
        let buffers = std::mem::take(&mut self.buffers);
        let mut cursor = self.excerpt.cursor_with(buffers);
        while let Some(piece) = cursor.next_piece() {
            each(&piece)?;
        }
        self.buffers = cursor.into_buffers();
        // Chunks that the store forgets meanwhile are not to be kept.
        self.excerpt.clear();
        Ok(())
    }
}

fn histograms(
    piece: &Piece<'_>,
    hold: &mut impl FnMut(usize) -> Result<(), QueryError>,
    into: &mut SeriesPoints,
) -> Result<(), QueryError> {
    for (index, time) in piece.times().iter().enumerate() {
        let point = piece.point(index);
        if point.is_stale() {
            hold(16)?;
            into.push(*time, STALE);
        } else if let StoredPoint::Exponential(point) = point {
            let histogram = native(&point);
            hold(histogram.bytes() + 24)?;
            into.histograms.push((*time, Arc::new(histogram)));
        }
    }
    Ok(())
}

/// A stored histogram as Prometheus would have taken it by OTLP.
fn native(stored: &StoredExponential<'_>) -> NativeHistogram {
    let finer = (stored.scale - FINEST).max(0).cast_unsigned();
    NativeHistogram {
        schema: stored.scale.min(FINEST),
        zero_threshold: ZERO_THRESHOLD,
        zero_count: stored.zero_count,
        count: stored.count,
        sum: stored.sum.unwrap_or(0.0),
        positive: buckets(stored.positive, finer),
        negative: buckets(stored.negative, finer),
        gauge: false,
    }
}

/// Populated buckets. OTLP counts from the lower bounds of buckets and Prometheus from the upper
/// ones; `finer` says how often two are to be made one.
fn buckets((offset, counts): (i32, &[f64]), finer: u32) -> Vec<(i32, f64)> {
    let mut buckets: Vec<(i32, f64)> = Vec::new();
    for (index, count) in (i64::from(offset)..).zip(counts) {
        if *count == 0.0 {
            continue;
        }
        let index = (index >> finer.min(63)) + 1;
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        match buckets.last_mut() {
            Some((last, total)) if *last == index => *total += count,
            _ => buckets.push((index, *count)),
        }
    }
    buckets
}
