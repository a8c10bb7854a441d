//! What a control plane says of its deployments, whichever it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::traffic::DeploymentLabels;

/// The longest text that becomes a label, in bytes.
pub(super) const MOST_TEXT: usize = 256;

/// What is known of one deployment. What isn't known is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeploymentReading {
    pub(super) labels: DeploymentLabels,
    /// Replicas that work, and replicas that are wanted.
    pub(super) replicas: Option<ReplicaCounts>,
    /// 1 for healthy, 0.5 for degraded, 0 for unhealthy.
    pub(super) health: Option<f64>,
    /// How many replicas are in a status.
    pub(super) statuses: BTreeMap<ReplicaStatus, u64>,
    /// Pods that are wanted and available, if it is one of Kubernetes.
    pub(super) pods: Option<PodCounts>,
    /// Whether it counts as active.
    pub(super) is_active: bool,
}

/// Replicas of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReplicaCounts {
    pub(super) running: u64,
    pub(super) target: u64,
}

/// Pods of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PodCounts {
    pub(super) desired: u64,
    pub(super) available: u64,
}

/// What tells the replicas of a deployment apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReplicaStatus {
    pub(super) status: String,
    /// The node that they are on, if it is known.
    pub(super) node: Option<String>,
}

/// Deployments by their id.
pub(super) type DeploymentsById = BTreeMap<String, Arc<DeploymentReading>>;

/// What deployments are now, by their id; `None` for one that is gone.
pub(super) type DeploymentChanges = Vec<(String, Option<Arc<DeploymentReading>>)>;

impl DeploymentReading {
    /// The series that it has and `other` doesn't have; `None` if there are none.
    pub(super) fn minus(&self, other: Option<&Self>) -> Option<Self> {
        let Some(other) = other.filter(|other| other.labels == self.labels) else {
            return Some(self.clone());
        };
        let mut statuses = self.statuses.clone();
        statuses.retain(|status, _| !other.statuses.contains_key(status));
        let rest = Self {
            labels: self.labels.clone(),
            replicas: self.replicas.filter(|_| other.replicas.is_none()),
            health: self.health.filter(|_| other.health.is_none()),
            statuses,
            pods: self.pods.filter(|_| other.pods.is_none()),
            is_active: false,
        };
        rest.has_series().then_some(rest)
    }

    fn has_series(&self) -> bool {
        self.replicas.is_some()
            || self.health.is_some()
            || !self.statuses.is_empty()
            || self.pods.is_some()
    }
}
