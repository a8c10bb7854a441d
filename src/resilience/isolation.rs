//! Whether many failures at once are the peers' fault or that of this machine's network.
//!
//! A machine that loses its uplink sees every endpoint fail. Each breaker would open, and
//! each failed canary would double its cooldown, so that minutes after the network is back
//! most endpoints would still not be asked. So when nearly all of several different peers fail
//! below HTTP at the same time, our own network is suspected, and no cooldown grows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::outcome::Outcome;

/// Failures are the same event if they happen within this.
const WINDOW: Duration = Duration::from_secs(10);

/// The suspicion ends when its condition hasn't held for this long.
const MEMORY: Duration = Duration::from_secs(60);

/// Fewer peers than this raise no suspicion.
const MIN_PEERS: usize = 3;

/// Peers that are kept at most.
const MAX_PEERS: usize = 32_768;

/// What all endpoints of a process, sources and destinations alike, share: the network.
#[derive(Debug, Default)]
pub struct Network {
    isolation: Mutex<Isolation>,
}

impl Network {
    /// A network at which no attempt was made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of one attempt at `peer`, a host and port such as `example.org:443`.
    pub fn record(&self, now: Instant, peer: &str, outcome: Outcome) {
        let change = self.lock().record(now, peer, outcome);
        match change {
            Some(Change::Suspected { failing, peers }) => warn!(
                failing,
                peers, "network_suspect: nearly every peer fails, cooldowns no longer grow"
            ),
            Some(Change::Cleared) => info!("network_suspect is over"),
            None => {}
        }
    }

