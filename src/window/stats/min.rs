//! `min`: the least number.

use super::numbers::{Needs, Numbers, Statistic};

/// The least number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Minimum;

impl Statistic for Minimum {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let digest = numbers.digest();
        (digest.count > 0).then_some(digest.min)
    }
}
