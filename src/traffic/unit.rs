//! In what durations are given.

/// The unit of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatencyUnit {
    /// Seconds.
    Seconds,
    /// Thousandths of seconds.
    Millis,
}

impl LatencyUnit {
    /// How many seconds it has.
    #[must_use]
    pub fn seconds(self) -> f64 {
        match self {
            Self::Seconds => 1.0,
            Self::Millis => 1e-3,
        }
    }
}
