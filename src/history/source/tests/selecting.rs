//! Which series a selector finds.

use super::*;

#[test]
fn a_store_is_asked_for_a_label_once_however_often_a_query_names_it() {
    let rig = Rig::of_all_kinds();
    let source = rig.source();
    let conditions: Vec<String> = (0..100)
        .map(|i| format!("a!='{i}',a!~'{i}.',a!~'{i}|n'"))
        .collect();
    let set = matchers(&format!("{{z='1',{}}}", conditions.join(",")));
    let questions = matching::StoreQuestion::all(&source.stores[0], &set, &Unbounded).unwrap();
    assert!(!questions.is_empty());
    for question in questions {
        let mut names: Vec<&str> = question.matchers.iter().map(|m| m.name()).collect();
        names.sort_unstable();
        names.retain(|name| *name != "__name__");
        assert_eq!(names, ["a", "z"]);
    }
}

#[test]
fn a_selector_finds_what_is_shown_and_not_what_is_stored() {
    let rig = Rig::of_all_kinds();
    let f = |selector: &str, expected: &[&str]| {
        let found = rig.select(selector);
        assert_eq!(found, expected, "{selector}");
    };
    f("up", &[r#"{__name__="up", a="x"}"#]);
    f("hits_total", &[r#"{__name__="hits_total", a="x"}"#]);
    f("hits", &[]);
    f("lag", &[r#"{__name__="lag", a="x"}"#]);
    f("lag_count", &[]);
    f("wait", &[]);
    f(
        "wait_count",
        &[
            r#"{__name__="wait_count", a="x", z="1"}"#,
            r#"{__name__="wait_count", a="y", z="1"}"#,
        ],
    );
    // The second has never had a sum.
    f("wait_sum", &[r#"{__name__="wait_sum", a="x", z="1"}"#]);
    f(
        "wait_bucket",
        &[
            r#"{__name__="wait_bucket", a="x", le="0.5", z="1"}"#,
            r#"{__name__="wait_bucket", a="x", le="1.0", z="1"}"#,
            r#"{__name__="wait_bucket", a="x", le="+Inf", z="1"}"#,
            r#"{__name__="wait_bucket", a="y", le="0.5", z="1"}"#,
            r#"{__name__="wait_bucket", a="y", le="1.0", z="1"}"#,
            r#"{__name__="wait_bucket", a="y", le="1e+06", z="1"}"#,
            r#"{__name__="wait_bucket", a="y", le="+Inf", z="1"}"#,
        ],
    );
    f(
        r#"wait_bucket{le="1.0",a=~"x|y",z!=""}"#,
        &[
            r#"{__name__="wait_bucket", a="x", le="1.0", z="1"}"#,
            r#"{__name__="wait_bucket", a="y", le="1.0", z="1"}"#,
        ],
    );
    f(
        r#"wait_bucket{le=~"1e.*|.*Inf",a!~"x."}"#,
        &[
            r#"{__name__="wait_bucket", a="x", le="+Inf", z="1"}"#,
            r#"{__name__="wait_bucket", a="y", le="1e+06", z="1"}"#,
            r#"{__name__="wait_bucket", a="y", le="+Inf", z="1"}"#,
        ],
    );
    f(
        r#"{__name__=~"wait_.*",le="",a="y"}"#,
        &[r#"{__name__="wait_count", a="y", z="1"}"#],
    );
    f(
        r#"{__name__=~"size.*"}"#,
        &[
            r#"{__name__="size", a="x", quantile="0.5"}"#,
            r#"{__name__="size", a="x", quantile="0.99"}"#,
            r#"{__name__="size_count", a="x"}"#,
            r#"{__name__="size_sum", a="x"}"#,
        ],
    );
    f(
        r#"size{quantile=~"0.9.+"}"#,
        &[r#"{__name__="size", a="x", quantile="0.99"}"#],
    );
    f(
        r#"{a="x",__name__!~"wait.*|size.*"}"#,
        &[
            r#"{__name__="hits_total", a="x"}"#,
            r#"{__name__="lag", a="x"}"#,
            r#"{__name__="up", a="x"}"#,
        ],
    );
    f(
        r#"{a="x",quantile!="",le=""}"#,
        &[
            r#"{__name__="size", a="x", quantile="0.5"}"#,
            r#"{__name__="size", a="x", quantile="0.99"}"#,
        ],
    );
}

#[test]
fn a_summary_may_have_a_label_le_and_a_histogram_one_quantile() {
    let rig = Rig::default();
    let summary = StoredPoint::Summary(StoredSummary {
        count: 1.0,
        sum: 1.0,
        quantiles: &[0.5],
        values: &[1.0],
    });
    rig.store(
        "window",
        ("s", ValueKind::Summary),
        &[("le", "7")],
        0,
        &[summary],
    );
    let histogram = histogram(&[], &[1.0], Some(1.0));
    let labels = [("quantile", "7")];
    rig.store(
        "window",
        ("h", ValueKind::Histogram),
        &labels,
        0,
        &[histogram],
    );
    rig.gauge("window", "g", &[("le", "7")], 0, &[1.0]);
    assert_eq!(
        rig.select(r#"{le="7"}"#),
        [
            r#"{__name__="g", le="7"}"#,
            r#"{__name__="s", le="7", quantile="0.5"}"#,
            r#"{__name__="s_count", le="7"}"#,
            r#"{__name__="s_sum", le="7"}"#,
        ]
    );
    assert_eq!(
        rig.select(r#"{quantile="7",le!=""}"#),
        [r#"{__name__="h_bucket", le="+Inf", quantile="7"}"#]
    );
}

#[test]
fn series_without_points_in_the_span_are_not_found() {
    let rig = Rig::default();
    rig.gauge("window", "early", &[("a", "1")], 0, &[1.0, 2.0]);
    rig.gauge("window", "late", &[("a", "1")], 5, &[1.0, 2.0]);
    let source = rig.source();
    let f = |from: i64, to: i64, expected: &[&str]| {
        let found = source.select(
            &matchers(r#"{a="1"}"#),
            from * MINUTE,
            to * MINUTE,
            &Unbounded,
        );
        let found = found.unwrap();
        let names: Vec<String> = found
            .iter()
            .map(|series| series.labels().value("__name__").to_owned())
            .collect();
        assert_eq!(names, expected, "{from} {to}");
    };
    f(0, 9, &["early", "late"]);
    f(1, 4, &["early"]);
    f(2, 4, &[]);
    f(6, 9, &["late"]);
}

#[test]
fn a_series_of_several_stores_is_one_and_two_types_stay_two() {
    let rig = Rig::default();
    rig.gauge("window", "x", &[("a", "1")], 0, &[1.0, 2.0, 3.0]);
    rig.gauge("window/b", "x", &[("a", "1")], 2, &[30.0, 40.0]);
    rig.gauge("window/b", "x", &[("a", "2")], 2, &[7.0]);
    assert_eq!(
        rig.ask("x[10m]", 9),
        [
            r#"{__name__="x", a="1"} 0:1 1:2 2:3 3:40"#,
            r#"{__name__="x", a="2"} 2:7"#,
        ]
    );
    let counter = ("x", ValueKind::Counter);
    rig.store(
        "window",
        counter,
        &[("a", "1")],
        1,
        &[StoredPoint::Number(5.0)],
    );
    assert_eq!(
        rig.ask(r#"x{a="1"}[10m]"#, 9),
        [
            r#"{__name__="x", __type__="counter", a="1"} 1:5"#,
            r#"{__name__="x", __type__="gauge", a="1"} 0:1 1:2 2:3 3:40"#,
        ]
    );
}

#[test]
fn types_are_shown_where_labels_are_equal_and_select_everywhere() {
    let rig = Rig::of_all_kinds();
    let f = |query: &str, expected: &[&str]| assert_eq!(rig.ask(query, 1), expected, "{query}");
    let other = [StoredPoint::Number(5.0), StoredPoint::Number(6.0)];
    let counter = ValueKind::Counter;
    rig.store("window/b", ("up", counter), &[("a", "x")], 0, &other);
    rig.store(
        "window/b",
        ("wait", counter),
        &[("a", "x"), ("z", "1")],
        0,
        &other,
    );
    let (gauge, counter) = (
        r#"{__name__="up", __type__="gauge", a="x"} 1"#,
        r#"{__name__="up", __type__="counter", a="x"} 6"#,
    );
    f("up", &[gauge, counter]);
    f(
        r#"up{__type__="counter"}"#,
        &[r#"{__name__="up", a="x"} 6"#],
    );
    f(r#"up{__type__!="counter"} * 2"#, &[r#"{a="x"} 2"#]);
    f(
        r#"hits_total{__type__=~"c.*"}"#,
        &[r#"{__name__="hits_total", a="x"} 4"#],
    );
    f(r#"hits_total{__type__="gauge"}"#, &[]);
    f("sum(up)", &["{} 7"]);
    // A counter and a histogram of one name are shown under several.
    f("wait{a='x'}", &[r#"{__name__="wait", a="x", z="1"} 6"#]);
    f(
        "wait_count{a='x'}",
        &[r#"{__name__="wait_count", a="x", z="1"} 7"#],
    );
    let options = QueryOptions::default();
    for twice in ["-up", "timestamp(up)", "max_over_time(up[5m])", "abs(up)"] {
        let query = PromQuery::parse(twice, &options.limits).unwrap();
        let answer = query.instant(&rig.source(), MINUTE, &options, &|| None);
        let error = answer.unwrap_err().to_string();
        assert!(
            error.ends_with("metrics with the same labelset"),
            "{twice}: {error}"
        );
    }
    let query = PromQuery::parse("sum(up)", &options.limits).unwrap();
    let answer = query
        .instant(&rig.source(), MINUTE, &options, &|| None)
        .unwrap();
    assert_eq!(
        answer.warnings,
        [
            "PromQL warning: metric name \"up\" has series of different types whose labels are \
          equal: select one type by __type__"
        ]
    );
}
