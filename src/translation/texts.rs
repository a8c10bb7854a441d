//! The texts of a point, and whether they are within the limit.

use super::Translation;
use super::target::{INSTANCE, NAME, NAMESPACE};
use crate::pdata::view::{Attributes, KeyValue, Metric, ResourceMetrics, ScopeMetrics, Value};

/// The texts that a point brings with it.
pub struct Texts<'a> {
    /// The resource whose attributes become labels of the target, or of every series.
    pub resource: &'a ResourceMetrics<'a>,
    /// The scope, of which `otel_scope_...` is made.
    pub scope: &'a ScopeMetrics<'a>,
    /// The metric, with its name, unit and description.
    pub metric: &'a Metric<'a>,
    /// The point's own attributes.
    pub point: Attributes<'a>,
}

impl Texts<'_> {
    /// Whether each of them has at most [`Translation::text_bytes`], and all that become labels
    /// have at most [`Translation::series_bytes`]. Checked before any of them is copied: a point
    /// of two megabytes may have hundreds of thousands of attributes.
    pub fn are_within(&self, translation: &Translation) -> bool {
        let most = translation.text_bytes;
        let resource = self.resource.resource().attributes();
        let shown_of_resource = resource.iter().filter(|attribute| {
            translation.resource_labels || [NAME, NAMESPACE, INSTANCE].contains(&attribute.key)
        });
        let metric = [
            self.metric.name(),
            self.metric.unit(),
            self.metric.description(),
        ];
        let scope = [
            self.scope.name(),
            self.scope.version(),
            self.scope.schema_url(),
        ];
        let is_short = |text: &&str| text.len() <= most;
        metric.iter().all(is_short)
            && all_within(self.point.iter(), most)
            && all_within(shown_of_resource, most)
            && (!translation.scope_labels
                || scope.iter().all(is_short) && all_within(self.scope.attributes().iter(), most))
            && self.label_bytes(translation) <= translation.series_bytes
    }

    fn label_bytes(&self, translation: &Translation) -> usize {
        let mut bytes = label_bytes(self.point.iter());
        if translation.resource_labels {
            bytes += label_bytes(self.resource.attributes().iter());
        }
        if translation.scope_labels {
            bytes += label_bytes(self.scope.attributes().iter());
        }
        bytes
    }
}

/// The bytes of keys and texts that become labels. A label whose text is empty isn't shown.
pub(super) fn label_bytes<'a>(attributes: impl Iterator<Item = KeyValue<'a>>) -> usize {
    attributes
        .map(|attribute| match attribute.value {
            Value::Str("") => 0,
            Value::Str(text) => attribute.key.len() + text.len(),
            _ => attribute.key.len(),
        })
        .sum()
}

fn all_within<'a>(mut attributes: impl Iterator<Item = KeyValue<'a>>, most: usize) -> bool {
    attributes.all(|attribute| is_within(&attribute, most))
}

/// Whether an attribute's key and value each have at most `most` bytes.
pub(super) fn is_within(attribute: &KeyValue<'_>, most: usize) -> bool {
    let value = match attribute.value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(array) => array.raw().len(),
        Value::Map(map) => map.raw().len(),
        _ => 0,
    };
    attribute.key.len() <= most && value <= most
}
