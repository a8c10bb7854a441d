//! `predict`: where a gauge will be, if it goes on as in the window.

use super::deriv::line;
use super::numbers::{Needs, Numbers, Statistic};

/// The height of the line through the points, some time after the end of the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Predict {
    /// Milliseconds after the end of the window.
    pub ahead: i64,
}

impl Statistic for Predict {
    fn needs(&self) -> Needs {
        Needs::POINTS
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let (slope, height) = line(numbers, numbers.to())?;
        Some(height + slope * self.ahead as f64 / 1000.0)
    }
}
