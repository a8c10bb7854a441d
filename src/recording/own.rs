//! The agent's own metrics in a store, so that they can be queried like all others.
//!
//! Nothing wakes up for them. Whoever comes by anyhow has them sampled: a `window` that is given
//! a batch, and a query, so that an agent to which nobody sends anything can be asked, too. What
//! comes within [`INTERVAL`] of the last sample finds nothing to do.
//!
//! They have the names, labels and types of the agent's own metrics page, `target_info` with the
//! agent's resource among them, and `job` and `instance` of that resource. A series that is no
//! longer gathered ends with a stale mark.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::runtime::Handle;

use super::{INTERVAL, PointWriter};
use crate::exposition::{self, GatheredFamily, GatheredSeries, Kind};
use crate::telemetry::Telemetry;
use crate::translation::TargetLabels;
use crate::window::{RingId, SharedWindows, StoreRefusal, ValueKind, Windows};

/// Series that a worker of the runtime samples by itself, which takes a millisecond. More, such
/// as those of thousands of endpoints, are for a thread that may block.
const AT_ONCE: usize = 1000;

/// Before the first sample.
const UNKNOWN: usize = usize::MAX;

/// The agent's own metrics, and the store that remembers them. A handle: clones share both.
#[derive(Clone)]
pub struct OwnMetrics(Arc<SharedOwnMetrics>);

struct SharedOwnMetrics {
    place: OnceLock<OwnPlace>,
    /// When the next sample may be taken, in the store's uptime.
    due: AtomicI64,
    /// Series of the last sample; [`UNKNOWN`] before the first.
    series: AtomicUsize,
    /// Std: held by one thread for as long as a sample takes, and nobody waits for it, since no
    /// two samples are due at a time.
    sampled: Mutex<SampledRings>,
}

/// Where they come from and where they go.
struct OwnPlace {
    telemetry: Telemetry,
    target: TargetLabels,
    store: SharedWindows,
}

/// What the last sample had.
#[derive(Default)]
struct SampledRings {
    /// Sorted.
    rings: Vec<RingId>,
    writer: PointWriter,
}

impl Default for OwnMetrics {
    /// Metrics that no store remembers yet.
    fn default() -> Self {
        Self(Arc::new(SharedOwnMetrics {
            place: OnceLock::new(),
            due: AtomicI64::new(i64::MIN),
            series: AtomicUsize::new(UNKNOWN),
            sampled: Mutex::default(),
        }))
    }
}

impl OwnMetrics {
    /// Lets this store remember them. The first call decides: series that two stores held would
    /// have the points of both.
    pub fn remember(&self, telemetry: &Telemetry, store: &SharedWindows) {
        self.0.place.get_or_init(|| OwnPlace {
            telemetry: telemetry.clone(),
            target: TargetLabels::read(|key| telemetry.attribute(key)),
            store: store.clone(),
        });
    }

    /// Samples them, if that is due. `uptime` and `wall` are as in [`Windows::advance`].
    ///
    /// Takes a millisecond at most: what would take longer goes to a thread that may block, if
    /// there is a runtime to run it.
    pub fn sample(&self, uptime: i64, wall: i64) {
        if !self.claim(uptime) {
            return;
        }
        let many = self.0.expected() > AT_ONCE;
        match Handle::try_current().ok().filter(|_| many) {
            Some(runtime) => {
                let own = self.clone();
                // Nobody waits for it.
                drop(runtime.spawn_blocking(move || own.0.record(uptime, wall)));
            }
            None => self.0.record(uptime, wall),
        }
    }

    /// The same on this thread, however long it takes.
    pub fn sample_here(&self, uptime: i64, wall: i64) {
        if self.claim(uptime) {
            self.0.record(uptime, wall);
        }
    }

    /// Whether a sample is due. Of several that ask at a time, one is told so.
    fn claim(&self, uptime: i64) -> bool {
        let due = self.0.due.load(Ordering::Relaxed);
        let next = uptime.saturating_add(INTERVAL);
        let order = Ordering::Relaxed;
        due <= uptime
            && self.0.place.get().is_some()
            && self.0.due.compare_exchange(due, next, order, order).is_ok()
    }
}

impl fmt::Debug for OwnMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnMetrics").finish_non_exhaustive()
    }
}

impl SharedOwnMetrics {
    /// How many series a sample will have.
    fn expected(&self) -> usize {
        match self.series.load(Ordering::Relaxed) {
            UNKNOWN => self.place.get().map_or(0, |place| place.telemetry.room()),
            series => series,
        }
    }

