//! The labels that a resource gives to all its series.

use crate::pdata::view::Attributes;

/// The resource attributes from which `job` and `instance` are made.
pub(super) const NAME: &str = "service.name";
pub(super) const NAMESPACE: &str = "service.namespace";
pub(super) const INSTANCE: &str = "service.instance.id";

/// The labels that a resource gives to all its series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TargetLabels {
    /// `service.namespace/service.name`, or the name alone; empty if there is no name.
    pub job: String,
    /// `service.instance.id`; empty if there is none.
    pub instance: String,
}

impl TargetLabels {
    /// The labels that these attributes of a resource make.
    pub fn of(resource: &Attributes<'_>) -> Self {
        let text = |key| resource.get(key).map(|value| value.to_string());
        let job = match (text(NAMESPACE), text(NAME)) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            (None, Some(name)) => name,
            (_, None) => String::new(),
        };
        Self {
            job,
            instance: text(INSTANCE).unwrap_or_default(),
        }
    }
}
