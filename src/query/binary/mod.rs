//! Operators between two expressions: of scalars, of a vector and a scalar, of two vectors
//! series by series, and of two vectors as sets.

mod matching;
mod sets;
mod signatures;
mod with_scalar;

use super::QueryError;
use super::eval::{Evaluation, StrandSink};
use super::expression::{Binary, ExpressionKind};
use super::grid::StepGrid;

impl<'e> Evaluation<'e> {
    pub(super) fn binary(
        &self,
        binary: &Binary,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let scalar = |kind| kind == ExpressionKind::Scalar;
        match (scalar(binary.left.kind()), scalar(binary.right.kind())) {
            (false, false) if binary.operator.is_of_sets() => self.sets(binary, grid, sink),
            (false, false) => self.matched(binary, grid, sink),
            (false, true) => {
                let scalars = self.scalars(&binary.right, grid)?;
                self.with_scalar(binary, &binary.left, &scalars, false, grid, sink)
            }
            (true, false) => {
                let scalars = self.scalars(&binary.left, grid)?;
                self.with_scalar(binary, &binary.right, &scalars, true, grid, sink)
            }
            (true, true) => Err(QueryError::internal("expected an instant vector")),
        }
    }
}
