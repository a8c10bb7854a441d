//! Functions of range vectors: windows that slide over the points of one series after the
//! other.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::error::same_labels;
use super::super::expression::{Expression, Selector, Shift, Subquery};
use super::super::functions::{RangeFunction, Window};
use super::super::grid::StepGrid;
use super::super::matrix::TABLE_ENTRY;
use super::super::meter::{Charge, SelectionRoom};
use super::super::strand::Strand;
use super::super::{LabelSet, NativeHistogram, QueryError, SeriesPoints, ValueSeries, is_stale};
use super::selector::bytes;
use super::{Evaluation, Scalars, StrandSink, names};

/// Takes the points of one series after the other. Of them only those in the windows are
/// sure to be there, and stale marks are not.
type PointsSink<'s> = &'s mut dyn FnMut(LabelSet, &SeriesPoints) -> Result<(), QueryError>;

/// Where the windows are.
#[derive(Clone, Copy)]
struct WindowEnds {
    /// Their ends, the offset aside: one, or one for each step.
    ends: StepGrid,
    offset: i64,
    range: i64,
}

impl WindowEnds {
    /// The end of a step's window.
    fn end(&self, step: usize) -> i64 {
        self.ends.time(step.min(self.ends.steps - 1)) - self.offset
    }
}

impl<'e> Evaluation<'e> {
    /// The results of a function for each series of a range vector.
    pub(super) fn over_range(
        &self,
        function: RangeFunction,
        range: &Expression,
        scalars: &[Expression],
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let scalar = match scalars.first() {
            Some(scalar) => self.scalars(scalar, grid)?,
            None => Scalars::Same(0.0),
        };
        self.fits(grid)?;
        let windows = self.windows(range, grid)?;
        let may_collide = !function.keeps_name() && !names::differ_in_more_than_names(range);
        let mut seen = HashSet::new();
        let mut seen_room = Charge::new(self.meter);
        let mut room = Vec::new();
        self.points(range, &windows, grid, &mut |labels, points| {
            let metric = labels.metric();
            let is_typed = labels.is_typed() && !function.keeps_name();
            let mut strand = Strand::new(self.meter, labels.clone())?;
            self.slide(points, &windows, grid, metric, |step, window| {
                // One window gives one result, unless that depends on the time.
                if step > 0 && windows.ends.steps == 1 && is_constant(function, &scalar) {
                    return match strand.value(0) {
                        Some(value) => strand.put(grid.steps, step, value),
                        None => Ok(()),
                    };
                }
                let value = function.apply(&window, scalar.at(step), &mut room, &self.notes);
                match value {
                    Some(value) => strand.put(grid.steps, step, value),
                    None => Ok(()),
                }
            })?;
            if strand.is_empty() {
                return Ok(());
            }
            if function.wants_counter() && strand.has_floats() {
                self.note_name(metric);
            }
            let strand = if function.keeps_name() {
                strand
            } else {
                strand.nameless()?
            };
            if may_collide || is_typed {
                let labels = strand.labels();
                self.meter.work(labels.work())?;
                seen_room.grow(0, labels.bytes() + TABLE_ENTRY)?;
                if !seen.insert(labels.clone()) {
                    return Err(same_labels());
                }
            }
            sink(strand)
        })
    }

    /// Which steps have a point of any series in their window.
    pub(super) fn present(
        &self,
        range: &Expression,
        grid: &StepGrid,
    ) -> Result<Vec<bool>, QueryError> {
        let windows = self.windows(range, grid)?;
        let _room = self.hold(grid)?;
        let mut present = vec![false; grid.steps];
        self.points(range, &windows, grid, &mut |_, points| {
            self.slide(points, &windows, grid, "", |step, _| {
                present[step] = true;
                Ok(())
            })
        })?;
        Ok(present)
    }

