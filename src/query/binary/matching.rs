//! Operators between two vectors: each series meets the one with the same labels of
//! matching on the other side.

use std::collections::HashMap;

use super::super::arithmetic::{Computed, of_values};
use super::super::eval::{Evaluation, StrandSink};
use super::super::expression::{Binary, ManySide, Matching};
use super::super::grid::StepGrid;
use super::super::matrix::MergedStrands;
use super::super::strand::{PointValue, Strand};
use super::super::{LabelSet, QueryError};
use super::signatures::{Signatures, members};

impl Evaluation<'_> {
    pub(super) fn matched(
        &self,
        binary: &Binary,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let left = self.collect(&binary.left, grid)?;
        let right = self.collect(&binary.right, grid)?;
        let swapped = binary.matching.many == ManySide::Right;
        let (many, one) = if swapped {
            (&right.strands, &left.strands)
        } else {
            (&left.strands, &right.strands)
        };
        let mut signatures = Signatures::new(&binary.matching);
        let many_numbers = signatures.number_all(many);
        let one_numbers = signatures.number_all(one);
        let one_members = members(&one_numbers, signatures.len());
        check_one_side(&one_members, many, one, &signatures, grid, swapped)?;
        let many_members = members(&many_numbers, signatures.len());
        let mut merged = MergedStrands::new(self.meter)?;
        let mut meeting = Meeting {
            of: self,
            binary,
            grid,
            swapped,
            met: HashMap::new(),
            alone: false,
        };
        for (strand, number) in many.iter().zip(&many_numbers) {
            meeting.alone = many_members[*number].len() == 1 && one_members[*number].len() <= 1;
            for other in &one_members[*number] {
                merged.push(meeting.meet(strand, &one[*other], *number)?)?;
            }
        }
        drop(meeting);
        merged.finish().strands.into_iter().try_for_each(sink)
    }
}

/// Series of the side that has to have one for each signature, where it has several at one
/// time.
fn check_one_side(
    members: &[Vec<usize>],
    many: &[Strand],
    one: &[Strand],
    signatures: &Signatures,
    grid: &StepGrid,
    swapped: bool,
) -> Result<(), QueryError> {
    for members in members.iter().filter(|members| members.len() > 1) {
        for step in 0..grid.steps {
            let mut present = members.iter().filter(|at| one[**at].has(step));
            let (Some(first), Some(second)) = (present.next(), present.next()) else {
                continue;
            };
            // Nothing meets at all where the other side is empty.
            if !many.iter().any(|strand| strand.has(step)) {
                continue;
            }
            let (first, second) = (&one[*first].labels, &one[*second].labels);
            let side = if swapped { "left" } else { "right" };
            let group = signatures.labels(first);
            let (first, second) = (first.min(second), first.max(second));
            return Err(QueryError::execution(format!(
                "found duplicate series for the match group {group} on the {side} hand-side of \
                 the operation: [{first}, {second}];many-to-many matching not allowed: matching \
                 labels must be unique on one side"
            )));
        }
    }
    Ok(())
}

struct Meeting<'m, 'e> {
    of: &'m Evaluation<'e>,
    binary: &'m Binary,
    grid: &'m StepGrid,
    swapped: bool,
    /// At which steps a signature has had a result, with the result's labels where one side
    /// may have several.
    met: HashMap<(usize, Option<LabelSet>), Vec<bool>>,
    alone: bool,
}

impl Meeting<'_, '_> {
    fn meet(
        &mut self,
        many: &Strand,
        one: &Strand,
        signature: usize,
    ) -> Result<Strand, QueryError> {
        self.of.meter.work(self.grid.steps)?;
        let labels = result_labels(&many.labels, &one.labels, self.binary);
        let mut result = Strand::new(labels);
        let one_to_one = self.binary.matching.many == ManySide::Neither;
        for step in 0..self.grid.steps {
            let (Some(many), Some(one)) = (many.value(step), one.value(step)) else {
                continue;
            };
            let Some(computed) = self.compute(&many, &one) else {
                continue;
            };
            if !self.alone {
                let label = (!one_to_one).then(|| result.labels.clone());
                let met = self.met.entry((signature, label));
                let met = met.or_insert_with(|| vec![false; self.grid.steps]);
                if std::mem::replace(&mut met[step], true) {
                    return Err(ambiguous(one_to_one));
                }
            }
            if self.binary.to_bool {
                let value = f64::from(u8::from(computed.holds));
                result.put_float(self.grid.steps, step, value);
            } else if computed.holds {
                result.put(self.grid.steps, step, computed.value);
            }
        }
        Ok(result)
    }

    fn compute(&self, many: &PointValue, one: &PointValue) -> Option<Computed> {
        let (left, right) = if self.swapped {
            (one, many)
        } else {
            (many, one)
        };
        of_values(self.binary.operator, left, right, &self.of.notes)
    }
}

fn ambiguous(one_to_one: bool) -> QueryError {
    QueryError::execution(if one_to_one {
        "multiple matches for labels: many-to-one matching must be explicit \
         (group_left/group_right)"
    } else {
        "multiple matches for labels: grouping labels must ensure unique matches"
    })
}

/// The labels of a result: those of the side of many, or of matching.
fn result_labels(many: &LabelSet, one: &LabelSet, binary: &Binary) -> LabelSet {
    let Matching {
        labels: names,
        on,
        many: side,
        include,
    } = &binary.matching;
    let mut labels = many.clone();
    if binary.to_bool || !binary.operator.compares() {
        labels = labels.without_metadata();
    }
    if *side == ManySide::Neither {
        labels = if *on {
            labels.only(names)
        } else {
            labels.without(names)
        };
    }
    for name in include {
        labels = labels.with(name, one.value(name));
    }
    labels
}
