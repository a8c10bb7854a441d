//! Remembers `target_info`: what is known of a resource, for as long as its points pass.
//!
//! The page shows it for as long as the resource sends anything, and a Prometheus that reads the
//! page stores it at every scrape. Here it gets a point beside the points of its resource, at
//! their times, so that a day that is pushed within a minute can be joined with it at any time.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

use foldhash::quality::RandomState;
use tokio::time::Instant;

use crate::pdata::view::ResourceMetrics;
use crate::recording::INTERVAL;
use crate::translation::Translation;
use crate::window::{RingId, SharedWindows, StoreRefusal, ValueKind, Windows};

/// The resources whose points pass, and their `target_info`. All are known by 128-bit hashes, so
/// that a resource of a batch that was seen before costs two lookups.
pub(super) struct TargetRecorder {
    translation: Arc<Translation>,
    hash: [RandomState; 2],
    /// By the encoded resource.
    resources: HashMap<u128, KnownResource>,
    /// By job and instance.
    targets: HashMap<u128, KnownTarget>,
    /// How many of either are known at most. Beyond it they are found anew.
    most: usize,
}

struct KnownResource {
    /// Its job and instance; `None` for one without.
    target: Option<u128>,
    seen: Instant,
}

/// What is stored for a job and instance: a second one would make joins ambiguous.
struct KnownTarget {
    /// The resource that says it.
    resource: u128,
    /// `None` if the store refused the series, or it has ended.
    ring: Option<RingId>,
    /// When the next point is due, by the times of points.
    due: i64,
    seen: Instant,
}

/// The resource whose points are taken now.
pub(super) struct CurrentTarget {
    resource: u128,
    target: Option<u128>,
    /// A point from this time on has to be shown.
    pub(super) due: i64,
    /// Whether it has a point that isn't an end.
    pub(super) lives: bool,
    /// When its last series ended.
    pub(super) ended: Option<i64>,
}

impl TargetRecorder {
    pub(super) fn new(translation: Arc<Translation>, most: usize) -> Self {
        Self {
            translation,
            hash: [RandomState::default(), RandomState::default()],
            resources: HashMap::new(),
            targets: HashMap::new(),
            most,
        }
    }

    /// Begins to take the points of a resource.
    pub(super) fn begin(&mut self, resource: &ResourceMetrics<'_>, now: Instant) -> CurrentTarget {
        let key = self.key(resource.resource().raw());
        let known = match self.resources.get_mut(&key) {
            Some(known) => {
                known.seen = now;
                known.target
            }
            None => self.newcomer(key, resource, now),
        };
        let due = match known {
            Some(target) => self
                .targets
                .get(&target)
                .map_or(i64::MIN, |known| known.due),
            None => i64::MAX,
        };
        CurrentTarget {
            resource: key,
            target: known,
            due,
            lives: false,
            ended: None,
        }
    }

    /// Shows the resource at a time that is due.
    #[cold]
    pub(super) fn show(
        &mut self,
        windows: &mut Windows,
        resource: &ResourceMetrics<'_>,
        current: &mut CurrentTarget,
        time: i64,
        now: Instant,
    ) {
        current.due = time.saturating_add(INTERVAL);
        let Some(target) = current.target else {
            return;
        };
        let before = self.targets.get(&target);
        let mut ring = before.and_then(|known| known.ring);
        if before.is_some_and(|known| known.resource != current.resource)
            && let Some(others) = ring.take()
        {
            // The store counts what it refuses, here and below.
            let _ = windows.push_stale(others, time);
        }
        let shown = ring.map(|ring| (ring, windows.push(ring, time, 1.0)));
        let ring = match shown {
            Some((ring, done)) if done != Err(StoreRefusal::UnknownSeries) => Some(ring),
            _ => self.register(windows, resource).inspect(|ring| {
                let _ = windows.push(*ring, time, 1.0);
            }),
        };
        if self.targets.len() >= self.most && !self.targets.contains_key(&target) {
            self.targets.clear();
        }
        let known = KnownTarget {
            resource: current.resource,
            ring,
            due: current.due,
            seen: now,
        };
        self.targets.insert(target, known);
    }

    /// Ends the resource if all of its points were ends. If others of its series live on, it is
    /// shown again with their next point.
    pub(super) fn finish(&mut self, store: &SharedWindows, current: &CurrentTarget) {
        let (Some(time), Some(target)) = (current.ended, current.target) else {
            return;
        };
        let known = self.targets.get_mut(&target);
        if !current.lives
            && let Some(known) = known.filter(|known| known.resource == current.resource)
            && let Some(ring) = known.ring.take()
        {
            let _ = store.lock().push_stale(ring, time);
            known.due = i64::MIN;
        }
    }

    /// Forgets what wasn't seen since then.
    pub(super) fn expire(&mut self, since: Instant) {
        self.resources.retain(|_, known| known.seen > since);
        self.targets.retain(|_, known| known.seen > since);
    }

    fn newcomer(
        &mut self,
        key: u128,
        resource: &ResourceMetrics<'_>,
        seen: Instant,
    ) -> Option<u128> {
        let target = self.translation.target(&resource.attributes());
        let target = target.map(|target| self.key(&target));
        // A bound for senders that send a new resource each time.
        if self.resources.len() >= self.most {
            self.resources.clear();
        }
        self.resources.insert(key, KnownResource { target, seen });
        target
    }

    /// The series of a resource; `None` if the store has no room for it.
    fn register(&self, windows: &mut Windows, resource: &ResourceMetrics<'_>) -> Option<RingId> {
        let attributes = resource.attributes();
        let target = self.translation.target(&attributes)?;
        let (labels, _) = self.translation.target_labels(&attributes, &target);
        let labels: Vec<(&str, &str)> = labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let family = self.translation.target_family();
        let ring = windows.register(&family.name, ValueKind::Gauge, &labels);
        let ring = ring.ok()?;
        windows.keep_apart(ring);
        let _ = windows.describe(&family.name, ValueKind::Gauge, &family.unit, &family.help);
        Some(ring)
    }

    fn key(&self, of: impl Hash + Copy) -> u128 {
        let [high, low] = self.hash.each_ref().map(|hash| hash.hash_one(of));
        u128::from(high) << 64 | u128::from(low)
    }
}
