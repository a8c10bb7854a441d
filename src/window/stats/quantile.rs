//! Quantiles, exactly: the order statistics of all numbers, by selection and not by a sketch.

use super::numbers::{Needs, Numbers, Statistic};

/// A percentile as the platform defines it: one of the numbers. Of `n` sorted numbers it is
/// the one at `ceil(p / 100 * (n - 1))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlatformQuantile {
    /// Between 0 and 100.
    pub percent: f64,
}

/// A quantile as Prometheus computes it: between the two numbers beside `q * (n - 1)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearQuantile {
    /// Between 0 and 1; below it is negative infinity, above positive.
    pub quantile: f64,
}

impl Statistic for PlatformQuantile {
    fn needs(&self) -> Needs {
        Needs::VALUES
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let last = numbers.values().len().checked_sub(1)?;
        // Multiplied first: 55 / 100 * 100 is more than 55, and would be the number after it.
        let rank = (self.percent.clamp(0.0, 100.0) * last as f64 / 100.0).ceil();
        numbers.ranked((rank as usize).min(last))
    }
}

impl Statistic for LinearQuantile {
    fn needs(&self) -> Needs {
        Needs::VALUES
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let last = numbers.values().len().checked_sub(1)?;
        if self.quantile.is_nan() {
            return Some(f64::NAN);
        }
        if self.quantile < 0.0 {
            return Some(f64::NEG_INFINITY);
        }
        if self.quantile > 1.0 {
            return Some(f64::INFINITY);
        }
        let rank = self.quantile * last as f64;
        let lower = (rank.floor() as usize).min(last);
        let weight = rank - rank.floor();
        let below = numbers.ranked(lower)?;
        let above = numbers.ranked((lower + 1).min(last))?;
        Some(below * (1.0 - weight) + above * weight)
    }
}