    /// The points of a range vector themselves, at one time.
    pub(in super::super) fn raw(
        &self,
        range: &Expression,
        grid: &StepGrid,
    ) -> Result<Vec<ValueSeries>, QueryError> {
        let windows = self.windows(range, grid)?;
        let mut charge = Charge::new(self.meter);
        let mut found = Vec::new();
        self.points(range, &windows, grid, &mut |labels, points| {
            let samples = points.times.len() + points.histograms.len();
            if samples > 0 {
                let place = 2 * size_of::<ValueSeries>();
                charge.grow(samples, bytes(points) + labels.bytes() + place)?;
                self.meter.count(samples);
                let points = points.clone();
                found.push(ValueSeries { labels, points });
            }
            Ok(())
        })?;
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    fn windows(&self, range: &Expression, grid: &StepGrid) -> Result<WindowEnds, QueryError> {
        let (shift, range): (&Shift, i64) = match range {
            Expression::Range(selector, range) => (&selector.shift, *range),
            Expression::Subquery(subquery) => (&subquery.shift, subquery.range),
            _ => return Err(QueryError::internal("expected a range vector")),
        };
        Ok(WindowEnds {
            ends: self.looked_at(shift, grid),
            offset: shift.offset,
            range,
        })
    }

    /// Hands the points of a range vector on, series by series.
    fn points(
        &self,
        range: &Expression,
        windows: &WindowEnds,
        grid: &StepGrid,
        sink: PointsSink<'_>,
    ) -> Result<(), QueryError> {
        if grid.steps == 0 {
            return Ok(());
        }
        match range {
            Expression::Range(selector, _) => self.stored_points(selector, windows, sink),
            Expression::Subquery(subquery) => self.evaluated_points(subquery, windows, sink),
            _ => Err(QueryError::internal("expected a range vector")),
        }
    }

    fn stored_points(
        &self,
        selector: &Selector,
        windows: &WindowEnds,
        sink: PointsSink<'_>,
    ) -> Result<(), QueryError> {
        let from = windows.end(0).saturating_sub(windows.range) + 1;
        let to = windows.end(windows.ends.steps - 1);
        let mut points = SeriesPoints::default();
        let selection = SelectionRoom::new(self.meter);
        let matchers = &selector.matchers;
        for mut series in self.source.select(matchers, from, to, &selection)? {
            self.read(&mut *series, (from, to), &mut points)?;
            drop_stale(&mut points);
            let held = points.times.len() + points.histograms.len();
            let _held = self.meter.charge(held, bytes(&points))?;
            let labels = series.labels();
            self.notes.types_of(&labels);
            sink(labels, &points)?;
        }
        Ok(())
    }

    fn evaluated_points(
        &self,
        subquery: &Subquery,
        windows: &WindowEnds,
        sink: PointsSink<'_>,
    ) -> Result<(), QueryError> {
        let step = subquery.step.unwrap_or(self.options.subquery_step);
        let inner = windows.ends.inner(windows.range, windows.offset, step);
        let is_inner = self.meter.is_inner();
        self.meter.with_inner(true, || {
            self.vector(&subquery.inner, &inner, &mut |strand| {
                let labels = strand.labels().clone();
                let mut held = self.meter.charge(strand.samples(), 0)?;
                let points = strand.into_points(&inner, &mut held)?;
                self.meter.with_inner(is_inner, || sink(labels, &points))
            })
        })
    }

    /// Moves the window of every step over the points of a series, and shows those that
    /// aren't empty.
    fn slide(
        &self,
        points: &SeriesPoints,
        windows: &WindowEnds,
        grid: &StepGrid,
        metric: &str,
        mut show: impl FnMut(usize, Window<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let SeriesPoints {
            times,
            values,
            histograms,
        } = points;
        let (mut low, mut high) = (0, 0);
        let (mut histogram_low, mut histogram_high) = (0, 0);
        // What the histograms of the window weigh. Each is looked at bucket by bucket.
        let mut buckets = 0;
        let weight = |points: &[(i64, Arc<NativeHistogram>)]| {
            let points = points.iter();
            points.map(|(_, point)| point.samples()).sum::<usize>()
        };
        for step in 0..grid.steps {
            let end = windows.end(step);
            let start = end.saturating_sub(windows.range);
            high = advance(high, times.len(), |at| times[at] <= end);
            low = advance(low, high, |at| times[at] <= start);
            let last = histograms.len();
            let (were_low, were_high) = (histogram_low, histogram_high);
            histogram_high = advance(histogram_high, last, |at| histograms[at].0 <= end);
            histogram_low = advance(histogram_low, histogram_high, |at| {
                histograms[at].0 <= start
            });
            buckets += weight(&histograms[were_high..histogram_high]);
            buckets -= weight(&histograms[were_low..histogram_low]);
            self.meter.work(1 + high - low + buckets)?;
            if low == high && histogram_low == histogram_high {
                continue;
            }
            self.meter.count(high - low + buckets);
            let window = Window {
                times: &times[low..high],
                values: &values[low..high],
                histograms: &histograms[histogram_low..histogram_high],
                start,
                end,
                now: grid.time(step),
                metric,
            };
            show(step, window)?;
        }
        Ok(())
    }

    fn note_name(&self, metric: &str) {
        let of_counters = ["_total", "_sum", "_count", "_bucket"];
        if !metric.is_empty() && !of_counters.iter().any(|end| metric.ends_with(end)) {
            self.notes.maybe_not_counter(metric);
        }
    }
}

fn is_constant(function: RangeFunction, scalar: &Scalars) -> bool {
    function != RangeFunction::PredictLinear && matches!(scalar, Scalars::Same(_))
}

#[inline]
fn advance(mut at: usize, end: usize, passes: impl Fn(usize) -> bool) -> usize {
    while at < end && passes(at) {
        at += 1;
    }
    at
}

fn drop_stale(points: &mut SeriesPoints) {
    if !points.values.iter().any(|value| is_stale(*value)) {
        return;
    }
    let mut marks = points.values.iter().map(|value| is_stale(*value));
    points.times.retain(|_| !marks.next().unwrap_or(false));
    points.values.retain(|value| !is_stale(*value));
}
