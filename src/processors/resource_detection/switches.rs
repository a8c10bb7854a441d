//! The switches of attributes.

use crate::yaml::Fields;

/// Reads `resource_attributes`: which attributes are wanted, by the positions in `all`.
pub(super) fn read_switches<const N: usize>(
    fields: &mut Fields<'_>,
    all: &[(&'static str, bool); N],
) -> [bool; N] {
    let mut wanted = all.map(|(_, default)| default);
    let written = fields.value("resource_attributes");
    let Some(mut switches) = written.and_then(|written| written.fields()) else {
        return wanted;
    };
    for ((key, _), wanted) in all.iter().zip(&mut wanted) {
        if let Some(mut switch) = switches.value(key).and_then(|switch| switch.fields()) {
            *wanted = switch.or("enabled", *wanted);
            switch.finish();
        }
    }
    switches.finish();
    wanted
}
