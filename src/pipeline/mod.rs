//! Everything between receivers and exporters: admission, processors, fan-out, delivery,
//! and the ledger that knows where every item is.
//!
//! ```text
//! receiver --intake--> [memory, vote of the queues] --channel--> chain --fan-out--+--> queue --> exporter
//!                       admission, budget           worker        fanout           +--> queue --> sink
//! ```
//!
//! One task per pipeline and one per signal of an exporter. Every channel and queue between two
//! tasks is bounded. Only admission refuses requests: what was admitted is delivered, or dropped
//! with a reason that is counted.
//!
//! An exporter that stands in several pipelines of a signal is one task with one queue, and
//! each request in it knows its pipeline. All queues of an exporter share its room.
//!
//! Metrics: `foghorn_pipeline_items_total`, `foghorn_pipeline_held_items`,
//! `foghorn_pipeline_in_flight_bytes`,
//! `foghorn_delivery_items_total`, `foghorn_delivery_queued_items`,
//! `foghorn_receiver_refused_requests_total`, `foghorn_receiver_refused_bytes_total`, and
//! the Collector's `otelcol_receiver_*`, `otelcol_processor_*` and `otelcol_exporter_*`.
//!
//! **Architecture Invariant:** this module imports only `component`, `config`, `pdata`,
//! `resilience` and `telemetry`, and never a concrete component.

mod admission;
mod ages;
mod alarm;
mod budget;
mod capacity;
mod chain;
pub mod conformance;
mod delivery;
mod fanout;
mod grace;
mod graph;
mod last_words;
mod lease;
mod ledger;
mod metrics;
mod outlet;
mod pace;
mod probe;
mod queue;
mod recent;
mod refusals;
mod sink;
mod status;
#[cfg(test)]
pub(crate) mod testing;
mod vote;
mod worker;

use std::any::Any;

pub use grace::{Grace, GraceControl};
pub use graph::{BuildError, BuildErrors, ExporterTask, Graph, Surroundings};
pub use last_words::LastWords;
pub use ledger::{Imbalance, Ledger, LedgerSnapshot, LegEntry, Losses, PipelineEntry};
pub use worker::PipelineTask;

/// How a task came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It had nothing left to do.
    Completed,
    /// The grace was over before it had.
    Cancelled,
    /// It panicked, with this message.
    Panicked(String),
}

/// What a panic said, if it said anything in words.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without words".to_owned()
    }
}
