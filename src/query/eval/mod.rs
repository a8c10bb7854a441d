//! The evaluation of expressions, series by series.

mod absent;
mod calls;
mod classic;
mod invariant;
mod labels;
mod names;
mod over_range;
mod scalars;
mod selector;

use super::answer::{QueryAnswer, QueryOptions, QueryValue};
use super::expression::{Expression, FixedTime, Shift};
use super::grid::StepGrid;
use super::matrix::{MergedStrands, StrandMatrix};
use super::meter::Meter;
use super::notes::Notes;
use super::strand::Strand;
use super::{NativeHistogram, PointValue, QueryError, SeriesSource};

pub(super) use scalars::Scalars;

/// Takes series one by one.
pub(super) type StrandSink<'s, 'e> = &'s mut dyn FnMut(Strand<'e>) -> Result<(), QueryError>;

/// One evaluation of one query.
pub(super) struct Evaluation<'e> {
    source: &'e dyn SeriesSource,
    pub(super) meter: &'e Meter<'e>,
    pub(super) notes: Notes,
    options: &'e QueryOptions,
    /// The first and the last time of the query.
    ends: (i64, i64),
}

impl<'e> Evaluation<'e> {
    pub(super) fn new(
        source: &'e dyn SeriesSource,
        meter: &'e Meter<'e>,
        options: &'e QueryOptions,
        ends: (i64, i64),
    ) -> Self {
        Self {
            source,
            meter,
            notes: Notes::default(),
            options,
            ends,
        }
    }

    pub(super) fn finish(self, value: QueryValue) -> QueryAnswer {
        let (warnings, infos) = self.notes.finish();
        QueryAnswer {
            value,
            warnings,
            infos,
            samples: self.meter.samples(),
        }
    }

    /// Hands the series of a vector to `sink`, one by one, none of them empty.
    pub(super) fn vector(
        &self,
        expression: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        self.meter.work(1)?;
        if grid.steps == 0 {
            return Ok(());
        }
        if !grid.is_instant && invariant::is_invariant(expression) {
            let _room = self.hold(grid)?;
            let queried = || self.meter.samples().queried;
            let before = queried();
            let mut outside = 0;
            self.vector(expression, &StepGrid::at(grid.start), &mut |mut strand| {
                self.meter.work(grid.steps)?;
                strand.repeat(grid.steps)?;
                let before = queried();
                let sunk = sink(strand);
                outside += queried() - before;
                sunk
            })?;
            // What was read once stands at every step.
            let once = queried() - before - outside;
            let again = usize::try_from(once).unwrap_or(usize::MAX);
            self.meter.count(again.saturating_mul(grid.steps - 1));
            return Ok(());
        }
        match expression {
            Expression::Selector(selector) => self.selector(selector, grid, false, sink),
            Expression::Vector(call) => self.call(call, grid, sink),
            Expression::Aggregation(aggregation) => self.aggregation(aggregation, grid, sink),
            Expression::Binary(binary) => self.binary(binary, grid, sink),
            Expression::Negation(inner) => {
                let negate = |strand: &mut Strand<'_>| negate(strand, grid);
                self.renamed(inner, grid, negate, sink)
            }
            Expression::Number(_)
            | Expression::Text(_)
            | Expression::Scalar(_)
            | Expression::Range(..)
            | Expression::Subquery(_) => Err(QueryError::internal("expected an instant vector")),
        }
    }

    /// The series of a vector, held.
    pub(super) fn collect(
        &self,
        expression: &Expression,
        grid: &StepGrid,
    ) -> Result<StrandMatrix<'e>, QueryError> {
        let mut matrix = StrandMatrix::new(self.meter);
        self.vector(expression, grid, &mut |strand| matrix.push(strand))?;
        Ok(matrix)
    }

    /// The series of a vector changed one by one, without what says what they measure. Two
    /// that differ in nothing else become one, unless both have a value at one time.
    pub(super) fn renamed(
        &self,
        inner: &Expression,
        grid: &StepGrid,
        change: impl Fn(&mut Strand<'e>) -> Result<(), QueryError>,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let series = |sink: StrandSink<'_, 'e>| {
            self.vector(inner, grid, &mut |mut strand| {
                self.meter.work(grid.steps)?;
                change(&mut strand)?;
                if strand.is_empty() {
                    return Ok(());
                }
                sink(strand)
            })
        };
        self.nameless(inner, series, sink)
    }

    /// Hands on the series that are made of those of `inner` without what says what they
    /// measure. Those that can become the same are held for that: of one name only those
    /// that say their type.
    fn nameless(
        &self,
        inner: &Expression,
        series: impl FnOnce(StrandSink<'_, 'e>) -> Result<(), QueryError>,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let of_many_names = !names::differ_in_more_than_names(inner);
        let mut merged = MergedStrands::new(self.meter);
        series(&mut |strand| {
            if of_many_names || strand.labels().is_typed() {
                merged.push(strand.nameless()?)
            } else {
                sink(strand.nameless()?)
            }
        })?;
        merged.hand_on(sink)
    }

    /// The time that an expression looks at instead of that of the evaluation.
    fn fixed_time(&self, shift: &Shift) -> Option<i64> {
        shift.fixed.map(|fixed| match fixed {
            FixedTime::Start => self.ends.0,
            FixedTime::End => self.ends.1,
            FixedTime::At(time) => time,
        })
    }

    /// The times that an expression looks at, its offset aside: those of the evaluation, or
    /// one.
    fn looked_at(&self, shift: &Shift, grid: &StepGrid) -> StepGrid {
        self.fixed_time(shift).map_or(*grid, StepGrid::at)
    }
}

fn negate(strand: &mut Strand<'_>, grid: &StepGrid) -> Result<(), QueryError> {
    strand.each_float(|_, value| -value);
    strand.each_histogram(grid.steps, |_, histogram| {
        let mut negative = NativeHistogram::clone(histogram);
        negative.scale(-1.0);
        Some(PointValue::Histogram(negative.into()))
    })
}
