//! What pages show, in Prometheus's terms.

mod labels;

pub use labels::{InvalidLabels, METRIC_NAME, ScrapedLabels};
