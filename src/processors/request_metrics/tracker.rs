//! Follows what the replicas of all deployments count.

use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::config::Config;
use super::deployments::Deployments;
use super::instrumentation::{HttpConvention, is_error, reading};
use super::report::{TrafficRefusal, TrafficReport};
use crate::component::Now;
use crate::pdata::view::{
    Data, Metric, Point, ResourceMetrics, ScopeMetrics, Temporality, View as _,
};
use crate::pdata::writer::MetricsWriter;
use crate::pdata::{Batch, Lookup, SeriesId, SeriesMemo};
use crate::traffic::{
    Growth, LatencyReading, LatencyUnit, ReplicaPresence, ReplicaTraffic, TrafficChange,
    TrafficSum, TrafficValues, UnreadableBuckets, write_gauges,
};

/// A reading that is older than the newest one by more than this, in nanoseconds, isn't late: the
/// replica's clock was set back.
const SET_BACK: u64 = 60_000_000_000;

/// Replicas that have been silent for long are looked for so many times per expiration.
const SWEEPS: u32 = 4;

/// So many buckets of replicas are added up at a time, which takes a few milliseconds.
const SLICE: usize = 100_000;

/// What is remembered of all replicas.
pub(super) struct TrafficTracker {
    config: Config,
    series: SeriesMemo<TrackedSeries>,
    /// By their resource alone.
    replicas: SeriesMemo<TrackedReplica>,
    deployments: Deployments,
    report: TrafficReport,
    /// When replicas that have been silent for long are looked for again.
    next_forgetting: Option<Instant>,
}

/// One histogram of one replica.
#[derive(Debug)]
struct TrackedSeries {
    replica: SeriesId,
    convention: HttpConvention,
    is_error: bool,
    /// The time of its newest point, in nanoseconds since the Unix epoch by the sender's clock.
    time: u64,
    /// What it counted until then; `None` for deltas, of which every point stands for itself.
    total: Option<LatencyReading>,
    /// Whether its newest point is a tombstone. It may go on: whoever scraped the replica for the
    /// sender ends all series when that fails once.
    has_ended: bool,
    seen: Instant,
}

#[derive(Debug)]
struct TrackedReplica {
    deployment: usize,
    convention: HttpConvention,
    traffic: ReplicaTraffic,
    /// The time of its first reading, likewise.
    first: Option<u64>,
    /// Whether all of its series are remembered, so that an unknown one has just begun.
    is_whole: bool,
    /// Whether it sends deltas, and so nothing while it has no requests.
    sends_deltas: bool,
    seen: Instant,
}

/// What the points of a metric have in common.
struct MetricSite {
    replica: SeriesId,
    convention: HttpConvention,
    unit: LatencyUnit,
    temporality: Temporality,
}

impl TrafficTracker {
    pub(super) fn new(config: Config, report: TrafficReport) -> Self {
        Self {
            series: SeriesMemo::new(config.max_series),
            // Each has one series at least.
            replicas: SeriesMemo::new(config.max_series),
            deployments: Deployments::default(),
            config,
            report,
            next_forgetting: None,
        }
    }

