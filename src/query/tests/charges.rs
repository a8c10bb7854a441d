//! What a query holds is counted before it is there, and what it does is counted as work.

use std::cell::Cell;
use std::sync::Arc;

use super::*;
use crate::query::meter::Meter;
use crate::query::strand::Strand;

fn limited(max_memory: usize) -> QueryOptions {
    let mut options = QueryOptions::default();
    options.limits.max_memory = max_memory;
    options
}

/// Histograms of 160 buckets, one for each minute, in series that differ in `i`.
fn histograms(series: usize, minutes: i64) -> Written {
    let histogram = Arc::new(NativeHistogram {
        schema: 3,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: 160.0,
        sum: 160.0,
        positive: (0..160).map(|index| (index, 1.0)).collect(),
        negative: Vec::new(),
        gauge: false,
    });
    let series = (0..series).map(|number| {
        let labels = LabelSet::new(vec![
            LabelPair::new("__name__", "e"),
            LabelPair::new("i", number.to_string()),
        ]);
        let times = (0..minutes).map(|minute| minute * MINUTE);
        let points = SeriesPoints {
            histograms: times.map(|time| (time, Arc::clone(&histogram))).collect(),
            ..SeriesPoints::default()
        };
        (labels, points)
    });
    Written(series.collect())
}

/// How often a query asks whether to go on.
fn looks(source: &Written, query: &str) -> usize {
    let options = QueryOptions::default();
    let looks = Cell::new(0);
    let query = PromQuery::parse(query, &options.limits).unwrap();
    let count = || {
        looks.set(looks.get() + 1);
        None
    };
    let _ = query.instant(source, 0, &options, &count);
    looks.get()
}

fn many(series: usize, value: &str) -> Written {
    let series = (0..series).map(|number| {
        let labels = LabelSet::new(vec![
            LabelPair::new("__name__", "x"),
            LabelPair::new("i", number.to_string()),
            LabelPair::new("v", value),
        ]);
        let mut points = SeriesPoints::default();
        points.push(0, 1.0);
        (labels, points)
    });
    Written(series.collect())
}

const TOO_MUCH: &str = "bytes of memory";

#[test]
fn texts_that_a_query_makes_are_counted_before_they_are_made() {
    let source = written(&[("x{a=\"0123456789\"}", "1"), ("x{a=\"9876543210\"}", "2")]);
    let nested = |depth: usize| {
        let open = "label_replace(".repeat(depth);
        let close = ",\"a\",\"$1$1$1$1$1$1$1$1$1$1\",\"a\",\"(.*)\")".repeat(depth);
        format!("count({open}x{close})")
    };
    let f = |query: &str, max_memory, part: &str| {
        let answer = ask_with(&source, query, 0, &limited(max_memory));
        assert!(answer.contains(part), "{query}: {answer}");
    };
    f(&nested(3), 2 << 20, "{} 2");
    f(&nested(5), 2 << 20, TOO_MUCH);
    // A text of ten gigabytes; matching those before it is too much already.
    f(&nested(9), 64 << 20, "can't be matched");
    let sources = ",\"a\"".repeat(1_500);
    let join = |separator: usize| {
        let separator = "s".repeat(separator);
        format!("count(label_join(x,\"b\",\"{separator}\"{sources}))")
    };
    f(&join(1), 2 << 20, "{} 2");
    f(&join(15_000), 64 << 20, TOO_MUCH);
}

#[test]
fn a_histogram_is_counted_before_the_next_is_made() {
    let limits = limited(100 << 10).limits;
    let meter = Meter::new(&limits, &|| None);
    let source = histograms(1, 1);
    let (_, histogram) = source.0[0].1.histograms[0].clone();
    let mut strand = Strand::new(&meter, LabelSet::default()).unwrap();
    for step in 0..1_000 {
        let same = PointValue::Histogram(Arc::clone(&histogram));
        strand.put(1_000, step, same).unwrap();
    }
    let made = Cell::new(0);
    let changed = strand.each_histogram(1_000, |_, histogram| {
        made.set(made.get() + 1);
        let copy = NativeHistogram::clone(histogram);
        Some(PointValue::Histogram(Arc::new(copy)))
    });
    assert!(changed.unwrap_err().message.contains(TOO_MUCH));
    assert!(
        made.get() * histogram.bytes() <= 110 << 10,
        "{}",
        made.get()
    );
}

