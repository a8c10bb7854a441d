//! Which things of the host have series, so that these can end.

use std::collections::BTreeSet;

/// The things that have series, such as filesystems.
#[derive(Debug)]
pub(crate) struct ShownItems<T>(BTreeSet<T>);

impl<T> Default for ShownItems<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord + Clone> ShownItems<T> {
    /// Takes the things that a reading shows, and returns those whose series end: the ones that
    /// were shown and aren't any more. If their list couldn't be read, no series ends.
    pub(crate) fn ended(&mut self, listed: bool, now: impl Iterator<Item = T>) -> Vec<T> {
        if !listed {
            self.0.extend(now);
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.0, now.collect());
        before.difference(&self.0).cloned().collect()
    }
}
