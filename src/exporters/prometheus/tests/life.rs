//! Series that are created, change their sender and end.

use super::*;

#[test]
fn the_newest_point_of_duplicates_is_shown() {
    let mut rig = Rig::new("without_scope_info: true");
    let mut send = |scope: &str, time, value| {
        let lost = rig.send_from(
            service("s", "i"),
            scope,
            vec![gauge("g", vec![number(time, value)])],
        );
        (lost, rig.lines())
    };
    let line = |value: u32| vec![format!("g{{instance=\"i\",job=\"s\"}} {value}")];
    assert_eq!(send("a", 10, 1.0), (vec![], line(1)));
    assert_eq!(send("b", 11, 2.0), (vec![], line(2)));
    assert_eq!(send("a", 10, 3.0), (LOST_OLD.to_vec(), line(2)));
}

#[test]
fn of_duplicates_with_one_time_the_same_one_wins_in_any_order() {
    let mut rig = Rig::new("without_scope_info: true");
    let mut race = |time, scopes: [&str; 2]| {
        for scope in scopes {
            let value = if scope == "a" { 1.0 } else { 2.0 };
            let point = vec![gauge("g", vec![number(time, value)])];
            rig.send_from(vec![], scope, point);
        }
        rig.lines()
    };
    let won = race(1, ["a", "b"]);
    for time in 1..10 {
        assert_eq!(race(2 * time, ["b", "a"]), won);
        assert_eq!(race(2 * time + 1, ["a", "b"]), won);
    }
}

#[test]
fn a_tombstone_ends_a_series_at_once() {
    let mut rig = Rig::new("");
    let tombstone = |time| NumberDataPoint {
        flags: 1,
        value: None,
        ..number(time, 0.0)
    };
    rig.send(vec![gauge("g", vec![number(10, 1.0)])]);
    assert_eq!(rig.send(vec![gauge("g", vec![tombstone(9)])]), []);
    assert_eq!(rig.lines().len(), 1, "it came late");
    assert_eq!(rig.send(vec![gauge("g", vec![tombstone(11)])]), []);
    assert_eq!(rig.lines().len(), 0);
    assert!(!rig.page(Format::Text).contains("# TYPE g "));
    assert_eq!(rig.send(vec![gauge("g", vec![number(12, 2.0)])]), []);
    assert_eq!(rig.lines(), ["g{instance=\"i\",job=\"s\"} 2"]);
    assert_eq!(lock(&rig.shared).store.len(), 2, "with target_info");
}

#[test]
fn a_series_leaves_the_page_when_nobody_updates_it() {
    let mut rig = Rig::new("metric_expiration: 1m");
    rig.send(vec![gauge("a", vec![number(1, 1.0)])]);
    rig.wait(30);
    rig.send(vec![gauge("b", vec![number(2, 1.0)])]);
    rig.wait(31);
    assert_eq!(
        rig.lines(),
        ["b{instance=\"i\",job=\"s\"} 1"],
        "before the sweep"
    );
    lock(&rig.shared).expire(rig.now.monotonic);
    assert_eq!(lock(&rig.shared).store.len(), 2);
    assert_eq!(
        lock(&rig.shared).deadline(),
        Some(rig.now.monotonic + Duration::from_secs(29))
    );
    rig.wait(60);
    lock(&rig.shared).expire(rig.now.monotonic);
    assert_eq!(rig.page(Format::Text), "");
    assert_eq!(lock(&rig.shared).deadline(), None);
}

#[test]
fn a_series_whose_source_keeps_it_for_longer_stays_so_long() {
    let mut rig = Rig::new("metric_expiration: 1m");
    let kept = |name: &str, seconds| {
        let points = vec![gauge(name, vec![number(1, 1.0)])];
        let mut batch = batch_from(service("s", "i"), "", points);
        batch.keep_series(Duration::from_secs(seconds));
        batch
    };
    rig.take(&kept("longer", 90));
    rig.take(&kept("shorter", 10));
    for (passed, left) in [(59, 2), (2, 1), (28, 1), (2, 0)] {
        rig.wait(passed);
        lock(&rig.shared).expire(rig.now.monotonic);
        assert_eq!(rig.lines().len(), left, "{:?}", rig.lines());
    }
}

