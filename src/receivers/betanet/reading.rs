//! The values that a Betanet service has reported, whichever path reported them. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::service_path::ServicePath;

/// The values reported; one that no path reported is `None`. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct InstanceReading {
    pub(super) peers: Option<u64>,
    pub(super) active: Option<u64>,
    pub(super) processed: Option<u64>,
    pub(super) dropped: Option<u64>,
    pub(super) transmitted: Option<u64>,
    pub(super) received: Option<u64>,
    pub(super) peak_throughput: Option<f64>,
    pub(super) latency_ms: Option<f64>,
    pub(super) connections: Option<u64>,
    /// Those that have series of their own.
    pub(super) mixnodes: Option<Arc<[Mixnode]>>,
    /// Those beyond `max_mixnodes`, which count for the sums alone.
    pub(super) others: Option<Arc<[Mixnode]>>,
    /// Entries of the list of mixnodes that couldn't be used.
    pub(super) rejected: Rejected,
    /// Which part reported the packets, once the answers of all parts are joined.
    pub(super) packets_by: Option<ServicePath>,
}

/// How many entries of a list couldn't be used, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    /// They can't be read.
    pub(super) invalid: u64,
    /// They are beyond a bound.
    pub(super) limit: u64,
}

impl InstanceReading {
    /// Fills the values that are absent here from `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            peers: self.peers.or(other.peers),
            active: self.active.or(other.active),
            processed: self.processed.or(other.processed),
            dropped: self.dropped.or(other.dropped),
            transmitted: self.transmitted.or(other.transmitted),
            received: self.received.or(other.received),
            peak_throughput: self.peak_throughput.or(other.peak_throughput),
            latency_ms: self.latency_ms.or(other.latency_ms),
            connections: self.connections.or(other.connections),
            mixnodes: self.mixnodes.or(other.mixnodes),
            others: self.others.or(other.others),
            rejected: Rejected {
                invalid: self.rejected.invalid + other.rejected.invalid,
                limit: self.rejected.limit + other.rejected.limit,
            },
            packets_by: self.packets_by.or(other.packets_by),
        }
    }

    /// The values that are present here and absent in `other`.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let nodes = match (&self.mixnodes, &other.mixnodes) {
            (Some(mine), Some(theirs)) if Arc::ptr_eq(mine, theirs) => None,
            (Some(mine), Some(theirs)) => {
                let theirs: HashMap<&str, &Mixnode> =
                    theirs.iter().map(|node| (&*node.id, node)).collect();
                let left = mine.iter().filter_map(|node| match theirs.get(&*node.id) {
                    Some(other) => node.minus(other),
                    None => Some(node.clone()),
                });
                let left: Arc<[Mixnode]> = left.collect();
                (!left.is_empty()).then_some(left)
            }
            (mine, None) => mine.clone(),
            (None, _) => None,
        };
        Self {
            peers: minus(self.peers, other.peers),
            active: minus(self.active, other.active),
            processed: minus(self.processed, other.processed),
            dropped: minus(self.dropped, other.dropped),
            transmitted: minus(self.transmitted, other.transmitted),
            received: minus(self.received, other.received),
            peak_throughput: minus(self.peak_throughput, other.peak_throughput),
            latency_ms: minus(self.latency_ms, other.latency_ms),
            connections: minus(self.connections, other.connections),
            mixnodes: nodes,
            ..Self::default()
        }
    }
}

impl Mixnode {
    /// The values that are present here and absent in `other`; `None` if there are none.
    fn minus(&self, other: &Self) -> Option<Self> {
        let left = Self {
            id: self.id.clone(),
            active: self.active,
            processed: minus(self.processed, other.processed),
            forwarded: minus(self.forwarded, other.forwarded),
            dropped: minus(self.dropped, other.dropped),
            uptime_seconds: minus(self.uptime_seconds, other.uptime_seconds),
            latency_ms: minus(self.latency_ms, other.latency_ms),
        };
        let any = left.processed.is_some()
            || left.forwarded.is_some()
            || left.dropped.is_some()
            || left.uptime_seconds.is_some()
            || left.latency_ms.is_some();
        any.then_some(left)
    }
}

fn minus<T>(mine: Option<T>, theirs: Option<T>) -> Option<T> {
    mine.filter(|_| theirs.is_none())
}

/// One entry of the list of mixnodes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mixnode {
    pub(super) id: String,
    pub(super) active: bool,
    pub(super) processed: Option<u64>,
    pub(super) forwarded: Option<u64>,
    pub(super) dropped: Option<u64>,
    pub(super) uptime_seconds: Option<f64>,
    pub(super) latency_ms: Option<f64>,
}
