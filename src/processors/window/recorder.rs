//! Puts the points of batches into the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use tokio::time::Instant;

use super::targets::TargetRecorder;
use super::totals::DeltaTotals;
use super::width::is_wider;
use crate::component::{BuildContext, Now};
use crate::exposition::Descriptor;
use crate::pdata::view::{ExponentialHistogramPoint, Metric, Point, ResourceMetrics, ScopeMetrics};
use crate::pdata::{Batch, Lookup, SeriesMemo};
use crate::recording::PointWriter;
use crate::translation::{
    MetricShape, PointMode, TargetLabels, Texts, TranslatedPoint, Translation, meaning, millis,
};
use crate::window::{
    RingId, SharedWindows, StoreRefusal, StoredExponential, StoredPoint, ValueKind, WindowSettings,
    Windows,
};

/// The store, and what leads from a point to its series there.
pub(super) struct SeriesRecorder {
    store: SharedWindows,
    translation: Arc<Translation>,
    memo: SeriesMemo<Remembered>,
    totals: DeltaTotals,
    targets: TargetRecorder,
    columns: Columns,
}

/// What is known of a series.
struct Remembered {
    ring: RingId,
    /// When it last had a point.
    seen: Instant,
}

/// Room for the numbers of one point.
#[derive(Default)]
struct Columns {
    writer: PointWriter,
    positive: Vec<f64>,
    negative: Vec<f64>,
}

/// Where a point is in its batch, and how it is treated.
struct PointSite<'a> {
    resource: &'a ResourceMetrics<'a>,
    target: &'a mut Option<TargetLabels>,
    scope: &'a ScopeMetrics<'a>,
    metric: &'a Metric<'a>,
    shape: MetricShape,
    mode: PointMode,
}

/// What a point that was taken says of its series at a time.
enum TakenPoint {
    Value(i64),
    End(i64),
}

impl SeriesRecorder {
    pub(super) fn new(settings: &WindowSettings, context: &BuildContext) -> Self {
        let store = context.windows.open(&context.id.to_string(), settings);
        observe(context, &store);
        context.own_metrics.remember(&context.telemetry, &store);
        Self {
            store,
            translation: Arc::clone(&context.translation),
            memo: SeriesMemo::new(settings.max_series),
            totals: DeltaTotals::default(),
            targets: TargetRecorder::new(Arc::clone(&context.translation), settings.max_series),
            columns: Columns::default(),
        }
    }

    /// Remembers the points of a batch.
    pub(super) fn take(&mut self, batch: &Batch, now: Now) {
        let (arrived, uptime) = (now.wall_millis(), now.uptime_millis());
        let now = now.monotonic;
        let store = self.store.clone();
        for resource in batch.resource_metrics() {
            let mut target = None;
            let mut current = self.targets.begin(&resource, now);
            for scope in resource.scopes() {
                self.memo.scope(&resource, &scope);
                for metric in scope.metrics() {
                    let data = metric.data();
                    let Some((shape, mode)) = meaning(&data) else {
                        let mut windows = store.lock();
                        for _ in data.points() {
                            windows.refuse(StoreRefusal::Unsupported);
                        }
                        continue;
                    };
                    self.memo.metric(&metric, &data);
                    let mut site = PointSite {
                        resource: &resource,
                        target: &mut target,
                        scope: &scope,
                        metric: &metric,
                        shape,
                        mode,
                    };
                    // A metric at a time, so that a query waits for no whole batch.
                    let mut windows = store.lock();
                    windows.advance(uptime, arrived);
                    for point in data.points() {
                        // The store counts what it refuses.
                        match self.point(&mut windows, &mut site, &point, arrived, now) {
                            Ok(TakenPoint::End(time)) => {
                                current.ended = current.ended.max(Some(time));
                            }
                            Ok(TakenPoint::Value(time)) if time >= current.due => {
                                let targets = &mut self.targets;
                                targets.show(&mut windows, &resource, &mut current, time, now);
                                current.lives = true;
                            }
                            _ => current.lives = true,
                        }
                    }
                }
            }
            self.targets.finish(&store, &current);
        }
    }

    /// Forgets the series for which nothing came for their time. Returns whether any is left.
    pub(super) fn expire(&mut self, now: Now, ttl: Duration) -> bool {
        if let Some(since) = now.monotonic.checked_sub(ttl) {
            self.memo.retain(|_, known| known.seen > since);
            self.targets.expire(since);
        }
        let mut windows = self.store.lock();
        windows.advance(now.uptime_millis(), now.wall_millis());
        windows.expire();
        self.totals.retain(|ring| windows.contains(ring));
        windows.totals().series > 0
    }

