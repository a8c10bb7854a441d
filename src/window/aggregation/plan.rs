//! What is to be aggregated, and how.

use super::super::matcher::{MatchOperator, Matcher, MatcherError};
use super::super::stats::Method;
use super::StatChoice;

/// What is to be aggregated, and how.
#[derive(Debug, Clone)]
pub struct AggregationPlan {
    /// Which series: those that fulfil every condition of one of the lists. A list without
    /// conditions has all series but those that are
    /// [kept apart](super::super::Windows::keep_apart).
    pub series: Vec<Vec<Matcher>>,
    /// The labels whose values make a group; none to keep every series apart.
    pub group_by: Vec<String>,
    /// How the series of a group come together.
    pub across: Across,
    /// Which statistics, no two of one name.
    pub stats: Vec<StatChoice>,
    /// By which definition percentiles of numbers are computed.
    pub method: Method,
}

/// The statistics that are shown where nobody says which.
const STATS: [&str; 10] = [
    "avg", "min", "max", "stddev", "count", "p50", "p95", "p99", "rate", "increase",
];

impl AggregationPlan {
    /// The statistics that are shown where nobody says which: `avg`, `min`, `max`, `stddev`,
    /// `count`, `p50`, `p95`, `p99`, `rate` and `increase`.
    #[must_use]
    pub fn default_stats() -> Vec<StatChoice> {
        let named = STATS.iter().flat_map(|name| StatChoice::named(name));
        named.collect()
    }
}

impl Default for AggregationPlan {
    /// The statistics of every series by itself.
    fn default() -> Self {
        Self {
            series: vec![Vec::new()],
            group_by: Vec::new(),
            across: Across::default(),
            stats: Self::default_stats(),
            method: Method::default(),
        }
    }
}

/// How the series of a group come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Across {
    /// A statistic is over all points of all series.
    #[default]
    Points,
    /// A statistic is of each series, and the results are combined.
    Series(Combine),
}

/// How the results of several series become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Combine {
    /// Their mean.
    #[default]
    Avg,
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Combine {
    /// One result of several; `None` if there are none.
    #[must_use]
    pub fn of(self, values: &[f64]) -> Option<f64> {
        let values = values.iter().copied();
        let count = values.len();
        if count == 0 {
            return None;
        }
        Some(match self {
            Self::Avg => values.sum::<f64>() / count as f64,
            Self::Sum => values.sum(),
            Self::Min => values.fold(f64::INFINITY, f64::min),
            Self::Max => values.fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

/// A condition on the metric's name: `*` stands for any text, `?` for any character.
///
/// # Errors
///
/// If the pattern is too long.
pub fn metrics_like(glob: &str) -> Result<Matcher, MatcherError> {
    const NAME: &str = "__name__";
    if !glob.contains(['*', '?']) {
        return Matcher::new(MatchOperator::Equal, NAME, glob);
    }
    let mut pattern = String::new();
    for char in glob.chars() {
        match char {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            _ => pattern.push_str(&regex::escape(char.encode_utf8(&mut [0; 4]))),
        }
    }
    Matcher::new(MatchOperator::Regex, NAME, &pattern)
}
