//! `count`: how many numbers there are.

use super::numbers::{Needs, Numbers, Statistic};

/// How many numbers there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct PointCount;

impl Statistic for PointCount {
    fn needs(&self) -> Needs {
        Needs::DIGEST
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let digest = numbers.digest();
        (digest.count > 0).then(|| f64::from(digest.count))
    }
}