    /// Whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.deployments.len() == 0
    }

    /// Whether a deployment has something new to show.
    pub(super) fn has_news(&self) -> bool {
        self.deployments.has_news()
    }

    /// Takes the histograms of a batch.
    pub(super) fn take(&mut self, batch: &Batch, now: Now) {
        for resource in batch.resource_metrics() {
            // Found with its first histogram; most resources have none.
            let mut replica = None;
            for scope in resource.scopes() {
                let mut is_entered = false;
                for metric in scope.metrics() {
                    let Some(convention) = HttpConvention::of(metric.name()) else {
                        continue;
                    };
                    let found = *replica
                        .get_or_insert_with(|| self.replica(&resource, convention, now.monotonic));
                    let found = match found {
                        Some(Ok(found)) => found,
                        Some(Err(refusal)) => {
                            let points = metric.data().points().count() as u64;
                            self.report.refused(refusal, points, now.monotonic);
                            continue;
                        }
                        None => break,
                    };
                    if !is_entered {
                        self.series.scope(&resource, &scope);
                        is_entered = true;
                    }
                    self.take_metric(found, &metric, convention, now);
                }
            }
        }
        self.tell();
    }

    /// Finds the replica that a resource is, or makes it; `None` if it belongs to no deployment.
    fn replica(
        &mut self,
        resource: &ResourceMetrics<'_>,
        convention: HttpConvention,
        now: Instant,
    ) -> Option<Result<SeriesId, TrafficRefusal>> {
        let attributes = resource.attributes();
        self.replicas.scope(resource, &ScopeMetrics::parse(&[]));
        self.replicas.metric(&Metric::parse(&[]), &Data::Empty);
        let vacant = match self.replicas.series(attributes) {
            Lookup::Known(id, _) => return Some(Ok(id)),
            Lookup::New(vacant) => Some(vacant),
            Lookup::Full => None,
        };
        let config = &self.config;
        let found = self
            .deployments
            .of(&attributes, &config.matching, config.max_deployments)?;
        let deployment = match (found, vacant) {
            (Err(refusal), _) => return Some(Err(refusal)),
            (Ok(index), None) => {
                self.deployments.forget_unused(index);
                return Some(Err(TrafficRefusal::MaxSeries));
            }
            (Ok(index), Some(vacant)) => {
                let deployment = self.deployments.get_mut(index)?;
                if deployment.replicas.len() >= config.max_replicas {
                    return Some(Err(TrafficRefusal::MaxReplicas));
                }
                let id = vacant.id();
                deployment.replicas.push(id);
                vacant.insert(TrackedReplica {
                    deployment: index,
                    convention,
                    traffic: ReplicaTraffic::new(config.interval, now),
                    first: None,
                    is_whole: true,
                    sends_deltas: false,
                    seen: now,
                });
                id
            }
        };
        Some(Ok(deployment))
    }

    fn take_metric(
        &mut self,
        id: SeriesId,
        metric: &Metric<'_>,
        convention: HttpConvention,
        now: Now,
    ) {
        let data = metric.data();
        let temporality = match &data {
            Data::Histogram { temporality, .. }
            | Data::ExponentialHistogram { temporality, .. } => *temporality,
            _ => Temporality::Unspecified,
        };
        if temporality == Temporality::Unspecified {
            let points = data.points().count() as u64;
            let refusal = TrafficRefusal::Unsupported;
            return self.report.refused(refusal, points, now.monotonic);
        }
        let Some(replica) = self.replicas.get_mut(id) else {
            return;
        };
        if convention < replica.convention {
            // It sends the same requests by the newer name.
            return;
        }
        if convention > replica.convention {
            replica.convention = convention;
            replica.restart();
        }
        replica.seen = now.monotonic;
        let deployment = replica.deployment;
        self.series.metric(metric, &data);
        let site = MetricSite {
            replica: id,
            convention,
            unit: convention.unit(metric),
            temporality,
        };
        for point in data.points() {
            let refusal = take_point(&mut self.series, replica, &site, &point, now);
            if let Some(refusal) = refusal {
                self.report.refused(refusal, 1, now.monotonic);
            }
        }
        self.deployments.renew(deployment);
    }

    /// Writes the gauges of deployments that have something new to show; not of all, if that takes
    /// long.
    pub(super) fn write(&mut self, out: &mut MetricsWriter, now: Now) {
        let mut cost = 0;
        let mut shown = Vec::new();
        let mut outdated = Vec::new();
        while cost < SLICE
            && let Some(index) = self.deployments.next_news()
        {
            let Some(deployment) = self.deployments.get_mut(index) else {
                continue;
            };
            let mut sum = ReplicaSum::default();
            deployment.silent_at = None;
            for id in &deployment.replicas {
                let Some(replica) = self.replicas.get_mut(*id) else {
                    continue;
                };
                cost += 10;
                if replica.traffic.presence(now.monotonic) == ReplicaPresence::Reporting {
                    let silent_at = replica.traffic.silent_at();
                    let first = deployment.silent_at.get_or_insert(silent_at);
                    *first = silent_at.min(*first);
                }
                cost += sum.add(replica, now.monotonic);
            }
            let before = std::mem::replace(&mut deployment.shown, sum.values());
            outdated.extend(deployment.outdated.take());
            shown.push((index, before));
        }
        let ends = outdated.iter().map(|(labels, before)| TrafficChange {
            labels,
            before: *before,
            now: TrafficValues::default(),
        });
        let changes = shown.iter().filter_map(|(index, before)| {
            let deployment = self.deployments.get(*index)?;
            Some(TrafficChange {
                labels: &deployment.labels,
                before: *before,
                now: deployment.shown,
            })
        });
        write_gauges(out, now.wall, &ends.chain(changes).collect::<Vec<_>>());
        for (index, _) in shown {
            self.deployments.forget_unused(index);
        }
        self.tell();
    }

    /// Finds replicas that have become silent, and forgets those that have been for long.
    pub(super) fn sweep(&mut self, now: Now) {
        let now = now.monotonic;
        self.deployments.renew_silent(now);
        let due = self.next_forgetting.get_or_insert(now);
        if *due > now {
            return;
        }
        let expiration = self.config.expiration;
        *due = now + expiration / SWEEPS;
        let mut gone: HashMap<usize, HashSet<SeriesId>> = HashMap::new();
        self.replicas.retain(|id, replica| {
            let is_old = now.saturating_duration_since(replica.seen) >= expiration;
            let is_gone = is_old && replica.traffic.presence(now) == ReplicaPresence::Silent;
            if is_gone {
                gone.entry(replica.deployment).or_default().insert(id);
            }
            !is_gone
        });
        let replicas = &mut self.replicas;
        self.series.retain(|_, series| {
            let is_recent = now.saturating_duration_since(series.seen) < expiration;
            // A total that is sent again after a while must be known, or all of it would seem to
            // have been counted since the reading before.
            let is_needed = (series.total.is_some() && !series.has_ended) || is_recent;
            let Some(replica) = replicas.get_mut(series.replica) else {
                return false;
            };
            replica.is_whole &= is_needed || series.total.is_none();
            is_needed && replica.convention == series.convention
        });
        for (index, gone) in gone {
            if let Some(deployment) = self.deployments.get_mut(index) {
                deployment.replicas.retain(|id| !gone.contains(id));
                self.deployments.renew(index);
            }
        }
        self.tell();
    }

    fn tell(&self) {
        let numbers = [
            self.deployments.len(),
            self.replicas.len(),
            self.series.len(),
        ];
        self.report.remembered(numbers);
    }
}

