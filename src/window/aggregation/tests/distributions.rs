//! Histograms and summaries.

use super::super::super::{
    RingId, SharedWindows, StoredExponential, StoredHistogram, StoredPoint, StoredSummary, Windows,
};
use super::*;

const STATS: [&str; 8] = [
    "avg", "sum", "count", "p50", "rate", "increase", "max", "delta",
];

fn store(fill: impl FnOnce(&mut Windows)) -> Vec<SharedWindows> {
    let store = SharedWindows::new(settings());
    fill(&mut store.lock());
    vec![store]
}

/// Counts in the buckets up to 1, 2 and beyond; every observation is 1.5.
fn buckets(windows: &mut Windows, id: RingId, bounds: &[f64], rows: &[[f64; 3]]) {
    for (time, buckets) in (1..).zip(rows) {
        let count: f64 = buckets.iter().sum();
        let point = StoredPoint::Histogram(StoredHistogram {
            count,
            sum: Some(count * 1.5),
            bounds,
            buckets,
        });
        windows.push_point(id, 0, time * 15_000, &point).unwrap();
    }
}

fn close(found: &Results, expected: &[(&str, f64)]) {
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let wanted: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, wanted);
    for (name, expected) in expected {
        let found = found[*name];
        assert!(
            (found - expected).abs() < 1e-9,
            "{name}: {found} {expected}"
        );
    }
}

#[test]
fn histograms_of_a_group_add_up_bucket_by_bucket() {
    let stores = store(|windows| {
        for (a, rows) in [
            ("1", [[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]]),
            ("2", [[5.0, 5.0, 0.0], [5.0, 35.0, 0.0]]),
        ] {
            let labels = [("a", a), ("b", "x")];
            let id = windows
                .register("h", ValueKind::Histogram, &labels)
                .unwrap();
            buckets(windows, id, &[1.0, 2.0], &rows);
        }
    });
    let all = plan(&["b"], Across::Points, &STATS);
    let found = results(stores.clone(), &all, (0, 30_000)).unwrap();
    // 10 up to 1, and 30 between 1 and 2. The second window of 15 s lies between the points, and
    // the first counter is extrapolated from zero.
    close(
        &found,
        &[
            ("h{b=x} avg", 1.5),
            ("h{b=x} count", 40.0),
            ("h{b=x} coverage", 1.0),
            ("h{b=x} increase", 10.0 + 30.0 + 30.0 * (10.0 / 30.0)),
            ("h{b=x} p50", 1.0 + 10.0 / 30.0),
            ("h{b=x} rate", 50.0 / 30.0),
            ("h{b=x} sum", 60.0),
        ],
    );
    let least = plan(&["b"], Across::Series(Combine::Min), &["count", "p50"]);
    let found = results(stores, &least, (0, 30_000)).unwrap();
    close(
        &found,
        &[
            ("h{b=x} count", 10.0),
            ("h{b=x} coverage", 1.0),
            ("h{b=x} p50", 0.5),
        ],
    );
}

#[test]
fn histograms_with_other_bounds_have_no_common_buckets() {
    let stores = store(|windows| {
        for (a, bounds) in [("1", [1.0, 2.0]), ("2", [1.0, 3.0])] {
            let id = windows
                .register("h", ValueKind::Histogram, &[("a", a)])
                .unwrap();
            buckets(windows, id, &bounds, &[[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]);
        }
    });
    let mut found = results(stores, &plan(&["b"], Across::Points, &STATS), (0, 30_000)).unwrap();
    found.retain(|name, _| !name.ends_with(" coverage"));
    let names: Vec<&String> = found.keys().collect();
    assert_eq!(names, ["h{} increase", "h{} rate"]);
}

#[test]
fn exponential_histograms_count_what_came_within_the_window() {
    let stores = store(|windows| {
        let kind = ValueKind::ExponentialHistogram;
        let id = windows.register("e", kind, &[]).unwrap();
        for (time, counts) in [(15_000, [1.0, 0.0]), (30_000, [1.0, 8.0])] {
            let point = StoredPoint::Exponential(StoredExponential {
                count: counts[0] + counts[1],
                sum: Some(3.0 * (counts[0] + counts[1])),
                scale: 0,
                zero_count: 0.0,
                zero_threshold: 0.0,
                positive: (0, &counts),
                negative: (0, &[]),
            });
            windows.push_point(id, 0, time, &point).unwrap();
        }
    });
    let found = results(
        stores,
        &plan(&[], Across::Points, &["count", "avg", "p50"]),
        (0, 30_000),
    );
    // Eight between 2 and 4, logarithmically evenly.
    close(
        &found.unwrap(),
        &[
            ("e{} avg", 3.0),
            ("e{} count", 8.0),
            ("e{} coverage", 1.0),
            ("e{} p50", 8_f64.sqrt()),
        ],
    );
}

#[test]
fn summaries_count_and_have_no_quantiles_of_a_window() {
    let stores = store(|windows| {
        for a in ["1", "2"] {
            let id = windows
                .register("s", ValueKind::Summary, &[("a", a)])
                .unwrap();
            // Starts anew before the third point.
            for (time, count) in [(15_000, 5.0), (30_000, 9.0), (45_000, 2.0)] {
                let point = StoredPoint::Summary(StoredSummary {
                    count,
                    sum: count * 2.0,
                    quantiles: &[0.5],
                    values: &[2.0],
                });
                windows.push_point(id, 0, time, &point).unwrap();
            }
            windows.push_stale(id, 60_000).unwrap();
        }
    });
    let found = results(stores, &plan(&["b"], Across::Points, &STATS), (0, 60_000)).unwrap();
    // Carried on from 30 s between the points to 60.
    let increase = 2.0 * 6.0 * (60.0 / 30.0);
    close(
        &found,
        &[
            ("s{} avg", 2.0),
            ("s{} count", 12.0),
            ("s{} coverage", 0.75),
            ("s{} increase", increase),
            ("s{} rate", increase / 60.0),
            ("s{} sum", 24.0),
        ],
    );
}
