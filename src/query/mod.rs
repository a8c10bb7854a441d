//! PromQL: a query's text, the points of a store, and the answer that Prometheus 3 would
//! give.
//!
//! ```text
//! text -> guard -> promql-parser -> parse -> Expression -> eval -> QueryAnswer
//!                                                 |
//!                            functions, aggregate, binary, histogram
//! ```
//!
//! Pure: no clock, no I/O. The points come through [`SeriesSource`], and a closure says
//! when to stop. A query is evaluated series by series: all points of one are read once,
//! the windows of every step slide over them, and what comes out is handed on before the
//! next series is read. So an aggregation holds its groups, and not what it aggregates.
//! Only what needs several series at one time at once (matching, sorting, quantiles across
//! series) is held.
//!
//! Whatever is held is counted against [`QueryLimits`] before it is there: series and tables
//! own what they take, texts that a query makes count until it ends. Loops count what they
//! look at as work, and work asks now and then whether to go on.
//!
//! Where this differs from Prometheus:
//!
//! - Experimental functions, duration arithmetic, and the `anchored`, `smoothed` and `fill`
//!   modifiers are refused.
//! - Histograms have exponential buckets. There are none with bounds of one's own.
//! - A fixed time (`@`) counts in an aggregation's parameter, and beside an offset in
//!   `timestamp`, where Prometheus forgets it or the offset.
//! - Empty buckets of histograms aren't kept, so that they can't turn a zero bucket into one
//!   of both sides, make two equal histograms different, or become NaN by multiplication.
//! - What nests deeper than [`QueryLimits::max_depth`] is refused, a chain of as many operators
//!   too, and regular expressions that are too large or too many.
//! - Warnings and infos don't say where in the text they arose.
//! - What a query may use is bounded, also where Prometheus lets it grow: the expressions of
//!   `label_replace` count with those of selectors, one is not matched with a text for which
//!   that takes about a second, and messages quote the first 4 KiB of what they tell.
//! - Of counters whose resets collide in an aggregation nothing is said, since no point
//!   carries whether it follows a reset; resets are found where they matter.
//!
//! **Architecture Invariant:** imports nothing of ours but [`crate::regexp`].

mod aggregate;
mod answer;
mod arithmetic;
mod binary;
mod calls;
mod engine;
mod error;
mod eval;
mod expression;
mod functions;
mod grid;
mod guard;
mod histogram;
mod kahan;
mod labels;
mod matrix;
mod meter;
mod notes;
mod parse;
mod regexes;
mod source;
mod strand;
#[cfg(test)]
mod tests;
mod text;

pub use answer::{QueryAnswer, QueryOptions, QuerySamples, QueryValue, ValueSeries};
pub use engine::PromQuery;
pub use error::{QueryError, QueryErrorKind};
pub use histogram::{HistogramBucket, NativeHistogram};
pub use labels::{LabelPair, LabelSet, TYPE};
pub use meter::{Interruption, QueryLimits};
pub use source::{
    LabelMatcher, MatchKind, STALE, SelectedSeries, SeriesPoints, SeriesSource, SourceRoom,
    is_stale,
};
pub use strand::PointValue;

/// Reads selectors without a range and without modifiers, as `match[]` has them. All of them
/// together may have the regular expressions of one query. Of `texts` none is taken behind the
/// first that is wrong.
///
/// # Errors
/// Text that isn't such a selector is [`QueryErrorKind::BadData`].
pub fn parse_selectors<'t>(
    texts: impl IntoIterator<Item = &'t str>,
    limits: &QueryLimits,
) -> Result<Vec<Vec<LabelMatcher>>, QueryError> {
    parse::selectors(texts, limits)
}

/// Reads one such selector.
///
/// # Errors
/// As [`parse_selectors`].
pub fn parse_selector(text: &str, limits: &QueryLimits) -> Result<Vec<LabelMatcher>, QueryError> {
    let mut sets = parse::selectors([text], limits)?;
    Ok(sets.pop().unwrap_or_default())
}
