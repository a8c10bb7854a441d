//! Statistics over the points of a window of time.
//!
//! A window is left-open, `(from, to]`, as in Prometheus 3: of windows that follow each other
//! every point is in one. NaN, infinities and stale markers are counted and take part in
//! nothing else.
//!
//! | statistic | what it reads | exact |
//! |---|---|---|
//! | `avg`, `sum`, `min`, `max`, `count`, `first`, `last` | digests of whole chunks, points of the others | yes; sums are compensated |
//! | `rate`, `increase`, `delta` | the same | extrapolated exactly as Prometheus 3 does |
//! | `stddev` (population), quantiles, `mad` | all values | yes |
//! | `ema`, `deriv`, `predict` | all points | yes |
//!
//! A window that moves on is so computed from what sealed chunks know already and at most
//! two chunks that it cuts, and comes to the same as a walk over all of its points.
//!
//! Quantiles have two definitions. The platform's takes one of the values: of `n` sorted
//! values the one at `ceil(p / 100 * (n - 1))`. Prometheus's, `linear`, interpolates between the
//! two values beside `q * (n - 1)`.

mod avg;
mod buckets;
mod correlation;
mod count;
mod coverage;
mod delta;
mod deriv;
mod ema;
mod extrapolation;
mod first;
mod histogram;
mod increase;
mod last;
mod mad;
mod max;
mod min;
mod numbers;
mod observations;
mod predict;
mod quantile;
mod rate;
mod registry;
mod stddev;
mod sum;
mod summary;

pub use avg::Avg;
pub use buckets::BucketCounts;
pub use correlation::correlation;
pub use count::PointCount;
pub use coverage::{Cadence, Coverage};
pub use delta::Delta;
pub use deriv::Deriv;
pub use ema::Ema;
pub use first::FirstValue;
pub use histogram::HistogramIncrease;
pub use increase::Increase;
pub use last::LastValue;
pub use mad::Mad;
pub use max::Maximum;
pub use min::Minimum;
pub use numbers::{Needs, Numbers, Statistic};
pub use predict::Predict;
pub use quantile::{LinearQuantile, PlatformQuantile};
pub use rate::Rate;
pub use registry::{Method, UnknownStatistic, percentile, statistic};
pub use stddev::StdDev;
pub use sum::SumOf;
pub use summary::SummaryIncrease;

#[cfg(test)]
pub(super) mod tests;
