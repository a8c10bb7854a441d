//! Metrics that try every rule by which OpenTelemetry's become Prometheus's, as OTLP in JSON.
//!
//! Whatever is called `differs.SOMETHING` shows a difference that is meant; all else must
//! come out the same.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test needs another part of it"
)]

use serde_json::{Value, json};

use crate::shorthand::{
    BEGIN, CUMULATIVE, DELTA, attributes, buckets, exemplar, exemplary, gauge, histogram, point,
    quantiles, request, sum, summary, timed,
};

/// The last metric of all: what shows it shows everything.
pub const LAST: &str = "the_last_of_all";

/// The requests, in the order in which they are sent.
pub fn requests() -> Vec<Value> {
    let service = json!({
        "service.name": "checkout", "service.namespace": "shop", "service.instance.id": "i-1",
        "host.name": "fog-1", "replicas": 3, "weights": [1, 2.5, "x"], "labels": {"a": 1, "b": "c"},
        "ratio": 0.25, "spot": true, "quote\"d": "back\\slash\nline",
    });
    let nameless = json!({"host.name": "fog-2"});
    let scope = json!({"name": "library", "version": "1.2.3",
                       "attributes": attributes(&json!({"build": 7, "vendor.name": "acme"}))});
    let mut other_schema = request(
        &service,
        &scope,
        vec![gauge("of.schema", "", json!([point(json!({}), json!(1))]))],
    );
    other_schema["resourceMetrics"][0]["scopeMetrics"][0]["schemaUrl"] =
        json!("https://example.com/1.0");
    let plain = |metrics| request(&service, &json!({"name": "plain"}), metrics);
    vec![
        plain(names()),
        plain(values()),
        plain(labels()),
        plain(histograms(0)),
        plain(histograms(1)),
        plain(deltas(0)),
        plain(deltas(1)),
        plain(deltas(2)),
        plain(intended(0)),
        plain(intended(1)),
        request(
            &service,
            &scope,
            vec![gauge(
                "of.scope",
                "",
                json!([point(json!({"k": "v"}), json!(2))]),
            )],
        ),
        request(
            &service,
            &json!({}),
            vec![gauge(
                "of.no.scope",
                "",
                json!([point(json!({}), json!(3))]),
            )],
        ),
        other_schema,
        request(
            &nameless,
            &json!({"name": "plain"}),
            vec![gauge(
                "of.no.service",
                "",
                json!([point(json!({}), json!(4))]),
            )],
        ),
        request(
            &json!({"service.name": "alone"}),
            &json!({"name": "plain"}),
            vec![
                gauge("of.service", "", json!([point(json!({}), json!(5))])),
                gauge("of.two.services", "", json!([point(json!({}), json!(1))])),
            ],
        ),
        request(
            &json!({"service.name": "alone", "service.instance.id": "0"}),
            &json!({"name": "plain"}),
            vec![gauge(
                "of.two.services",
                "",
                json!([point(json!({}), json!(2))]),
            )],
        ),
        plain(vec![gauge(LAST, "", json!([point(json!({}), json!(1))]))]),
    ]
}

