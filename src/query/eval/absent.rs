//! What isn't there.

use std::collections::BTreeMap;

use super::super::expression::{Expression, Selector};
use super::super::grid::StepGrid;
use super::super::labels::NAME;
use super::super::source::MatchKind;
use super::super::strand::Strand;
use super::super::{LabelPair, LabelSet, QueryError};
use super::{Evaluation, StrandSink};

impl<'e> Evaluation<'e> {
    /// 1 at the times at which a vector has nothing.
    pub(super) fn absent(
        &self,
        of: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let _room = self.hold(grid)?;
        let mut present = vec![false; grid.steps];
        self.vector(of, grid, &mut |strand| {
            self.meter.work(grid.steps)?;
            for (step, present) in present.iter_mut().enumerate() {
                *present |= strand.has(step);
            }
            Ok(())
        })?;
        self.emit(of, &present, sink)
    }

    /// 1 at the times at which the windows of a range vector hold nothing.
    pub(super) fn absent_over_time(
        &self,
        of: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let present = self.present(of, grid)?;
        self.emit(of, &present, sink)
    }

    fn emit(
        &self,
        of: &Expression,
        present: &[bool],
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let steps = present.len();
        let mut strand = Strand::new(self.meter, labels(of))?;
        for (step, present) in present.iter().enumerate() {
            if !present {
                strand.put_float(steps, step, 1.0)?;
            }
        }
        if strand.is_empty() {
            return Ok(());
        }
        sink(strand)
    }
}

/// The labels that a selector asks for by one value each.
fn labels(of: &Expression) -> LabelSet {
    match of {
        Expression::Selector(selector) | Expression::Range(selector, _) => asked_for(selector),
        _ => LabelSet::default(),
    }
}

fn asked_for(selector: &Selector) -> LabelSet {
    // One that is asked for again, in whatever way, is none of them.
    let mut asked: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let others = selector.matchers.iter();
    for matcher in others.filter(|matcher| matcher.name != NAME) {
        if let Some(known) = asked.get_mut(matcher.name.as_str()) {
            *known = None;
        } else if matches!(matcher.kind, MatchKind::Equal) {
            asked.insert(&matcher.name, Some(&matcher.value));
        }
    }
    let labels = asked.into_iter();
    let labels = labels.filter_map(|(name, value)| Some(LabelPair::new(name, value?)));
    LabelSet::new(labels.collect())
}
