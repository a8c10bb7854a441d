//! The deployments of a cluster as they are now, and what has changed since they were shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::object::DeploymentObject;
use crate::receivers::deployment::reading::{DeploymentChanges, DeploymentsById};
use crate::receivers::kubernetes::{CollectionChange, KubernetesObject as _};
use crate::receivers::scrape::PartFailure;

/// What is known of a cluster. Pure.
#[derive(Debug)]
pub(super) struct ClusterState {
    most: usize,
    all: DeploymentsById,
    active: u64,
    /// Those that have changed since the last call of [`ClusterState::changes`].
    changed: BTreeSet<String>,
    /// Since when there are changes that weren't shown.
    changed_at: Option<Instant>,
    /// How it went on last; `None` before the first list.
    pub(super) standing: Option<Standing>,
    /// Entries that were left out since the last poll: those that can't be read, and those beyond
    /// a bound.
    pub(super) left_out: [u64; 2],
}

/// Whether what is known is as it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    Follows,
    Fails(PartFailure),
}

impl ClusterState {
    /// Nothing is known yet. At most so many deployments are kept.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            all: BTreeMap::new(),
            active: 0,
            changed: BTreeSet::new(),
            changed_at: None,
            standing: None,
            left_out: [0; 2],
        }
    }

    pub(super) fn take(&mut self, change: CollectionChange<DeploymentObject>, now: Instant) {
        self.standing = Some(Standing::Follows);
        match change {
            CollectionChange::Listed(listed) => {
                self.left_out[0] += listed.invalid;
                self.left_out[1] += listed.left_over;
                // Among those that can't be read may be some that seem to have gone.
                if listed.invalid == 0 {
                    let mut gone: BTreeSet<String> = self.all.keys().cloned().collect();
                    for object in listed.objects.values() {
                        gone.remove(object.uid());
                    }
                    // Before the others come, which may need their places.
                    for id in gone {
                        self.remove(&id, now);
                    }
                }
                for object in listed.objects.values() {
                    self.apply(object, now);
                }
            }
            CollectionChange::Applied(object) => self.apply(&object, now),
            CollectionChange::Deleted(object) => {
                let id = object.uid();
                self.remove(id, now);
            }
            CollectionChange::Invalid => self.left_out[0] += 1,
        }
    }

    pub(super) fn fail(&mut self, failure: PartFailure) {
        self.standing = Some(Standing::Fails(failure));
    }

    fn apply(&mut self, object: &DeploymentObject, now: Instant) {
        let reading = object.reading();
        let id = reading.labels.id.clone();
        let known = self.all.get(&id);
        if known.is_some_and(|known| **known == reading) {
            return;
        }
        if object.is_oversized() || known.is_none() && self.all.len() >= self.most {
            self.left_out[1] += 1;
            return;
        }
        self.active += u64::from(reading.is_active);
        let before = self.all.insert(id.clone(), Arc::new(reading));
        self.active -= u64::from(before.is_some_and(|before| before.is_active));
        self.note(id, now);
    }

    fn remove(&mut self, id: &str, now: Instant) {
        if let Some(before) = self.all.remove(id) {
            self.active -= u64::from(before.is_active);
            self.note(id.to_owned(), now);
        }
    }

    fn note(&mut self, id: String, now: Instant) {
        self.changed.insert(id);
        self.changed_at.get_or_insert(now);
    }

    /// Since when there are changes to be shown.
    pub(super) fn news_since(&self) -> Option<Instant> {
        let follows = self.standing == Some(Standing::Follows);
        self.changed_at.filter(|_| follows)
    }

    /// All deployments; everything that has changed is shown with them.
    pub(super) fn all(&mut self) -> DeploymentsById {
        self.changed.clear();
        self.changed_at = None;
        self.all.clone()
    }

    /// What has changed since the last call; `None` for what is gone.
    pub(super) fn changes(&mut self) -> DeploymentChanges {
        self.changed_at = None;
        std::mem::take(&mut self.changed)
            .into_iter()
            .map(|id| {
                let now = self.all.get(&id).cloned();
                (id, now)
            })
            .collect()
    }

    /// How many deployments are active.
    pub(super) fn active(&self) -> u64 {
        self.active
    }
}
