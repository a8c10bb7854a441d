//! `stddev`: how far the numbers lie from their mean, as a population.

use super::numbers::{Needs, Numbers, Statistic};

/// The standard deviation of the numbers, all of them (divided by `n`).
#[derive(Debug, Clone, Copy, Default)]
pub struct StdDev;

impl Statistic for StdDev {
    fn needs(&self) -> Needs {
        Needs::VALUES
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        // Welford's way, which stays exact where all numbers are large and close.
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for value in numbers.values() {
            count += 1.0;
            let distance = value - mean;
            mean += distance / count;
            squares += distance * (value - mean);
        }
        (count > 0.0).then(|| (squares / count).sqrt())
    }
}