/// Every unit, and names that meet their suffixes, for each sort of metric.
fn names() -> Vec<Value> {
    const CASES: [(&str, &str); 44] = [
        ("network.io", "By"),
        ("utilization", "1"),
        ("wind.speed", "m/s"),
        ("messages", "{message}/s"),
        ("requests", "{request}"),
        ("total.requests", ""),
        ("latency", "ms"),
        ("duration.seconds", "s"),
        ("bytes.seen", "By"),
        ("a..b__c", ""),
        ("trailing_", ""),
        ("Mixed.Case-Name", "kBy"),
        ("events", "1/s"),
        ("temperature", "Cel"),
        ("disk", "GiBy"),
        ("strange", "florps"),
        ("growth", "By/d"),
        ("ratio.ratio", "1"),
        ("used", "%"),
        ("mass", "kg"),
        ("tension", "V"),
        ("current", "A"),
        ("energy", "J"),
        ("power", "W"),
        ("frequency", "Hz"),
        ("length", "m"),
        ("age", "d"),
        ("wait", "h"),
        ("pause", "min"),
        ("tick", "us"),
        ("tock", "ns"),
        ("memory", "MBy"),
        ("more.memory", "TiBy"),
        ("pages", "KiBy"),
        ("speed", "m/min"),
        ("per.month", "1/mo"),
        ("per.week", "{x}/wk"),
        ("annotated", "{a} By"),
        ("odd", "a/b/c"),
        ("spaced", " s "),
        ("slash", "/"),
        ("colon:name", ""),
        ("naïve.größe", ""),
        ("with.total.inside", ""),
    ];
    let one = |value: Value| json!([point(json!({}), value)]);
    let each = |(name, unit): &(&str, &str)| {
        [
            gauge(&format!("g.{name}"), unit, one(json!(1.5))),
            sum(&format!("c.{name}"), unit, CUMULATIVE, true, one(json!(7))),
            sum(
                &format!("u.{name}"),
                unit,
                CUMULATIVE,
                false,
                one(json!(-7)),
            ),
        ]
    };
    let mut metrics: Vec<Value> = CASES.iter().flat_map(each).collect();
    metrics.push(gauge("3.14 digits", "", one(json!(1))));
    metrics.push(gauge("_leading", "", one(json!(1))));
    metrics.push(sum("errors.total", "", CUMULATIVE, true, one(json!(1))));
    metrics.push(sum(
        "sent_bytes_total",
        "By",
        CUMULATIVE,
        true,
        one(json!(1)),
    ));
    metrics.push(sum("seconds", "s", CUMULATIVE, true, one(json!(1))));
    metrics.push(histogram(
        "h.duration",
        "s",
        CUMULATIVE,
        json!([buckets(json!({}), &[1, 2], &[0.5])]),
    ));
    metrics.push(summary(
        "s.duration",
        "ms",
        json!([quantiles(json!({}), 3, 4.5, &[(0.5, 1.0)])]),
    ));
    for metric in &mut metrics {
        metric["description"] = json!("Of the \"name\" \\ and\nits unit");
    }
    metrics
}

/// Numbers at the ends of what there is.
fn values() -> Vec<Value> {
    let mut metrics = Vec::new();
    let numbers = [
        json!(0),
        json!(0.0),
        json!(-0.0),
        json!(1e300),
        json!(5e-324),
        json!(-1.25),
        json!(0.1),
        json!("NaN"),
        json!("Infinity"),
        json!("-Infinity"),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(9_007_199_254_740_993_i64),
        json!(1e21),
        json!(123_456_789.0),
        json!(1e-7),
    ];
    for (n, number) in numbers.iter().enumerate() {
        metrics.push(gauge(
            &format!("number.{n}"),
            "",
            json!([point(json!({}), number.clone())]),
        ));
    }
    let at = |seconds: u64, number: Value| {
        let mut point = point(json!({"k": "v"}), number);
        point["timeUnixNano"] = json!((BEGIN + seconds * 1_000_000_000).to_string());
        point
    };
    // Of two points the newer is shown, whatever their order.
    metrics.push(gauge(
        "in.order",
        "",
        json!([at(20, json!(1)), at(30, json!(2))]),
    ));
    metrics.push(gauge(
        "out.of.order",
        "",
        json!([at(30, json!(1)), at(20, json!(2))]),
    ));
    let mut gone = at(20, json!(1));
    gone["flags"] = json!(1);
    metrics.push(gauge("never.recorded", "", json!([gone])));
    metrics.push(sum(
        "counter.of.doubles",
        "",
        CUMULATIVE,
        true,
        json!([exemplary(point(json!({}), json!(2.5)))]),
    ));
    metrics.push(sum(
        "counter.of.ints",
        "",
        CUMULATIVE,
        true,
        json!([exemplary(point(json!({}), json!(2)))]),
    ));
    metrics.push(gauge(
        "gauge.with.exemplar",
        "",
        json!([exemplary(point(json!({}), json!(2)))]),
    ));
    metrics.push(sum(
        "updown.with.exemplar",
        "",
        CUMULATIVE,
        false,
        json!([exemplary(point(json!({}), json!(2)))]),
    ));
    metrics.push(json!({"name": "of.no.type"}));
    metrics.push(gauge("of.no.points", "", json!([])));
    metrics
}

