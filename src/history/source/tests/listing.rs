//! Lists of series, labels and metrics.

use super::*;

const ALL: usize = usize::MAX;

#[test]
fn labels_are_those_of_what_is_shown() {
    let rig = Rig::of_all_kinds();
    let source = rig.source();
    let names = |selectors: &[&str]| {
        let sets: Vec<_> = selectors.iter().map(|text| matchers(text)).collect();
        source.label_names(&sets, 0, 10 * MINUTE, ALL).unwrap().0
    };
    assert_eq!(names(&[]), ["__name__", "a", "le", "quantile", "z"]);
    assert_eq!(names(&["up"]), ["__name__", "a"]);
    assert_eq!(names(&["wait_bucket", "up"]), ["__name__", "a", "le", "z"]);
    assert_eq!(names(&["wait_count"]), ["__name__", "a", "z"]);
    let values = |name: &str, selectors: &[&str]| {
        let sets: Vec<_> = selectors.iter().map(|text| matchers(text)).collect();
        let values = source.label_values(name, &sets, 0, 10 * MINUTE, ALL);
        values.unwrap().0
    };
    assert_eq!(
        values("__name__", &[]),
        [
            "hits_total",
            "lag",
            "size",
            "size_count",
            "size_sum",
            "up",
            "wait_bucket",
            "wait_count",
            "wait_sum"
        ]
    );
    assert_eq!(values("a", &[]), ["x", "y"]);
    assert_eq!(values("a", &["up"]), ["x"]);
    assert_eq!(values("le", &[]), ["+Inf", "0.5", "1.0", "1e+06"]);
    assert_eq!(values("le", &["{a='x'}"]), ["+Inf", "0.5", "1.0"]);
    assert_eq!(values("quantile", &[]), ["0.5", "0.99"]);
    assert_eq!(
        values("__name__", &["{a='x',__name__=~'wait.*'}"]),
        ["wait_bucket", "wait_count", "wait_sum"]
    );
    assert_eq!(values("none", &[]), [] as [&str; 0]);
}

#[test]
fn lists_without_a_selector_have_what_has_points_between_the_times() {
    let rig = Rig::of_all_kinds();
    rig.gauge(
        "window/b",
        "late",
        &[("b", "1"), ("a", "z")],
        20,
        &[1.0, 2.0],
    );
    let source = rig.source();
    let f = |span: (i64, i64), names: &[&str], a: &[&str], metrics: usize, buckets: usize| {
        let of = |name: &str| {
            let (from, to) = (span.0 * MINUTE, span.1 * MINUTE);
            source.label_values(name, &[], from, to, ALL).unwrap().0
        };
        let (from, to) = (span.0 * MINUTE, span.1 * MINUTE);
        assert_eq!(source.label_names(&[], from, to, ALL).unwrap().0, names);
        assert_eq!(of("a"), a, "{span:?}");
        assert_eq!(of("__name__").len(), metrics, "{span:?}");
        assert_eq!(of("le").len(), buckets, "{span:?}");
    };
    let old = ["__name__", "a", "le", "quantile", "z"];
    let all = ["__name__", "a", "b", "le", "quantile", "z"];
    f((0, 10), &old, &["x", "y"], 9, 4);
    f((0, 20), &all, &["x", "y", "z"], 10, 4);
    f((2, 19), &[], &[], 0, 0);
    f((21, 30), &["__name__", "a", "b"], &["z"], 1, 0);
    // What a request asks that gives no times.
    let ever = 1 << 37;
    f((-ever, ever), &all, &["x", "y", "z"], 10, 4);
}