impl TrackedReplica {
    fn restart(&mut self) {
        self.traffic.restart();
        self.first = None;
    }
}

/// The sum over the replicas of a deployment.
#[derive(Default)]
struct ReplicaSum {
    sum: TrafficSum,
    /// Whether a replica is part of it.
    has_any: bool,
}

impl ReplicaSum {
    /// Adds a replica, and answers what that cost in buckets.
    fn add(&mut self, replica: &mut TrackedReplica, now: Instant) -> usize {
        match replica.traffic.presence(now) {
            ReplicaPresence::Reporting => {
                if let Some(replica) = replica.traffic.per_second() {
                    self.sum.add(replica);
                    self.has_any = true;
                    return replica.width();
                }
            }
            ReplicaPresence::Silent if replica.sends_deltas => {
                self.sum.add_idle(true);
                self.has_any = true;
            }
            ReplicaPresence::Silent => {}
        }
        0
    }

    fn values(&self) -> TrafficValues {
        match self.has_any {
            true => self.sum.values(),
            false => TrafficValues::default(),
        }
    }
}

/// Takes a point of a histogram, and answers why it was not taken, or not whole.
fn take_point(
    series: &mut SeriesMemo<TrackedSeries>,
    replica: &mut TrackedReplica,
    site: &MetricSite,
    point: &Point<'_>,
    now: Now,
) -> Option<TrafficRefusal> {
    if point.is_tombstone() {
        if let Lookup::Known(_, known) = series.series(point.attributes()) {
            known.has_ended = true;
            known.seen = now.monotonic;
        }
        return None;
    }
    let time = match point.time_unix_nano() {
        0 => nanos(now.wall),
        time => time,
    };
    let time = replica.traffic.reading_of(time);
    let is_late = |newest: u64| time < newest && newest - time <= SET_BACK;
    match replica.traffic.newest() {
        Some(newest) if is_late(newest) => return Some(TrafficRefusal::OutOfOrder),
        Some(newest) if time < newest => replica.restart(),
        _ => {}
    }
    let start = point.start_time_unix_nano();
    let is_delta = site.temporality == Temporality::Delta;
    let is_recent = start != 0 && start < time && time - start <= replica.traffic.interval();
    let (growth, is_error, unreadable) = match series.series(point.attributes()) {
        Lookup::Full => {
            replica.is_whole = false;
            return Some(TrafficRefusal::MaxSeries);
        }
        Lookup::New(vacant) => {
            let (total, unreadable) = reading(point, site.unit, None)?;
            let has_begun = replica.is_whole && replica.first.is_some_and(|first| first < time);
            let counts = is_delta || is_recent || has_begun;
            let growth = counts.then(|| total.whole());
            let is_error = is_error(&point.attributes());
            vacant.insert(TrackedSeries {
                replica: site.replica,
                convention: site.convention,
                is_error,
                time,
                total: (!is_delta).then_some(total),
                has_ended: false,
                seen: now.monotonic,
            });
            (growth, is_error, unreadable)
        }
        Lookup::Known(_, known) => {
            if time == known.time || is_late(known.time) {
                return Some(TrafficRefusal::OutOfOrder);
            }
            let (total, unreadable) = reading(point, site.unit, known.total.as_ref())?;
            let growth = match &known.total {
                Some(before) if start <= known.time => total.since(before),
                // It has begun anew.
                Some(_) | None => total.whole(),
            };
            let since = std::mem::replace(&mut known.time, time);
            known.total = (!is_delta).then_some(total);
            known.has_ended = false;
            known.seen = now.monotonic;
            // Of a clock that was set back nothing can be told but from now on.
            let counts = is_delta || since < time;
            (counts.then_some(growth), known.is_error, unreadable)
        }
    };
    let is_first = replica.first.is_none();
    replica.first.get_or_insert(time);
    replica.sends_deltas |= is_delta;
    let from = match (is_delta && start != 0, is_first && is_recent) {
        (false, false) => None,
        _ => Some(start),
    };
    let room = replica.traffic.read(from, time, now.monotonic);
    if let (Some(room), Some(latency)) = (room, growth) {
        room.add(&Growth {
            requests: latency.count,
            errors: Some(if is_error { latency.count } else { 0.0 }),
            latency,
        });
    }
    unreadable.map(|error| match error {
        UnreadableBuckets::TooWide => TrafficRefusal::TooWide,
        UnreadableBuckets::Malformed => TrafficRefusal::Malformed,
    })
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