/// Attributes of all types, and keys of all sorts.
fn labels() -> Vec<Value> {
    let one = |attributes: Value| json!([point(attributes, json!(1))]);
    vec![
        gauge(
            "types",
            "",
            one(
                json!({"text": "a", "int": -5, "whole": 2.0, "double": 0.1, "large": 1e21,
            "bool": false, "list": [1, "two", 3.5, true, [null], {"k": "v"}],
            "map": {"z": 1, "a": {"b": [1]}, "t": "<&>"}, "bytes": "base64:AQID"}),
            ),
        ),
        gauge(
            "keys",
            "",
            one(
                json!({"with.dots": "1", "with-dash": "2", "3digits": "3", "ünïcode": "4",
            "_private": "5", "UPPER": "6", "a b": "7", "semi;colon": "8", "_3": "9"}),
            ),
        ),
        gauge(
            "texts",
            "",
            one(
                json!({"quote": "a\"b", "slash": "a\\b", "line": "a\nb", "tab": "a\tb",
            "unicode": "日本\u{10ffff}", "spaces": "  x  ", "brace": "{x=\"y\"}", "hash": "# HELP"}),
            ),
        ),
        gauge(
            "series",
            "",
            json!([
                point(json!({"n": 1}), json!(1)),
                point(json!({"n": 2}), json!(2)),
                point(json!({"n": 2, "m": 1}), json!(3)),
                point(json!({}), json!(4))
            ]),
        ),
        gauge(
            "order",
            "",
            json!([point(json!([["b", "1"], ["a", "2"]]), json!(1))]),
        ),
    ]
}

/// Of each sort; the second round adds to the first.
fn histograms(round: u64) -> Vec<Value> {
    let more = |counts: &[u64]| {
        counts
            .iter()
            .map(|count| count * (round + 1))
            .collect::<Vec<_>>()
    };
    let one = |counts: &[u64], bounds: &[f64]| {
        json!([timed(
            buckets(json!({"k": "v"}), &more(counts), bounds),
            0,
            round + 1
        )])
    };
    let delta = |counts: &[u64], bounds: &[f64]| {
        json!([timed(
            buckets(json!({"k": "v"}), counts, bounds),
            round,
            round + 1
        )])
    };
    let mut with_extremes = one(&[1, 2, 3], &[0.5, 10.0]);
    with_extremes[0]["min"] = json!(0.1);
    with_extremes[0]["max"] = json!(99.0);
    let mut with_exemplars = one(&[1, 2, 3], &[0.5, 10.0]);
    with_exemplars[0]["exemplars"] =
        json!([exemplar(0.25, 1), exemplar(7.0, 2), exemplar(11.0, 3)]);
    let exponential = json!({"name": "histogram.exponential", "exponentialHistogram": {
        "aggregationTemporality": CUMULATIVE,
        "dataPoints": [timed(json!({"attributes": attributes(&json!({"k": "v"})), "count": (8 * (round + 1)).to_string(),
            "sum": 12.5, "scale": 1, "zeroCount": (2 * (round + 1)).to_string(), "zeroThreshold": 0.001,
            "positive": {"offset": -2, "bucketCounts": more(&[1, 2, 0, 1])},
            "negative": {"offset": 0, "bucketCounts": more(&[2])}}), 0, round + 1)]}});
    vec![
        histogram(
            "histogram.plain",
            "",
            CUMULATIVE,
            one(&[1, 2, 3], &[0.5, 10.0]),
        ),
        histogram("histogram.extremes", "ms", CUMULATIVE, with_extremes),
        histogram("histogram.exemplars", "s", CUMULATIVE, with_exemplars),
        histogram("histogram.without.bounds", "", CUMULATIVE, one(&[4], &[])),
        histogram("histogram.of.zeros", "", CUMULATIVE, one(&[0, 0], &[1.0])),
        histogram(
            "histogram.bounds",
            "",
            CUMULATIVE,
            one(&[1, 1, 1, 1, 1], &[0.0, 1e-9, 5.0, 1e21]),
        ),
        histogram(
            "histogram.delta",
            "",
            DELTA,
            delta(&[1, 2, 3], &[0.5, 10.0]),
        ),
        exponential,
        summary(
            "summary.plain",
            "s",
            json!([timed(
                quantiles(
                    json!({"k": "v"}),
                    5 + round,
                    7.5,
                    &[(0.0, 0.1), (0.5, 1.0), (0.99, 3.25), (1.0, 9.0)]
                ),
                0,
                round + 1
            )]),
        ),
        summary(
            "summary.without.quantiles",
            "",
            json!([timed(quantiles(json!({}), 5, 7.5, &[]), 0, round + 1)]),
        ),
    ]
}

