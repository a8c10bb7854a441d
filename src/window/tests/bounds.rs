//! The bounds: series, memory, age, and what happens when they are hit.

use super::*;

const MINUTE: i64 = 60_000;

fn refused(windows: &Windows, refusal: StoreRefusal) -> u64 {
    let refused = windows.totals().refused;
    refused
        .iter()
        .find(|(known, _)| *known == refusal)
        .unwrap()
        .1
}

/// A stream of full-precision numbers that is the same in every run.
fn noise(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64
}

#[test]
fn there_are_never_more_series_than_allowed_and_those_that_expire_make_room() {
    let mut windows = small(|settings| settings.max_series = 3);
    let name = |index: i32| format!("m{index}");
    let register =
        |windows: &mut Windows, index| windows.register(&name(index), ValueKind::Gauge, &[]);
    let ids: Vec<_> = (0..3)
        .map(|index| register(&mut windows, index).unwrap())
        .collect();
    assert_eq!(register(&mut windows, 3), Err(StoreRefusal::MaxSeries));
    assert_eq!(refused(&windows, StoreRefusal::MaxSeries), 1);
    windows.advance(30 * MINUTE, 30 * MINUTE);
    windows.push(ids[1], 0, 1.0).unwrap();
    windows.advance(60 * MINUTE, 60 * MINUTE);
    assert_eq!(windows.expire(), 2);
    let new = register(&mut windows, 3).unwrap();
    // Whoever still holds the old id doesn't reach the series that has its place.
    for gone in [ids[0], ids[2]] {
        assert_ne!(gone, new);
        assert_eq!(windows.push(gone, 1, 1.0), Err(StoreRefusal::UnknownSeries));
        assert!(windows.snapshot(gone, 0, 1).is_none());
    }
    assert_eq!(refused(&windows, StoreRefusal::UnknownSeries), 2);
    assert_eq!(windows.totals().samples, 1);
    windows.advance(90 * MINUTE, 90 * MINUTE);
    assert_eq!(windows.expire(), 1, "an hour after its last point");
    assert_eq!(windows.find(&[]), [new]);
    check_books(&windows);
}

#[test]
fn a_point_of_another_kind_or_too_wide_is_refused() {
    let mut windows = small(|settings| settings.max_columns = 5);
    let gauge = windows.register("g", ValueKind::Gauge, &[]).unwrap();
    let histogram = windows.register("h", ValueKind::Histogram, &[]).unwrap();
    let point = |buckets, bounds| {
        StoredPoint::Histogram(StoredHistogram {
            count: 1.0,
            sum: None,
            bounds,
            buckets,
        })
    };
    let wrong = Err(StoreRefusal::WrongKind);
    assert_eq!(windows.push(histogram, 0, 1.0), wrong);
    assert_eq!(windows.push_point(gauge, 0, 0, &point(&[1.0], &[])), wrong);
    assert_eq!(
        windows.push_point(histogram, 0, 0, &point(&[1.0], &[2.0])),
        wrong
    );
    let wide = point(&[1.0; 4], &[1.0, 2.0, 3.0]);
    assert_eq!(
        windows.push_point(histogram, 0, 0, &wide),
        Err(StoreRefusal::TooWide)
    );
    windows
        .push_point(histogram, 0, 0, &point(&[1.0], &[]))
        .unwrap();
    assert_eq!(windows.totals().samples, 1);
}

#[test]
fn a_point_far_in_the_future_is_refused() {
    let mut windows = Windows::new(WindowSettings::default());
    let id = windows.register("m", ValueKind::Gauge, &[]).unwrap();
    windows.advance(MINUTE, MINUTE);
    assert_eq!(
        windows.push(id, 11 * MINUTE + 1, 1.0),
        Err(StoreRefusal::TooFarAhead)
    );
    windows.push(id, 11 * MINUTE, 1.0).unwrap();
    for time in [i64::MIN, i64::MAX] {
        assert!(windows.push(id, time, 1.0).is_err());
    }
}

