//! What a Prometheus server does up to its store: finds targets, scrapes them, and writes their
//! samples.

pub mod config;
pub mod groups;
pub mod relabel;
pub mod targets;
