//! `increase`: by how much a counter grew.

use super::extrapolation::extrapolated;
use super::numbers::{Needs, Numbers, Statistic};

/// By how much a counter grew within the window, resets made up for, extrapolated as
/// Prometheus does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Increase;

impl Statistic for Increase {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        extrapolated(numbers, true)
    }
}
