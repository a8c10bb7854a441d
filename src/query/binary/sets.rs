//! Vectors as sets: and, or, unless.

use super::super::QueryError;
use super::super::eval::{Evaluation, StrandSink};
use super::super::expression::{Binary, BinaryOperator};
use super::super::grid::StepGrid;
use super::super::matrix::{MergedStrands, StrandMatrix};
use super::signatures::{SignaturePresence, Signatures, members};

impl<'e> Evaluation<'e> {
    pub(super) fn sets(
        &self,
        binary: &Binary,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let left = self.collect(&binary.left, grid)?;
        let right = self.collect(&binary.right, grid)?;
        let mut signatures = Signatures::new(self.meter, &binary.matching);
        let left_numbers = signatures.number_all(&left.strands)?;
        let right_numbers = signatures.number_all(&right.strands)?;
        let count = signatures.len();
        let mut merged = MergedStrands::new(self.meter);
        if binary.operator == BinaryOperator::Or {
            let members = members(&left_numbers, count);
            let mut present =
                SignaturePresence::new(self.meter, &left.strands, &members, grid.steps);
            let mut shown = StrandMatrix::new(self.meter);
            for (strand, number) in right.strands.iter().zip(right_numbers) {
                self.meter.work(grid.steps)?;
                let present = present.of(number)?;
                shown.push(strand.at_steps(|step| !present.has(step))?)?;
            }
            drop(present);
            for strand in left.strands.into_iter().chain(shown.strands) {
                merged.push(strand)?;
            }
        } else {
            let members = members(&right_numbers, count);
            let mut present =
                SignaturePresence::new(self.meter, &right.strands, &members, grid.steps);
            let with = binary.operator == BinaryOperator::And;
            for (strand, number) in left.strands.iter().zip(left_numbers) {
                self.meter.work(grid.steps)?;
                let present = present.of(number)?;
                merged.push(strand.at_steps(|step| present.has(step) == with)?)?;
            }
        }
        merged.hand_on(sink)
    }
}
