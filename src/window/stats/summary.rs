//! What summaries counted within a window.

use super::super::excerpt::Excerpt;
use super::super::point::StoredPoint;

/// Observations that summaries made within a window. Their quantiles can't be added up, and
/// are none of the window's.
#[derive(Debug, Default)]
pub struct SummaryIncrease {
    points: usize,
    count: f64,
    sum: f64,
}

impl SummaryIncrease {
    /// Adds what the series counted in the window of the excerpt. What it counted up to its
    /// first point there isn't known to belong to the window.
    pub fn gather(&mut self, excerpt: &Excerpt) {
        let mut before: Option<(f64, f64)> = None;
        let mut cursor = excerpt.cursor();
        while let Some((_, point)) = cursor.next() {
            let StoredPoint::Summary(summary) = point else {
                continue;
            };
            if point.is_stale() || !summary.count.is_finite() || !summary.sum.is_finite() {
                continue;
            }
            self.points += 1;
            let (count, sum) = match before {
                // It counts from zero on.
                Some((count, _)) if summary.count < count => (0.0, 0.0),
                Some(before) => before,
                None => (summary.count, summary.sum),
            };
            self.count += summary.count - count;
            self.sum += summary.sum - sum;
            before = Some((summary.count, summary.sum));
        }
    }

    /// Points that were read.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// How many observations.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }
}
