//! A query that was understood: every name is a known one, every type the right one.

use super::error::wrong;
use super::functions::{Elementwise, HistogramFunction, RangeFunction};
use super::labels::LabelNames;
use super::regexes::TextPattern;
use super::{LabelMatcher, QueryError};

/// What an expression comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpressionKind {
    Scalar,
    InstantVector,
    RangeVector,
    Text,
}

impl ExpressionKind {
    /// As Prometheus's messages name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::InstantVector => "instant vector",
            Self::RangeVector => "range vector",
            Self::Text => "string",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Expression {
    Number(f64),
    Text(String),
    Selector(Selector),
    /// The points of the last so many milliseconds.
    Range(Selector, i64),
    Subquery(Box<Subquery>),
    Scalar(Box<ScalarCall>),
    Vector(Box<VectorCall>),
    Aggregation(Box<Aggregation>),
    Negation(Box<Expression>),
    Binary(Box<Binary>),
}

impl Expression {
    pub(super) fn kind(&self) -> ExpressionKind {
        match self {
            Self::Number(_) | Self::Scalar(_) => ExpressionKind::Scalar,
            Self::Text(_) => ExpressionKind::Text,
            Self::Selector(_) | Self::Vector(_) | Self::Aggregation(_) => {
                ExpressionKind::InstantVector
            }
            Self::Range(..) | Self::Subquery(_) => ExpressionKind::RangeVector,
            Self::Negation(inner) => inner.kind(),
            Self::Binary(binary) => binary.kind,
        }
    }
}

/// When a selector or a subquery is looked at instead of the time of the evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FixedTime {
    Start,
    End,
    At(i64),
}

/// Which times an expression looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    /// So many milliseconds before.
    pub(super) offset: i64,
    pub(super) fixed: Option<FixedTime>,
}

#[derive(Clone, Debug)]
pub(super) struct Selector {
    pub(super) matchers: Vec<LabelMatcher>,
    pub(super) shift: Shift,
}

#[derive(Clone, Debug)]
pub(super) struct Subquery {
    pub(super) inner: Expression,
    pub(super) range: i64,
    /// None is the default.
    pub(super) step: Option<i64>,
    pub(super) shift: Shift,
}

#[derive(Clone, Debug)]
pub(super) enum ScalarCall {
    Time,
    Pi,
    /// `scalar(vector)`
    Only(Expression),
}

/// A function that gives a vector.
#[derive(Clone, Debug)]
pub(super) enum VectorCall {
    /// `vector(scalar)`
    Spread(Expression),
    /// Value by value.
    Each(Elementwise, Expression),
    Clamp {
        of: Expression,
        least: Option<Expression>,
        most: Option<Expression>,
    },
    Round(Expression, Expression),
    /// A part of a date: of each value, or of the time of the evaluation.
    Date(super::functions::DatePart, Option<Expression>),
    Timestamp(Expression),
    Absent(Expression),
    /// Of a range vector.
    AbsentOverTime(Expression),
    Histogram(HistogramFunction, Expression),
    HistogramQuantile(Expression, Expression),
    HistogramFraction(Expression, Expression, Expression),
    LabelReplace {
        of: Expression,
        target: String,
        replacement: String,
        source: String,
        /// Of one that is wrong the error, which is told when the call is evaluated.
        regex: Result<TextPattern, QueryError>,
    },
    LabelJoin {
        of: Expression,
        target: String,
        separator: String,
        sources: Vec<String>,
    },
    Sort {
        of: Expression,
        descending: bool,
    },
    /// Of a range vector, with the scalars beside it.
    OverRange(RangeFunction, Expression, Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregator {
    Sum,
    Min,
    Max,
    Avg,
    Group,
    Count,
    CountValues,
    BottomK,
    TopK,
    Quantile,
    Stddev,
    Stdvar,
    LimitK,
    LimitRatio,
}

impl Aggregator {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Group => "group",
            Self::Count => "count",
            Self::CountValues => "count_values",
            Self::BottomK => "bottomk",
            Self::TopK => "topk",
            Self::Quantile => "quantile",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::LimitK => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Sum,
            Self::Min,
            Self::Max,
            Self::Avg,
            Self::Group,
            Self::Count,
            Self::CountValues,
            Self::BottomK,
            Self::TopK,
            Self::Quantile,
            Self::Stddev,
            Self::Stdvar,
            Self::LimitK,
            Self::LimitRatio,
        ];
        all.into_iter().find(|one| one.as_str() == name)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Aggregation {
    pub(super) by: Aggregator,
    pub(super) of: Expression,
    pub(super) parameter: Option<Expression>,
    pub(super) grouping: Grouping,
}

/// Which labels make a group.
#[derive(Clone, Debug)]
pub(super) struct Grouping {
    pub(super) labels: LabelNames,
    /// All but those, and but the name.
    pub(super) without: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BinaryOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Unless,
}

impl BinaryOperator {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Add,
            Self::Subtract,
            Self::Multiply,
            Self::Divide,
            Self::Modulo,
            Self::Power,
            Self::Atan2,
            Self::Equal,
            Self::NotEqual,
            Self::Less,
            Self::LessOrEqual,
            Self::Greater,
            Self::GreaterOrEqual,
            Self::And,
            Self::Or,
            Self::Unless,
        ];
        all.into_iter().find(|one| one.as_str() == name)
    }

    pub(super) fn compares(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessOrEqual
                | Self::Greater
                | Self::GreaterOrEqual
        )
    }

    pub(super) fn is_of_sets(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub(super) operator: BinaryOperator,
    pub(super) left: Expression,
    pub(super) right: Expression,
    /// A comparison that gives 0 or 1 instead of filtering.
    pub(super) to_bool: bool,
    pub(super) matching: Matching,
    pub(super) kind: ExpressionKind,
}

/// Which series of one side meets which of the other.
#[derive(Clone, Debug)]
pub(super) struct Matching {
    pub(super) labels: LabelNames,
    /// Those labels have to be equal; else all others but the name.
    pub(super) on: bool,
    pub(super) many: ManySide,
    /// Labels that the result takes from the side of which there is one.
    pub(super) include: LabelNames,
}

/// The side that may have several series in a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ManySide {
    Neither,
    Left,
    Right,
}

/// Refuses an expression of another type than the place asks for.
pub(super) fn expect(
    expression: &Expression,
    kind: ExpressionKind,
    place: &str,
) -> Result<(), QueryError> {
    if expression.kind() == kind {
        return Ok(());
    }
    Err(wrong(&format!(
        "expected type {} in {place}, got {}",
        kind.as_str(),
        expression.kind().as_str()
    )))
}