#[test]
fn histograms_are_counted_while_they_are_aggregated() {
    let source = histograms(10, 100);
    let f = |query: &str, max_memory, fits: bool| {
        let options = limited(max_memory);
        let query = PromQuery::parse(query, &options.limits).unwrap();
        let ends = (0, 99 * MINUTE);
        let answer = query.range(&source, ends, MINUTE, &options, &|| None);
        match answer {
            Ok(_) => assert!(fits),
            Err(error) => assert!(!fits && error.message.contains(TOO_MUCH), "{error}"),
        }
    };
    // A thousand sums of 160 buckets.
    f("count(sum by (i) (e))", 4 << 20, false);
    f("count(avg by (i) (e))", 4 << 20, false);
    f("count(sum(e))", 4 << 20, true);
    f("count(count by (i) (e))", 4 << 20, true);
    f("count(-e)", 1 << 20, true);
    f("count(e + on (i) e)", 2 << 20, false);
}

#[test]
fn work_grows_with_texts_and_with_regular_expressions() {
    let few = looks(&many(100, "text"), "count(label_join(x,\"b\",\"\",\"v\"))");
    let sources = ",\"v\"".repeat(3_000);
    let join = format!("count(label_join(x,\"b\",\"\"{sources}))");
    assert!(looks(&many(100, "text"), &join) > few + 10);
    let replace = |regex: &str| format!("count(label_replace(x,\"z\",\"$1\",\"v\",\"{regex}\"))");
    let long = many(100, &"c".repeat(200));
    let few = looks(&long, &replace("c*"));
    assert!(looks(&long, &replace("((a|b|c){0,30}.*){3}")) > few + 50);
    let options = QueryOptions::default();
    let longest = many(1, &"c".repeat(100_000));
    let answer = ask_with(&longest, &replace("((a|b|c){0,33}.*){30}"), 0, &options);
    assert!(answer.contains("can't be matched"), "{answer}");
}

#[test]
fn values_are_counted_by_the_steps_at_which_they_occur() {
    let source = written(&[]);
    let options = QueryOptions::default();
    let query = "count_values(\"v\", vector(time()))";
    let query = PromQuery::parse(query, &options.limits).unwrap();
    let ends = (0, 1_439 * MINUTE);
    let answer = query.range(&source, ends, MINUTE, &options, &|| None);
    let QueryValue::Matrix(series) = answer.unwrap().value else {
        panic!("no matrix");
    };
    assert_eq!(series.len(), 1_440);
    assert!(series.iter().all(|series| series.points.values == [1.0]));
}

#[test]
fn values_are_counted_in_groups_without_the_label_they_are_named_in() {
    let source = written(&[
        ("x{a=\"1\",v=\"old\"}", "5"),
        ("x{a=\"2\",v=\"old\"}", "5"),
        ("x{a=\"2\",v=\"new\"}", "NaN"),
    ]);
    let f = |query: &str, expected: &str| assert_eq!(ask(&source, query, 0), expected, "{query}");
    f("count_values(\"v\", x)", "{v=\"5\"} 2; {v=\"NaN\"} 1");
    f(
        "count_values without (a) (\"v\", x)",
        "{v=\"5\"} 2; {v=\"NaN\"} 1",
    );
    f(
        "count_values by (a) (\"v\", x)",
        "{a=\"1\", v=\"5\"} 1; {a=\"2\", v=\"NaN\"} 1; {a=\"2\", v=\"5\"} 1",
    );
    f(
        "count_values without (v) (\"v\", x)",
        "{a=\"1\"} 1; {a=\"2\"} 2",
    );
    f("count_values without (a, v) (\"__name__\", x)", "{} 3");
}
