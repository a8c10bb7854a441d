//! Targets and their labels, of each kind of object.
//!
//! Names and values are those of Prometheus's documentation. Pure.

use std::collections::{BTreeMap, HashSet};
use std::net::Ipv6Addr;

use super::objects::{
    Container, ContainerPort, Metadata, NodeObject, PodObject, ServiceObject, SliceEndpoint,
    SliceObject, SlicePort,
};
use crate::receivers::prometheus::groups::{ADDRESS, TargetGroup, TargetLabelMap};

/// What the labels of this discovery begin with.
const META: &str = "__meta_kubernetes_";

/// The addresses of a node by their types, the most wanted first.
const NODE_ADDRESSES: [&str; 6] = [
    "InternalIP",
    "InternalDNS",
    "ExternalIP",
    "ExternalDNS",
    "LegacyHostIP",
    "Hostname",
];

/// The label of a slice that names its service.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Labels in the making.
#[derive(Default)]
struct MetaLabels(TargetLabelMap);

impl MetaLabels {
    /// Of a target at this address.
    fn at(address: String) -> Self {
        Self(TargetLabelMap::from([(ADDRESS.to_owned(), address)]))
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert([META, name].concat(), value.into());
    }

    fn set_known(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(name, value.to_string());
        }
    }

    /// One label for each entry, and one that says that it is there, whatever it is.
    fn set_all(&mut self, of: &str, kind: &str, entries: &BTreeMap<String, String>) {
        for (key, value) in entries {
            let key = sanitized(key);
            self.set(&format!("{of}_{kind}_{key}"), value);
            self.set(&format!("{of}_{kind}present_{key}"), "true");
        }
    }

    /// The name, the labels and the annotations of an object.
    fn set_metadata(&mut self, of: &str, metadata: &Metadata) {
        self.set(&format!("{of}_name"), &metadata.name);
        self.set_all(of, "label", &metadata.labels);
        self.set_all(of, "annotation", &metadata.annotations);
    }

    fn set_pod(&mut self, pod: &PodObject) {
        let PodObject {
            metadata,
            spec,
            status,
        } = pod;
        self.set_metadata("pod", metadata);
        let mut conditions = status.conditions.iter();
        let ready = conditions.find(|condition| condition.kind == "Ready");
        let ready = ready.map_or("unknown", |condition| &condition.status);
        for (name, value) in [
            ("pod_ip", &*status.pod_ip),
            ("pod_ready", &ready.to_ascii_lowercase()),
            ("pod_phase", &status.phase),
            ("pod_node_name", &spec.node_name),
            ("pod_host_ip", &status.host_ip),
            ("pod_uid", &metadata.uid),
        ] {
            self.set(name, value);
        }
        let mut owners = metadata.owner_references.iter();
        if let Some(owner) = owners.find(|owner| owner.controller == Some(true)) {
            for (name, value) in [
                ("pod_controller_kind", &owner.kind),
                ("pod_controller_name", &owner.name),
            ] {
                if !value.is_empty() {
                    self.set(name, value);
                }
            }
        }
    }

    fn set_container(&mut self, container: &Container, is_init: bool) {
        self.set("pod_container_name", &container.name);
        self.set("pod_container_image", &container.image);
        self.set("pod_container_init", is_init.to_string());
    }

    fn set_container_port(&mut self, port: &ContainerPort) {
        self.set("pod_container_port_name", &port.name);
        self.set("pod_container_port_number", port.container_port.to_string());
        self.set("pod_container_port_protocol", &port.protocol);
    }

    fn set_service(&mut self, service: &ServiceObject) {
        self.set("namespace", &service.metadata.namespace);
        self.set_metadata("service", &service.metadata);
    }
}

