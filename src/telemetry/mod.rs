//! The agent's own telemetry, through the OpenTelemetry SDK.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate.

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;

/// Hands out the instruments that the agent's own metrics are made with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    provider: SdkMeterProvider,
    registry: prometheus::Registry,
}

impl Telemetry {
    /// The meter for a component of the agent.
    pub fn meter(&self, name: &'static str) -> Meter {
        self.provider.meter(name)
    }

    /// The registry from which the agent's own families are gathered.
    pub fn registry(&self) -> &prometheus::Registry {
        &self.registry
    }
}
