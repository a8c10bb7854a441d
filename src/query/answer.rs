//! What a query is asked with, and what it comes to.

use super::{LabelSet, PointValue, QueryLimits, SeriesPoints};

/// How queries are evaluated.
#[derive(Clone, Debug)]
pub struct QueryOptions {
    /// What a query may use.
    pub limits: QueryLimits,
    /// How many milliseconds back a selector looks for a point. Not the first of them.
    pub lookback: i64,
    /// The step, in milliseconds, of a subquery that doesn't name one.
    pub subquery_step: i64,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            limits: QueryLimits::default(),
            lookback: 5 * 60_000,
            subquery_step: 60_000,
        }
    }
}

/// The points of one series of an answer.
#[derive(Clone, Debug)]
pub struct ValueSeries {
    /// Its labels.
    pub labels: LabelSet,
    /// Its points, in the order of time.
    pub points: SeriesPoints,
}

/// What a query comes to.
#[derive(Clone, Debug)]
pub enum QueryValue {
    /// A number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// One value for each series, at the time of the query.
    Vector(Vec<(LabelSet, PointValue)>),
    /// Points for each series.
    Matrix(Vec<ValueSeries>),
}

/// The samples that a query took: a number is one, a histogram one for 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuerySamples {
    /// Those that its selectors gave, at every step: of a range all that lie in it, of a subquery
    /// what it comes to.
    pub queried: u64,
    /// The most that were held at once.
    pub peak: usize,
}

/// An answer, and what is to be said of it.
#[derive(Clone, Debug)]
pub struct QueryAnswer {
    /// What the query comes to.
    pub value: QueryValue,
    /// What is probably wrong.
    pub warnings: Vec<String>,
    /// What may be wrong.
    pub infos: Vec<String>,
    /// What it took.
    pub samples: QuerySamples,
}
