//! Which of the targets that were found are polled. Pure: who is found comes in, whom to poll and
//! whom not comes out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::discovery::{FoundTargets, TargetKey};
use super::link::{Link, Membership};
use super::target::{Target, TargetIdentity};

/// The targets that are polled.
pub(super) struct Roster {
    max: usize,
    /// Whether endpoints have guards, of which each can have one at a time.
    is_guarded: bool,
    polled: HashMap<TargetKey, RosterEntry>,
    /// Those that can't begin before another one has ended.
    waiting: HashMap<TargetKey, TargetNames>,
    /// Whether there are others that begin when somebody has ended: for want of places, or since
    /// they returned too late.
    wants_places: bool,
    /// How many were left out the last time.
    left_out: u64,
}

/// By what targets get into each other's way.
#[derive(Clone)]
struct TargetNames {
    endpoint: Arc<str>,
    identity: Arc<TargetIdentity>,
}

struct RosterEntry {
    link: Arc<Link>,
    names: TargetNames,
    /// Whether its poller panicked. It isn't begun again, since it would probably panic again.
    dead: bool,
}

/// A target to poll from now on.
pub(super) struct NewTarget {
    pub(super) key: TargetKey,
    pub(super) target: Target,
    pub(super) link: Arc<Link>,
}

/// What follows from what was found.
pub(super) struct Changes {
    pub(super) admitted: Vec<NewTarget>,
    /// The endpoints of targets that are gone and whose pollers had panicked.
    pub(super) buried: Vec<Arc<str>>,
    /// How many more than the last time were left out.
    pub(super) newly_left_out: u64,
}

impl Roster {
    /// Nobody yet, and never more than `max`.
    pub(super) fn new(max: usize, is_guarded: bool) -> Self {
        Self {
            max,
            is_guarded,
            polled: HashMap::new(),
            waiting: HashMap::new(),
            wants_places: false,
            left_out: 0,
        }
    }

    /// How many there are, with those that are leaving.
    pub(super) fn count(&self) -> usize {
        self.polled.len()
    }

    /// Takes what was found. Tells those that are no longer found to leave, recalls those that
    /// have returned, and admits the others while there is room.
    pub(super) fn take(&mut self, found: &FoundTargets) -> Changes {
        let wanted: HashSet<TargetKey> = found.candidates.iter().map(|found| found.key).collect();
        let mut buried = Vec::new();
        self.polled.retain(|key, entry| {
            let is_over = entry.dead && !wanted.contains(key);
            if is_over {
                buried.push(Arc::clone(&entry.names.endpoint));
            }
            !is_over
        });
        let mut wants_places = false;
        for (key, entry) in &self.polled {
            if wanted.contains(key) {
                // If it is too late for that, it begins anew when it has ended.
                entry.link.recall();
                wants_places |= entry.link.membership() != Membership::Member;
            } else {
                entry.link.remove();
            }
        }
        let leaving = Leaving::among(self.polled.values(), self.is_guarded);
        let mut places = leaving.links.iter();
        let mut admitted = Vec::new();
        let mut waited = std::mem::take(&mut self.waiting);
        let mut left_out = found.beyond;
        for candidate in &found.candidates {
            if self.polled.contains_key(&candidate.key) {
                continue;
            }
            if self.polled.len() >= self.max {
                wants_places = true;
                match places.next() {
                    Some(leaving) => leaving.succeed(),
                    None => left_out += 1,
                }
                continue;
            }
            // To make a target costs more than all the rest here, and others may wait for many
            // ends.
            let (names, made) = match waited.remove(&candidate.key) {
                Some(names) => (names, None),
                None => {
                    let target = candidate.make();
                    (TargetNames::of(&target), Some(target))
                }
            };
            // The former's tombstones must not end the series of this one, and its guard must be
            // free.
            if let Some(predecessor) = leaving.predecessor(&names) {
                predecessor.succeed();
                self.waiting.insert(candidate.key, names);
                continue;
            }
            let target = made.unwrap_or_else(|| candidate.make());
            let link = Arc::new(Link::new(target.nudge.clone()));
            let entry = RosterEntry {
                link: Arc::clone(&link),
                names,
                dead: false,
            };
            self.polled.insert(candidate.key, entry);
            admitted.push(NewTarget {
                key: candidate.key,
                target,
                link,
            });
        }
        self.wants_places = wants_places;
        let before = std::mem::replace(&mut self.left_out, left_out);
        Changes {
            admitted,
            buried,
            newly_left_out: left_out.saturating_sub(before),
        }
    }

    /// Whether somebody may begin when another target has ended.
    pub(super) fn awaits_ends(&self) -> bool {
        self.wants_places || !self.waiting.is_empty()
    }

