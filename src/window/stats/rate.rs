//! `rate`: how fast a counter grew.

use super::extrapolation::extrapolated;
use super::numbers::{Needs, Numbers, Statistic};

/// By how much a counter grew in a second, resets made up for, extrapolated as Prometheus does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate;

impl Statistic for Rate {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let seconds = numbers.to().saturating_sub(numbers.from()) as f64 / 1000.0;
        extrapolated(numbers, true).map(|increase| increase / seconds)
    }
}
