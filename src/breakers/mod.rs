//! Everything by which the breakers of an agent are seen and commanded: their metrics, their
//! log, and what an operator does to them by HTTP.
//!
//! A breaker publishes its events and has no code for logs or metrics. This module has: it reads
//! the registry of endpoints when metrics are collected, and gets every event as an
//! [`Observer`].
//!
//! - [`BreakerWatch`] is what the registry tells its events to: the log of transitions and
//!   rejections.
//! - [`BreakerWatch::begin`] registers the instruments.
//! - [`routes`] are the list of breakers, and the commands of an operator.
//!
//! Emits the `circuit_breaker_*` metrics, which `breakers::metrics` lists.
//!
//! **Architecture Invariant:** this module imports only `component`, `resilience` and
//! `telemetry`, and nothing imports it but `service`.

mod durations;
mod http;
mod log;
mod metrics;
mod readings;

use std::sync::Arc;

pub use self::http::routes;
use self::log::BreakerLog;
use crate::resilience::{Endpoints, Observer};
use crate::telemetry::Telemetry;

/// Watches over the breakers of one agent.
#[derive(Debug, Clone, Default)]
pub struct BreakerWatch {
    log: Arc<BreakerLog>,
}

impl BreakerWatch {
    /// A watch that has got no event yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the registry tells its events to.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.log) as _
    }

    /// Registers the instruments, with room for the series of as many endpoints as
    /// `room`: the SDK allots tables for as many series as there may be.
    pub fn begin(&self, telemetry: &Telemetry, endpoints: &Arc<Endpoints>, room: usize) {
        metrics::observe(telemetry, endpoints, room);
        durations::observe(telemetry, endpoints);
    }

    /// Says in the log what it has kept back. For the end, when no more events come.
    pub fn tell_rest(&self) {
        self.log.tell_rest();
    }
}

#[cfg(test)]
mod tests;
