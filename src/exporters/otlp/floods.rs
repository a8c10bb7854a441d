//! Counts and logs, once a minute at most, connections that were ended because the peer sent
//! without end what nobody asked for.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::time::Instant;

use crate::component::{BuildContext, ComponentId};
use crate::telemetry::Throttle;

/// The floods of one exporter and signal.
#[derive(Debug)]
pub(super) struct Floods {
    exporter: ComponentId,
    ended: Counter<u64>,
    attributes: [KeyValue; 2],
    untold: Throttle,
}

impl Floods {
    pub(super) fn new(context: &BuildContext) -> Self {
        let ended = context
            .telemetry
            .meter("foghorn")
            .u64_counter("foghorn_otlp_connections_ended_total")
            .with_description("Connections to a peer that the exporter ended, by reason")
            .build();
        Self {
            exporter: context.id.clone(),
            ended,
            attributes: [
                KeyValue::new("exporter", context.id.to_string()),
                KeyValue::new("reason", "flood"),
            ],
            untold: Throttle::default(),
        }
    }

    /// Records that a connection was ended.
    pub(super) fn note(&self, now: Instant) {
        self.ended.add(1, &self.attributes);
        if let Some(connections) = self.untold.pass(1, now) {
            self.warn(connections);
        }
    }

    fn warn(&self, connections: u64) {
        tracing::warn!(
            exporter = %self.exporter,
            connections,
            "the peer sends without end what nobody asked for, so connections to it were ended",
        );
    }
}

impl Drop for Floods {
    fn drop(&mut self) {
        if let Some(connections) = self.untold.rest() {
            self.warn(connections);
        }
    }
}
