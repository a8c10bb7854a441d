//! `sum`: all numbers together.

use super::numbers::{Needs, Numbers, Statistic};

/// All numbers together.
#[derive(Debug, Clone, Copy, Default)]
pub struct SumOf;

impl Statistic for SumOf {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let digest = numbers.digest();
        (digest.count > 0).then(|| digest.total())
    }
}
