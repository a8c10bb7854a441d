//! `last`: the number of the latest time.

use super::numbers::{Needs, Numbers, Statistic};

/// The number of the latest time.
#[derive(Debug, Clone, Copy, Default)]
pub struct LastValue;

impl Statistic for LastValue {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let digest = numbers.digest();
        (digest.count > 0).then_some(digest.last)
    }
}
