//! How many observations there are, and what they add up to.

/// Observations that were counted, and the sum of those of which it is known.
///
/// A source may know no sum, or NaN or infinity since it observed such a number. Then the sum of
/// its observations is left out, so that it takes nothing from others, and they aren't part of the
/// mean either.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ObservedTotal {
    count: f64,
    /// Of those among `summed`; `None` if no source has any.
    sum: Option<f64>,
    summed: f64,
}

impl ObservedTotal {
    /// Adds some, and their sum if it is known.
    pub(super) fn add(&mut self, count: f64, sum: Option<f64>) {
        self.count += count;
        if let Some(sum) = sum.filter(|sum| sum.is_finite()) {
            self.sum = Some(self.sum.unwrap_or(0.0) + sum);
            self.summed += count;
        }
    }

    pub(super) fn count(&self) -> f64 {
        self.count
    }

    pub(super) fn sum(&self) -> Option<f64> {
        self.sum
    }

    pub(super) fn mean(&self) -> Option<f64> {
        let sum = self.sum?;
        (self.summed > 0.0).then(|| sum / self.summed)
    }
}