#[test]
fn times_at_the_ends_of_the_range_are_kept() {
    let mut windows = small(|_| ());
    let id = windows.register("m", ValueKind::Gauge, &[]).unwrap();
    let times = [-(1 << 52), -1, 0, 1 << 40, 1 << 52];
    for time in times {
        windows.push(id, time, 1.0).unwrap();
    }
    let read: Vec<_> = numbers(&windows, id, i64::MIN, i64::MAX)
        .iter()
        .map(|p| p.0)
        .collect();
    assert_eq!(read, times);
}

/// The newest stay, the oldest go, whatever arrives; the bound holds all the time.
#[test]
fn a_store_at_its_bound_stays_there_through_hours_of_turnover() {
    let bound = 1 << 19;
    let mut windows = small(|settings| {
        settings.max_memory = bound;
        settings.max_series = 2000;
    });
    let chunk = 240 * 9 + 400;
    let mut state = 1;
    let mut highest = Vec::new();
    for hour in 0..12 {
        let series = 120;
        for minute in 0..60 {
            let now = (hour * 60 + minute) * MINUTE;
            windows.advance(now, now);
            for index in 0..series {
                // A third of the series are others every hour.
                let birth = if index % 3 == 0 { hour } else { 0 };
                let labels = [
                    ("i", &*index.to_string()),
                    ("pod", &*format!("pod-{birth}")),
                ];
                let id = windows.register("m", ValueKind::Gauge, &labels).unwrap();
                for quarter in 0..4 {
                    windows
                        .push(id, now + quarter * 15_000, noise(&mut state))
                        .unwrap();
                }
            }
            windows.expire();
            assert!(
                windows.bytes() <= bound + series * chunk,
                "{}",
                windows.bytes()
            );
        }
        highest.push(windows.bytes());
        check_books(&windows);
    }
    let totals = windows.totals();
    assert!(totals.evicted > 50_000, "{totals:?}");
    assert_eq!(totals.expired, 440);
    assert!(
        highest[6..].iter().all(|bytes| *bytes > bound * 3 / 4),
        "{highest:?}"
    );
    // All series remember about as much.
    let now = 12 * 60 * MINUTE;
    for info in windows
        .rings()
        .filter(|info| info.newest > Some(now - 10 * MINUTE))
    {
        assert!(info.oldest.unwrap() < now - 10 * MINUTE, "{info:?}");
    }
}

/// When nothing is left to drop, points and series are refused, and what is there stays.
#[test]
fn a_flood_of_series_is_refused_once_keys_take_half_of_the_memory() {
    let bound = 1 << 20;
    let mut windows = small(|settings| {
        settings.max_memory = bound;
        settings.max_series = 1_000_000;
    });
    let kept = windows.register("kept", ValueKind::Gauge, &[]).unwrap();
    windows.push(kept, 0, 1.0).unwrap();
    let mut state = 1;
    for index in 0..20_000 {
        let labels = [("id", &*format!("flood-{index}"))];
        if let Ok(id) = windows.register("m", ValueKind::Gauge, &labels) {
            for time in 0..4 {
                let _ = windows.push(id, time, noise(&mut state));
            }
        }
        assert!(windows.bytes() <= bound, "{}", windows.bytes());
    }
    assert!(refused(&windows, StoreRefusal::MaxMemory) > 10_000);
    assert!(windows.totals().series > 500, "{}", windows.totals().series);
    assert_eq!(numbers(&windows, kept, 0, 1).len(), 1);
    let before = windows.totals().series;
    windows.advance(60 * MINUTE, 60 * MINUTE);
    assert_eq!(windows.expire(), before);
    assert_eq!(windows.totals().samples, 0);
    windows
        .register("m", ValueKind::Gauge, &[("id", "after")])
        .unwrap();
    check_books(&windows);
}

#[test]
fn one_label_of_a_megabyte_displaces_nothing() {
    let mut windows = small(|settings| settings.max_memory = 1 << 20);
    let id = windows.register("m", ValueKind::Gauge, &[]).unwrap();
    let mut state = 1;
    for time in 0..1000 {
        windows.push(id, time, noise(&mut state)).unwrap();
    }
    let large = "x".repeat(1 << 20);
    let refusal = windows.register("m", ValueKind::Gauge, &[("a", &large)]);
    assert_eq!(refusal, Err(StoreRefusal::MaxMemory));
    assert_eq!(numbers(&windows, id, 0, 1000).len(), 1000);
}

