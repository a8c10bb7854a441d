//! Finds numbers of things by the texts that they stand for.

use std::hash::{BuildHasher as _, Hash};

use hashbrown::HashTable;

/// An index of a list. It keeps the hash of each entry, so that it grows without a look at them.
#[derive(Debug, Default)]
pub(super) struct HashIndex {
    hasher: foldhash::quality::RandomState,
    table: HashTable<(IndexHash, u32)>,
}

/// The hash of what an entry is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexHash(u32);

impl IndexHash {
    /// As the table wants it: it looks at both ends.
    fn spread(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}

impl HashIndex {
    pub(super) fn hash(&self, key: impl Hash) -> IndexHash {
        IndexHash(self.hasher.hash_one(key) as u32)
    }

    /// The entry with this hash of which `same` says that it is the one.
    pub(super) fn find(&self, hash: IndexHash, same: impl Fn(usize) -> bool) -> Option<usize> {
        let is_same = |(found, id): &(IndexHash, u32)| *found == hash && same(*id as usize);
        let found = self.table.find(hash.spread(), is_same);
        found.map(|(_, id)| *id as usize)
    }

    /// Adds an entry that isn't there yet.
    pub(super) fn insert(&mut self, hash: IndexHash, id: usize) {
        let entry = (hash, id as u32);
        self.table
            .insert_unique(hash.spread(), entry, |(hash, _)| hash.spread());
    }

    pub(super) fn remove(&mut self, hash: IndexHash, id: usize) {
        let is_it = |(_, found): &(IndexHash, u32)| *found as usize == id;
        if let Ok(entry) = self.table.find_entry(hash.spread(), is_it) {
            entry.remove();
        }
    }
}
