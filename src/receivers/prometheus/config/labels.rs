//! Labels that are written.

use std::collections::BTreeMap;

use crate::receivers::prometheus::relabel::NameScheme;
use crate::yaml::PlacedNode;

/// Labels whose names are possible ones.
pub(super) fn label_map(
    value: &PlacedNode<'_>,
    names: NameScheme,
) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for (entry, value) in value.entries()? {
        if !names.allows(&entry.key) {
            return value.error(format_args!("`{}` is no name of a label", entry.key));
        }
        let text: String = if value.is_null() {
            String::new()
        } else {
            value.read()?
        };
        labels.insert(entry.key.clone(), text);
    }
    Some(labels)
}
