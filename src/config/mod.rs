//! What the user asked for: loaded from files, environment and flags, merged, expanded,
//! and validated in one go, so that a [`Config`] that exists can be run.
//!
//! **Architecture Invariant:** this module imports only `component`, `pdata`, `resilience`
//! and `yaml`.

mod expand;
mod guards;
mod load;
mod merge;
mod model;
mod resolve;
mod service;
mod telemetry;

pub use expand::Environment;
pub use load::{DEFAULT, Invalid, Loaded, Sources};
pub use model::{
    Config, LogEncoding, MetricsPage, PipelineConfig, PipelineId, QueryConfig, ServiceConfig,
    ServiceHttpConfig, ShutdownConfig, Stage, TelemetryConfig,
};
