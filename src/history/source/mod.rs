//! All that the windows remember, as one source for queries.
//!
//! Series have the names and labels of the page of the pipeline's `prometheus` exporter, as
//! Prometheus has them once it has read that page:
//!
//! | stored | shown |
//! |---|---|
//! | a gauge or counter `x` | `x` |
//! | a histogram `x` with explicit bounds | `x_bucket{le}`, `x_sum`, `x_count` |
//! | an exponential histogram `x` | `x`, a native histogram |
//! | a summary `x` | `x{quantile}`, `x_sum`, `x_count` |
//!
//! Bounds and quantiles are written as in OpenMetrics (`1.0`, `1e+06`), which is how Prometheus 3
//! stores what it scrapes. Zero buckets of native histograms are 1e-128 wide, which is how it
//! stores what it gets by OTLP. A series that several stores have is one, and of two points at one
//! time that of the first store stays. Two series of one name and different types stay two. Where a
//! query would find both with equal labels, each has its type as `__type__`, which selects one of
//! them at any time: functions drop it, as Prometheus's do with it, and refuse what is then twice.
//!
//! A store is locked for the list of the series found, then for some of these at a time, and for
//! one when its points are read, which are shared and not copied. Expressions are tried, and
//! points unpacked, without the lock.

mod derived;
mod find;
mod listing;
mod matching;
mod reader;
mod selected;
mod table;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use self::selected::SeriesSelection;
use crate::query::{
    Interruption, LabelMatcher, QueryError, SelectedSeries, SeriesSource, SourceRoom,
};
use crate::window::{SharedWindows, Shelf};

/// All that the windows remember, as one source for queries.
pub(super) struct HistorySource {
    stores: Vec<SharedWindows>,
    interrupted: Box<dyn Fn() -> Option<Interruption>>,
    /// What a list of series or labels may take.
    most_bytes: usize,
}

impl HistorySource {
    /// The stores of the shelf as they are now.
    pub(super) fn new(windows: &Shelf) -> Self {
        let stores = windows.all().into_iter().map(|(_, store)| store);
        Self {
            stores: stores.collect(),
            interrupted: Box::new(|| None),
            most_bytes: usize::MAX,
        }
    }

    /// A source whose lists of series and labels end early once `interrupted` says why. Queries
    /// bring such a closure of their own.
    #[must_use]
    pub(super) fn until(self, interrupted: impl Fn() -> Option<Interruption> + 'static) -> Self {
        Self {
            interrupted: Box::new(interrupted),
            ..self
        }
    }
}

impl HistorySource {
    /// A source whose lists of series and labels take no more than this. Queries bring a bound of
    /// their own.
    #[must_use]
    pub(super) fn within(self, most_bytes: usize) -> Self {
        Self { most_bytes, ..self }
    }
}

impl SeriesSource for HistorySource {
    fn select<'a>(
        &'a self,
        matchers: &[LabelMatcher],
        from: i64,
        to: i64,
        room: &'a dyn SourceRoom,
    ) -> Result<Vec<Box<dyn SelectedSeries + 'a>>, QueryError> {
        let groups = find::groups(&self.stores, matchers, (from, to), room)?;
        let selection = Rc::new(SeriesSelection::new(&self.stores, room));
        let mut found = Vec::with_capacity(groups.len());
        for group in groups {
            selected::add(group, &selection, &mut found);
        }
        Ok(found)
    }
}