/// A target for each port of each container; one without a port for a container that has none.
pub(super) fn pod_group(pod: &PodObject) -> TargetGroup {
    let ip = &pod.status.pod_ip;
    if ip.is_empty() {
        // It starts, or was evicted.
        return TargetGroup::default();
    }
    let mut labels = MetaLabels::default();
    labels.set("namespace", &pod.metadata.namespace);
    labels.set_pod(pod);
    let mut targets = Vec::new();
    for (container, is_init) in containers(pod) {
        let statuses = match is_init {
            true => &pod.status.init_container_statuses,
            false => &pod.status.container_statuses,
        };
        let status = statuses.iter().find(|of| of.name == container.name);
        let target = |address: String| {
            let mut target = MetaLabels::at(address);
            target.set_container(container, is_init);
            let id = status.map_or("", |status| &status.container_id);
            target.set("pod_container_id", id);
            target
        };
        if container.ports.is_empty() {
            targets.push(target(ip.clone()).0);
        }
        for port in &container.ports {
            let mut target = target(joined(ip, port.container_port));
            target.set_container_port(port);
            targets.push(target.0);
        }
    }
    TargetGroup {
        targets,
        labels: labels.0,
    }
}

/// A target for each port.
pub(super) fn service_group(service: &ServiceObject) -> TargetGroup {
    let mut labels = MetaLabels::default();
    labels.set_service(service);
    let (metadata, spec) = (&service.metadata, &service.spec);
    let host = format!("{}.{}.svc", metadata.name, metadata.namespace);
    let target = |port: &super::objects::ServicePort| {
        let mut target = MetaLabels::at(joined(&host, port.port));
        target.set("service_port_name", &port.name);
        target.set("service_port_number", port.port.to_string());
        target.set("service_port_protocol", &port.protocol);
        target.set("service_type", &spec.kind);
        match &*spec.kind {
            "ExternalName" => target.set("service_external_name", &spec.external_name),
            _ => target.set("service_cluster_ip", &spec.cluster_ip),
        }
        if spec.kind == "LoadBalancer" {
            target.set("service_loadbalancer_ip", &spec.load_balancer_ip);
        }
        target.0
    };
    TargetGroup {
        targets: spec.ports.iter().map(target).collect(),
        labels: labels.0,
    }
}

/// The kubelet of a node; no target if the node has no address.
pub(super) fn node_group(node: &NodeObject) -> TargetGroup {
    let mut labels = MetaLabels::default();
    labels.set_metadata("node", &node.metadata);
    labels.set("node_provider_id", &node.spec.provider_id);
    let addresses = &node.status.addresses;
    let wanted = NODE_ADDRESSES
        .iter()
        .find_map(|kind| addresses.iter().find(|address| address.kind == *kind));
    let target = wanted.map(|address| {
        let port = node.status.daemon_endpoints.kubelet_endpoint.port;
        let mut target = MetaLabels::at(joined(&address.address, port));
        let name = node.metadata.name.clone();
        target.0.insert("instance".to_owned(), name);
        // Of several of a type the first counts.
        for address in addresses.iter().rev() {
            let name = format!("node_address_{}", sanitized(&address.kind));
            target.set(&name, &address.address);
        }
        target.0
    });
    TargetGroup {
        targets: target.into_iter().collect(),
        labels: labels.0,
    }
}

/// A target for each address and port of a slice, with the labels of its service and of the pods
/// behind the addresses; and one for each port of these pods that isn't among the slice's.
pub(super) fn slice_group<'o>(
    slice: &SliceObject,
    service: Option<&ServiceObject>,
    pod: impl Fn(&str, &str) -> Option<&'o PodObject>,
) -> TargetGroup {
    if service.is_some_and(|service| is_of_another_family(slice, service)) {
        return TargetGroup::default();
    }
    let mut labels = MetaLabels::default();
    labels.set("namespace", &slice.metadata.namespace);
    labels.set("endpointslice_address_type", &slice.address_type);
    labels.set_metadata("endpointslice", &slice.metadata);
    if let Some(service) = service {
        labels.set_service(service);
    }
    let mut targets = Vec::new();
    // In the order in which they are found first.
    let mut pods: Vec<&PodObject> = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for endpoint in &slice.endpoints {
        let backing = endpoint.target_ref.as_ref().and_then(|referred| {
            let is_pod = referred.kind == "Pod";
            is_pod.then(|| pod(&referred.namespace, &referred.name))?
        });
        let has_targets = !slice.ports.is_empty() && !endpoint.addresses.is_empty();
        if let Some(pod) = backing.filter(|pod| has_targets && seen.insert(&pod.metadata.uid)) {
            pods.push(pod);
        }
        for port in &slice.ports {
            for address in &endpoint.addresses {
                targets.push(slice_target(address, endpoint, port, backing));
            }
        }
    }
    let taken: HashSet<i32> = slice.ports.iter().filter_map(|port| port.port).collect();
    for pod in pods {
        targets.extend(remaining_ports(pod, &taken));
    }
    TargetGroup {
        targets,
        labels: labels.0,
    }
}

