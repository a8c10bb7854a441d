//! What the user asked for: loaded from files, environment and flags, merged, expanded,
//! and validated in one go, so that a [`Config`] that exists can be run.
//!
//! **Architecture Invariant:** this module imports only `component`, `pdata` and `yaml`.

mod model;

pub use model::{
    Config, HttpConfig, PipelineConfig, PipelineId, ServiceConfig, ShutdownConfig, Stage,
    TelemetryConfig,
};
