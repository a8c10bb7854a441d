//! Foghorn: an OpenTelemetry agent for small, badly connected machines.
#![forbid(unsafe_code)]

pub mod component;
pub mod config;
pub mod pdata;
pub mod telemetry;
pub mod yaml;