    #[inline]
    fn point(
        &mut self,
        windows: &mut Windows,
        site: &mut PointSite<'_>,
        point: &Point<'_>,
        arrived: i64,
        now: Instant,
    ) -> Result<TakenPoint, StoreRefusal> {
        let (columns, totals) = (&mut self.columns, &mut self.totals);
        let time = match millis(point.time_unix_nano()) {
            Some(time) => time,
            None => arrived,
        };
        if is_wider(point, windows.settings().max_columns) {
            return Err(windows.refuse(StoreRefusal::TooWide));
        }
        match self.memo.series(point.attributes()) {
            Lookup::Known(id, known) => {
                known.seen = now;
                let (taken, done) = if point.is_tombstone() {
                    // The series stays known for as long as the store has it: another mark may
                    // come late, for an earlier time.
                    let done = end(known.ring, windows, totals, time);
                    (TakenPoint::End(time), done)
                } else {
                    let done = push(known.ring, windows, totals, columns, site, point, time);
                    (TakenPoint::Value(time), done)
                };
                match done {
                    // The store forgot the series before this memo did.
                    Err(StoreRefusal::UnknownSeries) => self.memo.remove(id),
                    done => return done.map(|()| taken),
                };
            }
            // A memo that is full costs a search for each point, and nothing else: the store
            // finds the series by its labels, and what deltas have come to is kept by series.
            Lookup::Full if point.is_tombstone() => {
                let key = StoreKey::of(&self.translation, site, point).ok();
                if let Some(ring) = key.and_then(|key| key.find(windows)) {
                    end(ring, windows, totals, time)?;
                }
                return Ok(TakenPoint::End(time));
            }
            Lookup::New(_) | Lookup::Full => {}
        }
        if point.is_tombstone() {
            return Ok(TakenPoint::End(time));
        }
        let key = StoreKey::of(&self.translation, site, point);
        let ring = key
            .map_err(|refusal| windows.refuse(refusal))?
            .register(windows)?;
        let done = push(ring, windows, totals, columns, site, point, time);
        if let Lookup::New(vacant) = self.memo.series(point.attributes()) {
            vacant.insert(Remembered { ring, seen: now });
        }
        done.map(|()| TakenPoint::Value(time))
    }
}

/// Stores a point in a series.
#[inline]
fn push(
    ring: RingId,
    windows: &mut Windows,
    totals: &mut DeltaTotals,
    columns: &mut Columns,
    site: &PointSite<'_>,
    point: &Point<'_>,
    time: i64,
) -> Result<(), StoreRefusal> {
    let start = millis(point.start_time_unix_nano()).unwrap_or(0);
    if site.mode == PointMode::Delta {
        let total = totals.add(ring, point, site.shape, nanos(time));
        let total = total.map_err(|refusal| windows.refuse(refusal))?;
        columns.writer.write(windows, ring, 0, time, total)?;
        return Ok(());
    }
    match point {
        Point::Number(point) => {
            let value = point
                .value()
                .ok_or_else(|| windows.refuse(StoreRefusal::Unsupported))?
                .as_f64();
            windows.push_since(ring, start, time, value)?;
        }
        Point::ExponentialHistogram(point) => {
            let stored = exponential(point, columns);
            windows.push_point(ring, start, time, &StoredPoint::Exponential(stored))?;
        }
        Point::Histogram(_) | Point::Summary(_) => {
            let reading = TranslatedPoint::of(point, site.shape, nanos(time), None)
                .ok_or_else(|| windows.refuse(StoreRefusal::Unsupported))?;
            columns
                .writer
                .write(windows, ring, start, time, &reading.value)?;
        }
    }
    Ok(())
}

/// Marks the end of a series. Its deltas are added up anew from here on.
#[cold]
fn end(
    ring: RingId,
    windows: &mut Windows,
    totals: &mut DeltaTotals,
    time: i64,
) -> Result<(), StoreRefusal> {
    totals.end(ring);
    windows.push_stale(ring, time).map(|_| ())
}

/// What tells the series of a point from others in the store, and what its metric is.
struct StoreKey {
    family: Descriptor,
    kind: ValueKind,
    labels: BTreeMap<String, String>,
}

