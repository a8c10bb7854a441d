//! A deployment as the API gives it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::receivers::deployment::reading::{
    DeploymentReading, MOST_TEXT, PodCounts, ReplicaCounts, ReplicaStatus,
};
use crate::receivers::kubernetes::{KubernetesObject, ObjectMeta};
use crate::traffic::DeploymentLabels;

/// An object of `apps/v1`, `Deployment`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::receivers::deployment) struct DeploymentObject {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: DeploymentSpec,
    #[serde(default)]
    status: DeploymentStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct DeploymentSpec {
    replicas: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeploymentStatus {
    ready_replicas: Option<u32>,
    available_replicas: Option<u32>,
    unavailable_replicas: Option<u32>,
}

impl KubernetesObject for DeploymentObject {
    fn uid(&self) -> &str {
        &self.metadata.uid
    }
}

impl DeploymentObject {
    /// Whether one of its texts is too long for a label. The API has shorter ones.
    pub(super) fn is_oversized(&self) -> bool {
        let metadata = &self.metadata;
        let namespace = metadata.namespace.as_ref().map_or(0, String::len);
        metadata.uid.len().max(metadata.name.len()).max(namespace) > MOST_TEXT
    }

    /// What it says. Counts that aren't there are 0, and of the replicas that are wanted 1, as the
    /// API has it.
    pub(super) fn reading(&self) -> DeploymentReading {
        let count = |value: Option<u32>| u64::from(value.unwrap_or(0));
        let (spec, status) = (&self.spec, &self.status);
        let desired = u64::from(spec.replicas.unwrap_or(1));
        let [ready, available, unavailable] = [
            status.ready_replicas,
            status.available_replicas,
            status.unavailable_replicas,
        ]
        .map(count);
        let health = match available {
            _ if available >= desired => 1.0,
            0 => 0.0,
            _ => 0.5,
        };
        let statuses = [
            ("ready", ready),
            ("available", available),
            ("unavailable", unavailable),
        ];
        let statuses: BTreeMap<ReplicaStatus, u64> = statuses
            .into_iter()
            .map(|(status, count)| {
                let status = status.to_owned();
                (ReplicaStatus { status, node: None }, count)
            })
            .collect();
        DeploymentReading {
            labels: DeploymentLabels {
                id: self.metadata.uid.clone(),
                name: Some(self.metadata.name.clone()),
                namespace: self.metadata.namespace.clone(),
            },
            replicas: Some(ReplicaCounts {
                running: ready,
                target: desired,
            }),
            health: Some(health),
            statuses,
            pods: Some(PodCounts { desired, available }),
            is_active: available > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_missing_are_as_the_api_has_them() {
        let f = |rest: &str, [desired, ready, available]: [u64; 3], health: f64, active: bool| {
            let text =
                format!(r#"{{"metadata":{{"uid":"u","name":"web","namespace":"eu"}}{rest}}}"#);
            let object: DeploymentObject = serde_json::from_str(&text).unwrap();
            let reading = object.reading();
            let expected = ReplicaCounts {
                running: ready,
                target: desired,
            };
            assert_eq!(reading.replicas, Some(expected), "{rest}");
            assert_eq!(
                reading.pods,
                Some(PodCounts { desired, available }),
                "{rest}"
            );
            assert_eq!(
                (reading.health, reading.is_active),
                (Some(health), active),
                "{rest}"
            );
        };
        f("", [1, 0, 0], 0.0, false);
        f(r#","spec":{},"status":{}"#, [1, 0, 0], 0.0, false);
        f(r#","spec":{"replicas":0}"#, [0, 0, 0], 1.0, false);
        f(
            r#","spec":{"replicas":3},"status":{"readyReplicas":2,"availableReplicas":2,
                "unavailableReplicas":1}"#,
            [3, 2, 2],
            0.5,
            true,
        );
        f(
            r#","spec":{"replicas":2},"status":{"readyReplicas":3,"availableReplicas":2}"#,
            [2, 3, 2],
            1.0,
            true,
        );
    }
}
