use std::time::Duration;

use tokio::time::Instant;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn reading(count: f64, sum: f64, bounds: &[f64], counts: &[f64]) -> LatencyReading {
    LatencyReading::total(count, Some(sum), LatencyUnit::Seconds)
        .with_explicit(
            bounds.iter().copied(),
            counts.iter().copied(),
            LatencyUnit::Seconds,
            None,
        )
        .unwrap()
}

fn grown(requests: f64, errors: f64, latency: ObservedLatency) -> Growth {
    Growth {
        requests,
        errors: Some(errors),
        latency,
    }
}

/// A replica that has read so many requests at each of these seconds.
fn replica(readings: &[(u64, f64)]) -> ReplicaTraffic {
    let now = Instant::now();
    let mut replica = ReplicaTraffic::new(Duration::from_secs(15), now);
    for (second, requests) in readings {
        if let Some(growth) = replica.read(None, second * SECOND, now) {
            growth.add(&grown(*requests, 0.0, ObservedLatency::default()));
        }
    }
    replica
}

fn rate(replica: &mut ReplicaTraffic) -> Option<f64> {
    replica.per_second()?.values().request_rate
}

#[test]
fn a_rate_covers_the_interval_before_the_newest_reading() {
    // What the first reading counted is from before it.
    assert_eq!(rate(&mut replica(&[(0, 99.0)])), None);
    assert_eq!(rate(&mut replica(&[(0, 99.0), (10, 50.0)])), Some(5.0));
    // Ten a second, then one a second.
    let mut steps: Vec<(u64, f64)> = (0..=20).map(|second| (second, 10.0)).collect();
    assert_eq!(rate(&mut replica(&steps)), Some(10.0));
    steps.extend((21..=35).map(|second| (second, 1.0)));
    assert_eq!(rate(&mut replica(&steps)), Some(1.0));
    // Readings that come less often than that: the last two.
    assert_eq!(
        rate(&mut replica(&[(0, 0.0), (60, 60.0), (120, 600.0)])),
        Some(10.0)
    );
}

#[test]
fn readings_in_quick_succession_are_kept_together() {
    let now = Instant::now();
    let mut replica = ReplicaTraffic::new(Duration::from_secs(15), now);
    for tenth in 0..10_000_u64 {
        if let Some(growth) = replica.read(None, tenth * SECOND / 10, now) {
            growth.add(&grown(3.0, 1.0, ObservedLatency::default()));
        }
    }
    let values = replica.per_second().unwrap().values();
    assert!((values.request_rate.unwrap() - 30.0).abs() < 1e-9);
    assert!((values.error_rate.unwrap() - 10.0).abs() < 1e-9);
    let shown = format!("{replica:?}").matches("TrafficPiece").count();
    assert!(shown <= 18, "{shown} pieces");
}

#[test]
fn a_reading_that_covers_less_time_than_there_was_leaves_the_rest_without_requests() {
    let now = Instant::now();
    let mut replica = ReplicaTraffic::new(Duration::from_secs(15), now);
    let mut delta = |from: u64, to: u64, requests: f64| {
        let room = replica.read(Some(from * SECOND), to * SECOND, now);
        room.unwrap()
            .add(&grown(requests, 0.0, ObservedLatency::default()));
        rate(&mut replica)
    };
    assert_eq!(delta(10, 15, 50.0), Some(10.0));
    // Nothing from 15 to 20.
    assert_eq!(delta(20, 25, 100.0), Some(10.0));
    // One that overlaps counts for the time that is new.
    assert_eq!(delta(24, 30, 50.0), Some(10.0));
    // The others are too long ago, and from 30 to 100 there was nothing.
    assert_eq!(delta(100, 110, 30.0), Some(2.0));
}

#[test]
fn a_replica_is_silent_after_two_of_its_readings_or_the_interval() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let mut replica = ReplicaTraffic::new(Duration::from_secs(15), start);
    replica.read(None, 0, start);
    replica.read(None, 5 * SECOND, at(5));
    assert_eq!(replica.presence(at(21)), ReplicaPresence::Reporting);
    assert_eq!(replica.presence(at(22)), ReplicaPresence::Silent);
    replica.read(None, 65 * SECOND, at(65));
    assert_eq!(replica.presence(at(186)), ReplicaPresence::Reporting);
    assert_eq!(replica.presence(at(187)), ReplicaPresence::Silent);
}

#[test]
fn what_was_counted_since_is_everything_after_a_restart() {
    let bounds = [0.1, 1.0];
    let f = |now: &LatencyReading, then: &LatencyReading, count: f64, mean: Option<f64>| {
        let since = now.since(then);
        assert_eq!((since.count, since.mean()), (count, mean));
    };
    let then = reading(10.0, 5.0, &bounds, &[5.0, 5.0, 0.0]);
    let now = reading(14.0, 7.0, &bounds, &[9.0, 5.0, 0.0]);
    f(&now, &then, 4.0, Some(0.5));
    f(&then, &then, 0.0, None);
    let restarted = reading(3.0, 6.0, &bounds, &[3.0, 0.0, 0.0]);
    f(&restarted, &now, 3.0, Some(2.0));
    // It has had more requests since than before, but they took longer.
    let restarted = reading(20.0, 20.0, &bounds, &[0.0, 20.0, 0.0]);
    f(&restarted, &now, 20.0, Some(1.0));
    let rebuilt = reading(20.0, 10.0, &[0.5], &[10.0, 10.0]);
    f(&rebuilt, &now, 20.0, Some(0.5));
    let without = LatencyReading::total(20.0, None, LatencyUnit::Seconds);
    f(&without, &now, 20.0, None);
}

