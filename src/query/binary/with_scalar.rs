//! Operators between a vector and a scalar.

use super::super::arithmetic::{of_scalars, of_values};
use super::super::eval::{Evaluation, Scalars, StrandSink};
use super::super::expression::{Binary, Expression};
use super::super::grid::StepGrid;
use super::super::strand::{ABSENT, PointValue, Strand};
use super::super::{QueryError, is_stale};

impl Evaluation<'_> {
    /// The scalar is on the left where `swapped`.
    pub(super) fn with_scalar(
        &self,
        binary: &Binary,
        vector: &Expression,
        scalars: &Scalars,
        swapped: bool,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let change = |strand: &mut Strand| {
            for (step, value) in strand.floats.iter_mut().enumerate() {
                if !is_stale(*value) {
                    *value = float(binary, *value, scalars.at(step), swapped);
                }
            }
            self.histograms(binary, strand, scalars, swapped, grid);
        };
        // A filter leaves a series what it was.
        if binary.operator.compares() && !binary.to_bool {
            return self.vector(vector, grid, &mut |mut strand| {
                change(&mut strand);
                if strand.is_empty() {
                    return Ok(());
                }
                sink(strand)
            });
        }
        self.renamed(vector, grid, change, sink)
    }

    fn histograms(
        &self,
        binary: &Binary,
        strand: &mut Strand,
        scalars: &Scalars,
        swapped: bool,
        grid: &StepGrid,
    ) {
        for (step, histogram) in strand.take_histograms() {
            let histogram = PointValue::Histogram(histogram);
            let scalar = PointValue::Float(scalars.at(step as usize));
            let (left, right) = if swapped {
                (&scalar, &histogram)
            } else {
                (&histogram, &scalar)
            };
            // No comparison of the two has a result.
            if let Some(computed) = of_values(binary.operator, left, right, &self.notes) {
                strand.put(grid.steps, step as usize, computed.value);
            }
        }
    }
}

fn float(binary: &Binary, value: f64, scalar: f64, swapped: bool) -> f64 {
    let (left, right) = if swapped {
        (scalar, value)
    } else {
        (value, scalar)
    };
    let result = of_scalars(binary.operator, left, right);
    if !binary.operator.compares() || binary.to_bool {
        result
    } else if result == 0.0 {
        ABSENT
    } else {
        value
    }
}
