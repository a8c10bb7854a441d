//! Statistics of many series at once: which series, how they are grouped, and what comes of it.
//!
//! ```text
//! AggregationPlan -> AggregationGroups::find -> reduce (once for each window) -> GroupReading
//!   metrics,            series by metric,        points under the lock a series
//!   group_by, stats     kind and labels          at a time, computed without it
//! ```
//!
//! What a statistic is of depends on the kind of the metric. What stands nowhere here isn't
//! defined, and is left out.
//!
//! | statistic | gauge | counter | histogram of either kind | summary |
//! |---|---|---|---|---|
//! | `avg`, `sum` | of the values | of the values | of the observations within the window | the same |
//! | `count` | values | values | observations within the window | the same |
//! | `min`, `max`, `stddev`, `first`, `last`, `ema`, `mad` | of the values | of the values | | |
//! | percentiles | of the values | of the values | interpolated in the buckets | |
//! | `rate`, `increase` | | of the counter | of the count of observations | the same |
//! | `delta`, `deriv` | of the gauge | | | |
//!
//! Without `group_by` every series is a group of its own and keeps its labels. The statistics of
//! a group are over all points of its series together: all their values, and the sums of their
//! bucket counts. `rate`, `increase` and `delta` are of one series only, so a group's are the
//! sums of theirs; `ema` has no meaning for a group and is left out. `avg` and `sum` of
//! observations are of those alone whose sum is known and finite. With [`Across::Series`] each
//! series is reduced first, and the results are combined. Histograms with different bounds have
//! no common buckets: a group of such has only `rate` and `increase`.
//!
//! A plan without conditions leaves out what is [kept apart](super::Windows::keep_apart).
//!
//! A series that several stores hold is read from the one that holds more of the window. What
//! has the labels `stat` and `window` is a result itself, and is not aggregated again.
//!
//! **Architecture Invariant:** a store is locked while its index is asked (what metrics there
//! are, the values of one label, the series that fulfil conditions), which takes longer the more
//! series it has; while the keys of 256 series are copied; and while the points of one are taken.
//! Nothing is computed then, and no expression tried. The results don't depend on the order in
//! which series were stored.

mod choice;
mod find;
mod length;
mod limits;
mod metrics;
mod naming;
mod plan;
mod read;

pub use choice::StatChoice;
pub use find::{AggregationGroup, AggregationGroups};
pub use length::{InvalidLength, WindowLength};
pub use limits::{AggregationLimits, AggregationStop};
pub use naming::ResultTypes;
pub use plan::{Across, AggregationPlan, Combine, metrics_like};
pub use read::GroupReading;

#[cfg(test)]
mod tests;