impl StoreKey {
    /// Of a point that the memo doesn't know.
    #[cold]
    fn of(
        translation: &Translation,
        site: &mut PointSite<'_>,
        point: &Point<'_>,
    ) -> Result<Self, StoreRefusal> {
        let texts = Texts {
            resource: site.resource,
            scope: site.scope,
            metric: site.metric,
            point: point.attributes(),
        };
        if !texts.are_within(translation) {
            return Err(StoreRefusal::Oversized);
        }
        let family = translation
            .family(site.metric, site.shape)
            .ok_or(StoreRefusal::Unsupported)?;
        let kind = match (site.shape, point) {
            (MetricShape::Gauge | MetricShape::UpDownCounter, _) => ValueKind::Gauge,
            (MetricShape::Counter, _) => ValueKind::Counter,
            (MetricShape::Histogram, Point::ExponentialHistogram(_)) => {
                ValueKind::ExponentialHistogram
            }
            (MetricShape::Histogram, _) => ValueKind::Histogram,
            (MetricShape::Summary, _) => ValueKind::Summary,
        };
        let resource = site.resource.attributes();
        let target = site
            .target
            .get_or_insert_with(|| TargetLabels::of(&resource));
        let (labels, _) = translation.point_labels(
            &resource,
            target,
            site.scope,
            &point.attributes(),
            site.shape,
        );
        Ok(Self {
            family,
            kind,
            labels,
        })
    }

    /// The series, which is added if it isn't there.
    fn register(&self, windows: &mut Windows) -> Result<RingId, StoreRefusal> {
        let Descriptor {
            name, unit, help, ..
        } = &self.family;
        let ring = windows.register(name, self.kind, &self.labels())?;
        // What a metric is doesn't matter more than its points: one that finds no room is
        // queried without.
        let _ = windows.describe(name, self.kind, unit, help);
        Ok(ring)
    }

    /// The series, if it is there.
    fn find(&self, windows: &Windows) -> Option<RingId> {
        windows.registered(&self.family.name, self.kind, &self.labels())
    }

    fn labels(&self) -> Vec<(&str, &str)> {
        let labels = self.labels.iter();
        labels
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}

fn exponential<'a>(
    point: &ExponentialHistogramPoint<'_>,
    columns: &'a mut Columns,
) -> StoredExponential<'a> {
    columns.positive.clear();
    columns.negative.clear();
    let (positive, negative) = (point.positive(), point.negative());
    columns
        .positive
        .extend(positive.counts().map(|count| count as f64));
    columns
        .negative
        .extend(negative.counts().map(|count| count as f64));
    StoredExponential {
        count: point.count() as f64,
        sum: point.sum(),
        scale: point.scale(),
        zero_count: point.zero_count() as f64,
        zero_threshold: point.zero_threshold(),
        positive: (positive.offset(), &columns.positive),
        negative: (negative.offset(), &columns.negative),
    }
}

fn nanos(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0).saturating_mul(1_000_000)
}

/// Registers the metrics of a store. Processors that share a store register them alike, and each
/// reads the same values.
fn observe(context: &BuildContext, store: &SharedWindows) {
    let meter = context.telemetry.meter("foghorn.processors.window");
    let processor = KeyValue::new("processor", context.id.to_string());
    type Total = fn(&Windows) -> u64;
    let gauges: [(&str, &str, Total); 3] = [
        ("foghorn_window_series", "Series that are remembered", |w| {
            w.totals().series as u64
        }),
        (
            "foghorn_window_samples",
            "Points that are remembered",
            |w| w.totals().samples as u64,
        ),
        ("foghorn_window_bytes", "Bytes of what is remembered", |w| {
            w.bytes() as u64
        }),
    ];
    for (name, description, total) in gauges {
        let (store, processor) = (store.clone(), processor.clone());
        meter
            .u64_observable_gauge(name)
            .with_description(description)
            .with_callback(move |observer| {
                observer.observe(total(&store.lock()), std::slice::from_ref(&processor));
            })
            .build();
    }
    let counters: [(&str, &str, Total); 2] = [
        (
            "foghorn_window_evicted_samples_total",
            "Points that were forgotten early, since max_memory was used up",
            |w| w.totals().evicted,
        ),
        (
            "foghorn_window_expired_series_total",
            "Series that were forgotten after series_ttl",
            |w| w.totals().expired,
        ),
    ];
    for (name, description, total) in counters {
        let (store, processor) = (store.clone(), processor.clone());
        meter
            .u64_observable_counter(name)
            .with_description(description)
            .with_callback(move |observer| {
                observer.observe(total(&store.lock()), std::slice::from_ref(&processor));
            })
            .build();
    }
    let store = store.clone();
    meter
        .u64_observable_counter("foghorn_window_refused_total")
        .with_description("Points and series that were not remembered")
        .with_callback(move |observer| {
            let refused = store.lock().totals().refused;
            for (refusal, count) in refused.into_iter().filter(|(_, count)| *count > 0) {
                let reason = KeyValue::new("reason", refusal.reason());
                observer.observe(count, &[processor.clone(), reason]);
            }
        })
        .build();
}