    /// Whether our own network is suspected now.
    pub fn suspected(&self, now: Instant) -> bool {
        self.lock().suspected(now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Isolation> {
        self.isolation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a sighting changed.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Suspected { failing: usize, peers: usize },
    Cleared,
}

/// The rule without its lock.
#[derive(Debug, Default)]
struct Isolation {
    /// The last sighting of each peer within the window.
    latest: HashMap<Arc<str>, Sighting>,
    /// The peers by the serial of that sighting, so the longest unseen first.
    by_age: BTreeMap<u64, Arc<str>>,
    failing: usize,
    serial: u64,
    /// When the condition last held, since the last success.
    held: Option<Instant>,
}

#[derive(Debug)]
struct Sighting {
    at: Instant,
    serial: u64,
    failed: bool,
}

impl Isolation {
    fn record(&mut self, now: Instant, peer: &str, outcome: Outcome) -> Option<Change> {
        if matches!(outcome, Outcome::Cancelled | Outcome::Local) {
            return None;
        }
        let before = self.suspected(now);
        self.forget(now);
        self.see(now, peer, outcome.is_transport());
        if outcome == Outcome::Success {
            self.held = None;
            return before.then_some(Change::Cleared);
        }
        let peers = self.latest.len();
        // At least 80 %, in integers.
        if peers >= MIN_PEERS && self.failing * 5 >= peers * 4 {
            self.held = Some(now);
        }
        (!before && self.suspected(now)).then_some(Change::Suspected {
            failing: self.failing,
            peers,
        })
    }

    fn suspected(&self, now: Instant) -> bool {
        self.held
            .is_some_and(|held| now.saturating_duration_since(held) < MEMORY)
    }

    fn see(&mut self, now: Instant, peer: &str, failed: bool) {
        self.failing += usize::from(failed);
        let Some(sighting) = self.latest.get_mut(peer) else {
            self.meet(now, peer, failed);
            return;
        };
        self.failing -= usize::from(sighting.failed);
        sighting.at = now;
        sighting.failed = failed;
        // A peer that was the last one seen before keeps its place, so that an agent with one
        // destination changes no map.
        if sighting.serial != self.serial
            && let Some(peer) = self.by_age.remove(&sighting.serial)
        {
            self.serial += 1;
            sighting.serial = self.serial;
            self.by_age.insert(self.serial, peer);
        }
    }

    fn meet(&mut self, now: Instant, peer: &str, failed: bool) {
        self.serial += 1;
        let peer: Arc<str> = peer.into();
        let sighting = Sighting {
            at: now,
            serial: self.serial,
            failed,
        };
        self.latest.insert(Arc::clone(&peer), sighting);
        self.by_age.insert(self.serial, peer);
    }

    /// Lets go of the peers that weren't seen within the window, and of the longest unseen
    /// where there are too many.
    fn forget(&mut self, now: Instant) {
        while let Some(longest_unseen) = self.by_age.first_entry() {
            let sighting = self.latest.get(longest_unseen.get());
            let old = sighting.is_none_or(|seen| now.saturating_duration_since(seen.at) > WINDOW);
            if !old && self.latest.len() < MAX_PEERS {
                return;
            }
            if let Some(forgotten) = self.latest.remove(&longest_unseen.remove()) {
                self.failing -= usize::from(forgotten.failed);
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::resilience::outcome::Transport;

    const REFUSED: Outcome = Outcome::Transport(Transport::Refused);

    /// Feeds sightings at seconds, and tells whether the network is suspected at the end.
    fn after(sightings: &[(u64, &str, Outcome)], at: u64) -> bool {
        let start = Instant::now();
        let second = |at| start + Duration::from_secs(at);
        let mut isolation = Isolation::default();
        for &(at, peer, outcome) in sightings {
            isolation.record(second(at), peer, outcome);
        }
        isolation.suspected(second(at))
    }

    #[test]
    fn three_failing_peers_within_ten_seconds_are_suspicious() {
        let third = |at| {
            [
                (0, "a:1", REFUSED),
                (3, "b:1", Outcome::Timeout),
                (at, "c:1", REFUSED),
            ]
        };
        assert!(after(&third(10), 10));
        assert!(!after(&third(11), 11), "the first has been forgotten");
        assert!(!after(&[(0, "a:1", REFUSED), (1, "b:1", REFUSED)], 1));
        assert!(
            !after(
                &[
                    (0, "a:1", REFUSED),
                    (1, "b:1", REFUSED),
                    (2, "b:1", REFUSED)
                ],
                2
            ),
            "the same peer twice is one peer"
        );
    }

    #[test]
    fn four_of_five_are_enough_and_three_of_four_are_not() {
        let four = [
            (0, "a:1", Outcome::ServerError),
            (1, "b:1", REFUSED),
            (1, "c:1", REFUSED),
            (1, "d:1", REFUSED),
        ];
        assert!(!after(&four, 1), "an answer of any kind came through");
        let mut five = four.to_vec();
        five.push((2, "e:1", REFUSED));
        assert!(after(&five, 2));
    }

    #[test]
    fn it_ends_with_the_first_success_or_a_minute_after_it_last_held() {
        let down = [
            (0, "a:1", REFUSED),
            (0, "b:1", REFUSED),
            (0, "c:1", REFUSED),
        ];
        assert!(after(&down, 59));
        assert!(!after(&down, 60));
        let mut back = down.to_vec();
        back.push((5, "z:9", Outcome::Success));
        assert!(!after(&back, 5));
        let mut answered = down.to_vec();
        answered.push((5, "a:1", Outcome::ClientError));
        assert!(after(&answered, 5), "only a success clears it");
    }

    #[test]
    fn cancelled_and_local_outcomes_are_no_sightings() {
        let none = [
            (0, "a:1", Outcome::Cancelled),
            (0, "b:1", Outcome::Local),
            (0, "c:1", REFUSED),
        ];
        assert!(!after(&none, 0));
    }

    #[test]
    fn a_peer_that_is_seen_often_is_one_peer_and_is_forgotten_like_any() {
        let start = Instant::now();
        let second = |at| start + Duration::from_secs(at);
        let mut isolation = Isolation::default();
        isolation.record(second(0), "b:1", REFUSED);
        for at in 0..=9 {
            isolation.record(second(at), "a:1", REFUSED);
            isolation.record(second(at), "a:1", Outcome::Success);
        }
        assert_eq!((isolation.latest.len(), isolation.failing), (2, 1));
        isolation.record(second(11), "c:1", REFUSED);
        assert_eq!((isolation.latest.len(), isolation.failing), (2, 1));
        isolation.record(second(20), "c:1", REFUSED);
        assert_eq!((isolation.latest.len(), isolation.by_age.len()), (1, 1));
    }

    #[test]
    fn memory_is_bounded_by_the_window_and_by_count() {
        let start = Instant::now();
        let mut isolation = Isolation::default();
        for index in 0..MAX_PEERS + 100 {
            isolation.record(start, &format!("host-{index}:1"), REFUSED);
        }
        assert_eq!(isolation.latest.len(), MAX_PEERS);
        assert_eq!(isolation.by_age.len(), MAX_PEERS);
        assert_eq!(isolation.failing, MAX_PEERS);
        isolation.record(start + Duration::from_secs(11), "late:1", REFUSED);
        assert_eq!((isolation.latest.len(), isolation.failing), (1, 1));
    }
}