#[test]
fn a_type_that_changes_midway_leaves_the_first_on_the_page() {
    let mut rig = Rig::new("translation_strategy: UnderscoreEscapingWithoutSuffixes");
    rig.send(vec![gauge("m", vec![number(1, 1.0)])]);
    let lost = rig.send(vec![
        sum("m", CUMULATIVE, vec![number(2, 2.0)]),
        histogram("m", CUMULATIVE, vec![buckets(0, 2, &[1.0], &[1, 0])]),
        metric(
            "m",
            "s",
            Data::Gauge(Gauge {
                data_points: vec![with(number(2, 3.0), &[("a", "b")])],
            }),
        ),
    ]);
    assert_eq!(lost, [UNSUPPORTED, UNSUPPORTED].concat());
    assert_eq!(
        rig.lines(),
        [
            "m{instance=\"i\",job=\"s\"} 1",
            "m{a=\"b\",instance=\"i\",job=\"s\"} 3"
        ]
    );
    let conflicts = rig.conflicts();
    assert_eq!((conflicts.kind, conflicts.unit), (2, 1));
}

#[test]
fn a_full_page_takes_no_more_lines() {
    let mut rig = Rig::new("max_series: 6");
    let full = [(1, DropReason::Cardinality)];
    // Five lines, with `target_info`.
    let shown = vec![histogram(
        "h",
        CUMULATIVE,
        vec![buckets(0, 1, &[1.0, 2.0], &[1, 0, 0])],
    )];
    assert_eq!(rig.send(shown), []);
    assert_eq!(rig.send(vec![gauge("g", vec![number(1, 1.0)])]), full);
    let wider = buckets(0, 2, &[1.0, 2.0, 3.0], &[1, 0, 0, 0]);
    assert_eq!(
        rig.send(vec![histogram("h", CUMULATIVE, vec![wider])]),
        full
    );
    let narrower = buckets(0, 2, &[1.0], &[1, 0]);
    assert_eq!(
        rig.send(vec![histogram("h", CUMULATIVE, vec![narrower])]),
        []
    );
    assert_eq!(rig.send(vec![gauge("g", vec![number(1, 1.0)])]), []);
}

#[test]
fn a_page_in_the_making_shows_each_series_once() {
    let mut rig = Rig::new("");
    let long = "x".repeat(200);
    let series =
        |n: usize, time| with(number(time, 1.0), &[("n", &n.to_string()), ("long", &long)]);
    rig.send(vec![gauge("g", (0..2_000).map(|n| series(n, 1)).collect())]);
    let accepted = Accepted {
        format: Format::Text,
        gzip: false,
    };
    let shared = Arc::clone(&rig.shared);
    let mut page = Page::new(shared, &rig.settings, vec![], accepted, rig.now.monotonic);
    let mut text = page.next_piece().unwrap().to_vec();
    assert!(text.len() < 100_000, "a piece, not the page");
    // Series that have been written are removed and created again, behind the slot where the page
    // continues.
    let tombstones = (0..10)
        .map(|n| NumberDataPoint {
            flags: 1,
            ..series(n, 2)
        })
        .collect();
    rig.send(vec![gauge("g", tombstones)]);
    rig.send(vec![gauge(
        "g",
        (2_000..2_010).map(|n| series(n, 3)).collect(),
    )]);
    rig.send(vec![gauge("g", (0..10).map(|n| series(n, 4)).collect())]);
    rig.send(vec![gauge("zz", vec![number(1, 1.0)])]);
    while let Some(chunk) = page.next_piece() {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(text).unwrap();
    let lines: std::collections::BTreeSet<&str> =
        text.lines().filter(|line| line.starts_with("g{")).collect();
    assert_eq!(lines.len(), 2_000);
    assert_eq!(text.matches("\ng{").count(), 2_000, "none twice");
    assert!(!text.contains("zz"));
}

#[test]
fn series_that_stay_are_whole_after_most_have_left() {
    let mut rig = Rig::new("");
    let text = "x".repeat(100);
    let series = |n: usize, time| with(number(time, 1.0), &[("n", &n.to_string()), ("x", &text)]);
    rig.send(vec![gauge("g", (0..1_000).map(|n| series(n, 1)).collect())]);
    let whole = rig.lines();
    let stays = |n: &usize| n.is_multiple_of(50);
    let tombstones = (0..1_000).filter(|n| !stays(n)).map(|n| NumberDataPoint {
        flags: 1,
        ..series(n, 2)
    });
    rig.send(vec![gauge("g", tombstones.collect())]);
    let kept: Vec<String> = whole.into_iter().step_by(50).collect();
    assert_eq!(rig.lines(), kept);
    assert_eq!(kept.len(), 20);
    // Each is still found by its labels, and there is room for new ones.
    rig.send(vec![gauge("g", (0..1_000).map(|n| series(n, 3)).collect())]);
    let lines: std::collections::BTreeSet<String> = rig.lines().into_iter().collect();
    assert_eq!(lines.len(), 1_000);
}
