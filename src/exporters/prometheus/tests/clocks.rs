//! Wall clocks that are set back: the agent's and those of senders.

use super::*;

const HOUR: u64 = 3600;
const YEARS: u64 = 2 * 365 * 24 * HOUR;
/// Some time in 2026, in seconds.
const TODAY: u64 = 1_790_000_000;

fn gauge_at(seconds: u64, value: f64) -> Vec<Metric> {
    vec![gauge("g", vec![number(seconds, value)])]
}

fn shown(value: u32) -> Vec<String> {
    vec![format!("g{{instance=\"i\",job=\"s\"}} {value}")]
}

/// A batch of a pull receiver.
fn own(metrics: Vec<Metric>) -> Batch {
    let mut batch = batch_from(service("s", "i"), "", metrics);
    batch.keep_series(Duration::from_secs(40));
    batch
}

#[test]
fn the_agents_own_points_are_shown_at_once_whatever_its_clock_does() {
    for (by, back) in [(HOUR, true), (YEARS, true), (HOUR, false), (YEARS, false)] {
        let mut rig = Rig::new("");
        assert_eq!(rig.take(&own(gauge_at(TODAY, 1.0))), []);
        let then = if back { TODAY - by } else { TODAY + by };
        for (value, time) in [(2, then), (3, then + 15), (4, TODAY + 45)] {
            rig.wait(15);
            assert_eq!(rig.take(&own(gauge_at(time, f64::from(value)))), []);
            assert_eq!(rig.lines(), shown(value), "{by} {back}");
        }
    }
}

#[test]
fn a_source_that_dies_after_the_clock_was_set_back_is_ended() {
    let mut rig = Rig::new("");
    rig.take(&own(gauge_at(TODAY, 1.0)));
    let tombstone = NumberDataPoint {
        flags: 1,
        value: None,
        ..number(TODAY - YEARS, 0.0)
    };
    rig.take(&own(vec![gauge("g", vec![tombstone])]));
    assert_eq!(rig.lines(), [""; 0]);
}

#[test]
fn a_sender_whose_clock_was_set_back_is_shown_from_its_second_point_on() {
    for by in [HOUR, YEARS] {
        let mut rig = Rig::new("");
        rig.send(gauge_at(TODAY, 1.0));
        assert_eq!(rig.send(gauge_at(TODAY - by, 2.0)), LOST_OLD);
        assert_eq!(rig.lines(), shown(1), "one may be late");
        assert_eq!(rig.send(gauge_at(TODAY - by + 15, 3.0)), []);
        assert_eq!(rig.lines(), shown(3));
        assert_eq!(rig.send(gauge_at(TODAY - by + 30, 4.0)), []);
        // The clock is set right again.
        assert_eq!(rig.send(gauge_at(TODAY + 45, 5.0)), []);
        assert_eq!(rig.lines(), shown(5));
    }
}

#[test]
fn what_is_late_is_not_taken_for_a_clock_that_was_set_back() {
    let mut rig = Rig::new("metric_expiration: 5m");
    rig.send(gauge_at(TODAY, 1.0));
    // However many late points within the expiration.
    for late in 0..5 {
        assert_eq!(rig.send(gauge_at(TODAY - 290 + late, 9.0)), LOST_OLD);
    }
    // Far behind, with times that fall or stay the same.
    for time in [TODAY - 900, TODAY - 950, TODAY - 950] {
        assert_eq!(rig.send(gauge_at(time, 9.0)), LOST_OLD);
    }
    // Old points between those of a sender whose clock is right.
    for round in 1..5 {
        assert_eq!(rig.send(gauge_at(TODAY + round, 1.0)), []);
        assert_eq!(rig.send(gauge_at(TODAY - 800 + round, 9.0)), LOST_OLD);
    }
    assert_eq!(rig.lines(), shown(1));
}

#[test]
fn deltas_of_a_clock_that_was_set_back_are_added_from_the_second_on() {
    let mut rig = Rig::new("");
    let mut delta = |start: u64, end: u64| {
        let point = NumberDataPoint {
            start_time_unix_nano: start * SECOND,
            ..number(end, 1.0)
        };
        let lost = rig.send(vec![sum("c", DELTA, vec![point])]);
        (lost, rig.lines())
    };
    let total = |value: u32| vec![format!("c_total{{instance=\"i\",job=\"s\"}} {value}")];
    let then = TODAY - HOUR;
    assert_eq!(delta(TODAY - 1, TODAY), (vec![], total(1)));
    assert_eq!(delta(then, then + 1), (LOST_OLD.to_vec(), total(1)));
    assert_eq!(delta(then + 1, then + 2), (vec![], total(2)));
    assert_eq!(delta(then + 5, then + 6), (vec![], total(3)));
    assert_eq!(delta(then + 5, then + 6), (LOST_OLD.to_vec(), total(3)));
}

#[test]
fn points_without_a_time_follow_the_agents_own_clock() {
    let mut rig = Rig::new("");
    rig.now.wall = UNIX_EPOCH + Duration::from_secs(TODAY);
    rig.send(gauge_at(0, 1.0));
    rig.now.wall -= Duration::from_secs(HOUR);
    assert_eq!(rig.send(gauge_at(0, 2.0)), []);
    assert_eq!(rig.lines(), shown(2));
}
