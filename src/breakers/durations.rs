//! How long wire attempts take: `circuit_breaker_request_duration_seconds{component,endpoint,signal}`.
//!
//! A histogram can't be observed from figures that are kept elsewhere, so it is recorded
//! as attempts end. The SDK never forgets a series of it: those of endpoints that are gone
//! are taken off the page when it is made.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock, Weak};

use opentelemetry::metrics::Histogram;
use prometheus::proto::Metric;

use super::readings::labels;
use crate::resilience::{EndpointId, Endpoints, Event, Observer, Outcome};
use crate::telemetry::Telemetry;

const NAME: &str = "circuit_breaker_request_duration_seconds";

/// Records attempts once [`begin`](Self::begin) was called; no attempt is made before that.
#[derive(Debug, Default)]
pub(super) struct Durations {
    histogram: OnceLock<Histogram<f64>>,
}

impl Durations {
    /// Makes the instrument, with room for so many series.
    pub(super) fn begin(&self, telemetry: &Telemetry, endpoints: &Arc<Endpoints>, room: usize) {
        telemetry.make_room(room);
        let histogram = telemetry
            .meter("foghorn.breakers")
            .f64_histogram(NAME)
            .with_description("How long wire attempts took, each retry on its own.")
            .build();
        // Begun twice, the first goes on.
        let _ = self.histogram.set(histogram);
        let endpoints = Arc::downgrade(endpoints);
        telemetry.retain(NAME, move |series| forget_gone(&endpoints, series));
    }
}

impl Observer for Durations {
    fn on_event(&self, endpoint: &EndpointId, event: &Event<'_>) {
        let Event::Attempted { outcome, took, .. } = event else {
            return;
        };
        // The duration of a cancelled attempt says when its caller gave up, and not how long the
        // endpoint takes.
        if *outcome == Outcome::Cancelled {
            return;
        }
        if let Some(histogram) = self.histogram.get() {
            histogram.record(took.as_secs_f64(), &labels(endpoint));
        }
    }
}

fn forget_gone(endpoints: &Weak<Endpoints>, series: &mut Vec<Metric>) {
    let Some(endpoints) = endpoints.upgrade() else {
        return series.clear();
    };
    let all = endpoints.all();
    let there: HashSet<(&str, &str, &str)> = all
        .iter()
        .map(|endpoint| endpoint.id())
        .map(|id| (id.component(), id.url(), id.signal().unwrap_or("")))
        .collect();
    series.retain(|metric| {
        let label = |name| {
            let mut pairs = metric.get_label().iter();
            pairs
                .find(|pair| pair.name() == name)
                .map_or("", |pair| pair.value())
        };
        there.contains(&(label("component"), label("endpoint"), label("signal")))
    });
}
