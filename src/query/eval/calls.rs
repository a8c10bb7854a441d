//! Calls of functions that give vectors.

use std::cmp::Ordering;

use super::super::expression::{Expression, VectorCall};
use super::super::functions::{DatePart, larger, round_to, smaller};
use super::super::grid::StepGrid;
use super::super::strand::{ABSENT, Strand};
use super::super::{LabelSet, PointValue, QueryError};
use super::scalars::seconds;
use super::{Evaluation, Scalars, StrandSink};

impl<'e> Evaluation<'e> {
    pub(super) fn call(
        &self,
        call: &VectorCall,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        match call {
            VectorCall::Spread(scalar) => self.spread(scalar, grid, sink),
            VectorCall::Each(function, of) => {
                self.each_float(of, grid, |_, value| function.apply(value), sink)
            }
            VectorCall::Clamp { of, least, most } => {
                self.clamp(of, [least.as_ref(), most.as_ref()], grid, sink)
            }
            VectorCall::Round(of, nearest) => {
                let nearest = self.scalars(nearest, grid)?;
                let round = |step, value| round_to(value, nearest.at(step));
                self.each_float(of, grid, round, sink)
            }
            VectorCall::Date(part, of) => self.date(*part, of.as_ref(), grid, sink),
            VectorCall::Timestamp(of) => self.timestamp(of, grid, sink),
            VectorCall::Absent(of) => self.absent(of, grid, sink),
            VectorCall::AbsentOverTime(of) => self.absent_over_time(of, grid, sink),
            VectorCall::Histogram(function, of) => {
                let change = |strand: &mut Strand<'_>| {
                    strand.drop_floats();
                    strand.each_histogram(grid.steps, |_, histogram| {
                        Some(PointValue::Float(function.apply(histogram)))
                    })
                };
                self.renamed(of, grid, change, sink)
            }
            VectorCall::HistogramQuantile(q, of) => self.histogram_quantile(q, of, grid, sink),
            VectorCall::HistogramFraction(lower, upper, of) => {
                self.histogram_fraction([lower, upper], of, grid, sink)
            }
            VectorCall::LabelReplace { .. } | VectorCall::LabelJoin { .. } => {
                self.relabel(call, grid, sink)
            }
            VectorCall::Sort { of, descending } => self.sort(of, *descending, grid, sink),
            VectorCall::OverRange(function, of, scalars) => {
                self.over_range(*function, of, scalars, grid, sink)
            }
        }
    }

    /// `vector(scalar)`: one series without labels.
    fn spread(
        &self,
        scalar: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let scalars = self.scalars(scalar, grid)?;
        self.meter.work(grid.steps)?;
        let labels = LabelSet::default();
        let strand = Strand::of_floats(self.meter, labels, grid.steps, |step| scalars.at(step))?;
        sink(strand)
    }

    /// A function of each float and its step. Histograms have no result.
    fn each_float(
        &self,
        of: &Expression,
        grid: &StepGrid,
        function: impl Fn(usize, f64) -> f64,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let change = |strand: &mut Strand<'_>| {
            strand.drop_histograms();
            strand.each_float(&function);
            Ok(())
        };
        self.renamed(of, grid, change, sink)
    }

    fn clamp(
        &self,
        of: &Expression,
        bounds: [Option<&Expression>; 2],
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let [least, most] = bounds;
        let bound = |bound: Option<&Expression>, default| match bound {
            Some(bound) => self.scalars(bound, grid),
            None => Ok(Scalars::Same(default)),
        };
        let least = bound(least, f64::NEG_INFINITY)?;
        let most = bound(most, f64::INFINITY)?;
        let clamped = |step, value| {
            let (least, most) = (least.at(step), most.at(step));
            // Nothing is between bounds that stand the wrong way round.
            if most < least {
                ABSENT
            } else {
                larger(least, smaller(most, value))
            }
        };
        self.each_float(of, grid, clamped, sink)
    }

    fn date(
        &self,
        part: DatePart,
        of: Option<&Expression>,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let Some(of) = of else {
            self.meter.work(grid.steps)?;
            let labels = LabelSet::default();
            let of_step = |step| part.of(seconds(grid, step));
            return sink(Strand::of_floats(self.meter, labels, grid.steps, of_step)?);
        };
        self.each_float(of, grid, |_, value| part.of(value), sink)
    }

    /// When the values were taken: of a selector the times of its points, else the time of
    /// the evaluation.
    fn timestamp(
        &self,
        of: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        if let Expression::Selector(selector) = of {
            let series = |sink: StrandSink<'_, 'e>| self.selector(selector, grid, true, sink);
            return self.nameless(of, series, sink);
        }
        let change = |strand: &mut Strand<'_>| {
            strand.each_float(|step, _| seconds(grid, step));
            strand.each_histogram(grid.steps, |step, _| {
                Some(PointValue::Float(seconds(grid, step)))
            })
        };
        self.renamed(of, grid, change, sink)
    }

    /// Series by their values, NaN last. Series of a range have no such order.
    fn sort(
        &self,
        of: &Expression,
        descending: bool,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        if !grid.is_instant {
            self.notes.warn(format_args!(
                "sort is ineffective for range queries since results are always ordered by \
                 labels",
            ));
        }
        let mut matrix = self.collect(of, grid)?;
        for strand in &mut matrix.strands {
            strand.drop_histograms();
        }
        matrix.strands.retain(|strand| !strand.is_empty());
        if grid.steps == 1 {
            let value = |strand: &Strand<'_>| strand.float(0).unwrap_or(f64::NAN);
            matrix.strands.sort_by(|a, b| {
                let (a, b) = (value(a), value(b));
                match (a.is_nan(), b.is_nan()) {
                    (false, false) if descending => b.partial_cmp(&a),
                    (false, false) => a.partial_cmp(&b),
                    (a, b) => Some(a.cmp(&b)),
                }
                .unwrap_or(Ordering::Equal)
            });
        }
        matrix.strands.into_iter().try_for_each(sink)
    }
}
