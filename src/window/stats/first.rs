//! `first`: the number of the earliest time.

use super::numbers::{Needs, Numbers, Statistic};

/// The number of the earliest time.
#[derive(Debug, Clone, Copy, Default)]
pub struct FirstValue;

impl Statistic for FirstValue {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let digest = numbers.digest();
        (digest.count > 0).then_some(digest.first)
    }
}
