//! An outlet as metrics and reports read it, without the graph that builds it.

use std::sync::Arc;

use super::queue::Queue;
use super::status::ExporterStatus;
use crate::pdata::Signal;

/// An outlet as the rest of the agent observes it.
#[derive(Debug, Clone)]
pub(super) struct ObservedOutlet {
    pub(super) status: Arc<ExporterStatus>,
    pub(super) queue: Arc<Queue>,
    /// The signal of a remote one, which has one outlet for each.
    pub(super) signal: Option<Signal>,
}
