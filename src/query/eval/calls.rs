//! Calls of functions that give vectors.

use std::cmp::Ordering;

use super::super::expression::{Expression, VectorCall};
use super::super::functions::{DatePart, RangeFunction, larger, round_to, smaller};
use super::super::grid::StepGrid;
use super::super::strand::Strand;
use super::super::{LabelSet, QueryError, is_stale};
use super::scalars::seconds;
use super::{Evaluation, Scalars, StrandSink};

impl Evaluation<'_> {
    pub(super) fn call(
        &self,
        call: &VectorCall,
        grid: &StepGrid,
        sink: StrandSink<'_>,
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
            VectorCall::Histogram(function, of) => {
                let change = |strand: &mut Strand| {
                    strand.floats.clear();
                    for (step, histogram) in strand.take_histograms() {
                        let value = function.apply(&histogram);
                        strand.put_float(grid.steps, step as usize, value);
                    }
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
            VectorCall::OverRange(RangeFunction::AbsentOverTime, of, _) => {
                self.absent_over_time(of, grid, sink)
            }
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
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let scalars = self.scalars(scalar, grid)?;
        let mut strand = Strand::new(LabelSet::default());
        let _room = self.hold(grid)?;
        let steps = grid.steps;
        strand.floats = (0..steps).map(|step| scalars.at(step)).collect();
        sink(strand)
    }

    /// A function of each float and its step. Histograms have no result.
    fn each_float(
        &self,
        of: &Expression,
        grid: &StepGrid,
        function: impl Fn(usize, f64) -> f64,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let change = |strand: &mut Strand| {
            strand.histograms.clear();
            for (step, value) in strand.floats.iter_mut().enumerate() {
                if !is_stale(*value) {
                    *value = function(step, *value);
                }
            }
        };
        self.renamed(of, grid, change, sink)
    }

    fn clamp(
        &self,
        of: &Expression,
        bounds: [Option<&Expression>; 2],
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let [least, most] = bounds;
        let bound = |bound: Option<&Expression>, default| match bound {
            Some(bound) => self.scalars(bound, grid),
            None => Ok(Scalars::Same(default)),
        };
        let least = bound(least, f64::NEG_INFINITY)?;
        let most = bound(most, f64::INFINITY)?;
        let change = |strand: &mut Strand| {
            strand.histograms.clear();
            for (step, value) in strand.floats.iter_mut().enumerate() {
                let (least, most) = (least.at(step), most.at(step));
                if is_stale(*value) {
                    continue;
                }
                // Nothing is between bounds that stand the wrong way round.
                *value = if most < least {
                    super::super::strand::ABSENT
                } else {
                    larger(least, smaller(most, *value))
                };
            }
        };
        self.renamed(of, grid, change, sink)
    }

    fn date(
        &self,
        part: DatePart,
        of: Option<&Expression>,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let Some(of) = of else {
            let mut strand = Strand::new(LabelSet::default());
            let _room = self.hold(grid)?;
            let steps = grid.steps;
            let parts = (0..steps).map(|step| part.of(seconds(grid, step)));
            strand.floats = parts.collect();
            return sink(strand);
        };
        self.each_float(of, grid, |_, value| part.of(value), sink)
    }

    /// When the values were taken: of a selector the times of its points, else the time of
    /// the evaluation.
    fn timestamp(
        &self,
        of: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        if let Expression::Selector(selector) = of {
            if super::names::differ_in_more_than_names(of) {
                let series = |sink: StrandSink<'_>| self.selector(selector, grid, true, sink);
                return self.nameless(series, sink);
            }
            let mut merged = super::MergedStrands::new(self.meter)?;
            self.selector(selector, grid, true, &mut |strand| {
                merged.push(strand.nameless())
            })?;
            return merged.finish().strands.into_iter().try_for_each(sink);
        }
        let change = |strand: &mut Strand| {
            for (step, value) in strand.floats.iter_mut().enumerate() {
                if !is_stale(*value) {
                    *value = seconds(grid, step);
                }
            }
            for (step, _) in strand.take_histograms() {
                let step = step as usize;
                strand.put_float(grid.steps, step, seconds(grid, step));
            }
        };
        self.renamed(of, grid, change, sink)
    }

    /// Series by their values, NaN last. Series of a range have no such order.
    fn sort(
        &self,
        of: &Expression,
        descending: bool,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        if !grid.is_instant {
            self.notes.warn(
                "sort is ineffective for range queries since results are always ordered by \
                 labels",
            );
        }
        let mut matrix = self.collect(of, grid)?;
        for strand in &mut matrix.strands {
            strand.histograms.clear();
        }
        matrix.strands.retain(|strand| !strand.is_empty());
        if grid.steps == 1 {
            let value = |strand: &Strand| strand.float(0).unwrap_or(f64::NAN);
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
