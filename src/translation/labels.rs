//! Makes the labels of a series from its point, its scope, its resource and the configuration.

use std::collections::{BTreeMap, BTreeSet};

use super::Translation;
use super::naming::MetricShape;
use super::target::{INSTANCE, NAME, NAMESPACE, TargetLabels};
use super::texts::{is_within, label_bytes};
use crate::pdata::view::{Attributes, ScopeMetrics};

impl Translation {
    /// The labels of a point's series, sorted by name, and how many of the point's own labels were
    /// renamed.
    ///
    /// Labels with an empty value are left out: Prometheus treats them as absent, so two series
    /// that differ only in one would be the same.
    pub fn point_labels(
        &self,
        resource: &Attributes<'_>,
        target: &TargetLabels,
        scope: &ScopeMetrics<'_>,
        point: &Attributes<'_>,
        shape: MetricShape,
    ) -> (BTreeMap<String, String>, u64) {
        let mut given: BTreeMap<&str, &str> = BTreeMap::new();
        if self.scope_labels {
            given.insert("otel_scope_name", scope.name());
            given.insert("otel_scope_version", scope.version());
            given.insert("otel_scope_schema_url", scope.schema_url());
        }
        given.insert("job", &target.job);
        given.insert("instance", &target.instance);
        given.retain(|_, value| !value.is_empty());
        for (name, value) in &self.const_labels {
            given.insert(name, value);
        }
        let reserved = |name: &str| {
            given.contains_key(name)
                || match shape {
                    MetricShape::Histogram => name == "le",
                    MetricShape::Summary => name == "quantile",
                    _ => false,
                }
                || is_internal(name)
        };

        // Sorted by the keys as sent, since the values of colliding labels are joined in that
        // order.
        let mut own: BTreeMap<String, String> = BTreeMap::new();
        if self.resource_labels {
            collect(&mut own, resource, |key| Some(key.to_owned()));
        }
        collect(&mut own, point, |key| Some(key.to_owned()));
        if self.scope_labels {
            collect(&mut own, &scope.attributes(), |key| {
                let reserved = matches!(key, "name" | "version" | "schema_url");
                (!reserved).then(|| format!("otel_scope_{key}"))
            });
        }
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        let mut renamed = 0;
        for (key, value) in own {
            let mut name = self.namer.label(&key);
            if reserved(&name) {
                renamed += 1;
                while reserved(&name) {
                    name.insert_str(0, "exported_");
                }
            }
            join(&mut labels, name, &value);
        }
        for (name, value) in given {
            labels.insert(name.to_owned(), value.to_owned());
        }
        (shown(labels), renamed)
    }

    /// The labels of a target's `target_info`: `job`, `instance`, and the resource's other
    /// attributes. Attributes longer than [`Translation::text_bytes`], such as a command line of
    /// many kilobytes, are left out; the second value counts them. Where all of them together
    /// have more than [`Translation::series_bytes`], all are left out.
    pub fn target_labels(
        &self,
        resource: &Attributes<'_>,
        target: &TargetLabels,
    ) -> (BTreeMap<String, String>, u64) {
        let short = resource
            .iter()
            .filter(|attribute| is_within(attribute, self.text_bytes));
        let most = match label_bytes(short) <= self.series_bytes {
            true => self.text_bytes,
            false => 0,
        };
        let too_long = resource
            .iter()
            .filter(|attribute| !is_within(attribute, most));
        let too_long: BTreeSet<&str> = too_long.map(|attribute| attribute.key).collect();
        let mut own = BTreeMap::new();
        collect(&mut own, resource, |key| {
            let has_a_place = [NAME, NAMESPACE, INSTANCE].contains(&key) || too_long.contains(key);
            (!has_a_place).then(|| key.to_owned())
        });
        let mut labels = BTreeMap::new();
        for (key, value) in own {
            let mut name = self.namer.label(&key);
            if matches!(name.as_str(), "job" | "instance") || is_internal(&name) {
                name.insert_str(0, "exported_");
            }
            join(&mut labels, name, &value);
        }
        labels.insert("job".to_owned(), target.job.clone());
        labels.insert("instance".to_owned(), target.instance.clone());
        (shown(labels), too_long.len() as u64)
    }
}

/// Whether a name begins with two underscores: these are reserved, and parsers refuse some.
pub fn is_internal(name: &str) -> bool {
    name.starts_with("__")
}

/// Adds attributes under the keys that `rename` gives. A key that is there already keeps its
/// value, and of a key that occurs twice the first value is taken.
fn collect(
    into: &mut BTreeMap<String, String>,
    attributes: &Attributes<'_>,
    rename: impl Fn(&str) -> Option<String>,
) {
    let mut seen = BTreeSet::new();
    for attribute in attributes.iter() {
        if let Some(key) = rename(attribute.key)
            && seen.insert(attribute.key)
        {
            into.entry(key)
                .or_insert_with(|| attribute.value.to_string());
        }
    }
}

fn join(labels: &mut BTreeMap<String, String>, name: String, value: &str) {
    labels
        .entry(name)
        .and_modify(|joined| {
            joined.push(';');
            joined.push_str(value);
        })
        .or_insert_with(|| value.to_owned());
}

fn shown(mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.retain(|_, value| !value.is_empty());
    labels
}
