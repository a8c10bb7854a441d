//! What the replicas of a deployment come to together.

use super::growth::Growth;
use super::observed::ObservedLatency;

/// Requests a second, of one replica or of several.
#[derive(Debug, Clone, Default)]
pub struct TrafficSum {
    requests: f64,
    errors: Option<f64>,
    latency: ObservedLatency,
}

/// What is shown of a deployment. What isn't known is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TrafficValues {
    /// Requests a second.
    pub request_rate: Option<f64>,
    /// Requests a second that failed with a status of 500 or above.
    pub error_rate: Option<f64>,
    /// The mean duration, in milliseconds.
    pub latency: Option<f64>,
    /// What 95 of 100 requests took at most, in milliseconds.
    pub latency_p95: Option<f64>,
    /// What 99 of 100 requests took at most, in milliseconds.
    pub latency_p99: Option<f64>,
}

impl TrafficSum {
    /// What grew within so many seconds.
    pub(super) fn per_second(growth: &Growth, seconds: f64) -> Self {
        let mut latency = ObservedLatency::default();
        latency.add(&growth.latency, 1.0 / seconds);
        Self {
            requests: growth.requests / seconds,
            errors: growth.errors.map(|errors| errors / seconds),
            latency,
        }
    }

    /// Adds a replica.
    pub fn add(&mut self, replica: &Self) {
        self.requests += replica.requests;
        self.add_errors(replica.errors);
        self.latency.add(&replica.latency, 1.0);
    }

    /// Adds a replica that has had no request; `counts_errors` tells whether it would say which
    /// fail.
    pub fn add_idle(&mut self, counts_errors: bool) {
        self.add_errors(counts_errors.then_some(0.0));
    }

    fn add_errors(&mut self, errors: Option<f64>) {
        if let Some(errors) = errors {
            *self.errors.get_or_insert(0.0) += errors;
        }
    }

    /// How many buckets it has, which is what adding it costs.
    #[must_use]
    pub fn width(&self) -> usize {
        self.latency.width()
    }

    /// What is shown of it.
    #[must_use]
    pub fn values(&self) -> TrafficValues {
        let millis = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1e3);
        TrafficValues {
            request_rate: Some(self.requests),
            error_rate: self.errors,
            latency: millis(self.latency.mean()),
            latency_p95: millis(self.latency.quantile(0.95)),
            latency_p99: millis(self.latency.quantile(0.99)),
        }
    }
}
