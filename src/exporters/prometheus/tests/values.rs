//! Values of each kind.

use super::*;

#[test]
fn a_point_is_delivered_once() {
    let mut rig = Rig::new("");
    let counter = |points| vec![sum("c", DELTA, points)];
    assert_eq!(rig.send(counter(vec![delta(0, 10, 5.0)])), []);
    assert_eq!(rig.send(counter(vec![delta(10, 20, 2.0)])), []);
    assert_eq!(rig.send(counter(vec![delta(10, 20, 2.0)])), LOST_OLD);
    assert_eq!(rig.lines(), ["c_total{instance=\"i\",job=\"s\"} 7"]);
}

#[test]
fn deltas_add_up_over_gaps_and_never_fall_or_count_twice() {
    let f = |points: &[NumberDataPoint], lost: &[(u64, DropReason)], shown: &str| {
        let mut rig = Rig::new("");
        assert_eq!(rig.send(vec![sum("c", DELTA, points.to_vec())]), lost);
        assert_eq!(
            rig.lines(),
            [format!("c_total{{instance=\"i\",job=\"s\"}} {shown}")]
        );
    };
    f(&[delta(1, 2, 1.0), delta(2, 3, 2.0)], &[], "3");
    f(
        &[delta(0, 1, 1.0), delta(2, 3, 1.0), delta(4, 5, 1.0)],
        &[],
        "3",
    );
    f(&[delta(0, 2, 1.0), delta(0, 3, 2.0)], &[], "3");
    f(&[delta(1, 3, 1.0), delta(2, 4, 2.0)], &LOST_OLD, "1");
    f(&[delta(1, 2, 1e308), delta(2, 3, 1e308)], &[], "1e+308");
    for bad in [-2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        f(&[delta(1, 3, 1.0), delta(3, 4, bad)], &UNSUPPORTED, "1");
        f(&[delta(1, 3, bad), delta(3, 4, 1.0)], &UNSUPPORTED, "1");
    }
}

#[test]
fn what_prometheus_cannot_say_is_counted() {
    let f = |metric: Metric| {
        let mut rig = Rig::new("");
        assert_eq!(rig.send(vec![metric]), UNSUPPORTED);
        assert_eq!(rig.lines(), [] as [String; 0]);
        assert!(!rig.page(Format::Text).contains("# TYPE c"));
    };
    f(sum("c", 0, vec![number(1, 1.0)]));
    f(metric(
        "c",
        "",
        Data::Sum(Sum {
            data_points: vec![number(1, 1.0)],
            aggregation_temporality: DELTA,
            is_monotonic: false,
        }),
    ));
    f(gauge("温度", vec![number(1, 1.0)]));
    f(gauge(
        "c",
        vec![NumberDataPoint {
            value: None,
            ..number(1, 0.0)
        }],
    ));
    f(histogram(
        "c",
        CUMULATIVE,
        vec![buckets(0, 1, &[2.0, 1.0], &[1, 1, 1])],
    ));
    f(histogram(
        "c",
        CUMULATIVE,
        vec![buckets(0, 1, &[1.0], &[1])],
    ));
    f(histogram(
        "c",
        CUMULATIVE,
        vec![HistogramDataPoint {
            bucket_counts: vec![u64::MAX, 1],
            ..buckets(0, 1, &[1.0], &[1, 1])
        }],
    ));
}

#[test]
fn histograms_are_cumulated_over_their_buckets() {
    let mut rig = Rig::new("");
    let bounds = [0.5, 1.0, f64::INFINITY];
    assert_eq!(
        rig.send(vec![histogram(
            "h",
            CUMULATIVE,
            vec![buckets(0, 1, &bounds, &[1, 2, 3, 4])]
        )]),
        []
    );
    assert_eq!(
        rig.lines(),
        [
            "h_seconds_bucket{instance=\"i\",job=\"s\",le=\"0.5\"} 1",
            "h_seconds_bucket{instance=\"i\",job=\"s\",le=\"1\"} 3",
            "h_seconds_bucket{instance=\"i\",job=\"s\",le=\"+Inf\"} 10",
            "h_seconds_sum{instance=\"i\",job=\"s\"} 1.5",
            "h_seconds_count{instance=\"i\",job=\"s\"} 10",
        ]
    );
}

