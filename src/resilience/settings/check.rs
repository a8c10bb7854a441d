//! Reads written values, and remembers what is wrong with them.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{Amount, Key, Problems, SettingsProblem};

/// Collects problems while values are read.
#[derive(Default)]
pub(super) struct Check {
    problems: Vec<SettingsProblem>,
}

impl Check {
    pub(super) fn report(&mut self, problem: SettingsProblem) {
        self.problems.push(problem);
    }

    pub(super) fn count(
        &mut self,
        key: &'static str,
        written: Option<u64>,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u32 {
        let value = self.within(key, written, range, default, Amount::Count);
        u32::try_from(value).unwrap_or(u32::MAX)
    }

    pub(super) fn number(
        &mut self,
        key: &'static str,
        written: Option<f64>,
        range: RangeInclusive<f64>,
        default: f64,
    ) -> f64 {
        self.within(key, written, range, default, Amount::Number)
    }

    pub(super) fn time(
        &mut self,
        key: &'static str,
        written: Option<Duration>,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        self.within(key, written, range, default, Amount::Time)
    }

    /// The written value if it is in range. What is returned beside a problem only lets
    /// the other keys be checked.
    fn within<T: PartialOrd + Copy>(
        &mut self,
        key: &'static str,
        written: Option<T>,
        range: RangeInclusive<T>,
        default: T,
        amount: fn(T) -> Amount,
    ) -> T {
        match written {
            None => default,
            Some(value) if range.contains(&value) => value,
            Some(value) => {
                self.problems.push(SettingsProblem::OutOfRange {
                    key: Key(key),
                    value: amount(value),
                    min: amount(*range.start()),
                    max: amount(*range.end()),
                });
                default
            }
        }
    }

    /// Two written values must not cross.
    pub(super) fn ordered(&mut self, low: (Key, Option<Amount>), high: (Key, Option<Amount>)) {
        let (Some(low_value), Some(limit)) = (low.1, high.1) else {
            return;
        };
        let crossed = match (low_value, limit) {
            (Amount::Count(low), Amount::Count(high)) => low > high,
            (Amount::Time(low), Amount::Time(high)) => low > high,
            _ => false,
        };
        if crossed {
            self.problems.push(SettingsProblem::Crossed {
                low: low.0,
                low_value,
                high: high.0,
                limit,
            });
        }
    }

    pub(super) fn finish<T>(self, settings: T) -> Result<T, Problems> {
        if self.problems.is_empty() {
            Ok(settings)
        } else {
            Err(Problems(self.problems))
        }
    }
}