/// Deltas that follow each other, and that don't.
fn deltas(round: u64) -> Vec<Value> {
    let number = |value: Value, from: u64, to: u64| {
        json!([timed(point(json!({"k": "v"}), value), from, to)])
    };
    vec![
        sum(
            "delta.ints",
            "",
            DELTA,
            true,
            number(json!(5), round, round + 1),
        ),
        sum(
            "delta.doubles",
            "s",
            DELTA,
            true,
            number(json!(0.5), round, round + 1),
        ),
        sum(
            "differs.gap",
            "",
            DELTA,
            true,
            number(json!(5 + round), 10 * round, 10 * round + 1),
        ),
        sum(
            "delta.updown",
            "",
            DELTA,
            false,
            number(json!(-5), round, round + 1),
        ),
        sum(
            "cumulative",
            "",
            CUMULATIVE,
            true,
            number(json!(5 * (round + 1)), 0, round + 1),
        ),
        // A reset.
        sum(
            "cumulative.reset",
            "",
            CUMULATIVE,
            true,
            number(json!(10 - round), 10 * round, 10 * round + 1),
        ),
        sum(
            "temporality.unspecified",
            "",
            0,
            true,
            number(json!(5), 0, round + 1),
        ),
    ]
}

/// What the documentation lists as a difference, each under a name of its own.
fn intended(round: u64) -> Vec<Value> {
    let one = |attributes: Value| json!([point(attributes, json!(1))]);
    let mut without_sum = buckets(json!({}), &[1, 2], &[0.5]);
    without_sum
        .as_object_mut()
        .into_iter()
        .for_each(|point| drop(point.remove("sum")));
    let mut tombstone = timed(point(json!({"n": 1}), json!(1)), 0, 1);
    tombstone["flags"] = json!(1);
    let mut miscounted = buckets(json!({}), &[1, 2], &[0.5]);
    miscounted["count"] = json!("4");
    let contradiction = buckets(json!({}), &[1, 2], &[0.5, 1.0, 2.0]);
    let mut unstarted = timed(point(json!({}), json!(5)), 0, round + 1);
    unstarted["startTimeUnixNano"] = json!("0");
    vec![
        gauge(
            "differs.empty.value",
            "",
            one(json!({"empty": "", "null": null, "k": "v"})),
        ),
        gauge(
            "differs.colliding",
            "",
            one(json!({"a.b": "1", "a_b": "2"})),
        ),
        gauge(
            "differs.own.job",
            "",
            one(json!({"job": "mine", "instance": "here"})),
        ),
        gauge("differs.no.character", "", one(json!({"日本": "x"}))),
        gauge("differs.internal", "", one(json!({"__name__x": "x"}))),
        histogram("differs.without.sum", "", CUMULATIVE, json!([without_sum])),
        sum("differs.unstarted", "", DELTA, true, json!([unstarted])),
        sum(
            "differs.overlap",
            "",
            DELTA,
            true,
            json!([timed(point(json!({}), json!(5 + round)), 0, 2 + round)]),
        ),
        gauge(
            "differs.tombstone",
            "",
            json!([tombstone, timed(point(json!({"n": 2}), json!(2)), 0, 1)]),
        ),
        histogram("differs.count", "", CUMULATIVE, json!([miscounted])),
        histogram(
            "differs.below.zero",
            "",
            CUMULATIVE,
            json!([buckets(json!({}), &[1, 1], &[-5.0])]),
        ),
        histogram(
            "differs.temporality",
            "",
            0,
            json!([buckets(json!({}), &[1], &[])]),
        ),
        histogram(
            "differs.contradiction",
            "",
            CUMULATIVE,
            json!([contradiction]),
        ),
        gauge("differs.nul", "", one(json!({"k": "a\u{0}b"}))),
    ]
}
