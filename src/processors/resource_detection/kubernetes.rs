//! `k8s_api`: the node's name, which the downward API puts into the environment.

use super::super::constant::Constant;
use super::found::Detected;
use super::machine::ObservedMachine;
use super::switches::read_switches;
use crate::yaml::{FromValue, PlacedNode};

/// Its settings.
#[derive(Debug, Clone)]
pub(super) struct KubernetesDetector {
    /// The variable that holds the node's name.
    variable: String,
    node_name: bool,
}

const VARIABLE: &str = "K8S_NODE_NAME";

impl Default for KubernetesDetector {
    fn default() -> Self {
        Self {
            variable: VARIABLE.to_owned(),
            node_name: true,
        }
    }
}

impl FromValue for KubernetesDetector {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let variable = fields.or("node_from_env_var", String::new());
        for key in ["auth_type", "context", "kube_api_qps", "kube_api_burst"] {
            if let Some(value) = fields.foreign(key).filter(|value| !value.is_null()) {
                value.warn("this has no effect: only the environment is read, and no API");
            }
        }
        // Off, where the Collector has them on: they can't be had.
        const ALL: [(&str, bool); 3] = [
            ("k8s.node.name", true),
            ("k8s.node.uid", false),
            ("k8s.cluster.uid", false),
        ];
        let written = fields.map().step("resource_attributes");
        let [node_name, node_uid, cluster_uid] = read_switches(&mut fields, &ALL);
        if let Some((_, written)) = written {
            for (key, wanted) in [("k8s.node.uid", node_uid), ("k8s.cluster.uid", cluster_uid)] {
                if wanted && let Some((_, switch)) = written.step(key) {
                    switch.error::<()>(format_args!(
                        "{key} isn't supported: only Kubernetes' API knows it, and only the \
                         environment is read"
                    ));
                }
            }
        }
        fields.finish();
        Some(Self {
            variable: match variable.is_empty() {
                true => VARIABLE.to_owned(),
                false => variable,
            },
            node_name,
        })
    }
}

impl KubernetesDetector {
    pub(super) fn detect(&self, machine: &ObservedMachine) -> Detected {
        let mut detected = Detected::default();
        if !self.node_name {
            return detected;
        }
        let Some(node) = machine.variable(&self.variable) else {
            return Detected::failed(format!(
                "{} isn't set: let the downward API put spec.nodeName into it; k8s.node.name is \
                 absent",
                self.variable
            ));
        };
        detected
            .attributes
            .put("k8s.node.name", Constant::text(&node));
        detected
    }
}
