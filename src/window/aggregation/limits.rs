//! How much one aggregation may touch.

use thiserror::Error;

/// How much one aggregation may touch. What is said of points holds in each window by itself:
/// whoever has several windows reduced may touch as many times as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggregationLimits {
    /// Series. What is kept of one, its labels and its results, takes about a kilobyte.
    pub series: usize,
    /// Points of all series. To unpack one and select among all takes about 4 ns, and for one of
    /// a histogram or summary as long for each of its numbers. One that comes at no interval
    /// takes 0.1 us more, for the coverage.
    pub points: usize,
    /// Values of one group that are held at once, for percentiles and their like. One takes 8
    /// bytes, and 32 where its time is held, too (`deriv` beside `mad`): the value, the time, a
    /// copy to be sorted, and the distance from the median. Of histograms only buckets are held,
    /// which have a bound of their own.
    pub held: usize,
}

impl Default for AggregationLimits {
    /// All series that a store has by default and a day of each: 20 MiB and half a second; and
    /// a group of 364 series over a day, at most 64 MiB.
    fn default() -> Self {
        Self {
            series: 20_000,
            points: 20_000 * 5760,
            held: 1 << 21,
        }
    }
}

/// Why an aggregation ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AggregationStop {
    /// It would touch too many series.
    #[error("more than {0} series: select less of them")]
    Series(usize),
    /// It would touch too many points.
    #[error("more than {0} points: select fewer series or a shorter window")]
    Points(usize),
    /// One group would hold too many values at once.
    #[error(
        "more than {0} values in one group: select fewer series, group by more labels, or ask \
         for a shorter window"
    )]
    Held(usize),
    /// Whoever asked doesn't want it any more.
    #[error("given up")]
    GivenUp,
}

impl AggregationStop {
    /// Every reason, in the order in which metrics list them.
    pub const REASONS: [&'static str; 4] = ["max_series", "max_points", "max_held", "given_up"];

    /// The value of the `reason` label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Series(_) => Self::REASONS[0],
            Self::Points(_) => Self::REASONS[1],
            Self::Held(_) => Self::REASONS[2],
            Self::GivenUp => Self::REASONS[3],
        }
    }
}