    /// A target has ended. Whoever waits for its place is admitted by the next
    /// [`take`](Self::take).
    pub(super) fn ended(&mut self, key: TargetKey) {
        self.polled.remove(&key);
    }

    /// A target's poller panicked.
    pub(super) fn died(&mut self, key: TargetKey) {
        if let Some(entry) = self.polled.get_mut(&key) {
            entry.dead = true;
        }
    }
}

impl TargetNames {
    fn of(target: &Target) -> Self {
        Self {
            endpoint: Arc::clone(&target.endpoint),
            identity: Arc::clone(&target.identity),
        }
    }
}

/// Those that were removed and haven't ended.
struct Leaving {
    links: Vec<Arc<Link>>,
    by_endpoint: HashMap<Arc<str>, Arc<Link>>,
    by_identity: HashMap<Arc<TargetIdentity>, Arc<Link>>,
}

impl Leaving {
    fn among<'a>(entries: impl Iterator<Item = &'a RosterEntry>, are_guarded: bool) -> Self {
        let mut leaving = Self {
            links: Vec::new(),
            by_endpoint: HashMap::new(),
            by_identity: HashMap::new(),
        };
        for entry in entries.filter(|entry| entry.link.membership() != Membership::Member) {
            let link = || Arc::clone(&entry.link);
            leaving.links.push(link());
            if are_guarded {
                let endpoint = Arc::clone(&entry.names.endpoint);
                leaving.by_endpoint.insert(endpoint, link());
            }
            let identity = Arc::clone(&entry.names.identity);
            leaving.by_identity.insert(identity, link());
        }
        leaving
    }

    /// The one that must end before this target begins.
    fn predecessor(&self, names: &TargetNames) -> Option<&Link> {
        let by_endpoint = || self.by_endpoint.get(&names.endpoint);
        let found = self.by_identity.get(&names.identity);
        found.or_else(by_endpoint).map(|link| &**link)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::pdata::writer::MetricsWriter;
    use crate::receivers::scrape::discovery::{Candidate, TargetSets};
    use crate::receivers::scrape::{
        Nudge, Poll, PollSettings, Reach, Scrape, ScrapeSeries, Scraper,
    };

    struct Silent;

    impl Scraper for Silent {
        fn scrape<'a>(&'a mut self, _: Poll, _: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
            unreachable!("nothing is polled here")
        }
    }

    /// Instance, endpoint, and something else that the target depends on.
    type Spec = (&'static str, &'static str, u32);

    fn target(&(instance, endpoint, _): &Spec) -> Target {
        Target {
            endpoint: endpoint.into(),
            identity: Arc::new(TargetIdentity::new("job", instance)),
            reach: Reach::Remote,
            pace: PollSettings::default().pace(),
            series: ScrapeSeries::Own,
            advice: "".into(),
            nudge: Nudge::default(),
            scraper: Box::new(Silent),
        }
    }

    struct Rigged {
        roster: Roster,
        sets: TargetSets,
        links: HashMap<TargetKey, Arc<Link>>,
    }

    fn key(spec: Spec) -> TargetKey {
        Candidate::new(spec, target).key
    }

    impl Rigged {
        fn new(max: usize) -> Self {
            Self {
                roster: Roster::new(max, true),
                sets: TargetSets::new(max),
                links: HashMap::new(),
            }
        }

        /// The instances that begin, and how many more are left out.
        fn find(&mut self, specs: &[Spec]) -> (Vec<String>, u64) {
            let candidates = specs.iter().map(|spec| Candidate::new(*spec, target));
            self.sets.set("g", candidates.collect());
            self.again()
        }

        fn again(&mut self) -> (Vec<String>, u64) {
            let changes = self.roster.take(&self.sets.found());
            let begun = changes.admitted.into_iter().map(|admitted| {
                self.links.insert(admitted.key, admitted.link);
                admitted.target.identity.instance.to_string()
            });
            (begun.collect(), changes.newly_left_out)
        }

        fn membership(&self, spec: Spec) -> Membership {
            self.links[&key(spec)].membership()
        }

        fn end(&mut self, spec: Spec) {
            assert!(self.links[&key(spec)].end());
            self.roster.ended(key(spec));
        }
    }

    const A: Spec = ("a", "http://a", 1);
    const B: Spec = ("b", "http://b", 1);
    const C: Spec = ("c", "http://c", 1);

    #[test]
    fn what_stays_goes_on_what_leaves_is_told_and_what_returns_in_time_is_recalled() {
        let mut rig = Rigged::new(10);
        assert_eq!(rig.find(&[A, B]), (vec!["a".into(), "b".into()], 0));
        assert_eq!(rig.find(&[B, C]), (vec!["c".into()], 0));
        assert_eq!(rig.membership(A), Membership::Leaving);
        assert_eq!(rig.membership(B), Membership::Member);
        assert_eq!(rig.find(&[A, B, C]), (vec![], 0));
        assert_eq!(rig.membership(A), Membership::Member);
        rig.find(&[B, C]);
        rig.end(A);
        assert_eq!(rig.find(&[A, B, C]), (vec!["a".into()], 0), "anew");
    }

    #[test]
    fn a_successor_begins_when_the_former_has_ended_which_it_then_does_at_once() {
        for successor in [
            ("a", "http://a", 2),
            ("a", "http://other", 1),
            ("other", "http://a", 1),
        ] {
            let mut rig = Rigged::new(10);
            rig.find(&[A]);
            assert_eq!(rig.find(&[successor]), (vec![], 0));
            assert_eq!(rig.membership(A), Membership::Succeeded);
            rig.end(A);
            assert_eq!(rig.again(), (vec![successor.0.into()], 0));
        }
        // Without guards one that has other series has no reason to wait.
        let mut rig = Rigged::new(10);
        rig.roster = Roster::new(10, false);
        rig.find(&[A]);
        assert_eq!(rig.find(&[("other", "http://a", 1)]).0, ["other"]);
        assert_eq!(rig.membership(A), Membership::Leaving);
        // Two members may be alike, as in Prometheus.
        let mut rig = Rigged::new(10);
        rig.find(&[A]);
        let begun = rig.find(&[A, ("a", "http://other", 1)]);
        assert_eq!(begun, (vec!["a".into()], 0));
    }

    #[test]
    fn only_an_end_for_which_somebody_waits_is_a_reason_to_look_again() {
        let mut rig = Rigged::new(2);
        rig.find(&[A, B]);
        assert!(!rig.roster.awaits_ends());
        rig.find(&[B]);
        assert!(!rig.roster.awaits_ends(), "one leaves, and nobody waits");
        rig.find(&[B, ("a", "http://a", 2)]);
        assert!(rig.roster.awaits_ends(), "a successor");
        rig.end(A);
        rig.again();
        assert!(!rig.roster.awaits_ends());
        rig.find(&[B, C, ("a", "http://a", 2)]);
        assert!(rig.roster.awaits_ends(), "there is no place");
        // One that returns when it is too late to go on.
        let mut rig = Rigged::new(2);
        rig.find(&[A]);
        rig.find(&[]);
        assert!(rig.links[&key(A)].end());
        rig.find(&[A]);
        assert!(rig.roster.awaits_ends());
        rig.roster.ended(key(A));
        assert_eq!(rig.again().0, ["a"], "anew");
    }

    #[test]
    fn a_target_that_waits_for_the_end_of_others_is_not_made_again_and_again() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let made = Arc::new(AtomicUsize::new(0));
        let mut rig = Rigged::new(10);
        rig.find(&[A, B]);
        let count = Arc::clone(&made);
        let successor = Candidate::new(("a", "http://b", 2), move |spec| {
            count.fetch_add(1, Ordering::Relaxed);
            target(spec)
        });
        rig.sets.set("g", vec![successor]);
        for _ in 0..20 {
            assert_eq!(rig.again().0, [""; 0]);
        }
        rig.end(A);
        assert_eq!(rig.again().0, [""; 0], "its endpoint isn't free");
        rig.end(B);
        assert_eq!(rig.again().0, ["a"]);
        assert_eq!(
            made.load(Ordering::Relaxed),
            2,
            "for its names, and to begin"
        );
    }

    #[test]
    fn beyond_the_bound_targets_are_left_out_until_others_leave() {
        let mut rig = Rigged::new(2);
        assert_eq!(rig.find(&[A, B, C]), (vec!["a".into(), "b".into()], 1));
        assert_eq!(rig.again(), (vec![], 0), "each is counted once");
        assert_eq!(rig.find(&[B, C]), (vec![], 0));
        assert_eq!(
            rig.membership(A),
            Membership::Succeeded,
            "its place is needed"
        );
        rig.end(A);
        assert_eq!(rig.again(), (vec!["c".into()], 0));
        assert_eq!(rig.roster.count(), 2);
        assert_eq!(
            rig.find(&[B, C, A]),
            (vec![], 1),
            "what is polled goes first"
        );
    }

    #[test]
    fn a_poller_that_died_is_not_begun_again_while_its_target_is_found() {
        let mut rig = Rigged::new(2);
        rig.find(&[A]);
        rig.roster.died(key(A));
        assert_eq!(rig.again(), (vec![], 0));
        rig.sets.set("g", Vec::new());
        let changes = rig.roster.take(&rig.sets.found());
        assert_eq!(changes.buried, [Arc::from(A.1)]);
        assert_eq!(rig.roster.count(), 0);
        assert_eq!(rig.find(&[A]).0, ["a"]);
    }
}
