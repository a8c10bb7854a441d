//! The points that a function of a range vector is given.

use std::sync::Arc;

use super::super::NativeHistogram;
use super::super::notes::Notes;

/// The points of one series in a window that is open at its start and closed at its end.
/// Never empty.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Window<'p> {
    pub(in super::super) times: &'p [i64],
    pub(in super::super) values: &'p [f64],
    pub(in super::super) histograms: &'p [(i64, Arc<NativeHistogram>)],
    pub(in super::super) start: i64,
    pub(in super::super) end: i64,
    /// The time of the evaluation, which need not be the window's end.
    pub(in super::super) now: i64,
    /// The name of the series, for notes.
    pub(in super::super) metric: &'p str,
}

impl Window<'_> {
    /// The length in seconds.
    pub(super) fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1_000.0
    }

    /// Notes that histograms beside floats count for nothing.
    pub(super) fn note_ignored(&self, notes: &Notes) {
        if !self.histograms.is_empty() {
            notes.ignored_in_range(self.metric);
        }
    }
}
