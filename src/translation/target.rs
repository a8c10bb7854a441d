//! The labels that a resource gives to all its series.

use super::Translation;
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
        Self::read(|key| resource.get(key).map(|value| value.to_string()))
    }

    /// The labels of a resource of which `text` reads the attributes.
    pub fn read(text: impl Fn(&'static str) -> Option<String>) -> Self {
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

impl Translation {
    /// The target whose `target_info` a resource makes. `None` for a resource without job or
    /// instance, as in the Collector, and for one with texts that are longer than they may be.
    pub fn target(&self, resource: &Attributes<'_>) -> Option<TargetLabels> {
        let target = TargetLabels::of(resource);
        let known = !target.job.is_empty() && !target.instance.is_empty();
        let most = self.text_bytes;
        let short = target.job.len() <= 2 * most && target.instance.len() <= most;
        (known && short).then_some(target)
    }
}
