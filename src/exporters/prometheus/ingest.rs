//! Takes batches, and updates the series of the page.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use foldhash::quality::RandomState;
use tokio::time::Instant;

use super::PageSettings;
use super::store::{Conflict, NewSeries, SeriesRef, Store};
use crate::component::{Discards, DropReason, Now};
use crate::exposition::{Labels, SampleValue};
use crate::pdata::view::{Metric, Point, ResourceMetrics, ScopeMetrics};
use crate::pdata::{Batch, Lookup, SeriesId, SeriesMemo};
use crate::translation::{MetricShape, PointMode, TargetLabels, Texts, TranslatedPoint, meaning};

/// How many conflicts were found, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Conflicts {
    /// New series whose family exists with another type; dropped.
    pub(super) kind: u64,
    /// New series whose family has another unit; shown under that.
    pub(super) unit: u64,
    /// New series whose family has another help text; shown under that.
    pub(super) help: u64,
    /// Labels of new series that were renamed to `exported_...`.
    pub(super) label: u64,
    /// Attributes left out of `target_info` because they are too long.
    pub(super) length: u64,
}

/// Updates the page with each batch.
#[derive(Debug)]
pub(super) struct PageUpdater {
    settings: Arc<PageSettings>,
    memo: SeriesMemo<SeriesRef>,
    pub(super) store: Store,
    /// The `target_info` of each encoded resource; `None` for a resource that has none.
    targets: HashMap<u128, Option<SeriesRef>>,
    /// The `target_info` that is shown for each job and instance.
    shown: HashMap<TargetLabels, SeriesRef>,
    hash: [RandomState; 2],
    oldest: Option<Instant>,
    conflicts: Conflicts,
}

/// Where a point is in its batch, and how it is treated.
struct PointContext<'a> {
    resource: &'a ResourceMetrics<'a>,
    target: &'a mut Option<TargetLabels>,
    scope: &'a ScopeMetrics<'a>,
    metric: &'a Metric<'a>,
    shape: MetricShape,
    mode: PointMode,
    /// By how many nanoseconds a point must be older than its series before a clock that was set
    /// back is considered; see [`Succession::apply`](crate::translation::Succession::apply).
    back: u64,
}

impl PointContext<'_> {
    /// 0 for a point without a time: it gets the agent's own time of arrival.
    #[inline]
    fn back_of(&self, point: &Point<'_>) -> u64 {
        match point.time_unix_nano() {
            0 => 0,
            _ => self.back,
        }
    }
}

impl PageUpdater {
    pub(super) fn new(settings: Arc<PageSettings>) -> Self {
        Self {
            memo: SeriesMemo::new(settings.limits.lines),
            store: Store::new(settings.limits),
            settings,
            targets: HashMap::new(),
            shown: HashMap::new(),
            hash: [RandomState::default(), RandomState::default()],
            oldest: None,
            conflicts: Conflicts::default(),
        }
    }

