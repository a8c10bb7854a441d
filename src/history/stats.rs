//! `GET /stats`: how much is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::window::{RingExtent, Shelf};

/// The page. A name that several stores know, or that two types of metric share, stands there
/// once, with what all of them hold.
#[derive(Debug, Default, Serialize)]
struct Stats {
    /// Points by metric, NaN and stale marks included.
    buffer_stats: BTreeMap<String, u64>,
    /// The metrics that are known, sorted.
    registered_metrics: Vec<String>,
    total_metrics: usize,
    series: usize,
    samples: usize,
    bytes: usize,
    /// 0 without points.
    bytes_per_sample: f64,
    /// Seconds since the Unix epoch; absent without points.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_timestamp: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_timestamp: Option<f64>,
    /// Points and series that were not remembered, by reason.
    dropped: BTreeMap<&'static str, u64>,
}

/// Series that are looked at while a store is locked: some ten microseconds.
const AT_ONCE: usize = 1024;

/// The body of the answer. Each store is locked for a few of its series at a time, and between
/// these `proceed` is asked whether to go on; `None` once it says no.
pub(super) fn body(windows: &Shelf, proceed: &mut dyn FnMut() -> bool) -> Option<Vec<u8>> {
    let stats = Stats::of(windows, proceed)?;
    // Numbers and texts can always be written as JSON.
    Some(serde_json::to_vec_pretty(&stats).unwrap_or_default())
}

impl Stats {
    fn of(windows: &Shelf, proceed: &mut dyn FnMut() -> bool) -> Option<Self> {
        let mut stats = Self::default();
        let (mut oldest, mut newest): (Option<i64>, Option<i64>) = (None, None);
        for (_, store) in windows.all() {
            let names: Vec<Arc<str>> = {
                let windows = store.lock();
                let names = windows.metrics().map(|(name, _)| Arc::clone(name));
                names.collect()
            };
            for name in names {
                stats.buffer_stats.entry(name.to_string()).or_default();
            }
            let all = store.lock().find(&[]);
            for some in all.chunks(AT_ONCE) {
                if !proceed() {
                    return None;
                }
                let rings: Vec<RingExtent> = {
                    let windows = store.lock();
                    let rings = some.iter().filter_map(|id| windows.ring_extent(*id));
                    rings.collect()
                };
                for ring in rings {
                    match stats.buffer_stats.get_mut(&*ring.name) {
                        Some(points) => *points += ring.points as u64,
                        None => {
                            let name = ring.name.to_string();
                            stats.buffer_stats.insert(name, ring.points as u64);
                        }
                    }
                    oldest = oldest.into_iter().chain(ring.oldest).min();
                    newest = newest.max(ring.newest);
                }
            }
            let totals = store.lock().totals();
            stats.series += totals.series;
            stats.samples += totals.samples;
            stats.bytes += totals.bytes;
            for (refusal, count) in totals.refused.into_iter().filter(|(_, n)| *n > 0) {
                *stats.dropped.entry(refusal.reason()).or_default() += count;
            }
        }
        stats.registered_metrics = stats.buffer_stats.keys().cloned().collect();
        stats.total_metrics = stats.registered_metrics.len();
        if stats.samples > 0 {
            stats.bytes_per_sample = stats.bytes as f64 / stats.samples as f64;
        }
        let seconds = |millis: i64| millis as f64 / 1000.0;
        stats.oldest_timestamp = oldest.map(seconds);
        stats.newest_timestamp = newest.map(seconds);
        Some(stats)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::window::{ValueKind, WindowSettings};

    fn shown(shelf: &Shelf) -> Value {
        serde_json::from_slice(&body(shelf, &mut || true).unwrap()).unwrap()
    }

    #[test]
    fn every_stored_point_counts_in_whatever_store_it_is() {
        let shelf = Shelf::default();
        let settings = WindowSettings {
            max_series: 3,
            ..WindowSettings::default()
        };
        let f = |owner: &str, name: &str, label: &str, values: &[f64]| {
            let store = shelf.open(owner, &settings);
            let mut windows = store.lock();
            windows.advance(0, 100_000);
            let labels = [("a", label)];
            let Ok(ring) = windows.register(name, ValueKind::Gauge, &labels) else {
                return;
            };
            for (time, value) in (0..).zip(values) {
                windows.push(ring, 10_500 + time * 1000, *value).unwrap();
            }
        };
        f("window", "x", "1", &[1.0, f64::NAN]);
        f("window", "x", "2", &[1.0]);
        f("window", "y", "1", &[]);
        f("window", "z", "1", &[1.0]);
        f(
            "window/b",
            "x",
            "1",
            &[1.0, 2.0, f64::from_bits(crate::window::STALE)],
        );
        let stats = shown(&shelf);
        let samples = stats["samples"].as_u64().unwrap();
        let bytes = stats["bytes"].as_u64().unwrap();
        assert_eq!(
            stats,
            json!({
                "buffer_stats": {"x": 6, "y": 0},
                "registered_metrics": ["x", "y"],
                "total_metrics": 2,
                "series": 4,
                "samples": 6,
                "bytes": bytes,
                "bytes_per_sample": bytes as f64 / samples as f64,
                "oldest_timestamp": 10.5,
                "newest_timestamp": 12.5,
                "dropped": {"max_series": 1},
            })
        );
    }

    #[test]
    fn a_store_is_locked_for_some_of_its_series_at_a_time() {
        let shelf = Shelf::default();
        let store = shelf.open("window", &WindowSettings::default());
        for number in 0..3 * AT_ONCE {
            let number = number.to_string();
            let labels = [("a", &*number)];
            let registered = store.lock().register("x", ValueKind::Gauge, &labels);
            registered.unwrap();
        }
        let mut asked = 0;
        let whole = body(&shelf, &mut || {
            assert!(!store.is_locked());
            asked += 1;
            true
        });
        assert!(whole.is_some());
        assert!(asked >= 3, "{asked}");
        assert_eq!(body(&shelf, &mut || false), None);
    }

    #[test]
    fn an_empty_store_has_no_times() {
        let shelf = Shelf::default();
        let _ = shelf.open("window", &WindowSettings::default());
        let stats = shown(&shelf);
        assert_eq!(stats["oldest_timestamp"], Value::Null);
        assert_eq!(stats["total_metrics"], 0);
        assert_eq!(stats["bytes_per_sample"], 0.0);
    }
}
