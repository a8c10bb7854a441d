//! What runs beside the pipelines.
//!
//! **Architecture Invariant:** an extension imports `component`, `telemetry`, `server` and
//! `yaml`, never another extension and never `pipeline`.

pub mod health_check;
