//! Groups of targets, as they are written and found.

use std::collections::BTreeMap;

/// The label with the address of a target, `host:port`.
pub(super) const ADDRESS: &str = "__address__";

/// Labels by their names.
pub type TargetLabelMap = BTreeMap<String, String>;

/// Targets with labels that they share, as a discovery finds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// The labels of each target; `__address__` among them.
    pub targets: Vec<TargetLabelMap>,
    /// The labels of all, which a target's own precede.
    pub labels: TargetLabelMap,
}
