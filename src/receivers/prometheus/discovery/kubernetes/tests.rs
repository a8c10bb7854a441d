//! Labels of each role, what a change makes of them, and a server that is followed.

use std::sync::Mutex;

use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::super::testing::{findings, shown};
use super::labels::{node_group, pod_group, service_group, slice_group};
use super::objects::{PodObject, ServiceObject, SliceObject};
use super::*;
use crate::receivers::kubernetes::Listed;
use crate::receivers::prometheus::config::{Config, DiscoveryConfig, ObjectSelector};
use crate::receivers::prometheus::groups::{ADDRESS, TargetGroup, TargetLabelMap};
use crate::receivers::prometheus::testing::serve;
use crate::yaml::{Diagnostics, PlacedNode, parse};

fn read<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_str(&object.to_string()).unwrap()
}

/// Labels without the beginning that they share.
fn short(labels: &TargetLabelMap) -> Vec<String> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| {
            let name = name.trim_start_matches("__meta_kubernetes_");
            format!("{name}={value}")
        })
        .collect()
}

fn addresses(group: &TargetGroup) -> Vec<&str> {
    let targets = group.targets.iter();
    targets.map(|target| target[ADDRESS].as_str()).collect()
}

fn pod(name: &str, ip: &str, port: i32) -> Value {
    json!({
        "metadata": {"uid": format!("u-{name}"), "name": name, "namespace": "eu"},
        "spec": {"containers": [{"name": "web", "ports": [{"containerPort": port}]}]},
        "status": {"podIP": ip},
    })
}

fn slice(name: &str, service: &str, pods: &[(&str, &str)], port: i32) -> Value {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|(pod, ip)| {
            json!({"addresses": [ip],
                "targetRef": {"kind": "Pod", "name": pod, "namespace": "eu"}})
        })
        .collect();
    json!({
        "metadata": {"uid": format!("u-{name}"), "name": name, "namespace": "eu",
            "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"port": port}],
    })
}

fn service(name: &str, team: &str) -> Value {
    json!({"metadata": {"uid": format!("u-{name}"), "name": name, "namespace": "eu",
        "labels": {"team": team}}})
}

#[test]
fn a_pod_is_a_target_for_each_port_of_each_container() {
    let group = pod_group(&read(json!({
        "metadata": {
            "uid": "u1", "name": "web-0", "namespace": "eu",
            "labels": {"app.kubernetes.io/name": "web"},
            "annotations": {"prometheus.io/scrape": "true"},
            "ownerReferences": [
                {"kind": "Node", "name": "n1"},
                {"kind": "ReplicaSet", "name": "web-5d", "controller": true},
            ],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [
                {"name": "web", "image": "web:1", "ports": [
                    {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                    {"containerPort": 9090, "protocol": "TCP"},
                ]},
                {"name": "log", "image": "log:1", "ports": null},
            ],
            "initContainers": [{"name": "init", "image": "init:1"}],
        },
        "status": {
            "podIP": "10.0.0.7", "hostIP": "10.1.0.1", "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "web", "containerID": "containerd://1"}],
        },
    })));
    let expected = [
        "namespace=eu",
        "pod_annotation_prometheus_io_scrape=true",
        "pod_annotationpresent_prometheus_io_scrape=true",
        "pod_controller_kind=ReplicaSet",
        "pod_controller_name=web-5d",
        "pod_host_ip=10.1.0.1",
        "pod_ip=10.0.0.7",
        "pod_label_app_kubernetes_io_name=web",
        "pod_labelpresent_app_kubernetes_io_name=true",
        "pod_name=web-0",
        "pod_node_name=n1",
        "pod_phase=Running",
        "pod_ready=true",
        "pod_uid=u1",
    ];
    assert_eq!(short(&group.labels), expected);
    assert_eq!(
        addresses(&group),
        ["10.0.0.7:8080", "10.0.0.7:9090", "10.0.0.7", "10.0.0.7"]
    );
    let expected = [
        "__address__=10.0.0.7:8080",
        "pod_container_id=containerd://1",
        "pod_container_image=web:1",
        "pod_container_init=false",
        "pod_container_name=web",
        "pod_container_port_name=http",
        "pod_container_port_number=8080",
        "pod_container_port_protocol=TCP",
    ];
    assert_eq!(short(&group.targets[0]), expected);
    assert!(short(&group.targets[3]).contains(&"pod_container_init=true".to_owned()));
    // One that starts has no address yet.
    let starting = json!({"metadata": {"uid": "u", "name": "n"}, "status": {"phase": "Pending"}});
    assert_eq!(pod_group(&read(starting)), TargetGroup::default());
}

#[test]
fn a_service_is_a_target_for_each_port() {
    let of = |spec: Value| {
        let mut service = service("web", "a");
        service["spec"] = spec;
        service_group(&read(service))
    };
    let port = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    let group = of(json!({"type": "ClusterIP", "clusterIP": "10.2.0.1", "ports": port}));
    let expected = [
        "namespace=eu",
        "service_label_team=a",
        "service_labelpresent_team=true",
        "service_name=web",
    ];
    assert_eq!(short(&group.labels), expected);
    let expected = [
        "__address__=web.eu.svc:80",
        "service_cluster_ip=10.2.0.1",
        "service_port_name=http",
        "service_port_number=80",
        "service_port_protocol=TCP",
        "service_type=ClusterIP",
    ];
    assert_eq!(short(&group.targets[0]), expected);
    let has = |spec: Value, label: &str| {
        let group = of(spec);
        assert!(
            short(&group.targets[0]).contains(&label.to_owned()),
            "{label}"
        );
    };
    has(
        json!({"type": "ExternalName", "externalName": "a.example", "ports": port}),
        "service_external_name=a.example",
    );
    has(
        json!({"type": "LoadBalancer", "loadBalancerIP": "192.0.2.1", "ports": port}),
        "service_loadbalancer_ip=192.0.2.1",
    );
}

#[test]
fn a_node_is_a_target_at_its_most_wanted_address() {
    let of = |addresses: Value| {
        node_group(&read(json!({
            "metadata": {"uid": "u", "name": "n1", "labels": {"zone": "a"}},
            "spec": {"providerID": "p://1"},
            "status": {"addresses": addresses,
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}},
        })))
    };
    let group = of(json!([
        {"type": "Hostname", "address": "n1.local"},
        {"type": "InternalIP", "address": "fd00::1"},
        {"type": "InternalIP", "address": "10.1.0.1"},
    ]));
    let expected = [
        "node_label_zone=a",
        "node_labelpresent_zone=true",
        "node_name=n1",
        "node_provider_id=p://1",
    ];
    assert_eq!(short(&group.labels), expected);
    let expected = [
        "__address__=[fd00::1]:10250",
        "node_address_Hostname=n1.local",
        "node_address_InternalIP=fd00::1",
        "instance=n1",
    ];
    assert_eq!(short(&group.targets[0]), expected);
    assert!(of(json!([])).targets.is_empty());
}

