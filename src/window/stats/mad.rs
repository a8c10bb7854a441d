//! `mad`: how far the numbers lie from their median, whatever a few outliers do.

use super::numbers::{Needs, Numbers, Statistic};
use super::quantile::LinearQuantile;

/// The median absolute deviation: the median of the distances from the median, not scaled, both
/// as Prometheus computes quantiles.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mad;

const MEDIAN: LinearQuantile = LinearQuantile { quantile: 0.5 };

impl Statistic for Mad {
    fn needs(&self) -> Needs {
        Needs::VALUES
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let median = MEDIAN.of(numbers)?;
        let mut distances = numbers.with_values(|value| (value - median).abs());
        MEDIAN.of(&mut distances)
    }
}
