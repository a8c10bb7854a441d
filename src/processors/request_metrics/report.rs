//! What the processor tells of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::time::Instant;

use crate::component::BuildContext;
use crate::telemetry::Throttle;

/// Why a histogram point was not taken, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrafficRefusal {
    MaxDeployments,
    MaxReplicas,
    MaxSeries,
    Oversized,
    OutOfOrder,
    Unsupported,
    TooWide,
    Malformed,
}

impl TrafficRefusal {
    fn reason(self) -> &'static str {
        match self {
            Self::MaxDeployments => "max_deployments",
            Self::MaxReplicas => "max_replicas",
            Self::MaxSeries => "max_series",
            Self::Oversized => "oversized",
            Self::OutOfOrder => "out_of_order",
            Self::Unsupported => "unsupported",
            Self::TooWide => "too_wide",
            Self::Malformed => "malformed",
        }
    }

    /// Whether a bound is reached that the user can move.
    fn is_bound(self) -> bool {
        matches!(
            self,
            Self::MaxDeployments | Self::MaxReplicas | Self::MaxSeries
        )
    }
}

/// Counts and logs.
pub(super) struct TrafficReport {
    processor: KeyValue,
    refused: Counter<u64>,
    /// Deployments, replicas and series.
    remembered: Arc<[AtomicU64; 3]>,
    exceeding: Throttle,
}

impl TrafficReport {
    pub(super) fn new(context: &BuildContext) -> Self {
        let meter = context
            .telemetry
            .meter("foghorn.processors.request_metrics");
        let processor = KeyValue::new("processor", context.id.to_string());
        let remembered = Arc::new([const { AtomicU64::new(0) }; 3]);
        let gauges = [
            (
                "foghorn_request_metrics_deployments",
                "Deployments whose requests are counted",
            ),
            (
                "foghorn_request_metrics_replicas",
                "Replicas whose requests are counted",
            ),
            (
                "foghorn_request_metrics_series",
                "Histograms whose last counts are remembered",
            ),
        ];
        for (index, (name, description)) in gauges.into_iter().enumerate() {
            let (remembered, processor) = (Arc::clone(&remembered), processor.clone());
            meter
                .u64_observable_gauge(name)
                .with_description(description)
                .with_callback(move |observer| {
                    if let Some(number) = remembered.get(index) {
                        let number = number.load(Ordering::Relaxed);
                        observer.observe(number, std::slice::from_ref(&processor));
                    }
                })
                .build();
        }
        Self {
            refused: meter
                .u64_counter("foghorn_request_metrics_refused_total")
                .with_description("Histogram points that were not taken, or not whole")
                .build(),
            processor,
            remembered,
            exceeding: Throttle::default(),
        }
    }

    pub(super) fn refused(&self, refusal: TrafficRefusal, points: u64, now: Instant) {
        if points == 0 {
            return;
        }
        let reason = KeyValue::new("reason", refusal.reason());
        self.refused.add(points, &[self.processor.clone(), reason]);
        if refusal.is_bound()
            && let Some(points) = self.exceeding.pass(points, now)
        {
            tracing::warn!(
                processor = %self.processor.value,
                points,
                "{} is reached: requests of further ones are not counted",
                refusal.reason(),
            );
        }
    }

    pub(super) fn remembered(&self, numbers: [usize; 3]) {
        for (shown, number) in self.remembered.iter().zip(numbers) {
            shown.store(number as u64, Ordering::Relaxed);
        }
    }
}
