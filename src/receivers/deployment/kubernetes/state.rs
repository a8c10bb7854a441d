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
    Fails {
        /// The last failure.
        failure: PartFailure,
        /// When the first one since it followed was.
        since: Instant,
    },
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
        if self.failing_since().is_some() {
            // That it follows again is shown at once, whether or not anything has changed.
            self.changed_at.get_or_insert(now);
        }
        self.standing = Some(Standing::Follows);
        match change {
            CollectionChange::Listed(listed) => {
                self.left_out[0] += listed.invalid;
                self.left_out[1] += listed.left_over;
                // One that can't be read, and doesn't say which it is, may be any that seems to have
                // gone.
                if listed.invalid <= listed.unread.len() as u64 {
                    let mut gone: BTreeSet<String> = self.all.keys().cloned().collect();
                    for object in listed.objects.values() {
                        gone.remove(object.uid());
                    }
                    gone.retain(|id| !listed.unread.contains(id));
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

    pub(super) fn fail(&mut self, failure: PartFailure, now: Instant) {
        let since = self.failing_since().unwrap_or(now);
        self.standing = Some(Standing::Fails { failure, since });
    }

    /// Since when the cluster can't be followed; `None` while it can, and before it is known.
    pub(super) fn failing_since(&self) -> Option<Instant> {
        match &self.standing {
            Some(Standing::Fails { since, .. }) => Some(*since),
            Some(Standing::Follows) | None => None,
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::receivers::kubernetes::Listed;
    use crate::receivers::scrape::FailureReason;

    fn object(uid: &str, available: u32) -> DeploymentObject {
        let text = format!(
            r#"{{"metadata":{{"uid":"{uid}","name":"web"}},"status":{{"availableReplicas":{available}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn listed(
        objects: &[(&str, u32)],
        unread: &[&str],
        nameless: u64,
    ) -> CollectionChange<DeploymentObject> {
        let objects = objects.iter();
        CollectionChange::Listed(Listed::of(
            objects.map(|(uid, available)| object(uid, *available)),
            unread,
            nameless,
        ))
    }

    fn failure() -> PartFailure {
        PartFailure::new("/list", FailureReason::Refused, "refused")
    }

    /// The ids that have changed, those that are gone with a minus.
    fn changes(state: &mut ClusterState) -> Vec<String> {
        let changes = state.changes().into_iter();
        changes
            .map(|(id, now)| if now.is_some() { id } else { format!("-{id}") })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_has_changed_is_told() {
        let (mut state, now) = (ClusterState::new(3), Instant::now());
        state.take(listed(&[("a", 1), ("b", 0)], &[], 0), now);
        assert_eq!(
            (changes(&mut state), state.active()),
            (vec!["a".to_owned(), "b".to_owned()], 1)
        );
        state.take(listed(&[("a", 1), ("b", 2)], &[], 0), now);
        assert_eq!(
            (changes(&mut state), state.active()),
            (vec!["b".to_owned()], 2)
        );
        state.take(CollectionChange::Deleted(object("a", 1)), now);
        assert_eq!(
            (changes(&mut state), state.active()),
            (vec!["-a".to_owned()], 1)
        );
        assert_eq!(state.news_since(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_list_does_not_have_is_gone_unless_it_may_be_what_can_not_be_read() {
        let (mut state, now) = (ClusterState::new(10), Instant::now());
        state.take(listed(&[("a", 1), ("b", 1), ("c", 1)], &[], 0), now);
        changes(&mut state);
        state.take(listed(&[("a", 1)], &["b"], 0), now);
        assert_eq!(changes(&mut state), ["-c"]);
        state.take(listed(&[], &["x"], 1), now);
        assert_eq!(changes(&mut state), [] as [String; 0]);
        state.take(listed(&[("b", 1)], &[], 0), now);
        assert_eq!(changes(&mut state), ["-a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_bound_the_places_of_those_that_are_gone_are_taken() {
        let (mut state, now) = (ClusterState::new(2), Instant::now());
        state.take(listed(&[("a", 1), ("b", 1)], &[], 0), now);
        state.take(CollectionChange::Applied(object("c", 1)), now);
        assert_eq!((state.left_out, state.active()), ([0, 1], 2));
        state.take(listed(&[("b", 1), ("c", 1)], &[], 0), now);
        assert_eq!((state.left_out, state.active()), ([0, 1], 2));
        assert!(state.all().keys().eq(["b", "c"]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_fails_since_the_first_failure_and_its_return_is_news() {
        let mut state = ClusterState::new(10);
        let begun = Instant::now();
        state.take(listed(&[("a", 1)], &[], 0), begun);
        state.all();
        let (first, second) = (
            begun + Duration::from_secs(10),
            begun + Duration::from_secs(20),
        );
        state.fail(failure(), first);
        state.fail(failure(), second);
        assert_eq!(
            (state.failing_since(), state.news_since()),
            (Some(first), None)
        );
        // The same list as before.
        let back = begun + Duration::from_secs(30);
        state.take(listed(&[("a", 1)], &[], 0), back);
        assert_eq!(
            (state.failing_since(), state.news_since()),
            (None, Some(back))
        );
        state.fail(failure(), back);
        assert_eq!(state.failing_since(), Some(back));
    }
}
