//! Functions that change labels and leave the values alone.

use std::sync::Arc;

use super::super::expression::VectorCall;
use super::super::grid::StepGrid;
use super::super::labels::MadeText;
use super::super::matrix::MergedStrands;
use super::super::regexes::TextPattern;
use super::super::strand::Strand;
use super::super::{LabelSet, QueryError};
use super::{Evaluation, StrandSink};

impl<'e> Evaluation<'e> {
    /// `label_replace` and `label_join`. Series that become the same are put together.
    pub(super) fn relabel(
        &self,
        call: &VectorCall,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let mut merged = MergedStrands::new(self.meter);
        match call {
            VectorCall::LabelReplace {
                of,
                target,
                replacement,
                source,
                regex,
            } => {
                let regex = regex.as_ref().map_err(QueryError::clone)?;
                if target.is_empty() {
                    return Err(invalid("destination label name in label_replace()", target));
                }
                let target = Arc::from(target.as_str());
                self.vector(of, grid, &mut |strand| {
                    let value = strand.labels().value(source);
                    merged.push(match self.replaced(regex, replacement, value)? {
                        Some(text) => with_label(strand, &target, text)?,
                        None => strand,
                    })
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
                let target = Arc::from(target.as_str());
                self.vector(of, grid, &mut |strand| {
                    let text = self.joined(strand.labels(), separator, sources)?;
                    merged.push(with_label(strand, &target, text)?)
                })?;
            }
            _ => return Err(QueryError::internal("expected a function of labels")),
        }
        merged.hand_on(sink)
    }

    /// The replacement for a value, if the expression matches it.
    fn replaced(
        &self,
        regex: &TextPattern,
        replacement: &str,
        value: &str,
    ) -> Result<Option<MadeText>, QueryError> {
        let Some(found) = regex.captures(value, self.meter)? else {
            return Ok(None);
        };
        // No group has more than the whole value, and each stands behind a dollar.
        let groups = replacement.matches('$').count();
        let most = replacement.len() + groups.saturating_mul(value.len());
        let write = |text: &mut String| found.expand(replacement, text);
        MadeText::new(self.meter, most, write).map(Some)
    }

    fn joined(
        &self,
        labels: &LabelSet,
        separator: &str,
        sources: &[String],
    ) -> Result<MadeText, QueryError> {
        // A label is found by halves.
        self.meter.work(sources.len() * 4)?;
        let values = sources.iter().map(|source| labels.value(source));
        let most = values.clone().map(str::len).sum::<usize>();
        let most = most + separator.len().saturating_mul(sources.len());
        MadeText::new(self.meter, most, |text| {
            for (at, value) in values.enumerate() {
                if at > 0 {
                    text.push_str(separator);
                }
                text.push_str(value);
            }
        })
    }
}

fn with_label<'e>(
    strand: Strand<'e>,
    name: &Arc<str>,
    text: MadeText,
) -> Result<Strand<'e>, QueryError> {
    if strand.labels().value(name) == text.as_str() {
        return Ok(strand);
    }
    let labels = strand.labels().with(name, text);
    strand.relabelled(labels)
}

fn invalid(what: &str, name: &str) -> QueryError {
    QueryError::execution(format!("invalid {what}: {name}"))
}
