//! The name of a series within the store, and its labels.

use std::sync::Arc;

/// Names and values of labels, sorted by name.
pub type LabelTexts = Box<[(Arc<str>, Arc<str>)]>;

/// A series in the store, as long as it is there. No later series has the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RingId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}
