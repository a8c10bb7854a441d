//! The paths of a Betanet service that the receiver requests.

/// One path of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ServicePath {
    /// Packets, in v1.
    ApiMetrics,
    /// Nodes, in v1.
    ApiNodes,
    /// Bytes and latency, in v1.
    ApiNetwork,
    /// The list of mixnodes, in native.
    Mixnodes,
    /// Prometheus text, in native.
    Metrics,
    /// The summary, in native.
    Status,
}

impl ServicePath {
    pub(super) const V1: [ServicePath; 3] = [Self::ApiMetrics, Self::ApiNodes, Self::ApiNetwork];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::ApiMetrics => "/api/v1/metrics",
            Self::ApiNodes => "/api/v1/nodes/status",
            Self::ApiNetwork => "/api/v1/network/stats",
            Self::Mixnodes => "/mixnodes",
            Self::Metrics => "/metrics",
            Self::Status => "/status",
        }
    }

    pub(super) fn accept(self) -> &'static str {
        match self {
            Self::Metrics => "text/plain",
            _ => "application/json",
        }
    }
}