    /// Takes a batch; points that can't be shown are discarded to `out` with a reason.
    pub(super) fn batch(&mut self, batch: &Batch, now: Now, out: &mut dyn Discards) {
        let arrived = now
            .wall
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64);
        for (resource, keep) in batch.resource_metrics_kept() {
            // A series that its source keeps for longer than the expiration counts as updated
            // later, by the difference.
            let updated = now.monotonic + keep.saturating_sub(self.settings.expiration);
            self.target_info(&resource, arrived, updated);
            // A receiver that keeps series polls its source, and its points come in order.
            let back = match keep.is_zero() {
                true => u64::try_from(self.settings.expiration.as_nanos()).unwrap_or(u64::MAX),
                false => 0,
            };
            let mut target = None;
            for scope in resource.scopes() {
                self.memo.scope(&resource, &scope);
                for metric in scope.metrics() {
                    let data = metric.data();
                    let Some((shape, mode)) = meaning(&data) else {
                        let points = data.points().count() as u64;
                        if points > 0 {
                            out.discard(points, DropReason::Unsupported);
                        }
                        continue;
                    };
                    self.memo.metric(&metric, &data);
                    let mut place = PointContext {
                        resource: &resource,
                        target: &mut target,
                        scope: &scope,
                        metric: &metric,
                        shape,
                        mode,
                        back,
                    };
                    for point in data.points() {
                        if let Err(reason) = self.point(&mut place, &point, arrived, updated) {
                            out.discard(1, reason);
                        }
                    }
                }
            }
        }
        if self.oldest.is_none() && self.store.len() > 0 {
            self.oldest = Some(now.monotonic);
        }
    }

    /// Ends the series that haven't been updated for `metric_expiration`.
    pub(super) fn expire(&mut self, now: Instant) {
        let Some(since) = now.checked_sub(self.settings.expiration) else {
            return;
        };
        self.oldest = self.store.expire(since);
        let store = &self.store;
        self.memo.retain(|_, at| store.state(*at).is_some());
        self.targets
            .retain(|_, at| at.is_some_and(|at| store.state(at).is_some()));
        self.shown.retain(|_, at| store.state(*at).is_some());
        give_back(&mut self.targets);
        give_back(&mut self.shown);
    }

    /// When the oldest series expires; `None` if there are no series.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.oldest? + self.settings.expiration)
    }

    /// The conflicts since the last call.
    pub(super) fn take_conflicts(&mut self) -> Conflicts {
        std::mem::take(&mut self.conflicts)
    }

    #[inline]
    fn point(
        &mut self,
        place: &mut PointContext<'_>,
        point: &Point<'_>,
        arrived: u64,
        now: Instant,
    ) -> Result<(), DropReason> {
        let found = match self.memo.series(point.attributes()) {
            Lookup::Known(id, at) => (id, Some(*at)),
            Lookup::New(vacant) => (vacant.id(), None),
            Lookup::Full => return Err(DropReason::Cardinality),
        };
        let (id, at) = found;
        let state = at.and_then(|at| Some((at, self.store.state(at)?)));
        if point.is_tombstone() {
            if let Some((at, state)) = state
                && state.may_end(point.time_unix_nano(), place.back)
            {
                self.store.remove(at);
                self.memo.remove(id);
            }
            return Ok(());
        }
        if let Some((at, state)) = state {
            let like = match &state.series.value {
                SampleValue::Histogram(histogram) => Some(&histogram.bounds),
                _ => None,
            };
            let reading = TranslatedPoint::of(point, place.shape, arrived, like)
                .ok_or(DropReason::Unsupported)?;
            let mode = (place.mode, place.back_of(point));
            return self.store.apply(at, reading, mode, Some(id), now);
        }
        let at = self.newcomer(place, point, id, arrived, now)?;
        match self.memo.series(point.attributes()) {
            Lookup::Known(_, held) => *held = at,
            Lookup::New(vacant) => {
                vacant.insert(at);
            }
            Lookup::Full => {}
        }
        Ok(())
    }

    /// Shows a point whose series isn't on the page yet.
    #[cold]
    fn newcomer(
        &mut self,
        place: &mut PointContext<'_>,
        point: &Point<'_>,
        id: SeriesId,
        arrived: u64,
        now: Instant,
    ) -> Result<SeriesRef, DropReason> {
        let settings = Arc::clone(&self.settings);
        let metric = place.metric;
        let texts = Texts {
            resource: place.resource,
            scope: place.scope,
            metric,
            point: point.attributes(),
        };
        let translation = &settings.translation;
        if !texts.are_within(translation) {
            return Err(DropReason::Oversized);
        }
        let family = translation
            .family(metric, place.shape)
            .ok_or(DropReason::Unsupported)?;
        let family = self.store.family(family);
        let (family, conflict) = family.map_err(|_| {
            self.conflicts.kind += 1;
            DropReason::Unsupported
        })?;
        match conflict {
            Some(Conflict::Unit) => self.conflicts.unit += 1,
            Some(Conflict::Help) => self.conflicts.help += 1,
            Some(Conflict::Kind) | None => {}
        }
        let resource = place.resource.attributes();
        let target = place
            .target
            .get_or_insert_with(|| TargetLabels::of(&resource));
        let (labels, renamed) = translation.point_labels(
            &resource,
            target,
            place.scope,
            &point.attributes(),
            place.shape,
        );
        self.conflicts.label += renamed;
        let usual = self.store.usual_bounds(family).cloned();
        let added = TranslatedPoint::of(point, place.shape, arrived, usual.as_ref())
            .ok_or(DropReason::Unsupported)
            .and_then(|reading| {
                self.store.add(NewSeries {
                    family,
                    labels: &text_of(&labels),
                    reading,
                    mode: place.mode,
                    owner: Some(id),
                    timestamps: settings.send_timestamps,
                    back: place.back_of(point),
                    now,
                })
            });
        if added.is_err() {
            self.store.settle(family);
        }
        added
    }

    /// Shows the `target_info` of a resource, for as long as it sends anything. A resource
    /// without job or instance has none, as in the Collector.
    fn target_info(&mut self, resource: &ResourceMetrics<'_>, arrived: u64, now: Instant) {
        let raw = resource.resource().raw();
        let [high, low] = self.hash.each_ref().map(|hash| hash.hash_one(raw));
        let key = u128::from(high) << 64 | u128::from(low);
        match self.targets.get(&key) {
            Some(None) => return,
            Some(Some(at)) if self.store.touch(*at, now) => return,
            _ => {}
        }
        let attributes = resource.attributes();
        let settings = Arc::clone(&self.settings);
        let translation = &settings.translation;
        let at = translation.target(&attributes).map(|target| {
            let (labels, too_long) = translation.target_labels(&attributes, &target);
            self.conflicts.length += too_long;
            self.show_target(&target, &text_of(&labels), arrived, now)
        });
        // A bound for senders that send a new resource each time.
        if self.targets.len() >= self.settings.limits.lines {
            self.targets.clear();
        }
        self.targets.insert(key, at.flatten());
    }

    fn show_target(
        &mut self,
        target: &TargetLabels,
        labels: &Labels,
        arrived: u64,
        now: Instant,
    ) -> Option<SeriesRef> {
        // Only one for a job and instance, since a second one would make joins ambiguous.
        if let Some(before) = self.shown.remove(target) {
            self.store.remove(before);
        }
        let descriptor = self.settings.translation.target_family();
        let (family, _) = self.store.family(descriptor).ok()?;
        let added = self.store.add(NewSeries {
            family,
            labels,
            reading: TranslatedPoint {
                time: arrived,
                start: 0,
                value: SampleValue::Number(1.0),
                exemplar: None,
            },
            mode: PointMode::Latest,
            owner: None,
            timestamps: false,
            back: 0,
            now,
        });
        self.store.settle(family);
        let at = added.ok()?;
        self.shown.insert(target.clone(), at);
        Some(at)
    }
}

/// Labels as the page shows them.
fn text_of(labels: &BTreeMap<String, String>) -> Labels {
    let mut text = Labels::new();
    for (name, value) in labels {
        text.push(name, value);
    }
    text
}

/// Frees the memory of a map of which most is unused.
fn give_back<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.len() < map.capacity() / 4 {
        map.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_gives_memory_back_by_its_own_measure() {
        let f = |entries: usize, shrinks: bool| {
            let mut map: HashMap<usize, ()> = HashMap::with_capacity(1000);
            map.extend((0..entries).map(|key| (key, ())));
            let before = map.capacity();
            give_back(&mut map);
            assert_eq!(map.capacity() < before, shrinks, "{entries} of {before}");
            assert_eq!(map.len(), entries);
        };
        f(0, true);
        f(100, true);
        f(500, false);
        f(1000, false);
    }
}
