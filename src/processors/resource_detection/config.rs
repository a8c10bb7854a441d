//! The keys.

use std::sync::Arc;
use std::time::Duration;

use super::detection::{Detection, Detector};
use super::docker::DockerDetector;
use super::kubernetes::KubernetesDetector;
use super::machine::ObservedMachine;
use super::system::SystemDetector;
use crate::yaml::{FromValue, PlacedNode, is_zero};

#[derive(Debug, Clone)]
pub(super) struct Config {
    /// Whether attributes that a resource has are replaced.
    pub(super) replaces: bool,
    pub(super) detection: Arc<Detection>,
}

/// A detector by its name.
#[derive(Debug, Clone, Copy)]
enum DetectorName {
    Env,
    System,
    Docker,
    K8sApi,
    K8sNode,
}

/// The names of those that are here.
const NAMES: [(&str, DetectorName); 5] = [
    ("env", DetectorName::Env),
    ("system", DetectorName::System),
    ("docker", DetectorName::Docker),
    ("k8s_api", DetectorName::K8sApi),
    ("k8snode", DetectorName::K8sNode),
];

/// The Collector's other detectors, and the keys of their settings. All of them ask a cloud or
/// the API of another program.
const ELSEWHERE: [&str; 27] = [
    "akamai",
    "aks",
    "alibaba_ecs",
    "azure",
    "consul",
    "digitalocean",
    "dynatrace",
    "ec2",
    "ecs",
    "eks",
    "elastic_beanstalk",
    "elasticbeanstalk",
    "gcp",
    "heroku",
    "hetzner",
    "ibmcloud_classic",
    "ibmcloud_vpc",
    "kubeadm",
    "lambda",
    "nova",
    "openshift",
    "openstack",
    "oraclecloud",
    "scaleway",
    "tencent_cvm",
    "upcloud",
    "vultr",
];

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        const RANGE: std::ops::RangeInclusive<Duration> =
            Duration::from_millis(10)..=Duration::from_secs(300);

        let mut fields = value.fields()?;
        let names = match fields.value("detectors").filter(|value| !value.is_null()) {
            Some(written) => names(&written),
            None => Some(vec![DetectorName::Env]),
        };
        let replaces = fields.or("override", true);
        let timeout = fields.within("timeout", Duration::from_secs(5), RANGE);
        if let Some(refresh) = fields.foreign("refresh_interval")
            && !refresh.is_null()
            && !is_zero(&refresh)
        {
            refresh.error::<()>(
                "not supported: detection is made once, since every change would end all series \
                 and begin others; restart the agent instead",
            );
        }
        let system = fields.optional::<SystemDetector>("system");
        let docker = fields.optional::<DockerDetector>("docker");
        let k8s_api = fields.optional::<KubernetesDetector>("k8s_api");
        let k8s_node = fields.optional::<KubernetesDetector>("k8snode");
        for key in ELSEWHERE {
            if let Some(value) = fields.foreign(key) {
                value.error::<()>(unsupported(key));
            }
        }
        fields.finish();
        let detectors = names?.into_iter().map(|name| match name {
            DetectorName::Env => Detector::Env,
            DetectorName::System => Detector::System(system.clone().unwrap_or_default()),
            DetectorName::Docker => Detector::Docker(docker.unwrap_or_default()),
            DetectorName::K8sApi => Detector::Kubernetes(k8s_api.clone().unwrap_or_default()),
            DetectorName::K8sNode => Detector::Kubernetes(k8s_node.clone().unwrap_or_default()),
        });
        let detectors = detectors.collect();
        Some(Self {
            replaces,
            detection: Arc::new(Detection::new(detectors, timeout, ObservedMachine::real())),
        })
    }
}

fn names(value: &PlacedNode<'_>) -> Option<Vec<DetectorName>> {
    let items = value.items()?;
    if items.is_empty() {
        return value.error("names no detector, such as env or system");
    }
    let names: Vec<_> = items
        .iter()
        .map(|item| match item.text() {
            Some(text) if ELSEWHERE.contains(&text) => item.error(unsupported(text)),
            _ => item.choice(&NAMES),
        })
        .collect();
    names.into_iter().collect()
}

fn unsupported(name: &str) -> String {
    format!(
        "the detector {name} isn't here: what this machine and its environment say is detected, \
         by env, system, docker and k8s_api"
    )
}