#[test]
fn a_list_says_that_it_is_longer_than_its_limit() {
    let rig = Rig::of_all_kinds();
    let source = rig.source();
    let sets = [matchers("wait_count"), matchers("{a='y'}"), matchers("up")];
    let f = |limit: usize, expected: (usize, bool)| {
        let (found, more) = source.series(&sets, 0, 10 * MINUTE, limit).unwrap();
        assert_eq!((found.len(), more), expected);
    };
    // One that two sets want is one.
    f(ALL, (7, false));
    f(7, (7, false));
    f(6, (6, true));
    let names = source.label_names(&[], 0, 0, 2).unwrap();
    assert_eq!(names, (vec!["__name__".to_owned(), "a".to_owned()], true));
    let values = source.label_values("a", &[], 0, 0, 1).unwrap();
    assert_eq!(values, (vec!["x".to_owned()], true));
    let (found, _) = source.series(&sets, 0, 10 * MINUTE, 2).unwrap();
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            r#"{__name__="up", a="x"}"#,
            r#"{__name__="wait_bucket", a="y", le="+Inf", z="1"}"#,
        ]
    );
}

#[test]
fn a_list_holds_no_more_than_it_shows_and_no_more_than_it_may() {
    let rig = Rig::default();
    let bounds: Vec<f64> = (1..100).map(f64::from).collect();
    let counts = vec![1.0; 100];
    for a in 0..20 {
        let a = a.to_string();
        let labels = [("a", a.as_str())];
        let point = [histogram(&bounds, &counts, Some(1.0))];
        rig.store("window", ("h", ValueKind::Histogram), &labels, 0, &point);
    }
    let all = [matchers("h_bucket")];
    let within = |bytes: usize, sets: &[Vec<LabelMatcher>], limit: usize| {
        let source = rig.source().within(bytes);
        let found = source.series(sets, 0, MINUTE, limit);
        found.map(|(found, more)| (found.len(), more))
    };
    const ROOM: usize = 300_000;
    assert_eq!(within(ROOM, &all, 10), Ok((10, true)));
    let refused = within(ROOM, &all, ALL).unwrap_err();
    assert_eq!(refused.kind, crate::query::QueryErrorKind::Limit);
    assert!(refused.message.contains("300000 bytes"), "{refused}");
    // What one set took another may take, and what comes twice counts once.
    assert_eq!(within(2 * ROOM, &all, ALL), Ok((2_000, false)));
    assert_eq!(
        within(2 * ROOM, &vec![all[0].clone(); 50], ALL),
        Ok((2_000, false))
    );
}

#[test]
fn metadata_is_that_of_the_page() {
    let rig = Rig::of_all_kinds();
    let store = rig.shelf.open("window", &WindowSettings::default());
    let mut windows = store.lock();
    let wait = ("wait", ValueKind::Histogram);
    windows
        .describe(wait.0, wait.1, "seconds", "How long")
        .unwrap();
    windows
        .describe("up", ValueKind::Counter, "", "Other")
        .unwrap();
    drop(windows);
    let source = rig.source();
    let f = |metric: Option<&str>, limit: usize, expected: &[(&str, &str, &str, &str)]| {
        let known = source.metadata(metric, limit);
        let known: Vec<_> = known
            .iter()
            .map(|m| (&*m.name, m.kind, &*m.help, &*m.unit))
            .collect();
        assert_eq!(known, expected);
    };
    f(
        None,
        2,
        &[
            ("hits_total", "counter", "", ""),
            ("lag", "histogram", "", ""),
        ],
    );
    f(
        Some("wait"),
        9,
        &[("wait", "histogram", "How long", "seconds")],
    );
    f(
        Some("up"),
        1,
        &[("up", "counter", "Other", ""), ("up", "gauge", "", "")],
    );
    f(Some("none"), 9, &[]);
}

#[test]
fn a_list_ends_when_nobody_waits() {
    let rig = Rig::of_all_kinds();
    let source = rig.source().until(|| Some(Interruption::Cancelled));
    let refused = source.series(&[matchers("{a=~'x.*'}")], 0, 10 * MINUTE, ALL);
    assert_eq!(refused.unwrap_err().kind.as_str(), "canceled");
}