#[test]
fn quantiles_are_those_of_all_replicas_and_in_seconds_whatever_the_unit() {
    let mut all = ObservedLatency::default();
    // A hundred evenly from 0 to 100 ms, and a hundred from 100 to 200 ms.
    all.add(
        &reading(100.0, 5.0, &[0.1, 0.2], &[100.0, 0.0, 0.0]).whole(),
        1.0,
    );
    let millis = LatencyReading::total(100.0, Some(15_000.0), LatencyUnit::Millis)
        .with_explicit(
            [100.0, 200.0].into_iter(),
            [0.0, 100.0, 0.0].into_iter(),
            LatencyUnit::Millis,
            None,
        )
        .unwrap();
    all.add(&millis.whole(), 1.0);
    let close = |found: Option<f64>, expected: f64| {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    };
    close(all.mean(), 0.1);
    close(all.quantile(0.5), 0.1);
    close(all.quantile(0.95), 0.19);
    // Bounds that not all have are left out: what is above 0.1 isn't told apart any more.
    all.add(
        &reading(100.0, 5.0, &[0.05, 0.1], &[50.0, 50.0, 0.0]).whole(),
        1.0,
    );
    close(all.quantile(0.3), 0.045);
    close(all.quantile(0.95), 0.1);
    // Buckets that can't be added are left out where fewer requests are.
    let exponential = |count: f64, unit| {
        LatencyReading::total(count, Some(count), unit)
            .with_exponential(
                0,
                (0.0, 0.0),
                (0, [count].into_iter()),
                (0, [].into_iter()),
                unit,
            )
            .unwrap()
            .whole()
    };
    all.add(&exponential(200.0, LatencyUnit::Seconds), 1.0);
    close(all.quantile(0.3), 0.045);
    close(all.mean(), 225.0 / 500.0);
    all.add(&exponential(1000.0, LatencyUnit::Seconds), 1.0);
    close(all.quantile(0.5), 2_f64.sqrt());
    all.add(&exponential(5000.0, LatencyUnit::Millis), 1.0);
    close(all.quantile(0.5), 2_f64.sqrt() / 1000.0);
}

#[test]
fn buckets_that_contradict_each_other_are_told() {
    let f = |bounds: &[f64], counts: &[f64], expected: Result<(), UnreadableBuckets>| {
        let read = LatencyReading::total(1.0, None, LatencyUnit::Seconds).with_explicit(
            bounds.iter().copied(),
            counts.iter().copied(),
            LatencyUnit::Seconds,
            None,
        );
        assert_eq!(read.map(drop), expected, "{bounds:?} {counts:?}");
    };
    f(&[], &[], Ok(()));
    f(&[1.0], &[], Ok(()));
    f(&[1.0, f64::INFINITY], &[1.0, 2.0, 3.0], Ok(()));
    f(&[1.0], &[1.0], Err(UnreadableBuckets::Malformed));
    f(&[2.0, 1.0], &[0.0; 3], Err(UnreadableBuckets::Malformed));
    f(&[f64::NAN], &[0.0; 2], Err(UnreadableBuckets::Malformed));
    let most: Vec<f64> = (0..399).map(f64::from).collect();
    f(&most, &[0.0; 400], Ok(()));
    let more: Vec<f64> = (0..400).map(f64::from).collect();
    f(&more, &[0.0; 401], Err(UnreadableBuckets::TooWide));
    f(&[1.0], &[0.0; 2000], Err(UnreadableBuckets::Malformed));
    let exponential = |scale: i32, width: usize| {
        LatencyReading::total(1.0, None, LatencyUnit::Seconds)
            .with_exponential(
                scale,
                (0.0, 0.0),
                (0, (0..width).map(|_| 1.0)),
                (0, (0..1).map(|_| 1.0)),
                LatencyUnit::Seconds,
            )
            .map(drop)
    };
    assert_eq!(exponential(20, 399), Ok(()));
    assert_eq!(exponential(3, 400), Err(UnreadableBuckets::TooWide));
    assert_eq!(exponential(21, 1), Err(UnreadableBuckets::Malformed));
    assert_eq!(exponential(i32::MIN, 1), Err(UnreadableBuckets::Malformed));
}

#[test]
fn replicas_are_added_by_what_they_do_in_a_second() {
    let mut sum = TrafficSum::default();
    // Fifty in ten seconds, and sixty in a minute.
    let mut replicas = [
        replica(&[(0, 0.0), (10, 50.0)]),
        replica(&[(7, 0.0), (67, 60.0)]),
    ];
    for replica in &mut replicas {
        sum.add(replica.per_second().unwrap());
    }
    assert_eq!(sum.values().request_rate, Some(6.0));
    assert_eq!(sum.values().error_rate, Some(0.0));
    assert_eq!(sum.values().latency, None, "nothing was observed");
    let mut idle = TrafficSum::default();
    assert_eq!(idle.values().error_rate, None, "nobody counts errors");
    idle.add_idle(true);
    let values = idle.values();
    assert_eq!(
        (values.request_rate, values.error_rate),
        (Some(0.0), Some(0.0))
    );
}