#[test]
fn delta_histograms_add_up_as_long_as_their_bounds_stay() {
    let mut rig = Rig::new("");
    let mut send = |start, time, bounds: &[f64], counts: &[u64]| {
        let lost = rig.send(vec![histogram(
            "h",
            DELTA,
            vec![buckets(start, time, bounds, counts)],
        )]);
        let count = rig.lines().pop().unwrap();
        (lost, count.rsplit(' ').next().unwrap().to_owned())
    };
    assert_eq!(send(1, 2, &[1.0], &[1, 1]), (vec![], "2".to_owned()));
    assert_eq!(send(2, 3, &[1.0], &[1, 1]), (vec![], "4".to_owned()));
    assert_eq!(
        send(2, 3, &[1.0], &[1, 1]),
        (LOST_OLD.to_vec(), "4".to_owned())
    );
    assert_eq!(send(7, 8, &[1.0], &[1, 1]), (vec![], "6".to_owned()));
    assert_eq!(
        send(7, 9, &[1.0], &[1, 1]),
        (LOST_OLD.to_vec(), "6".to_owned())
    );
    assert_eq!(send(9, 10, &[2.0], &[1, 0]), (vec![], "1".to_owned()));
    assert_eq!(
        send(10, 11, &[2.0], &[u64::MAX, 0]),
        (vec![], u64::MAX.to_string())
    );
}

#[test]
fn exponential_histograms_keep_count_and_sum() {
    let mut rig = Rig::new("");
    let point = ExponentialHistogramDataPoint {
        time_unix_nano: SECOND,
        count: 4,
        sum: Some(9.0),
        scale: 20,
        ..Default::default()
    };
    rig.send(vec![metric(
        "e",
        "",
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![point],
            aggregation_temporality: CUMULATIVE,
        }),
    )]);
    assert_eq!(
        rig.lines(),
        [
            "e_bucket{instance=\"i\",job=\"s\",le=\"+Inf\"} 4",
            "e_sum{instance=\"i\",job=\"s\"} 9",
            "e_count{instance=\"i\",job=\"s\"} 4",
        ]
    );
}

#[test]
fn delta_exponential_histograms_add_up_over_gaps() {
    let mut rig = Rig::new("");
    let mut send = |start: u64, time: u64| {
        let point = ExponentialHistogramDataPoint {
            start_time_unix_nano: start * SECOND,
            time_unix_nano: time * SECOND,
            count: 2,
            sum: Some(1.5),
            ..Default::default()
        };
        rig.send(vec![metric(
            "e",
            "",
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![point],
                aggregation_temporality: DELTA,
            }),
        )])
    };
    assert_eq!(send(1, 2), []);
    assert_eq!(send(5, 6), []);
    assert_eq!(send(5, 7), LOST_OLD);
    let labels = "instance=\"i\",job=\"s\"";
    assert_eq!(
        rig.lines(),
        [
            format!("e_bucket{{{labels},le=\"+Inf\"}} 4"),
            format!("e_sum{{{labels}}} 3"),
            format!("e_count{{{labels}}} 4"),
        ]
    );
}

