//! What summaries counted within a window.

use super::super::excerpt::Excerpt;
use super::super::point::StoredPoint;
use super::observations::ObservedTotal;

/// Observations that summaries made within a window. Their quantiles can't be added up, and
/// are none of the window's.
#[derive(Debug, Default)]
pub struct SummaryIncrease {
    points: usize,
    observations: ObservedTotal,
}

impl SummaryIncrease {
    /// Adds what the series counted in the window of the excerpt. What it counted up to its
    /// first point there isn't known to belong to the window.
    pub fn gather(&mut self, excerpt: &Excerpt) {
        let mut before: Option<(f64, Option<f64>)> = None;
        let mut cursor = excerpt.cursor();
        while let Some((_, point)) = cursor.next() {
            let StoredPoint::Summary(summary) = point else {
                continue;
            };
            if point.is_stale() || !summary.count.is_finite() {
                continue;
            }
            self.points += 1;
            let now = (
                summary.count,
                Some(summary.sum).filter(|sum| sum.is_finite()),
            );
            let (count, sum) = match before {
                // It counts from zero on.
                Some((count, _)) if now.0 < count => (0.0, Some(0.0)),
                Some(before) => before,
                None => now,
            };
            let sum = now.1.zip(sum).map(|(now, before)| now - before);
            self.observations.add(now.0 - count, sum);
            before = Some(now);
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
        self.observations.count()
    }

    /// The sum of those between points that have one that is finite; `None` if no two do.
    #[must_use]
    pub fn sum(&self) -> Option<f64> {
        self.observations.sum()
    }

    /// The mean of those whose sum is known.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.observations.mean()
    }
}
