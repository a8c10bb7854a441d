//! Vectors as sets: and, or, unless.

use super::super::QueryError;
use super::super::eval::{Evaluation, StrandSink};
use super::super::expression::{Binary, BinaryOperator};
use super::super::grid::StepGrid;
use super::super::matrix::{MergedStrands, StrandMatrix};
use super::super::strand::{ABSENT, Strand};
use super::signatures::{Signatures, members};

impl Evaluation<'_> {
    pub(super) fn sets(
        &self,
        binary: &Binary,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let left = self.collect(&binary.left, grid)?;
        let right = self.collect(&binary.right, grid)?;
        let mut signatures = Signatures::new(&binary.matching);
        let left_numbers = signatures.number_all(&left.strands);
        let right_numbers = signatures.number_all(&right.strands);
        let count = signatures.len();
        let mut merged = MergedStrands::new(self.meter)?;
        if binary.operator == BinaryOperator::Or {
            let members = members(&left_numbers, count);
            let mut shown = StrandMatrix::new(self.meter)?;
            for (strand, number) in right.strands.iter().zip(right_numbers) {
                self.meter.work(grid.steps)?;
                shown.push(filtered(
                    strand,
                    &members[number],
                    &left.strands,
                    grid,
                    false,
                ))?;
            }
            for strand in left.strands.into_iter().chain(shown.strands) {
                merged.push(strand)?;
            }
        } else {
            let members = members(&right_numbers, count);
            let with = binary.operator == BinaryOperator::And;
            for (strand, number) in left.strands.iter().zip(left_numbers) {
                self.meter.work(grid.steps)?;
                merged.push(filtered(
                    strand,
                    &members[number],
                    &right.strands,
                    grid,
                    with,
                ))?;
            }
        }
        merged.finish().strands.into_iter().try_for_each(sink)
    }
}

/// A series at the times at which one of some others has a value, or at which none has.
fn filtered(
    strand: &Strand,
    members: &[usize],
    others: &[Strand],
    grid: &StepGrid,
    with: bool,
) -> Strand {
    let mut kept = strand.clone();
    let shown: Vec<bool> = (0..grid.steps)
        .map(|step| members.iter().any(|at| others[*at].has(step)) == with)
        .collect();
    for (value, shown) in kept.floats.iter_mut().zip(&shown) {
        if !shown {
            *value = ABSENT;
        }
    }
    kept.histograms
        .retain(|(step, _)| shown.get(*step as usize).copied().unwrap_or(false));
    kept
}
