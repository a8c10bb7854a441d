//! Objects of a cluster, as far as targets are made of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::receivers::kubernetes::KubernetesObject;

/// `metadata`, as far as it becomes labels.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) uid: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) owner_references: Vec<OwnerReference>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct OwnerReference {
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) controller: Option<bool>,
}

/// An object that targets are made of.
pub(super) trait ClusterObject: KubernetesObject {
    fn metadata(&self) -> &Metadata;
}

macro_rules! cluster_object {
    ($($object:ty),*) => {$(
        impl KubernetesObject for $object {
            fn uid(&self) -> &str {
                &self.metadata.uid
            }
        }

        impl ClusterObject for $object {
            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
        }
    )*};
}

cluster_object!(PodObject, ServiceObject, SliceObject, NodeObject);

/// An object of `v1`, `Pod`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct PodObject {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: PodSpec,
    #[serde(default)]
    pub(super) status: PodStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    #[serde(default)]
    pub(super) node_name: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) init_containers: Vec<Container>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
    #[serde(default)]
    pub(super) image: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerPort {
    #[serde(default)]
    pub(super) name: String,
    pub(super) container_port: i32,
    #[serde(default)]
    pub(super) protocol: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodStatus {
    #[serde(default)]
    pub(super) phase: String,
    #[serde(default, rename = "podIP")]
    pub(super) pod_ip: String,
    #[serde(default, rename = "hostIP")]
    pub(super) host_ip: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) conditions: Vec<PodCondition>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct PodCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(default, rename = "containerID")]
    pub(super) container_id: String,
}

/// An object of `v1`, `Service`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ServiceObject {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: ServiceSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default, rename = "clusterIP")]
    pub(super) cluster_ip: String,
    #[serde(default)]
    pub(super) external_name: String,
    #[serde(default, rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) ip_families: Vec<String>,
    #[serde(default)]
    pub(super) ip_family_policy: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ServicePort {
    #[serde(default)]
    pub(super) name: String,
    pub(super) port: i32,
    #[serde(default)]
    pub(super) protocol: String,
}

/// An object of `discovery.k8s.io/v1`, `EndpointSlice`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SliceObject {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) address_type: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) endpoints: Vec<SliceEndpoint>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) ports: Vec<SlicePort>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SliceEndpoint {
    #[serde(default, deserialize_with = "or_null")]
    pub(super) addresses: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) conditions: EndpointConditions,
    pub(super) hostname: Option<String>,
    pub(super) node_name: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) target_ref: Option<ObjectReference>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) deprecated_topology: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct EndpointConditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ObjectReference {
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SlicePort {
    pub(super) name: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) port: Option<i32>,
    pub(super) app_protocol: Option<String>,
}

/// An object of `v1`, `Node`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct NodeObject {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: NodeSpec,
    #[serde(default)]
    pub(super) status: NodeStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct NodeSpec {
    #[serde(default, rename = "providerID")]
    pub(super) provider_id: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeStatus {
    #[serde(default, deserialize_with = "or_null")]
    pub(super) addresses: Vec<NodeAddress>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) daemon_endpoints: DaemonEndpoints,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DaemonEndpoints {
    #[serde(default, deserialize_with = "or_null")]
    pub(super) kubelet_endpoint: KubeletEndpoint,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KubeletEndpoint {
    #[serde(default)]
    pub(super) port: i32,
}

/// What is written, or the default for `null`, which is how Go writes what is empty.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
