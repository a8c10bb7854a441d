//! The gauges of deployments.

use std::time::SystemTime;

use super::labels::DeploymentLabels;
use super::sum::TrafficValues;
use crate::pdata::writer::{
    MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};

/// A deployment, and what is shown of it before and from now on.
#[derive(Debug, Clone, Copy)]
pub struct TrafficChange<'a> {
    /// Its labels.
    pub labels: &'a DeploymentLabels,
    /// What was shown last.
    pub before: TrafficValues,
    /// What is shown now. What is no longer there ends with a tombstone.
    pub now: TrafficValues,
}

type GaugeValue = fn(&TrafficValues) -> Option<f64>;

/// No unit: with one, the names that dashboards know would become longer.
const GAUGES: [(&str, &str, GaugeValue); 5] = [
    ("deployment_request_rate", "requests per second", |values| {
        values.request_rate
    }),
    (
        "deployment_error_rate",
        "requests per second that failed with a status of 500 or above",
        |values| values.error_rate,
    ),
    (
        "deployment_latency",
        "mean duration of requests, in milliseconds",
        |values| values.latency,
    ),
    (
        "deployment_latency_p95",
        "95th percentile of the duration of requests, in milliseconds",
        |values| values.latency_p95,
    ),
    (
        "deployment_latency_p99",
        "99th percentile of the duration of requests, in milliseconds",
        |values| values.latency_p99,
    ),
];

/// Writes the gauges of these deployments into the current scope.
pub fn write_gauges(out: &mut MetricsWriter, time: SystemTime, deployments: &[TrafficChange<'_>]) {
    for (name, description, read) in GAUGES {
        let mut begun = false;
        for change in deployments {
            let value = read(&change.now);
            if value.is_none() && read(&change.before).is_none() {
                continue;
            }
            if !begun {
                let descriptor = MetricDescriptor {
                    name,
                    unit: "",
                    description,
                };
                out.metric(MetricKind::Gauge, descriptor);
                begun = true;
            }
            out.number(NumberPointData {
                attributes: &change.labels.attributes(),
                start: None,
                time,
                value: value.map(PointNumber::Double),
            });
        }
    }
}
