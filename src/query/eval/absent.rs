//! What isn't there.

use super::super::expression::{Expression, Selector};
use super::super::grid::StepGrid;
use super::super::labels::NAME;
use super::super::source::MatchKind;
use super::super::strand::Strand;
use super::super::{LabelPair, LabelSet, QueryError};
use super::{Evaluation, StrandSink};

impl Evaluation<'_> {
    /// 1 at the times at which a vector has nothing.
    pub(super) fn absent(
        &self,
        of: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let _room = self.hold(grid)?;
        let mut present = vec![false; grid.steps];
        self.vector(of, grid, &mut |strand| {
            for (step, present) in present.iter_mut().enumerate() {
                *present |= strand.has(step);
            }
            Ok(())
        })?;
        emit(of, &present, sink)
    }

    /// 1 at the times at which the windows of a range vector hold nothing.
    pub(super) fn absent_over_time(
        &self,
        of: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let present = self.present(of, grid)?;
        emit(of, &present, sink)
    }
}

fn emit(of: &Expression, present: &[bool], sink: StrandSink<'_>) -> Result<(), QueryError> {
    let steps = present.len();
    let mut strand = Strand::new(labels(of));
    for (step, present) in present.iter().enumerate() {
        if !present {
            strand.put_float(steps, step, 1.0);
        }
    }
    if strand.is_empty() {
        return Ok(());
    }
    sink(strand)
}

/// The labels that a selector asks for by one value each.
fn labels(of: &Expression) -> LabelSet {
    match of {
        Expression::Selector(selector) | Expression::Range(selector, _) => asked_for(selector),
        _ => LabelSet::default(),
    }
}

fn asked_for(selector: &Selector) -> LabelSet {
    let mut labels: Vec<LabelPair> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in selector
        .matchers
        .iter()
        .filter(|matcher| matcher.name != NAME)
    {
        let again = seen.contains(&matcher.name.as_str());
        if matches!(matcher.kind, MatchKind::Equal) && !again {
            labels.push(LabelPair::new(
                matcher.name.as_str(),
                matcher.value.as_str(),
            ));
            seen.push(&matcher.name);
        } else {
            labels.retain(|label| *label.name != *matcher.name);
        }
    }
    LabelSet::new(labels)
}
