//! Writes metrics in Prometheus's terms into the store of a `window`.
//!
//! [`PointWriter`] has the form in which the store takes a value of the page. [`OwnMetrics`] are
//! the agent's own metrics, which pass no pipeline.
//!
//! **Architecture Invariant:** imports only `exposition`, `telemetry`, `translation` and
//! `window`: both the processors and the query API sample the agent's own metrics.

mod own;
mod points;

pub use own::OwnMetrics;
pub use points::PointWriter;

/// Milliseconds that lie at least between two points of a series that the agent adds by itself:
/// the 15 s of the receivers, less the second by which one may be early.
pub const INTERVAL: i64 = 14_000;
