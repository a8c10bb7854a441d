//! `max`: the greatest number.

use super::numbers::{Needs, Numbers, Statistic};

/// The greatest number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Maximum;

impl Statistic for Maximum {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let digest = numbers.digest();
        (digest.count > 0).then_some(digest.max)
    }
}
