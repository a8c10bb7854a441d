//! Operators between a vector and a scalar.

use std::sync::Arc;

use super::super::arithmetic::{of_scalars, of_values};
use super::super::eval::{Evaluation, Scalars, StrandSink};
use super::super::expression::{Binary, Expression};
use super::super::grid::StepGrid;
use super::super::strand::{ABSENT, PointValue, Strand};
use super::super::{NativeHistogram, QueryError};

impl<'e> Evaluation<'e> {
    /// The scalar is on the left where `swapped`.
    pub(super) fn with_scalar(
        &self,
        binary: &Binary,
        vector: &Expression,
        scalars: &Scalars,
        swapped: bool,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let change = |strand: &mut Strand<'_>| {
            strand.each_float(|step, value| float(binary, value, scalars.at(step), swapped));
            strand.each_histogram(grid.steps, |step, histogram| {
                self.histogram(binary, histogram, scalars.at(step), swapped)
            })
        };
        // A filter leaves a series what it was.
        if binary.operator.compares() && !binary.to_bool {
            return self.vector(vector, grid, &mut |mut strand| {
                self.meter.work(grid.steps)?;
                change(&mut strand)?;
                if strand.is_empty() {
                    return Ok(());
                }
                sink(strand)
            });
        }
        self.renamed(vector, grid, change, sink)
    }

    fn histogram(
        &self,
        binary: &Binary,
        histogram: &Arc<NativeHistogram>,
        scalar: f64,
        swapped: bool,
    ) -> Option<PointValue> {
        let histogram = PointValue::Histogram(Arc::clone(histogram));
        let scalar = PointValue::Float(scalar);
        let (left, right) = if swapped {
            (&scalar, &histogram)
        } else {
            (&histogram, &scalar)
        };
        // No comparison of the two has a result.
        let computed = of_values(binary.operator, left, right, &self.notes)?;
        Some(computed.value)
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