#[test]
fn a_slice_is_a_target_for_each_address_and_port_and_for_other_ports_of_its_pods() {
    let pod: PodObject = read(json!({
        "metadata": {"uid": "u1", "name": "web-0", "namespace": "eu"},
        "spec": {"containers": [{"name": "web", "image": "web:1", "ports": [
            {"name": "http", "containerPort": 8080, "protocol": "TCP"},
            {"name": "admin", "containerPort": 9090, "protocol": "TCP"},
        ]}]},
        "status": {"podIP": "10.0.0.7"},
    }));
    let slice: SliceObject = read(json!({
        "metadata": {"uid": "u2", "name": "web-x", "namespace": "eu",
            "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.0.0.7"], "conditions": {"ready": true, "serving": true},
                "nodeName": "n1", "zone": "a", "hostname": "h",
                "targetRef": {"kind": "Pod", "name": "web-0", "namespace": "eu"}},
            {"addresses": ["192.0.2.9"], "conditions": null,
                "deprecatedTopology": {"kubernetes.io/hostname": "n2"}},
        ],
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080, "appProtocol": "http"}],
    }));
    let service: ServiceObject = read(service("web", "a"));
    let group = slice_group(&slice, Some(&service), |namespace, name| {
        (namespace == "eu" && name == "web-0").then_some(&pod)
    });
    let labels = short(&group.labels);
    for expected in [
        "namespace=eu",
        "endpointslice_name=web-x",
        "endpointslice_address_type=IPv4",
        "endpointslice_label_kubernetes_io_service_name=web",
        "service_name=web",
        "service_label_team=a",
    ] {
        assert!(
            labels.contains(&expected.to_owned()),
            "{expected}: {labels:?}"
        );
    }
    assert_eq!(
        addresses(&group),
        ["10.0.0.7:8080", "192.0.2.9:8080", "10.0.0.7:9090"]
    );
    let backed = short(&group.targets[0]);
    for expected in [
        "endpointslice_port=8080",
        "endpointslice_port_name=http",
        "endpointslice_port_protocol=TCP",
        "endpointslice_port_app_protocol=http",
        "endpointslice_endpoint_conditions_ready=true",
        "endpointslice_endpoint_conditions_serving=true",
        "endpointslice_endpoint_node_name=n1",
        "endpointslice_endpoint_zone=a",
        "endpointslice_endpoint_hostname=h",
        "endpointslice_address_target_kind=Pod",
        "endpointslice_address_target_name=web-0",
        "pod_name=web-0",
        "pod_container_name=web",
        "pod_container_port_name=http",
    ] {
        assert!(
            backed.contains(&expected.to_owned()),
            "{expected}: {backed:?}"
        );
    }
    let expected = [
        "__address__=192.0.2.9:8080",
        "endpointslice_endpoint_topology_kubernetes_io_hostname=n2",
        "endpointslice_endpoint_topology_present_kubernetes_io_hostname=true",
        "endpointslice_port=8080",
        "endpointslice_port_app_protocol=http",
        "endpointslice_port_name=http",
        "endpointslice_port_protocol=TCP",
    ];
    assert_eq!(short(&group.targets[1]), expected);
}

