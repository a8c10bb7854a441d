//! What tells deployments apart.

use crate::pdata::writer::Attribute;

/// The labels of a deployment's series.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DeploymentLabels {
    /// `deployment_id`.
    pub id: String,
    /// `deployment_name`, if it is known.
    pub name: Option<String>,
    /// `k8s_namespace_name`, if there is one.
    pub namespace: Option<String>,
}

impl DeploymentLabels {
    /// As attributes of a data point. What isn't known is left out.
    pub fn attributes(&self) -> Vec<Attribute<'_>> {
        let mut attributes: Vec<Attribute<'_>> = vec![("deployment_id", self.id.as_str().into())];
        for (key, value) in [
            ("deployment_name", &self.name),
            ("k8s_namespace_name", &self.namespace),
        ] {
            if let Some(value) = value {
                attributes.push((key, value.as_str().into()));
            }
        }
        attributes
    }
}
