//! Targets that come and go while the receiver runs: how it says which there are.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::target::Target;

/// Finds the targets of a receiver.
pub trait Discovery: Send {
    /// Puts what it finds into `sets`, again whenever that changes, until `stop` is cancelled. It
    /// may return earlier, if nothing will change any more: the targets stay.
    fn run(self: Box<Self>, sets: TargetSets, stop: CancellationToken) -> BoxFuture<'static, ()>;
}

/// A target that was found, and that is made once there is room for it.
#[derive(Clone)]
pub struct Candidate {
    pub(super) key: TargetKey,
    make: Arc<dyn Fn() -> Target + Send + Sync>,
}

/// Names a target by the hash of all that makes it what it is.
// 128 bits with a random seed: whoever names targets can't find two with the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TargetKey([u64; 2]);

impl Candidate {
    /// A target that `make` makes from `spec`. Two candidates whose specs hash alike are the same
    /// target: `make` isn't called again, and what is polled goes on with all its state. So a spec
    /// has everything that the target depends on: URL, labels, interval, credentials.
    pub fn new<S>(spec: S, make: impl Fn(&S) -> Target + Send + Sync + 'static) -> Self
    where
        S: Hash + Send + Sync + 'static,
    {
        static SEEDS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
        let named = (TypeId::of::<S>(), &spec);
        let key = TargetKey(SEEDS.each_ref().map(|seed| seed.hash_one(named)));
        Self {
            key,
            make: Arc::new(move || make(&spec)),
        }
    }

    /// Makes the target.
    pub fn make(&self) -> Target {
        (self.make)()
    }
}

/// Two that are the same target are equal.
impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Candidate {}

impl Hash for Candidate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Candidate").field(&self.key).finish()
    }
}

/// The targets of a receiver as they are now, by group. A group is what is always told as a whole,
/// such as one discovery of one job; the names of groups come from the configuration. Cheap to
/// clone; clones share the groups.
#[derive(Clone)]
pub struct TargetSets {
    shared: Arc<SharedSets>,
}

struct SharedSets {
    max: usize,
    groups: Mutex<BTreeMap<Arc<str>, TargetSet>>,
    changed: Notify,
}

#[derive(Default)]
struct TargetSet {
    candidates: Vec<Candidate>,
    /// How many more were found than may ever be polled.
    beyond: u64,
}

/// All candidates, and how many more there are.
pub(super) struct FoundTargets {
    pub(super) candidates: Vec<Candidate>,
    pub(super) beyond: u64,
}

impl TargetSets {
    /// No groups yet. Of each, at most `max` candidates are kept.
    pub fn new(max: usize) -> Self {
        Self {
            shared: Arc::new(SharedSets {
                max,
                groups: Mutex::default(),
                changed: Notify::new(),
            }),
        }
    }

    /// The group has these targets from now on. Of equal ones the first counts. Where there are
    /// more than may be polled, those that come first have precedence.
    pub fn set(&self, group: &str, candidates: Vec<Candidate>) {
        let mut groups = self.lock();
        let before = groups.remove(group).unwrap_or_default();
        let keys = |set: &TargetSet| -> Vec<TargetKey> {
            set.candidates.iter().map(|known| known.key).collect()
        };
        let (keys_before, beyond_before) = (keys(&before), before.beyond);
        // What is known stays as it is, so that a spec that was found again isn't held twice: its
        // first copy belongs to the target that is polled.
        let known = before.candidates.into_iter();
        let mut known: HashMap<TargetKey, Candidate> =
            known.map(|known| (known.key, known)).collect();
        let mut seen = HashSet::new();
        let mut set = TargetSet::default();
        for candidate in candidates {
            if !seen.insert(candidate.key) {
                continue;
            }
            if set.candidates.len() < self.shared.max {
                let known = known.remove(&candidate.key);
                set.candidates.push(known.unwrap_or(candidate));
            } else {
                set.beyond += 1;
            }
        }
        set.candidates.shrink_to_fit();
        let is_news = (keys(&set), set.beyond) != (keys_before, beyond_before);
        groups.insert(group.into(), set);
        drop(groups);
        if is_news {
            self.shared.changed.notify_one();
        }
    }

    /// The group has no targets any more.
    pub fn remove(&self, group: &str) {
        if self.lock().remove(group).is_some() {
            self.shared.changed.notify_one();
        }
    }

    /// All candidates, group by group.
    pub(super) fn found(&self) -> FoundTargets {
        let groups = self.lock();
        let candidates = groups.values().flat_map(|set| &set.candidates);
        FoundTargets {
            candidates: candidates.cloned().collect(),
            beyond: groups.values().map(|set| set.beyond).sum(),
        }
    }

    /// Resolves when a group has changed since it last did. Cancel safe.
    pub(super) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// No update can panic halfway, so a poisoned lock still holds whole sets.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, TargetSet>> {
        let groups = self.shared.groups.lock();
        groups.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TargetSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetSets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(specs: &[&'static str]) -> Vec<Candidate> {
        let one = |spec: &&'static str| Candidate::new(*spec, |_| unreachable!());
        specs.iter().map(one).collect()
    }

    fn is_news(sets: &TargetSets) -> bool {
        use futures_util::FutureExt as _;
        sets.changed().now_or_never().is_some()
    }

    #[test]
    fn a_group_that_is_told_again_unchanged_is_no_news_and_holds_nothing_twice() {
        let sets = TargetSets::new(10);
        sets.set("g", candidates(&["a", "b", "a"]));
        assert!(is_news(&sets));
        let before = sets.found().candidates;
        assert_eq!(before.len(), 2, "of equal ones the first counts");
        sets.set("g", candidates(&["a", "b"]));
        assert!(!is_news(&sets));
        let after = sets.found().candidates;
        for (before, after) in before.iter().zip(&after) {
            assert!(
                Arc::ptr_eq(&before.make, &after.make),
                "what was known stays"
            );
        }
        sets.set("g", candidates(&["b", "c"]));
        assert!(is_news(&sets));
        assert!(Arc::ptr_eq(
            &sets.found().candidates[0].make,
            &before[1].make
        ));
        sets.remove("g");
        assert!(is_news(&sets) && sets.found().candidates.is_empty());
        sets.remove("g");
        assert!(!is_news(&sets));
    }

    #[test]
    fn of_a_group_no_more_is_kept_than_may_be_polled() {
        let sets = TargetSets::new(2);
        sets.set("g", candidates(&["a", "b", "c", "d"]));
        sets.set("h", candidates(&["e"]));
        let found = sets.found();
        assert_eq!((found.candidates.len(), found.beyond), (3, 2));
    }

    #[test]
    fn specs_of_two_types_are_two_targets_whatever_they_hash_to() {
        #[derive(Hash)]
        struct Other(&'static str);
        let [one] = &candidates(&["a"])[..] else {
            panic!("one spec")
        };
        let other = Candidate::new(Other("a"), |_| unreachable!());
        assert!(one.key != other.key);
    }
}
