//! Expressions that are the same at every step, and are evaluated once.
//!
//! Which these are follows Prometheus, down to the parameter of an aggregation, which is
//! looked at once if what is aggregated is the same at every step.

use super::super::expression::{Expression, ScalarCall, VectorCall};
use super::super::functions::RangeFunction;

/// Whether an expression is the same at every step.
pub(super) fn is_invariant(expression: &Expression) -> bool {
    match expression {
        Expression::Number(_) | Expression::Text(_) => true,
        Expression::Selector(selector) | Expression::Range(selector, _) => {
            selector.shift.fixed.is_some()
        }
        Expression::Subquery(subquery) => subquery.shift.fixed.is_some(),
        Expression::Scalar(call) => match &**call {
            ScalarCall::Pi => true,
            ScalarCall::Time => false,
            ScalarCall::Only(of) => is_invariant(of),
        },
        Expression::Vector(call) => is_invariant_call(call),
        Expression::Aggregation(aggregation) => is_invariant(&aggregation.of),
        Expression::Negation(inner) => is_invariant(inner),
        Expression::Binary(binary) => is_invariant(&binary.left) && is_invariant(&binary.right),
    }
}

fn is_invariant_call(call: &VectorCall) -> bool {
    match call {
        // Of a selector's points the times, else the time of the evaluation.
        VectorCall::Timestamp(of) => matches!(of, Expression::Selector(_)) && is_invariant(of),
        VectorCall::Date(..) | VectorCall::OverRange(RangeFunction::PredictLinear, ..) => false,
        VectorCall::Spread(of)
        | VectorCall::Each(_, of)
        | VectorCall::Absent(of)
        | VectorCall::AbsentOverTime(of)
        | VectorCall::Histogram(_, of)
        | VectorCall::LabelReplace { of, .. }
        | VectorCall::LabelJoin { of, .. }
        | VectorCall::Sort { of, .. } => is_invariant(of),
        VectorCall::Round(of, by) | VectorCall::HistogramQuantile(by, of) => {
            is_invariant(of) && is_invariant(by)
        }
        VectorCall::HistogramFraction(lower, upper, of) => {
            [lower, upper, of].into_iter().all(is_invariant)
        }
        VectorCall::Clamp { of, least, most } => {
            let mut bounds = least.iter().chain(most);
            is_invariant(of) && bounds.all(is_invariant)
        }
        VectorCall::OverRange(_, of, scalars) => {
            is_invariant(of) && scalars.iter().all(is_invariant)
        }
    }
}
