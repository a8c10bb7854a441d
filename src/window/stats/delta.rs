//! `delta`: by how much a gauge changed.

use super::extrapolation::extrapolated;
use super::numbers::{Needs, Numbers, Statistic};

/// By how much a gauge changed within the window, extrapolated as Prometheus does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delta;

impl Statistic for Delta {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        extrapolated(numbers, false)
    }
}
