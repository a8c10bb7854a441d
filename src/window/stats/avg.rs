//! `avg`: the arithmetic mean.

use super::numbers::{Needs, Numbers, Statistic};

/// The arithmetic mean.
#[derive(Debug, Clone, Copy, Default)]
pub struct Avg;

impl Statistic for Avg {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let digest = numbers.digest();
        let count = f64::from(digest.count);
        if digest.count == 0 {
            return None;
        }
        Some(digest.total() / count)
    }
}