#[test]
fn summaries_show_each_quantile_once() {
    let mut rig = Rig::new("");
    let at = |quantile, value| ValueAtQuantile { quantile, value };
    let point = SummaryDataPoint {
        time_unix_nano: SECOND,
        count: 2,
        sum: 3.0,
        quantile_values: vec![
            at(1.0, 2.0),
            at(0.5, 1.0),
            at(0.5, 7.0),
            at(7.0, 1.0),
            at(f64::NAN, 1.0),
        ],
        attributes: attributes(&[("quantile", "mine")]),
        ..Default::default()
    };
    rig.send(vec![metric(
        "q",
        "",
        Data::Summary(Summary {
            data_points: vec![point],
        }),
    )]);
    assert_eq!(
        rig.lines(),
        [
            "q{exported_quantile=\"mine\",instance=\"i\",job=\"s\",quantile=\"0.5\"} 1",
            "q{exported_quantile=\"mine\",instance=\"i\",job=\"s\",quantile=\"1\"} 2",
            "q_sum{exported_quantile=\"mine\",instance=\"i\",job=\"s\"} 3",
            "q_count{exported_quantile=\"mine\",instance=\"i\",job=\"s\"} 2",
        ]
    );
}

#[test]
fn exemplars_stand_beside_counters_and_buckets_in_openmetrics() {
    let mut rig = Rig::new("");
    let example = |value| Exemplar {
        time_unix_nano: 1_700_000_000 * SECOND,
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        value: Some(exemplar::Value::AsDouble(value)),
        ..Default::default()
    };
    let mut point = number(1, 3.0);
    point.exemplars = vec![example(0.25)];
    let mut bucket = buckets(0, 1, &[1.0], &[1, 1]);
    bucket.exemplars = vec![example(1.0), example(3.0)];
    rig.send(vec![
        sum("c", CUMULATIVE, vec![point.clone()]),
        gauge("g", vec![point]),
        histogram("h", CUMULATIVE, vec![bucket]),
    ]);
    let page = rig.page(Format::OpenMetrics);
    let ids = format!(
        "# {{trace_id=\"{}\",span_id=\"{}\"}}",
        "ab".repeat(16),
        "01".repeat(8)
    );
    let shown: Vec<&str> = page.lines().filter(|line| line.contains(&ids)).collect();
    assert_eq!(shown.len(), 3, "{page}");
    assert!(shown[0].starts_with("c_total{") && shown[0].ends_with("} 0.25 1700000000.000"));
    assert!(shown[1].contains("le=\"1.0\"} 1 # ") && shown[1].ends_with("} 1 1700000000.000"));
    assert!(shown[2].contains("le=\"+Inf\"} 2 # ") && shown[2].ends_with("} 3 1700000000.000"));
    assert!(!rig.page(Format::Text).contains(&ids));
}

#[test]
fn the_newest_exemplar_of_each_bucket_stays_whatever_their_order() {
    let mut rig = Rig::new("");
    let example = |value, second| Exemplar {
        time_unix_nano: second * SECOND,
        value: Some(exemplar::Value::AsDouble(value)),
        ..Default::default()
    };
    let mut point = buckets(0, 1, &[1.0, 2.0], &[3, 2, 1]);
    point.exemplars = vec![
        example(5.0, 4),
        example(0.1, 7),
        example(1.5, 3),
        example(0.2, 9),
        example(0.3, 8),
        example(1.6, 3),
    ];
    rig.send(vec![histogram("h", CUMULATIVE, vec![point])]);
    let page = rig.page(Format::OpenMetrics);
    let shown: Vec<&str> = page
        .lines()
        .filter_map(|line| line.split_once(" # {} "))
        .map(|(_, exemplar)| exemplar)
        .collect();
    assert_eq!(shown, ["0.2 9.000", "1.6 3.000", "5 4.000"], "{page}");
}

#[test]
fn timestamps_and_start_times_are_shown_where_asked_for() {
    let mut rig = Rig::new("send_timestamps: true\ncreated_samples: true");
    rig.send(vec![sum("c", CUMULATIVE, vec![delta(3, 7, 1.0)])]);
    assert_eq!(rig.lines(), ["c_total{instance=\"i\",job=\"s\"} 1 7000"]);
    let page = rig.page(Format::OpenMetrics);
    assert!(
        page.contains("\nc_total{instance=\"i\",job=\"s\"} 1 7.000\n"),
        "{page}"
    );
    assert!(
        page.contains("\nc_created{instance=\"i\",job=\"s\"} 3.000 7.000\n"),
        "{page}"
    );
}
