use super::*;

#[test]
fn aggregations() {
    let source = written(&[
        ("x{g=\"a\",i=\"0\"}", "1"),
        ("x{g=\"a\",i=\"1\"}", "3"),
        ("x{g=\"b\",i=\"0\"}", "NaN"),
        ("x{g=\"b\",i=\"1\"}", "8"),
    ]);
    let f = |query: &str, expected: &str| assert_eq!(ask(&source, query, 0), expected, "{query}");
    f("sum by (g) (x)", r#"{g="a"} 4; {g="b"} NaN"#);
    f("sum without (i) (x)", r#"{g="a"} 4; {g="b"} NaN"#);
    f("sum(x)", "{} NaN");
    f("min(x)", "{} 1");
    f("max by (g) (x)", r#"{g="a"} 3; {g="b"} 8"#);
    f("count by (i) (x)", r#"{i="0"} 2; {i="1"} 2"#);
    f("group(x)", "{} 1");
    f("stddev by (g) (x{g=\"a\"})", r#"{g="a"} 1"#);
    f("stdvar(x{g=\"a\"})", "{} 1");
    f("quantile(0.5, x{g=\"a\"})", "{} 2");
    f("quantile(0.25, x)", "{} NaN");
    f(
        "count_values(\"v\", x)",
        r#"{v="1"} 1; {v="3"} 1; {v="NaN"} 1; {v="8"} 1"#,
    );
    f("topk(1, x)", r#"{__name__="x", g="b", i="1"} 8"#);
    f(
        "topk by (g) (1, x)",
        r#"{__name__="x", g="a", i="1"} 3; {__name__="x", g="b", i="1"} 8"#,
    );
    f("bottomk(1, x)", r#"{__name__="x", g="a", i="0"} 1"#);
    f("limitk(1, x)", r#"{__name__="x", g="a", i="0"} 1"#);
    f("topk(0, x)", "");
    f("topk(NaN, x)", "execution: Parameter value is NaN");
    f(
        "topk(1e30, x)",
        "execution: Scalar value 1e+30 overflows int64",
    );
}

#[test]
fn a_ratio_and_its_complement_are_the_whole() {
    let names: Vec<String> = (0..200).map(|i| format!("x{{i=\"{i}\"}}")).collect();
    let series: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let source = written(&series);
    for ratio in ["0.1", "0.5", "0.9"] {
        let count = |query: &str| -> f64 {
            let answer = ask(&source, query, 0);
            answer.trim_start_matches("{} ").parse().unwrap()
        };
        let some = count(&format!("count(limit_ratio({ratio}, x))"));
        let rest = count(&format!("count(limit_ratio(-(1 - {ratio}), x))"));
        assert_eq!(some + rest, 200.0, "{ratio}");
        let wanted = ratio.parse::<f64>().unwrap() * 200.0;
        assert!((some - wanted).abs() < 40.0, "{some} of {wanted}");
    }
    assert_eq!(ask(&source, "count(limit_ratio(1, x))", 0), "{} 200");
    assert_eq!(ask(&source, "limit_ratio(0, x)", 0), "");
}

#[test]
fn operators_between_vectors() {
    let source = written(&[
        ("a{i=\"0\"}", "6"),
        ("a{i=\"1\"}", "8"),
        ("b{i=\"0\"}", "2"),
        ("b{i=\"2\"}", "4"),
        ("m{i=\"0\",k=\"x\"}", "10"),
        ("m{i=\"0\",k=\"y\"}", "20"),
    ]);
    let f = |query: &str, expected: &str| assert_eq!(ask(&source, query, 0), expected, "{query}");
    f("a / b", r#"{i="0"} 3"#);
    f("a > b", r#"{__name__="a", i="0"} 6"#);
    f("a < bool b", r#"{i="0"} 0"#);
    f("a + on (i) b", r#"{i="0"} 8"#);
    f(
        "m * on (i) group_left b",
        r#"{i="0", k="x"} 20; {i="0", k="y"} 40"#,
    );
    f(
        "b * ignoring (k) group_right m",
        r#"{i="0", k="x"} 20; {i="0", k="y"} 40"#,
    );
    f("a and b", r#"{__name__="a", i="0"} 6"#);
    f("a unless b", r#"{__name__="a", i="1"} 8"#);
    f(
        "a or b",
        r#"{__name__="a", i="0"} 6; {__name__="a", i="1"} 8; {__name__="b", i="2"} 4"#,
    );
    f("a % 4", r#"{i="0"} 2; {i="1"} 0"#);
    f("2 ^ a", r#"{i="0"} 64; {i="1"} 256"#);
    f("7 > a", r#"{__name__="a", i="0"} 6"#);
    f("-a", r#"{i="0"} -6; {i="1"} -8"#);
    f("1 / 0 > bool 2", "1");
    let wrong = ask(&source, "b * on (i) m", 0);
    assert!(
        wrong.starts_with("execution: found duplicate series for the match group"),
        "{wrong}"
    );
    f(
        "m * on (i) b",
        "execution: multiple matches for labels: many-to-one matching must be explicit \
         (group_left/group_right)",
    );
}

#[test]
fn names_are_dropped_where_values_change() {
    let source = written(&[("x{i=\"0\"}", "1"), ("y{i=\"0\"}", "2")]);
    let twice = "execution: vector cannot contain metrics with the same labelset";
    let f = |query: &str, expected: &str| assert_eq!(ask(&source, query, 0), expected, "{query}");
    f("abs(x)", r#"{i="0"} 1"#);
    f("abs({__name__=~\"x|y\"})", twice);
    f("-{__name__=~\"x|y\"}", twice);
    f("count_over_time({__name__=~\"x|y\"}[5m])", twice);
    f(
        "label_replace(x, \"j\", \"$1-\", \"i\", \"(.*)\")",
        r#"{__name__="x", i="0", j="0-"} 1"#,
    );
    f(
        "label_join(x, \"j\", \"-\", \"i\", \"i\")",
        r#"{__name__="x", i="0", j="0-0"} 1"#,
    );
    f("absent(x{i=\"9\",j=~\"a\"})", r#"{i="9"} 1"#);
    f("absent(x{i=\"9\",i=\"8\"})", "{} 1");
    f("absent(x{i!=\"9\",i=\"9\",i!~\"9\"})", "{} 1");
    f("absent(x{i!=\"9\",i=\"9\"})", r#"{i="9"} 1"#);
    f("absent_over_time(x{i=\"9\"}[5m])", r#"{i="9"} 1"#);
    f("absent(x)", "");
}

#[test]
fn histograms_of_buckets() {
    let source = written(&[
        ("h_bucket{le=\"1\"}", "2"),
        ("h_bucket{le=\"2\"}", "6"),
        ("h_bucket{le=\"4\"}", "8"),
        ("h_bucket{le=\"+Inf\"}", "10"),
    ]);
    let f = |query: &str, expected: &str| {
        assert_eq!(
            ask(&source, query, 0),
            format!("{{}} {expected}"),
            "{query}"
        );
    };
    f("histogram_quantile(0.4, h_bucket)", "1.5");
    f("histogram_quantile(0.7, h_bucket)", "3");
    f("histogram_quantile(0.95, h_bucket)", "4");
    f("histogram_quantile(-1, h_bucket)", "-Inf");
    f("histogram_quantile(0.5, h_bucket{le!=\"+Inf\"})", "NaN");
    f("histogram_fraction(1, 2, h_bucket)", "0.4");
    f("histogram_fraction(0, 0.5, h_bucket)", "0.1");
}

#[test]
fn dates_and_scalars() {
    let source = written(&[("x{i=\"0\"}", "951782400"), ("y", "NaN")]);
    let f = |query: &str, expected: &str| assert_eq!(ask(&source, query, 0), expected, "{query}");
    // The leap day of 2000, a Tuesday.
    f("day_of_month(x)", r#"{i="0"} 29"#);
    f("month(x)", r#"{i="0"} 2"#);
    f("year(x)", r#"{i="0"} 2000"#);
    f("day_of_week(x)", r#"{i="0"} 2"#);
    f("day_of_year(x)", r#"{i="0"} 60"#);
    f("days_in_month(x)", r#"{i="0"} 29"#);
    f("hour(x + 3600)", r#"{i="0"} 1"#);
    f("minute()", "{} 0");
    f("scalar(x) - 951782399", "1");
    f("scalar({i=~\".*\",__name__=~\"x|y\"})", "NaN");
    f("time()", "0");
    f("vector(pi())", "{} 3.141592653589793");
    f("clamp(x, 1, 5)", r#"{i="0"} 5"#);
    f("clamp(x, 5, 1)", "");
    f("clamp_min(y, 3)", "{} NaN");
    f("round(x / 951782400 * 2.5)", r#"{i="0"} 3"#);
    f("\"text\"", "text");
}