#[test]
fn of_a_service_of_two_families_the_slices_of_the_first_are_targets() {
    let f = |families: Value, policy: &str, targets: usize| {
        let mut service = service("web", "a");
        service["spec"] = json!({"ipFamilies": families, "ipFamilyPolicy": policy});
        let service: ServiceObject = read(service);
        let slice = read(slice("s", "web", &[("p", "10.0.0.1")], 80));
        let group = slice_group(&slice, Some(&service), |_, _| None);
        assert_eq!(group.targets.len(), targets, "{policy}");
    };
    f(json!(["IPv4", "IPv6"]), "PreferDualStack", 1);
    f(json!(["IPv6", "IPv4"]), "RequireDualStack", 0);
    f(json!(["IPv6"]), "SingleStack", 1);
}

fn applied<T: serde::de::DeserializeOwned>(object: Value) -> CollectionChange<T> {
    CollectionChange::Applied(read(object))
}

fn listed<T: ClusterObject>(objects: Vec<Value>, unread: &[&str]) -> CollectionChange<T> {
    CollectionChange::Listed(Listed::of(objects.into_iter().map(read), unread, 0))
}

/// The groups, each as its addresses and the team of its service.
fn groups(cache: &mut ObjectCache) -> Vec<String> {
    while cache.renew(1) {}
    let groups = cache.groups().map(|group| {
        let team = group.labels.get("__meta_kubernetes_service_label_team");
        let addresses = addresses(group).join(" ");
        match team {
            Some(team) => format!("{addresses} {team}"),
            None => addresses,
        }
    });
    groups.collect()
}

#[test]
fn a_slice_changes_with_its_pods_and_its_service_and_no_other_does() {
    let mut cache = ObjectCache::new(KubernetesRole::EndpointSlice);
    let first = slice("a", "web", &[("p1", "10.0.0.1")], 80);
    let second = slice("b", "other", &[("p2", "10.0.0.2")], 80);
    cache
        .take(ClusterChange::Slice(listed(vec![first, second], &[])))
        .unwrap();
    assert!(!cache.is_listed());
    let services = vec![service("web", "x"), service("other", "y")];
    cache
        .take(ClusterChange::Service(listed(services, &[])))
        .unwrap();
    let pods = vec![pod("p1", "10.0.0.1", 80), pod("p2", "10.0.0.2", 80)];
    cache.take(ClusterChange::Pod(listed(pods, &[]))).unwrap();
    assert!(cache.is_listed());
    assert_eq!(groups(&mut cache), ["10.0.0.1:80 x", "10.0.0.2:80 y"]);
    let before: Vec<_> = cache.groups().cloned().collect();
    // Its pod has another port.
    let moved = applied(pod("p1", "10.0.0.1", 81));
    cache.take(ClusterChange::Pod(moved)).unwrap();
    let shown = groups(&mut cache);
    assert_eq!(shown, ["10.0.0.1:80 10.0.0.1:81 x", "10.0.0.2:80 y"]);
    let after: Vec<_> = cache.groups().cloned().collect();
    assert!(!Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[1], &after[1]));
    let renamed = applied(service("other", "z"));
    cache.take(ClusterChange::Service(renamed)).unwrap();
    // Its service has other pods now, and then none.
    let third = applied(slice("a", "web", &[("p3", "10.0.0.3")], 80));
    cache.take(ClusterChange::Slice(third)).unwrap();
    assert_eq!(groups(&mut cache), ["10.0.0.3:80 x", "10.0.0.2:80 z"]);
    let old = applied(pod("p1", "10.0.0.1", 82));
    cache.take(ClusterChange::Pod(old)).unwrap();
    assert!(!cache.renew(1), "a pod that is no part of it any more");
    let gone = read(slice("a", "web", &[], 80));
    let gone = CollectionChange::Deleted(gone);
    cache.take(ClusterChange::Slice(gone)).unwrap();
    assert_eq!(groups(&mut cache), ["10.0.0.2:80 z"]);
}