#[test]
fn an_empty_store_gives_its_memory_back() {
    let mut windows = small(|_| ());
    for round in 0..3 {
        for index in 0..1000 {
            let labels = [("i", &*format!("{round}-{index}"))];
            let id = windows.register("m", ValueKind::Gauge, &labels).unwrap();
            for time in 0..500 {
                windows
                    .push(
                        id,
                        round * MINUTE * 100 + time * 7 + time % 3,
                        f64::from(index),
                    )
                    .unwrap();
            }
        }
        check_books(&windows);
        windows.advance((round + 1) * 100 * MINUTE, (round + 1) * 100 * MINUTE);
        assert_eq!(windows.expire(), 1000);
    }
    let bytes = windows.bytes();
    assert!(bytes < 1000 * 600, "{bytes}");
}

/// A machine that starts without knowing the time learns it while it runs.
#[test]
fn a_clock_that_is_set_expires_nothing() {
    let mut windows = Windows::new(WindowSettings::default());
    let id = windows.register("m", ValueKind::Gauge, &[]).unwrap();
    windows.advance(0, 0);
    windows.push(id, 0, 1.0).unwrap();
    let years = 50 * 365 * 24 * 60 * MINUTE;
    for (minute, now) in [(1, years), (59, 0)] {
        windows.advance(minute * MINUTE, now);
        assert_eq!(windows.expire(), 0);
    }
    windows.advance(60 * MINUTE, 0);
    assert_eq!(windows.expire(), 1);
}

/// Bounds, descriptions and timestamps are in the books, whoever shares them.
#[test]
fn what_series_share_is_counted_once_and_given_back() {
    let mut windows = small(|_| ());
    let bounds: Vec<f64> = (0..100).map(f64::from).collect();
    let buckets = [1.0; 101];
    let point = StoredPoint::Histogram(StoredHistogram {
        count: 1.0,
        sum: None,
        bounds: &bounds,
        buckets: &buckets,
    });
    let empty = windows.bytes();
    let mut bytes = Vec::new();
    for index in 0..20 {
        let labels = [("i", &*format!("{index:02}"))];
        let id = windows
            .register("h", ValueKind::Histogram, &labels)
            .unwrap();
        // Neither regular nor a few runs.
        for time in 0..100 {
            windows
                .push_point(id, 0, time * time * 7 + time * 1000, &point)
                .unwrap();
        }
        bytes.push(windows.bytes());
    }
    let (first, later) = (bytes[0] - empty, (bytes[19] - bytes[9]) / 10);
    assert!(later + 800 < first, "{first} {bytes:?}");
    windows
        .describe("h", ValueKind::Histogram, "s", &"x".repeat(10_000))
        .unwrap();
    assert!(windows.bytes() > bytes[19] + 9_999);
    windows.advance(60 * MINUTE, 0);
    windows.expire();
    // What was met last is remembered for the next.
    assert!(windows.bytes() < 20_000, "{}", windows.bytes());
}

/// Even where the heads of all series are more than the memory, the newest points stay.
#[test]
fn heads_that_fill_the_memory_are_sealed_to_make_room() {
    let bound = 1 << 18;
    let mut windows = small(|settings| settings.max_memory = bound);
    let register = |windows: &mut Windows, index: usize| {
        windows.register("m", ValueKind::Gauge, &[("i", &index.to_string())])
    };
    let ids: Vec<_> = (0..300)
        .map(|index| register(&mut windows, index).unwrap())
        .collect();
    let mut state = 1;
    for time in 0..200 {
        for id in &ids {
            windows.push(*id, time * 15_000, noise(&mut state)).unwrap();
            assert!(windows.bytes() <= bound + 8192, "{}", windows.bytes());
        }
    }
    check_books(&windows);
    for id in ids {
        assert_eq!(windows.ring(id).unwrap().newest, Some(199 * 15_000));
    }
}
