//! Aggregations of all values of a group at a time: quantiles, and how often each value
//! occurs.

use super::super::eval::{Evaluation, StrandSink};
use super::super::expression::{Aggregation, Expression};
use super::super::functions::{larger, quantile, smaller};
use super::super::grid::StepGrid;
use super::super::strand::Strand;
use super::super::{LabelSet, QueryError};
use super::counts::ValueCounts;
use super::groups::Groups;

impl<'e> Evaluation<'e> {
    pub(super) fn quantiles(
        &self,
        aggregation: &Aggregation,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let parameter = aggregation.parameter.as_ref();
        let quantiles = self.scalars(parameter.unwrap_or(&Expression::Number(0.0)), grid)?;
        self.note_bad_quantiles(quantiles.each(grid.steps));
        let matrix = self.collect(&aggregation.of, grid)?;
        let mut groups = Groups::new(self.meter, &aggregation.grouping);
        let places = matrix.strands.len() * 2 * size_of::<&Strand<'_>>();
        let _room = self.meter.charge(0, places)?;
        let mut members: Vec<(LabelSet, Vec<&Strand<'_>>)> = Vec::new();
        for strand in &matrix.strands {
            let (place, labels) = groups.place(strand.labels())?;
            members.extend(labels.map(|labels| (labels, Vec::new())));
            members[place].1.push(strand);
            if strand.has_histograms() {
                self.notes.ignored_in_aggregation("quantile");
            }
        }
        let mut room = Vec::new();
        for (labels, strands) in members {
            let mut result = Strand::new(self.meter, labels)?;
            for step in 0..grid.steps {
                self.meter.work(strands.len())?;
                let values = strands.iter().filter_map(|strand| strand.float(step));
                let value = quantile(quantiles.at(step), values, &mut room);
                if !room.is_empty() {
                    result.put_float(grid.steps, step, value)?;
                }
            }
            if !result.is_empty() {
                sink(result)?;
            }
        }
        Ok(())
    }

    /// Warns of NaN, and of the farthest quantile on each side.
    fn note_bad_quantiles(&self, quantiles: impl Iterator<Item = f64>) {
        let (mut least, mut most) = (f64::MAX, -f64::MAX);
        let mut any_nan = false;
        for q in quantiles {
            any_nan |= q.is_nan();
            least = smaller(least, q);
            most = larger(most, q);
        }
        if any_nan {
            self.notes.bad_quantile(f64::NAN);
        }
        if most > 1.0 {
            self.notes.bad_quantile(most);
        }
        if least < 0.0 {
            self.notes.bad_quantile(least);
        }
    }

    /// For each value that occurs a series with the value in a label.
    pub(super) fn count_values(
        &self,
        aggregation: &Aggregation,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let label = match &aggregation.parameter {
            Some(Expression::Text(label)) if !label.is_empty() => label,
            Some(Expression::Text(label)) => {
                return Err(QueryError::execution(format!(
                    "invalid label name {label:?}"
                )));
            }
            _ => return Err(QueryError::internal("expected the name of a label")),
        };
        let mut counts = ValueCounts::new(self.meter, aggregation, label);
        self.vector(&aggregation.of, grid, &mut |strand| {
            let group = counts.group(strand.labels())?;
            for step in 0..grid.steps {
                self.meter.work(1)?;
                match strand.value(step) {
                    Some(value) => counts.add(group, &value, step)?,
                    None => continue,
                }
            }
            Ok(())
        })?;
        counts.hand_on(grid, sink)
    }
}
