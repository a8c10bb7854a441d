//! The components through which data leaves the agent: `prometheus`, `otlp_grpc`, `otlp_http`,
//! `file` and `debug`.
//!
//! **Architecture Invariant:** exporters import what `docs/architecture.md` lists for components,
//! never `config` or `pipeline`. No exporter imports another.

pub mod debug;
pub mod file;
pub mod otlp;
pub mod prometheus;
