//! Where data leaves the agent.
//!
//! **Architecture Invariant:** an exporter imports `pdata`, `component`, `resilience`,
//! `window`, `telemetry`, `server`, `exposition` and `yaml`, never another exporter and
//! never `pipeline`.

pub mod debug;
pub mod file;
pub mod otlp;
pub mod prometheus;