/// Whether a service of two families has this slice for the second one: its pods are targets by
/// the slices for the first.
fn is_of_another_family(slice: &SliceObject, service: &ServiceObject) -> bool {
    let spec = &service.spec;
    let policy = spec.ip_family_policy.as_deref().unwrap_or_default();
    let first = spec.ip_families.first();
    policy.ends_with("DualStack") && first.is_some_and(|first| *first != slice.address_type)
}

fn slice_target(
    address: &str,
    endpoint: &SliceEndpoint,
    port: &SlicePort,
    pod: Option<&PodObject>,
) -> TargetLabelMap {
    let mut target = MetaLabels::at(match port.port {
        Some(port) => joined(address, port),
        None => address.to_owned(),
    });
    let conditions = &endpoint.conditions;
    target.set_known("endpointslice_port_name", port.name.as_ref());
    target.set_known("endpointslice_port_protocol", port.protocol.as_ref());
    target.set_known("endpointslice_port", port.port);
    target.set_known(
        "endpointslice_port_app_protocol",
        port.app_protocol.as_ref(),
    );
    target.set_known("endpointslice_endpoint_conditions_ready", conditions.ready);
    target.set_known(
        "endpointslice_endpoint_conditions_serving",
        conditions.serving,
    );
    target.set_known(
        "endpointslice_endpoint_conditions_terminating",
        conditions.terminating,
    );
    target.set_known(
        "endpointslice_endpoint_hostname",
        endpoint.hostname.as_ref(),
    );
    target.set_known(
        "endpointslice_endpoint_node_name",
        endpoint.node_name.as_ref(),
    );
    target.set_known("endpointslice_endpoint_zone", endpoint.zone.as_ref());
    if let Some(referred) = &endpoint.target_ref {
        target.set("endpointslice_address_target_kind", &referred.kind);
        target.set("endpointslice_address_target_name", &referred.name);
    }
    for (key, value) in &endpoint.deprecated_topology {
        let key = sanitized(key);
        target.set(&format!("endpointslice_endpoint_topology_{key}"), value);
        target.set(
            &format!("endpointslice_endpoint_topology_present_{key}"),
            "true",
        );
    }
    if let Some(pod) = pod {
        target.set_pod(pod);
        let ports = containers(pod).filter_map(|(container, is_init)| {
            let mut ports = container.ports.iter();
            let same = ports.find(|of| Some(of.container_port) == port.port)?;
            Some((container, is_init, same))
        });
        // Of several containers that declare the port, Prometheus names the last.
        if let Some((container, is_init, port)) = ports.last() {
            target.set_container(container, is_init);
            target.set_container_port(port);
        }
    }
    target.0
}

/// Targets for the ports of a pod that no endpoint has.
fn remaining_ports<'p>(
    pod: &'p PodObject,
    taken: &'p HashSet<i32>,
) -> impl Iterator<Item = TargetLabelMap> + 'p {
    let ip = &pod.status.pod_ip;
    let containers = containers(pod).filter(|_| !ip.is_empty());
    containers.flat_map(move |(container, is_init)| {
        let ports = container.ports.iter();
        let others = ports.filter(|port| !taken.contains(&port.container_port));
        others.map(move |port| {
            let mut target = MetaLabels::at(joined(ip, port.container_port));
            target.set_pod(pod);
            target.set_container(container, is_init);
            target.set_container_port(port);
            target.0
        })
    })
}

/// All containers, and whether each is run before the others.
fn containers(pod: &PodObject) -> impl Iterator<Item = (&Container, bool)> {
    let usual = pod.spec.containers.iter().map(|of| (of, false));
    usual.chain(pod.spec.init_containers.iter().map(|of| (of, true)))
}

/// A name as a part of a label's name.
fn sanitized(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(plain).collect()
}

/// `host:port`, with brackets around an IPv6 address.
fn joined(host: &str, port: i32) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(_) => format!("[{host}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}
