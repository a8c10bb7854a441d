//! Whether series can become the same when their names are dropped.

use super::super::expression::{Aggregation, Aggregator, Expression, Selector, VectorCall};
use super::super::labels::NAME;
use super::super::source::MatchKind;

/// Whether any two series of a vector differ in more than in what says what they measure.
/// Then no two become one when that is dropped, and none has to be held for another.
pub(super) fn differ_in_more_than_names(expression: &Expression) -> bool {
    match expression {
        Expression::Selector(selector) => has_one_name(selector),
        Expression::Range(selector, _) => has_one_name(selector),
        Expression::Subquery(subquery) => differ_in_more_than_names(&subquery.inner),
        Expression::Negation(inner) => differ_in_more_than_names(inner),
        Expression::Vector(call) => of_call(call),
        Expression::Aggregation(aggregation) => of_aggregation(aggregation),
        _ => false,
    }
}

fn has_one_name(selector: &Selector) -> bool {
    selector
        .matchers
        .iter()
        .any(|matcher| matcher.name == NAME && matches!(matcher.kind, MatchKind::Equal))
}

fn of_call(call: &VectorCall) -> bool {
    match call {
        VectorCall::Each(_, of)
        | VectorCall::Clamp { of, .. }
        | VectorCall::Round(of, _)
        | VectorCall::Timestamp(of)
        | VectorCall::Histogram(_, of)
        | VectorCall::Sort { of, .. }
        | VectorCall::OverRange(_, of, _) => differ_in_more_than_names(of),
        VectorCall::Spread(_) | VectorCall::Absent(_) | VectorCall::AbsentOverTime(_) => true,
        _ => false,
    }
}

fn of_aggregation(aggregation: &Aggregation) -> bool {
    match aggregation.by {
        Aggregator::TopK | Aggregator::BottomK | Aggregator::LimitK | Aggregator::LimitRatio => {
            differ_in_more_than_names(&aggregation.of)
        }
        Aggregator::CountValues => false,
        _ => {
            let grouping = &aggregation.grouping;
            grouping.without || !grouping.labels.iter().any(|label| label.starts_with("__"))
        }
    }
}
