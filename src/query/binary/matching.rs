//! Operators between two vectors: each series meets the one with the same labels of
//! matching on the other side.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::super::arithmetic::of_values;
use super::super::eval::{Evaluation, StrandSink};
use super::super::expression::{Binary, ManySide, Matching};
use super::super::grid::StepGrid;
use super::super::matrix::{MergedStrands, TABLE_ENTRY};
use super::super::meter::Charge;
use super::super::strand::{PointValue, Strand};
use super::super::text::shortened;
use super::super::{LabelSet, QueryError};
use super::signatures::{SignaturePresence, Signatures, members};

impl<'e> Evaluation<'e> {
    pub(super) fn matched(
        &self,
        binary: &Binary,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let left = self.collect(&binary.left, grid)?;
        let right = self.collect(&binary.right, grid)?;
        let swapped = binary.matching.many == ManySide::Right;
        let (many, one) = if swapped {
            (&right.strands, &left.strands)
        } else {
            (&left.strands, &right.strands)
        };
        let mut signatures = Signatures::new(self.meter, &binary.matching);
        let many_numbers = signatures.number_all(many)?;
        let one_numbers = signatures.number_all(one)?;
        let one_members = members(&one_numbers, signatures.len());
        let sides = Sides { many, one, swapped };
        self.check_one_side(&sides, &one_members, &signatures, grid)?;
        let many_members = members(&many_numbers, signatures.len());
        let mut merged = MergedStrands::new(self.meter);
        let mut meeting = Meeting {
            of: self,
            binary,
            grid,
            swapped,
            met: MetSteps {
                places: HashMap::default(),
                steps: Vec::new(),
                room: Charge::new(self.meter),
            },
        };
        for (strand, number) in many.iter().zip(&many_numbers) {
            let alone = many_members[*number].len() == 1 && one_members[*number].len() <= 1;
            let signature = (!alone).then_some(*number);
            for other in &one_members[*number] {
                merged.push(meeting.meet(strand, &one[*other], signature)?)?;
            }
        }
        drop(meeting);
        merged.hand_on(sink)
    }

    /// Refuses series of the side that has to have one for each signature, where it has
    /// several at one time.
    fn check_one_side(
        &self,
        sides: &Sides<'_>,
        members: &[Vec<usize>],
        signatures: &Signatures<'_>,
        grid: &StepGrid,
    ) -> Result<(), QueryError> {
        let Sides { many, one, swapped } = *sides;
        // Nothing meets at all where the other side is empty.
        let all = [(0..many.len()).collect()];
        let mut presence = SignaturePresence::new(self.meter, many, &all, grid.steps);
        for members in members.iter().filter(|members| members.len() > 1) {
            let any = presence.of(0)?;
            for step in 0..grid.steps {
                self.meter.work(members.len())?;
                let mut present = members.iter().filter(|at| one[**at].has(step));
                let (Some(first), Some(second)) = (present.next(), present.next()) else {
                    continue;
                };
                if !any.has(step) {
                    continue;
                }
                let (first, second) = (one[*first].labels(), one[*second].labels());
                let side = if swapped { "left" } else { "right" };
                let group = signatures.labels(first);
                let (first, second) = (first.min(second), first.max(second));
                return Err(QueryError::execution(shortened(format_args!(
                    "found duplicate series for the match group {group} on the {side} \
                     hand-side of the operation: [{first}, {second}];many-to-many matching not \
                     allowed: matching labels must be unique on one side"
                ))));
            }
        }
        Ok(())
    }
}

/// The series of both sides.
#[derive(Clone, Copy)]
struct Sides<'s> {
    many: &'s [Strand<'s>],
    one: &'s [Strand<'s>],
    /// Whether the right side may have many.
    swapped: bool,
}

struct Meeting<'m, 'e> {
    of: &'m Evaluation<'e>,
    binary: &'m Binary,
    grid: &'m StepGrid,
    swapped: bool,
    met: MetSteps<'e>,
}

/// A signature, with the labels of the result where one side may have several.
type MetKey = (usize, Option<LabelSet>);

/// At which steps there has been a result.
struct MetSteps<'e> {
    places: HashMap<MetKey, usize, foldhash::fast::RandomState>,
    steps: Vec<Vec<bool>>,
    room: Charge<'e>,
}

impl MetSteps<'_> {
    fn place(&mut self, key: MetKey, steps: usize) -> Result<usize, QueryError> {
        Ok(match self.places.entry(key) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let labels = place.key().1.as_ref().map_or(0, LabelSet::bytes);
                self.room.grow(0, steps + labels + 2 * TABLE_ENTRY)?;
                self.steps.push(vec![false; steps]);
                *place.insert(self.steps.len() - 1)
            }
        })
    }
}

impl<'e> Meeting<'_, 'e> {
    /// Two series that have one signature, which is named where other series have it, too.
    fn meet(
        &mut self,
        many: &Strand<'_>,
        one: &Strand<'_>,
        signature: Option<usize>,
    ) -> Result<Strand<'e>, QueryError> {
        let meter = self.of.meter;
        meter.work(self.grid.steps + many.labels().work() + one.labels().work())?;
        let labels = result_labels(many.labels(), one.labels(), self.binary);
        let mut result = Strand::new(meter, labels)?;
        let one_to_one = self.binary.matching.many == ManySide::Neither;
        // Looked up once for the two, when they have their first result.
        let mut met = None;
        for step in 0..self.grid.steps {
            let (Some(many), Some(one)) = (many.value(step), one.value(step)) else {
                continue;
            };
            let (left, right) = if self.swapped {
                (&one, &many)
            } else {
                (&many, &one)
            };
            meter.work(weight(left) + weight(right))?;
            let computed = of_values(self.binary.operator, left, right, &self.of.notes);
            let Some(computed) = computed else {
                continue;
            };
            if let Some(signature) = signature {
                let place = match met {
                    Some(place) => place,
                    None => {
                        let labels = (!one_to_one).then(|| result.labels().clone());
                        *met.insert(self.met.place((signature, labels), self.grid.steps)?)
                    }
                };
                if std::mem::replace(&mut self.met.steps[place][step], true) {
                    return Err(ambiguous(one_to_one));
                }
            }
            if self.binary.to_bool {
                let value = f64::from(u8::from(computed.holds));
                result.put_float(self.grid.steps, step, value)?;
            } else if computed.holds {
                result.put(self.grid.steps, step, computed.value)?;
            }
        }
        Ok(result)
    }
}

/// How many points take as long to look at as a value.
fn weight(value: &PointValue) -> usize {
    match value {
        PointValue::Float(_) => 0,
        PointValue::Histogram(histogram) => histogram.samples(),
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
    if !include.is_empty() {
        labels = labels.with_those_of(one, include);
    }
    labels
}
