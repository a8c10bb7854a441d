use std::cell::Cell;

use super::*;

#[test]
fn what_is_not_supported_is_named() {
    let source = written(&[]);
    let f = |query: &str, part: &str| {
        let answer = ask(&source, query, 0);
        assert!(answer.starts_with("bad_data: "), "{query}: {answer}");
        assert!(answer.contains(part), "{query}: {answer}");
    };
    f("mad_over_time(x[5m])", "mad_over_time");
    f("info(x)", "info");
    f("no_function(x)", "no_function");
    f("x + on (a) fill (0) y", "fill");
    f("{a=\"b\" or c=\"d\"}", "or");
    f("sum(1)", "in aggregation expression, got scalar");
    f(
        "limitk(x, x)",
        "expected type scalar in aggregation parameter, got instant vector",
    );
    f(
        "exp(NaN)",
        "expected type instant vector in call to function \"exp\", got scalar",
    );
    f("rate(x)", "expected type");
    f(
        "1 == 2",
        "comparisons between scalars must use BOOL modifier",
    );
    f(
        "{a=~\".*\"}",
        "vector selector must contain at least one non-empty matcher",
    );
    f("x{__name__=\"y\"}", "metric name must not be set twice");
    f("x{a=~\"[\"}", "missing closing ]: `[`");
    f("x{a=~\"a)|(b\"}", "unexpected ): `a)|(b`");
    f("", "");
}

/// As a real Prometheus counts them on the same points.
#[test]
fn samples_are_counted_where_selectors_stand() {
    let source = written(&[("x", "0 1 2 3 4 5 6 7 8 9"), ("y", "0 1 2 3 4 5 6 7 8 9")]);
    let f = |query: &str, at_nine: u64, from_five: Option<u64>| {
        let options = QueryOptions::default();
        let query = PromQuery::parse(query, &options.limits).unwrap();
        let instant = query.instant(&source, 9 * MINUTE, &options, &|| None);
        assert_eq!(instant.unwrap().samples.queried, at_nine, "{query:?}");
        let ends = (5 * MINUTE, 9 * MINUTE);
        let range = query.range(&source, ends, MINUTE, &options, &|| None);
        let range = range.ok().map(|range| range.samples.queried);
        assert_eq!(range, from_five, "{query:?}");
    };
    f("1", 0, Some(0));
    f("x", 1, Some(5));
    f("sum(x + y)", 2, Some(10));
    f("timestamp(x)", 1, Some(5));
    // What is asked at many times can't give a range at each.
    f("x[5m]", 5, None);
    f("rate(x[5m])", 5, Some(25));
    f("x @ 60", 1, Some(5));
    f("count_over_time(x[2m] @ 120) + y", 3, Some(15));
    f("sum_over_time(x[5m:1m])", 5, Some(25));
    f("max_over_time(sum_over_time(x[2m])[3m:1m])", 3, Some(15));
    f("sum_over_time((x @ 60)[2m:1m])", 2, Some(10));
    f("max_over_time(x[3m:1m] @ 300) + x", 4, Some(20));
    let options = QueryOptions::default();
    let query = PromQuery::parse("rate(x[5m])", &options.limits).unwrap();
    let answer = query.instant(&source, 9 * MINUTE, &options, &|| None);
    assert_eq!(answer.unwrap().samples.peak, 6, "the points and the result");
}

#[test]
fn limits_end_a_query() {
    let source = written(&[("x", "0 1 2 3 4 5 6 7 8 9"), ("y", "0 1 2 3 4 5 6 7 8 9")]);
    let limited = |change: &dyn Fn(&mut QueryLimits)| {
        let mut options = QueryOptions::default();
        change(&mut options.limits);
        options
    };
    let f = |query: &str, options: &QueryOptions, part: &str| {
        let answer = ask_with(&source, query, 9, options);
        assert!(answer.contains(part), "{query}: {answer}");
    };
    let few = limited(&|limits| limits.max_samples = 6);
    f(
        "count_over_time(x[10m])",
        &few,
        "execution: query processing would load too many samples",
    );
    f("count_over_time(x[5m])", &few, "{} 5");
    let small = limited(&|limits| limits.max_memory = 10_000);
    f("x[10m]", &small, "@540");
    f(
        "max_over_time(x[1d:1s])",
        &small,
        "more than 10000 bytes of memory",
    );
    // This ended a real Prometheus.
    let usual = QueryOptions::default();
    f("max_over_time(x[100000d:1ms])", &usual, "bytes of memory");
    let short = limited(&|limits| limits.max_text = 4);
    f(
        "x + x",
        &short,
        "bad_data: the query has 5 bytes, more than 4",
    );
}

#[test]
fn a_query_ends_when_it_is_told_to() {
    let source = written(&[("x", "0 1 2 3")]);
    let options = QueryOptions::default();
    let query = PromQuery::parse("max_over_time(x[1d:1s])", &options.limits).unwrap();
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        (asked.get() > 1).then_some(Interruption::Cancelled)
    };
    let error = query.instant(&source, 3 * MINUTE, &options, &stop);
    assert_eq!(error.unwrap_err().kind, QueryErrorKind::Canceled);
    assert_eq!(asked.get(), 2);
    let stop = || Some(Interruption::TimedOut);
    let error = query.instant(&source, 3 * MINUTE, &options, &stop);
    assert_eq!(error.unwrap_err().kind, QueryErrorKind::Timeout);
}

#[test]
fn the_deepest_query_is_answered_on_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let run = thread.spawn(|| {
        let source = written(&[("x", "0 1 2 3")]);
        for (open, close) in [
            ("abs(", ")"),
            ("sum(", ")"),
            ("-", ""),
            ("1+", ""),
            ("(x or ", ")"),
        ] {
            // A parenthesis and what stands in it are two.
            let times = if open.starts_with('(') { 120 } else { 250 };
            let query = format!("{}x{}", open.repeat(times), close.repeat(times));
            let answer = ask(&source, &query, 3);
            assert!(
                answer.ends_with(|last: char| last.is_ascii_digit()),
                "{query}: {answer}"
            );
        }
    });
    run.unwrap().join().unwrap();
}

#[test]
fn notes_are_those_of_prometheus() {
    let source = written(&[("x", "0 1 2 3")]);
    let options = QueryOptions::default();
    let query = PromQuery::parse("rate(x[5m]) + quantile(7, x)", &options.limits).unwrap();
    let answer = query
        .instant(&source, 3 * MINUTE, &options, &|| None)
        .unwrap();
    assert_eq!(
        answer.warnings,
        ["PromQL warning: quantile value should be between 0 and 1, got 7"]
    );
    assert_eq!(
        answer.infos,
        [
            "PromQL info: metric might not be a counter, name does not end in \
             _total/_sum/_count/_bucket: \"x\""
        ]
    );
}