#[test]
fn a_list_ends_what_it_does_not_have_unless_that_can_not_be_read() {
    let mut cache = ObjectCache::new(KubernetesRole::Pod);
    let all = ["a", "b", "c"].map(|name| pod(name, "10.0.0.1", 80));
    cache
        .take(ClusterChange::Pod(listed(all.to_vec(), &[])))
        .unwrap();
    assert_eq!(groups(&mut cache).len(), 3);
    let error = cache.take(ClusterChange::Pod(listed(
        vec![pod("a", "10.0.0.1", 80)],
        &["u-b"],
    )));
    assert_eq!(error, Err("1 objects can't be read".to_owned()));
    assert_eq!(groups(&mut cache).len(), 2);
    // A pod of the same name has come before the end of the former was told.
    let mut new = pod("a", "10.0.0.9", 80);
    new["metadata"]["uid"] = json!("u-new");
    cache.take(ClusterChange::Pod(applied(new))).unwrap();
    let gone = CollectionChange::Deleted(read(pod("a", "10.0.0.1", 80)));
    cache.take(ClusterChange::Pod(gone)).unwrap();
    assert_eq!(groups(&mut cache), ["10.0.0.9:80", "10.0.0.1:80"]);
}

/// An element of `kubernetes_sd_configs`.
fn cluster(text: &str) -> KubernetesConfig {
    let diagnostics = Diagnostics::new();
    let text = format!("scrape_configs: [{{job_name: j, kubernetes_sd_configs: [{text}]}}]");
    let node = parse(&text, &Arc::from("test"), &diagnostics).unwrap();
    let config = Config::read(&PlacedNode::root(&node, &diagnostics)).unwrap();
    match &*config.jobs[0].discoveries {
        [DiscoveryConfig::Kubernetes(config)] => (**config).clone(),
        others => panic!("{others:?}"),
    }
}

#[tokio::test]
async fn a_cluster_is_followed_in_each_namespace_and_a_failure_changes_nothing() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let fails = Arc::new(Mutex::new(false));
    let failing = Arc::clone(&fails);
    let failed = Arc::new(Notify::new());
    let told = Arc::clone(&failed);
    let address = serve(move |request: Request<()>, _| {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default().to_owned();
        noted
            .lock()
            .unwrap()
            .push(format!("{}?{query}", uri.path()));
        assert_eq!(request.headers()["authorization"], "Bearer t0ken");
        let answer = |status: u16, body: String| {
            let answer = Response::builder().status(status);
            answer
                .header("content-type", "application/json")
                .body(body)
                .unwrap()
        };
        if *failing.lock().unwrap() {
            told.notify_one();
            return answer(403, "{}".to_owned());
        }
        if query.contains("watch=true") {
            // It ends, and is resumed later and later.
            return answer(200, String::new());
        }
        let namespace = uri.path().split('/').nth(4).unwrap().to_owned();
        let mut pod = pod("p", "10.0.0.1", 80);
        pod["metadata"]["namespace"] = json!(namespace);
        let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [pod]});
        answer(200, list.to_string())
    })
    .await;
    let text = format!(
        "{{role: pod, api_server: 'http://{address}', authorization: {{credentials: t0ken}}, \
         namespaces: {{names: [eu, us]}}, selectors: [{{role: pod, label: 'app=web'}}]}}"
    );
    let config = cluster(&text);
    assert_eq!(
        config.selectors,
        [ObjectSelector {
            role: KubernetesRole::Pod,
            label: "app=web".to_owned(),
            field: String::new(),
        }]
    );
    let (findings, mut found) = findings();
    let running = tokio::spawn(KubernetesDiscovery::new(&config).unwrap().run(findings));
    let patience = Duration::from_secs(60);
    let complete = found.wait_for(|groups| groups[0].len() == 2);
    let groups = timeout(patience, complete).await.unwrap().unwrap();
    let namespaces: Vec<&str> = groups[0]
        .iter()
        .map(|group| group.labels["__meta_kubernetes_namespace"].as_str())
        .collect();
    assert_eq!(namespaces, ["eu", "us"]);
    let before = shown(&groups);
    drop(groups);
    *fails.lock().unwrap() = true;
    // The watches of both have failed, which changes nothing.
    for _ in 0..2 {
        timeout(patience, failed.notified()).await.unwrap();
    }
    assert_eq!(shown(&found.borrow()), before);
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    let list = "/api/v1/namespaces/eu/pods?labelSelector=app%3Dweb&limit=100";
    assert!(asked.contains(&list.to_owned()), "{asked:?}");
    running.abort();
}
