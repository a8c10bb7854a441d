use super::*;

#[test]
fn a_selector_shows_the_last_point_of_the_lookback() {
    let source = written(&[
        ("x{i=\"0\"}", "1 2 _ _ _ _ _ _"),
        ("x{i=\"1\"}", "5 stale _ 7"),
    ]);
    let f = |minute: i64, expected: &str| assert_eq!(ask(&source, "x", minute), expected);
    f(0, r#"{__name__="x", i="0"} 1; {__name__="x", i="1"} 5"#);
    // The mark ends the series at once.
    f(1, r#"{__name__="x", i="0"} 2"#);
    f(3, r#"{__name__="x", i="0"} 2; {__name__="x", i="1"} 7"#);
    // A point that is as old as the lookback is too old.
    f(6, r#"{__name__="x", i="1"} 7"#);
    f(8, "");
}

#[test]
fn a_range_is_open_at_its_start() {
    let source = written(&[("x", "0 1 2 3 stale 5 NaN")]);
    let f = |query: &str, expected: &str| assert_eq!(ask(&source, query, 6), expected, "{query}");
    f("x[2m]", r#"{__name__="x"} 5@300 NaN@360"#);
    f("x[2m1ms]", r#"{__name__="x"} 5@300 NaN@360"#);
    f("x[3m1ms]", r#"{__name__="x"} 3@180 5@300 NaN@360"#);
    f("x[3m]", r#"{__name__="x"} 5@300 NaN@360"#);
    f("x[4m]", r#"{__name__="x"} 3@180 5@300 NaN@360"#);
    f("x[1m] offset 4m", r#"{__name__="x"} 2@120"#);
    f("x[1m] offset -1m", "");
    f("x[1m] @ 60", r#"{__name__="x"} 1@60"#);
    f("x[1m] @ 60 offset -1m", r#"{__name__="x"} 2@120"#);
    f("x[2m:1m]", r#"{__name__="x"} 5@300 NaN@360"#);
    f("x[2m:30s] @ 90", r#"{__name__="x"} 0@0 0@30 1@60 1@90"#);
}

#[test]
fn functions_of_windows() {
    let source = written(&[
        ("c_total", "0 10 20 30 5 15"),
        ("g", "1 3 2 8 4 6"),
        ("n", "NaN 1 NaN 3 _ Inf"),
    ]);
    let f = |query: &str, expected: &str| {
        let answer = ask(&source, query, 5);
        let value = answer
            .strip_prefix("{} ")
            .and_then(|value| value.parse::<f64>().ok());
        let (value, expected) = (value.unwrap(), expected.parse::<f64>().unwrap());
        let close = (value - expected).abs() <= 1e-12 * expected.abs();
        assert!(
            close || value == expected,
            "{query}: {value}, not {expected}"
        );
    };
    // Four points of the last 4 minutes: 20 30 5 15, from 20 to 15 with a reset of 30,
    // extrapolated by 60 s of 180 s to the start of the window.
    f("increase(c_total[4m])", "33.333333333333336");
    f("rate(c_total[4m])", "0.1388888888888889");
    f("irate(c_total[4m])", "0.16666666666666666");
    f("resets(c_total[10m])", "1");
    f("delta(g[5m])", "3.75");
    f("idelta(g[5m])", "2");
    f("changes(g[10m])", "5");
    f("changes(n[10m])", "4");
    f("avg_over_time(g[10m])", "4");
    f("sum_over_time(g[10m])", "24");
    f("min_over_time(n[10m])", "1");
    f("max_over_time(n[10m])", "+Inf");
    f("count_over_time(n[10m])", "5");
    f("stddev_over_time(g[10m])", "2.3804761428476167");
    f("stdvar_over_time(g[10m])", "5.666666666666667");
    f("quantile_over_time(0.5, g[10m])", "3.5");
    f("quantile_over_time(2, g[10m])", "+Inf");
    f("present_over_time(g[10m])", "1");
    f("deriv(g[10m])", "0.01619047619047619");
    f("predict_linear(g[10m], 60)", "7.4");
    let named = |query: &str, expected: &str| assert_eq!(ask(&source, query, 5), expected);
    named("last_over_time(g[10m])", r#"{__name__="g"} 6"#);
    named("first_over_time(g[10m])", r#"{__name__="g"} 1"#);
    named("rate(c_total[1m])", "");
}

#[test]
fn a_counter_is_not_extrapolated_below_zero() {
    // Without the bound: 20 over 180 s of a window of 300 s.
    let source = written(&[("c_total", "_ 0 10 20 30")]);
    assert_eq!(ask(&source, "increase(c_total[10m])", 4), "{} 30");
    let source = written(&[("c_total", "_ 5 15 25 35")]);
    assert_eq!(ask(&source, "increase(c_total[10m])", 4), "{} 35");
}

#[test]
fn sums_lose_nothing_by_rounding() {
    let source = written(&[
        ("x{i=\"0\"}", "1e100"),
        ("x{i=\"1\"}", "1"),
        ("x{i=\"2\"}", "-1e100"),
    ]);
    assert_eq!(ask(&source, "sum(x)", 0), "{} 1");
    let source = written(&[("x{i=\"0\"}", "1.7e308"), ("x{i=\"1\"}", "1.7e308")]);
    assert_eq!(ask(&source, "avg(x)", 0), "{} 1.7e+308");
    let source = written(&[("x", "1e100 1 -1e100")]);
    assert_eq!(ask(&source, "sum_over_time(x[5m])", 2), "{} 1");
}

#[test]
fn a_range_query_is_the_instant_query_at_each_step() {
    let source = written(&[("x_total{i=\"0\"}", "0 1 2 3 stale 5 6 7 0 2 _ _ _ 9")]);
    assert_eq!(
        ask_range(&source, "x_total", (0, 9)),
        r#"{__name__="x_total", i="0"} 0@0 1@1 2@2 3@3 5@5 6@6 7@7 0@8 2@9"#
    );
    assert_eq!(
        ask_range(&source, "count_over_time(x_total[2m])", (0, 10)),
        r#"{i="0"} 1@0 2@1 2@2 2@3 1@4 1@5 2@6 2@7 2@8 2@9 1@10"#
    );
    assert_eq!(
        ask_range(&source, "sum(x_total @ 120)", (0, 2)),
        "{} 2@0 2@1 2@2"
    );
    assert_eq!(
        ask_range(&source, "max_over_time(x_total[3m:1m])", (2, 4)),
        r#"{i="0"} 2@2 3@3 3@4"#
    );
    for query in [
        "rate(x_total[3m])",
        "sum(x_total)",
        "absent(x_total)",
        "x_total > 2",
    ] {
        let range = ask_range(&source, query, (0, 14));
        for minute in 0..=14 {
            let instant = ask(&source, query, minute);
            let value = instant.rsplit(' ').next().unwrap();
            let at = format!("@{minute} ");
            let shown = format!("{range} ").contains(&at);
            assert_eq!(shown, !instant.is_empty(), "{query} at {minute}");
            let there = format!("{range} ").contains(&format!(" {value}{at}"));
            assert_eq!(there, shown, "{query} at {minute}: {range} / {instant}");
        }
    }
}
