//! Operators on two values.

use std::sync::Arc;

use super::NativeHistogram;
use super::expression::BinaryOperator;
use super::notes::Notes;
use super::strand::PointValue;

/// What an operator makes of two values.
pub(super) struct Computed {
    /// The result; of a comparison the left value.
    pub(super) value: PointValue,
    /// Whether a comparison holds; all else does.
    pub(super) holds: bool,
}

/// An operator on two numbers; comparisons give 0 or 1.
pub(super) fn of_scalars(operator: BinaryOperator, left: f64, right: f64) -> f64 {
    match comparison(operator, left, right) {
        Some(holds) => f64::from(u8::from(holds)),
        None => of_floats(operator, left, right),
    }
}

/// An operator on two values, which may be histograms. Some pairs have no result.
pub(super) fn of_values(
    operator: BinaryOperator,
    left: &PointValue,
    right: &PointValue,
    notes: &Notes,
) -> Option<Computed> {
    let always = |value| Some(Computed { value, holds: true });
    let scaled = |histogram: &NativeHistogram, change: &dyn Fn(&mut NativeHistogram)| {
        let mut scaled = histogram.clone();
        change(&mut scaled);
        always(PointValue::Histogram(Arc::new(scaled.compacted())))
    };
    match (left, right) {
        (PointValue::Float(a), PointValue::Float(b)) => match comparison(operator, *a, *b) {
            Some(holds) => Some(Computed {
                value: PointValue::Float(*a),
                holds,
            }),
            None => always(PointValue::Float(of_floats(operator, *a, *b))),
        },
        (PointValue::Float(a), PointValue::Histogram(b)) => match operator {
            BinaryOperator::Multiply => scaled(b, &|histogram| histogram.scale(*a)),
            _ => incompatible("float", operator, "histogram", notes),
        },
        (PointValue::Histogram(a), PointValue::Float(b)) => match operator {
            BinaryOperator::Multiply => scaled(a, &|histogram| histogram.scale(*b)),
            BinaryOperator::Divide => scaled(a, &|histogram| histogram.divide(*b)),
            _ => incompatible("histogram", operator, "float", notes),
        },
        (PointValue::Histogram(a), PointValue::Histogram(b)) => match operator {
            BinaryOperator::Add => scaled(a, &|histogram| histogram.add(b)),
            BinaryOperator::Subtract => scaled(a, &|histogram| {
                histogram.subtract(b);
                histogram.gauge = true;
            }),
            BinaryOperator::Equal | BinaryOperator::NotEqual => Some(Computed {
                value: left.clone(),
                holds: a.same(b) == (operator == BinaryOperator::Equal),
            }),
            _ => incompatible("histogram", operator, "histogram", notes),
        },
    }
}

fn incompatible(
    left: &str,
    operator: BinaryOperator,
    right: &str,
    notes: &Notes,
) -> Option<Computed> {
    notes.incompatible_types(left, operator.as_str(), right);
    None
}

fn comparison(operator: BinaryOperator, left: f64, right: f64) -> Option<bool> {
    Some(match operator {
        BinaryOperator::Equal => left == right,
        BinaryOperator::NotEqual => left != right,
        BinaryOperator::Less => left < right,
        BinaryOperator::LessOrEqual => left <= right,
        BinaryOperator::Greater => left > right,
        BinaryOperator::GreaterOrEqual => left >= right,
        _ => return None,
    })
}

fn of_floats(operator: BinaryOperator, left: f64, right: f64) -> f64 {
    match operator {
        BinaryOperator::Add => left + right,
        BinaryOperator::Subtract => left - right,
        BinaryOperator::Multiply => left * right,
        BinaryOperator::Divide => left / right,
        BinaryOperator::Modulo => left % right,
        BinaryOperator::Power => power(left, right),
        BinaryOperator::Atan2 => left.atan2(right),
        // Comparisons and sets are elsewhere.
        _ => f64::NAN,
    }
}

/// As Go's: minus one to an infinite power is one.
fn power(base: f64, exponent: f64) -> f64 {
    base.powf(exponent)
}