    fn record(&self, uptime: i64, wall: i64) {
        let Some(place) = self.place.get() else {
            return;
        };
        // Before any lock, since the observers take what locks they need: that of the store, too.
        let gathered = place.telemetry.gather_now();
        let mut sampled = self.sampled();
        let mut rings = Vec::with_capacity(sampled.rings.len());
        for family in exposition::gathered(&gathered) {
            // A family at a time, so that a query waits for no whole sample.
            let mut windows = place.store.lock();
            windows.advance(uptime, wall);
            place.write(&mut windows, family, wall, &mut rings, &mut sampled.writer);
        }
        rings.sort_unstable();
        let mut windows = place.store.lock();
        for ended in &sampled.rings {
            if rings.binary_search(ended).is_err() {
                // The store counts what it refuses.
                let _ = windows.push_stale(*ended, wall);
            }
        }
        drop(windows);
        self.series.store(rings.len(), Ordering::Relaxed);
        sampled.rings = rings;
    }

    /// A panic under the lock costs stale marks at most, so a poisoned lock is used all the same.
    fn sampled(&self) -> MutexGuard<'_, SampledRings> {
        self.sampled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnPlace {
    /// Stores the series of a family, and adds them to `rings`.
    fn write(
        &self,
        windows: &mut Windows,
        family: GatheredFamily<'_>,
        wall: i64,
        rings: &mut Vec<RingId>,
        writer: &mut PointWriter,
    ) {
        let kind = match family.kind() {
            Kind::Counter => ValueKind::Counter,
            Kind::Gauge | Kind::Unknown => ValueKind::Gauge,
            Kind::Histogram => ValueKind::Histogram,
            Kind::Summary => ValueKind::Summary,
        };
        let mut described = false;
        for series in family.series() {
            // The store counts what it refuses.
            let Ok(ring) = self.register(windows, family.name(), kind, &series) else {
                continue;
            };
            if !described {
                // A metric whose text finds no room is queried without.
                let _ = windows.describe(family.name(), kind, "", family.help());
                described = true;
            }
            let _ = writer.write(windows, ring, 0, wall, &series.value);
            rings.push(ring);
        }
    }

    fn register(
        &self,
        windows: &mut Windows,
        name: &str,
        kind: ValueKind,
        series: &GatheredSeries<'_>,
    ) -> Result<RingId, StoreRefusal> {
        let TargetLabels { job, instance } = &self.target;
        let given = [("instance", instance.as_str()), ("job", job.as_str())];
        let given = given.iter().filter(|(_, value)| !value.is_empty());
        let own = series.labels.iter().filter(|(_, value)| !value.is_empty());
        let own = own.map(|(name, value)| match *name {
            "job" => ("exported_job", *value),
            "instance" => ("exported_instance", *value),
            name => (name, *value),
        });
        let mut labels: Vec<(&str, &str)> = own.chain(given.copied()).collect();
        labels.sort_unstable();
        let ring = windows.register(name, kind, &labels)?;
        windows.keep_apart(ring);
        Ok(ring)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::telemetry::TelemetrySettings;
    use crate::window::{StoredPoint, WindowSettings};

    /// A moment in the tests, in milliseconds since the Unix epoch.
    const T: i64 = 1_700_000_000_000;

    struct Rig {
        telemetry: Telemetry,
        own: OwnMetrics,
        store: SharedWindows,
    }

    impl Rig {
        fn new(settings: WindowSettings) -> Self {
            let telemetry = Telemetry::new(&TelemetrySettings {
                resource: [("service.instance.id".to_owned(), "me".to_owned())].into(),
                ..TelemetrySettings::default()
            });
            let rig = Self {
                telemetry: telemetry.unwrap(),
                own: OwnMetrics::default(),
                store: SharedWindows::new(settings),
            };
            rig.own.remember(&rig.telemetry, &rig.store);
            rig
        }

        fn sample(&self, millis: i64) {
            self.own.sample(millis, T + millis);
        }

        /// The series of a metric: labels and points.
        fn held(&self, metric: &str) -> Vec<String> {
            let windows = self.store.lock();
            let rings = windows.rings().filter(|ring| &*ring.name == metric);
            let held = rings.map(|ring| {
                assert!(windows.is_apart(ring.id));
                let snapshot = windows.snapshot(ring.id, i64::MIN, i64::MAX).unwrap();
                let mut text: Vec<String> = snapshot
                    .labels()
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let mut cursor = snapshot.cursor();
                while let Some((time, point)) = cursor.next() {
                    let value = match point {
                        _ if point.is_stale() => "stale".to_owned(),
                        StoredPoint::Number(value) => value.to_string(),
                        StoredPoint::Histogram(h) => format!("{}/{:?}", h.count, h.buckets),
                        _ => panic!("{point:?}"),
                    };
                    text.push(format!("{}:{value}", time - T));
                }
                text.join(" ")
            });
            held.collect()
        }

        fn max_series_refused(&self) -> u64 {
            let totals = self.store.lock().totals();
            let mut refused = totals.refused.into_iter();
            let refused = refused.find(|(refusal, _)| *refusal == StoreRefusal::MaxSeries);
            refused.unwrap().1
        }
    }

    #[test]
    fn series_have_the_names_labels_and_types_of_the_page_and_those_of_the_resource() {
        let rig = Rig::new(WindowSettings::default());
        let meter = rig.telemetry.meter("test");
        let asked = [("code", "200"), ("job", "theirs")];
        let asked = asked.map(|(key, value)| opentelemetry::KeyValue::new(key, value));
        meter.u64_counter("asked_total").build().add(3, &asked);
        let took = meter.f64_histogram("took_seconds");
        let took = took.with_boundaries(vec![1.0, 2.0]).build();
        took.record(1.5, &[]);
        rig.sample(0);
        assert_eq!(
            rig.held("asked_total"),
            ["code=200 exported_job=theirs instance=me job=foghorn 0:3"]
        );
        assert_eq!(
            rig.held("took_seconds"),
            ["instance=me job=foghorn 0:1/[0.0, 1.0, 0.0]"]
        );
        let version = env!("CARGO_PKG_VERSION");
        let resource = format!(
            "instance=me job=foghorn service_instance_id=me service_name=foghorn \
             service_version={version} 0:1"
        );
        assert_eq!(rig.held("target_info"), [resource]);
        let windows = rig.store.lock();
        let kind = |metric: &str| {
            let mut metrics = windows.metrics();
            metrics.find(|(name, _)| ***name == *metric).unwrap().1.kind
        };
        assert_eq!(kind("asked_total"), ValueKind::Counter);
        assert_eq!(kind("target_info"), ValueKind::Gauge);
        assert_eq!(kind("took_seconds"), ValueKind::Histogram);
    }

    #[test]
    fn however_many_come_by_a_sample_is_taken_once_an_interval() {
        let rig = Rig::new(WindowSettings::default());
        let requests = rig.telemetry.meter("test").u64_counter("requests").build();
        requests.add(1, &[]);
        let late = SharedWindows::new(WindowSettings::default());
        rig.own.clone().remember(&rig.telemetry, &late);
        for millis in [0, 0, 1_000, 13_999, 14_000, 14_001, 29_000, 60_000] {
            rig.sample(millis);
            rig.own.sample_here(millis, T + millis);
        }
        assert_eq!(
            rig.held("requests"),
            ["instance=me job=foghorn 0:1 14000:1 29000:1 60000:1"]
        );
        assert_eq!(late.lock().totals().series, 0, "the first store has them");
    }

    #[test]
    fn a_series_that_is_no_longer_gathered_ends() {
        let rig = Rig::new(WindowSettings::default());
        let there = Arc::new(AtomicBool::new(true));
        let observed = Arc::clone(&there);
        let meter = rig.telemetry.meter("test");
        let gauge = meter
            .u64_observable_gauge("door")
            .with_callback(move |observer| {
                if observed.load(Ordering::Relaxed) {
                    observer.observe(1, &[]);
                }
            });
        gauge.build();
        for (millis, is_there) in [(0, true), (15_000, false), (30_000, false), (45_000, true)] {
            there.store(is_there, Ordering::Relaxed);
            rig.sample(millis);
        }
        assert_eq!(
            rig.held("door"),
            ["instance=me job=foghorn 0:1 15000:stale 45000:1"]
        );
    }

    #[test]
    fn what_finds_no_room_is_refused_and_counted_as_any_other_series() {
        let rig = Rig::new(WindowSettings {
            max_series: 2,
            ..WindowSettings::default()
        });
        rig.sample(0);
        let series = rig.telemetry.gather_now().len() as u64;
        assert_eq!(rig.max_series_refused(), series - 2);
        rig.sample(15_000);
        assert_eq!(rig.max_series_refused(), 2 * (series - 2));
        assert_eq!(rig.store.lock().totals().samples, 4);
    }

    #[tokio::test]
    async fn a_worker_leaves_many_series_to_a_thread_that_may_block() {
        let rig = Rig::new(WindowSettings::default());
        let (sender, sampled) = std::sync::mpsc::channel();
        let meter = rig.telemetry.meter("test");
        let gauge = meter
            .u64_observable_gauge("thread")
            .with_callback(move |_| {
                let _ = sender.send(std::thread::current().id());
            });
        gauge.build();
        let here = std::thread::current().id();
        // Before the first, the room for endpoints says how many there may be.
        rig.telemetry.make_room(AT_ONCE + 1);
        rig.sample(0);
        assert_ne!(sampled.recv().unwrap(), here);
        while rig.own.0.series.load(Ordering::Relaxed) == UNKNOWN {
            tokio::task::yield_now().await;
        }
        rig.sample(15_000);
        assert_eq!(sampled.recv().unwrap(), here);
        rig.own.0.series.store(AT_ONCE + 1, Ordering::Relaxed);
        rig.sample(30_000);
        assert_ne!(sampled.recv().unwrap(), here);
    }
}
