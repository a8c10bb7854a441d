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
    /// How many were left out the last time.
    left_out: u64,
}

struct RosterEntry {
    link: Arc<Link>,
    endpoint: Arc<str>,
    identity: Arc<TargetIdentity>,
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
        self.polled
            .retain(|key, entry| wanted.contains(key) || !entry.dead);
        for (key, entry) in &self.polled {
            if wanted.contains(key) {
                // If it is too late for that, it begins anew when it has ended.
                entry.link.recall();
            } else {
                entry.link.remove();
            }
        }
        let leaving = Leaving::among(self.polled.values(), self.is_guarded);
        let mut places = leaving.links.iter();
        let mut admitted = Vec::new();
        let mut left_out = found.beyond;
        for candidate in &found.candidates {
            if self.polled.contains_key(&candidate.key) {
                continue;
            }
            if self.polled.len() >= self.max {
                match places.next() {
                    Some(leaving) => leaving.succeed(),
                    None => left_out += 1,
                }
                continue;
            }
            let target = candidate.make();
            // The former's tombstones must not end the series of this one, and its guard must be
            // free.
            if let Some(predecessor) = leaving.predecessor(&target) {
                predecessor.succeed();
                continue;
            }
            let link = Arc::new(Link::new(target.nudge.clone()));
            let entry = RosterEntry {
                link: Arc::clone(&link),
                endpoint: Arc::clone(&target.endpoint),
                identity: Arc::clone(&target.identity),
                dead: false,
            };
            self.polled.insert(candidate.key, entry);
            admitted.push(NewTarget {
                key: candidate.key,
                target,
                link,
            });
        }
        let before = std::mem::replace(&mut self.left_out, left_out);
        Changes {
            admitted,
            newly_left_out: left_out.saturating_sub(before),
        }
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
                leaving
                    .by_endpoint
                    .insert(Arc::clone(&entry.endpoint), link());
            }
            leaving
                .by_identity
                .insert(Arc::clone(&entry.identity), link());
        }
        leaving
    }

    /// The one that must end before this target begins.
    fn predecessor(&self, target: &Target) -> Option<&Link> {
        let by_endpoint = || self.by_endpoint.get(&target.endpoint);
        let found = self.by_identity.get(&target.identity);
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
        rig.find(&[]);
        assert_eq!(rig.roster.count(), 0);
        assert_eq!(rig.find(&[A]).0, ["a"]);
    }
}
