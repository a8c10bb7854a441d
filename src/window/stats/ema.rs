//! `ema`: a mean in which older numbers weigh less.

use super::numbers::{Needs, Numbers, Statistic};

/// The exponential moving average at the window's last number. The weight of a number halves
/// with every `half_life` that passes after it, however the numbers are spaced. Of several
/// series at once there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ema {
    /// In milliseconds; half of the window if it is not positive.
    pub half_life: i64,
}

impl Statistic for Ema {
    fn needs(&self) -> Needs {
        Needs::POINTS
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let half_life = if self.half_life > 0 {
            self.half_life as f64
        } else {
            numbers.to().saturating_sub(numbers.from()).max(1) as f64 / 2.0
        };
        let mut mean = *numbers.values().first()?;
        let points = numbers.times().windows(2).zip(&numbers.values()[1..]);
        for (times, value) in points {
            let passed = times[1].saturating_sub(times[0]) as f64;
            if passed < 0.0 {
                return None;
            }
            let kept = (-passed / half_life).exp2();
            mean = value + kept * (mean - value);
        }
        Some(mean)
    }
}
