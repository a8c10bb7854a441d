//! What a replica counted from one of its readings to the next.

use super::observed::ObservedLatency;

/// What a replica counted between two readings.
#[derive(Debug, Clone, Default)]
pub struct Growth {
    /// Requests.
    pub requests: f64,
    /// Those that failed with a status of 500 or above; `None` if that isn't known.
    pub errors: Option<f64>,
    /// How long those took that were observed.
    pub latency: ObservedLatency,
}

impl Growth {
    /// Adds what other series of the replica counted.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        if let Some(errors) = other.errors {
            *self.errors.get_or_insert(0.0) += errors;
        }
        self.latency.add(&other.latency, 1.0);
    }
}
