//! The points of one histogram or summary, a column for each series that it is shown as.

use crate::query::{QueryError, STALE, SeriesPoints, SourceRoom, is_stale};
use crate::window::{Piece, StoredPoint};

use super::derived::DerivedPart;

/// Points by part.
#[derive(Default)]
pub(super) struct PartTable {
    segments: Vec<TableSegment>,
    bytes: usize,
}

/// Points that have the same parts.
struct TableSegment {
    times: Vec<i64>,
    columns: Vec<PartColumn>,
    /// The parts that the points before had and these lack: their series end with the first.
    ended: Vec<usize>,
}

struct PartColumn {
    /// Which of the parts that are wanted.
    part: usize,
    values: Vec<f64>,
}

/// Where the number of a part is in the points of one piece.
#[derive(Clone, Copy)]
enum PartSource {
    /// The sum of all buckets up to this one.
    UpTo(usize),
    /// The value of a quantile.
    Value(usize),
    Count,
    Sum,
}

impl PartTable {
    /// The bytes of all points.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds points behind the others.
    pub(super) fn add(
        &mut self,
        piece: &Piece<'_>,
        parts: &[DerivedPart],
        room: &dyn SourceRoom,
    ) -> Result<(), QueryError> {
        let times = piece.times();
        let sources = sources(&piece.point(0), parts);
        let cells = (sources.len() + 1) * times.len();
        self.hold(room, cells * 8)?;
        room.work(cells)?;
        for (index, time) in times.iter().enumerate() {
            let point = piece.point(index);
            if point.is_stale() {
                // Whatever the buckets were at the end, all of them have ended.
                let segment = self.segment(0..parts.len(), room)?;
                segment.times.push(*time);
                for column in &mut segment.columns {
                    column.values.push(STALE);
                }
                continue;
            }
            let segment = self.segment(sources.iter().map(|(part, _)| *part), room)?;
            segment.times.push(*time);
            let mut total = 0.0;
            let mut next = 0;
            for (column, (_, source)) in segment.columns.iter_mut().zip(&sources) {
                column
                    .values
                    .push(number(&point, *source, &mut next, &mut total));
            }
        }
        Ok(())
    }

    /// Adds the points of one part to others.
    pub(super) fn copy(&self, part: usize, into: &mut SeriesPoints) {
        for segment in &self.segments {
            let columns = &segment.columns;
            if let Ok(at) = columns.binary_search_by_key(&part, |column| column.part) {
                into.times.extend_from_slice(&segment.times);
                into.values.extend_from_slice(&columns[at].values);
            } else if let (Ok(_), Some(time)) =
                (segment.ended.binary_search(&part), segment.times.first())
            {
                // A bucket that is no longer there ends as it does for who scrapes the page,
                // and not only once it is too old.
                into.push(*time, STALE);
            }
        }
    }

    /// The last segment, if it has exactly these parts, or else a new one.
    fn segment(
        &mut self,
        parts: impl ExactSizeIterator<Item = usize> + Clone,
        room: &dyn SourceRoom,
    ) -> Result<&mut TableSegment, QueryError> {
        let fits = |segment: &TableSegment| {
            let columns = segment.columns.iter().map(|column| column.part);
            segment.columns.len() == parts.len() && columns.eq(parts.clone())
        };
        if !self.segments.last().is_some_and(fits) {
            let ended = self.ended_without(parts.clone());
            let size = size_of::<TableSegment>()
                + parts.len() * size_of::<PartColumn>()
                + size_of_val(&*ended);
            self.hold(room, size)?;
            let columns = parts.map(|part| PartColumn {
                part,
                values: Vec::new(),
            });
            self.segments.push(TableSegment {
                times: Vec::new(),
                columns: columns.collect(),
                ended,
            });
        }
        let last = self.segments.last_mut();
        last.ok_or_else(|| QueryError::internal("a table without segments"))
    }

    /// The parts that have a value in the last point and aren't among these, which ascend.
    fn ended_without(&self, parts: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut parts = parts.peekable();
        let columns = self.segments.last().into_iter();
        let columns = columns.flat_map(|segment| &segment.columns);
        columns
            .filter(|column| column.values.last().is_some_and(|last| !is_stale(*last)))
            .map(|column| column.part)
            .filter(|part| {
                while parts.next_if(|other| other < part).is_some() {}
                parts.peek() != Some(part)
            })
            .collect()
    }

    fn hold(&mut self, room: &dyn SourceRoom, bytes: usize) -> Result<(), QueryError> {
        room.hold(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

/// The parts that points like this one have, with where their numbers are.
fn sources(like: &StoredPoint<'_>, parts: &[DerivedPart]) -> Vec<(usize, PartSource)> {
    let source = |part: &DerivedPart| match (like, part) {
        (StoredPoint::Histogram(like), DerivedPart::Bucket(bound)) => {
            if *bound == f64::INFINITY {
                return Some(PartSource::UpTo(like.bounds.len()));
            }
            find(like.bounds, *bound).map(PartSource::UpTo)
        }
        (StoredPoint::Summary(like), DerivedPart::Quantile(quantile)) => {
            find(like.quantiles, *quantile).map(PartSource::Value)
        }
        (StoredPoint::Histogram(like), DerivedPart::Sum) => like.sum.map(|_| PartSource::Sum),
        (StoredPoint::Summary(_), DerivedPart::Sum) => Some(PartSource::Sum),
        (_, DerivedPart::Count) => Some(PartSource::Count),
        _ => None,
    };
    let numbered = parts.iter().enumerate();
    numbered
        .filter_map(|(part, of)| Some((part, source(of)?)))
        .collect()
}

fn find(ascending: &[f64], wanted: f64) -> Option<usize> {
    let at = ascending.binary_search_by(|number| number.total_cmp(&wanted));
    at.ok()
}

/// The number of a part. Buckets are asked for in their order: `total` is the sum of those before
/// `next`.
#[inline]
fn number(point: &StoredPoint<'_>, source: PartSource, next: &mut usize, total: &mut f64) -> f64 {
    match (point, source) {
        (StoredPoint::Histogram(point), PartSource::UpTo(bucket)) => {
            let more = point.buckets.get(*next..=bucket).unwrap_or(&[]);
            *total += more.iter().sum::<f64>();
            *next = bucket + 1;
            *total
        }
        (StoredPoint::Summary(point), PartSource::Value(at)) => {
            point.values.get(at).copied().unwrap_or(f64::NAN)
        }
        (StoredPoint::Histogram(point), PartSource::Count) => point.count,
        (StoredPoint::Histogram(point), PartSource::Sum) => point.sum.unwrap_or(f64::NAN),
        (StoredPoint::Summary(point), PartSource::Count) => point.count,
        (StoredPoint::Summary(point), PartSource::Sum) => point.sum,
        _ => f64::NAN,
    }
}
