//! Functions that change labels and leave the values alone.

use super::super::expression::VectorCall;
use super::super::grid::StepGrid;
use super::super::matrix::MergedStrands;
use super::super::regexes;
use super::super::{LabelSet, QueryError};
use super::{Evaluation, StrandSink};

impl Evaluation<'_> {
    /// `label_replace` and `label_join`. Series that become the same are put together.
    pub(super) fn relabel(
        &self,
        call: &VectorCall,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let mut merged = MergedStrands::new(self.meter)?;
        match call {
            VectorCall::LabelReplace {
                of,
                target,
                replacement,
                source,
                regex,
            } => {
                let compiled = regexes::compile(regex).map_err(|_| {
                    let place = "invalid regular expression in label_replace()";
                    QueryError::execution(format!("{place}: {regex}"))
                })?;
                if target.is_empty() {
                    return Err(invalid("destination label name in label_replace()", target));
                }
                self.vector(of, grid, &mut |mut strand| {
                    let found = compiled.captures(strand.labels.value(source));
                    if let Some(found) = found {
                        let mut value = String::new();
                        found.expand(replacement, &mut value);
                        strand.labels = strand.labels.with(target, &value);
                    }
                    merged.push(strand)
                })?;
            }
            VectorCall::LabelJoin {
                of,
                target,
                separator,
                sources,
            } => {
                if let Some(source) = sources.iter().find(|source| source.is_empty()) {
                    return Err(invalid("source label name in label_join()", source));
                }
                if target.is_empty() {
                    return Err(invalid("destination label name in label_join()", target));
                }
                self.vector(of, grid, &mut |mut strand| {
                    let value = joined(&strand.labels, separator, sources);
                    strand.labels = strand.labels.with(target, &value);
                    merged.push(strand)
                })?;
            }
            _ => return Err(QueryError::internal("expected a function of labels")),
        }
        merged.finish().strands.into_iter().try_for_each(sink)
    }
}

fn joined(labels: &LabelSet, separator: &str, sources: &[String]) -> String {
    let values: Vec<&str> = sources.iter().map(|source| labels.value(source)).collect();
    values.join(separator)
}

fn invalid(what: &str, name: &str) -> QueryError {
    QueryError::execution(format!("invalid {what}: {name}"))
}
