//! Whole pages in both formats.

use std::io::Read as _;
use std::sync::Arc;

use super::*;

fn descriptor(name: &str, kind: Kind) -> Descriptor {
    Descriptor {
        name: name.to_owned(),
        kind,
        unit: String::new(),
        help: String::new(),
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let mut labels = Labels::new();
    for (name, value) in pairs {
        labels.push(name, value);
    }
    labels
}

fn encode(format: Format, families: &[Family]) -> String {
    let page = page(
        families,
        Accepted {
            format,
            gzip: false,
        },
    );
    String::from_utf8(page.to_vec()).unwrap()
}

fn exemplar() -> SampleExemplar {
    SampleExemplar {
        labels: labels(&[("trace_id", "0af7")]),
        value: 0.7,
        timestamp: Some(1_700_000_000_500),
    }
}

fn requests() -> Family {
    let mut series = Series::number(
        "http_requests_seconds_total",
        &labels(&[("code", "200")]),
        3.5,
    );
    series.exemplar = Some(Box::new(exemplar()));
    series.created = Some(1_700_000_000_000);
    Family {
        descriptor: Descriptor {
            unit: "seconds".to_owned(),
            help: "a \"quoted\" line\nand a \\".to_owned(),
            ..descriptor("http_requests_seconds_total", Kind::Counter)
        },
        series: vec![series],
    }
}

fn latency() -> Family {
    let histogram = Histogram {
        bounds: Arc::new(Bounds::new([0.5, 1.0]).unwrap()),
        counts: Box::new([1, 2, 3]),
        sum: Some(7.0),
        exemplars: vec![(1, exemplar())],
    };
    Family {
        descriptor: descriptor("latency", Kind::Histogram),
        series: vec![
            Series::histogram(&labels(&[("a", "b")]), histogram.clone()),
            Series::histogram(
                &labels(&[]),
                Histogram {
                    sum: None,
                    exemplars: Vec::new(),
                    ..histogram
                },
            ),
        ],
    }
}

#[test]
fn text_has_full_names_and_no_exemplars() {
    assert_eq!(
        encode(Format::Text, &[requests(), latency()]),
        r#"# HELP http_requests_seconds_total a "quoted" line\nand a \\
# TYPE http_requests_seconds_total counter
http_requests_seconds_total{code="200"} 3.5
# TYPE latency histogram
latency_bucket{a="b",le="0.5"} 1
latency_bucket{a="b",le="1"} 3
latency_bucket{a="b",le="+Inf"} 6
latency_sum{a="b"} 7
latency_count{a="b"} 6
latency_bucket{le="0.5"} 1
latency_bucket{le="1"} 3
latency_bucket{le="+Inf"} 6
latency_count 6
"#
    );
}

#[test]
fn openmetrics_has_units_exemplars_and_an_end() {
    assert_eq!(
        encode(Format::OpenMetrics, &[requests(), latency()]),
        r##"# HELP http_requests_seconds a \"quoted\" line\nand a \\
# TYPE http_requests_seconds counter
# UNIT http_requests_seconds seconds
http_requests_seconds_total{code="200"} 3.5 # {trace_id="0af7"} 0.7 1700000000.500
# TYPE latency histogram
latency_bucket{a="b",le="0.5"} 1
latency_bucket{a="b",le="1.0"} 3 # {trace_id="0af7"} 0.7 1700000000.500
latency_bucket{a="b",le="+Inf"} 6
latency_sum{a="b"} 7
latency_count{a="b"} 6
latency_bucket{le="0.5"} 1
latency_bucket{le="1.0"} 3
latency_bucket{le="+Inf"} 6
# EOF
"##
    );
}

#[test]
fn created_samples_stand_beside_what_they_date() {
    let mut encoder = Encoder::new(Format::OpenMetrics).created(true);
    let family = requests();
    encoder.family(&family.descriptor, Kind::Counter);
    encoder.series(&family.series[0]);
    let text = String::from_utf8(encoder.finish()).unwrap();
    assert!(
        text.contains("\nhttp_requests_seconds_created{code=\"200\"} 1700000000.000\n"),
        "{text}"
    );
}

#[test]
fn a_counter_whose_short_name_is_taken_is_unknown_in_openmetrics() {
    let number = |name: &str, kind| Family {
        descriptor: descriptor(name, kind),
        series: vec![Series::number(name, &Labels::new(), 1.0)],
    };
    let families = [
        number("betanet_packets_dropped", Kind::Gauge),
        number("betanet_packets_dropped_total", Kind::Counter),
    ];
    assert_eq!(
        encode(Format::OpenMetrics, &families),
        "# TYPE betanet_packets_dropped gauge\n\
         betanet_packets_dropped 1\n\
         # TYPE betanet_packets_dropped_total unknown\n\
         betanet_packets_dropped_total 1\n\
         # EOF\n"
    );
    assert!(
        encode(Format::Text, &families).contains("# TYPE betanet_packets_dropped_total counter\n")
    );
}

#[test]
fn openmetrics_leaves_out_values_that_it_forbids() {
    let counter = |value| Family {
        descriptor: descriptor("c_total", Kind::Counter),
        series: vec![Series::number("c_total", &Labels::new(), value)],
    };
    for value in [f64::NAN, -1.0, f64::NEG_INFINITY] {
        assert!(encode(Format::Text, &[counter(value)]).contains("\nc_total "));
        assert!(!encode(Format::OpenMetrics, &[counter(value)]).contains("\nc_total "));
    }
    let summary = Family {
        descriptor: descriptor("s", Kind::Summary),
        series: vec![Series::summary(
            &Labels::new(),
            Summary {
                quantiles: vec![(0.0, -1.0), (0.99, f64::NAN), (1.0, 2.0)],
                count: 3,
                sum: f64::NAN,
            },
        )],
    };
    assert_eq!(
        encode(Format::OpenMetrics, std::slice::from_ref(&summary)),
        "# TYPE s summary\ns{quantile=\"0.99\"} NaN\ns{quantile=\"1.0\"} 2\ns_count 3\n# EOF\n"
    );
    assert_eq!(
        encode(Format::Text, &[summary]),
        "# TYPE s summary\ns{quantile=\"0\"} -1\ns{quantile=\"0.99\"} NaN\ns{quantile=\"1\"} 2\n\
         s_sum NaN\ns_count 3\n"
    );
}

#[test]
fn names_beyond_ascii_stand_in_quotes() {
    let name = "a.b\"é";
    let number = Family {
        descriptor: descriptor(name, Kind::Gauge),
        series: vec![
            Series::number(name, &Labels::new(), 1.0),
            Series::number(name, &labels(&[("k.y", "v\\\n\"\0")]), 2.0),
        ],
    };
    assert_eq!(
        encode(Format::Text, &[number]),
        "# TYPE \"a.b\\\"é\" gauge\n\
         {\"a.b\\\"é\"} 1\n\
         {\"a.b\\\"é\",\"k.y\"=\"v\\\\\\n\\\"\u{fffd}\"} 2\n"
    );
}

#[test]
fn a_timestamp_is_milliseconds_in_text_and_seconds_in_openmetrics() {
    let mut series = Series::number("g", &Labels::new(), 1.0);
    series.timestamp = Some(1_700_000_000_001);
    let family = [Family {
        descriptor: descriptor("g", Kind::Gauge),
        series: vec![series],
    }];
    assert!(encode(Format::Text, &family).ends_with("g 1 1700000000001\n"));
    assert!(encode(Format::OpenMetrics, &family).ends_with("g 1 1700000000.001\n# EOF\n"));
}

#[test]
fn a_compressed_page_is_the_same_page() {
    let families = [requests(), latency()];
    let format = Format::OpenMetrics;
    let packed = page(&families, Accepted { format, gzip: true });
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_ref())
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, encode(format, &families));
}

#[test]
fn gathered_families_become_pages() {
    let registry = prometheus::Registry::new();
    let histogram = prometheus::Histogram::with_opts(
        prometheus::HistogramOpts::new("h", "help").buckets(vec![1.0, 2.0]),
    )
    .unwrap();
    histogram.observe(1.5);
    registry.register(Box::new(histogram)).unwrap();
    let counter = prometheus::IntCounterVec::new(prometheus::Opts::new("points", "n"), &["b", "a"]);
    let counter = counter.unwrap();
    counter.with_label_values(&["2", "1"]).inc();
    registry.register(Box::new(counter)).unwrap();
    assert_eq!(
        encode(Format::OpenMetrics, &families(&registry.gather())),
        "# HELP h help\n# TYPE h histogram\n\
         h_bucket{le=\"1.0\"} 0\nh_bucket{le=\"2.0\"} 1\nh_bucket{le=\"+Inf\"} 1\n\
         h_sum 1.5\nh_count 1\n\
         # HELP points n\n# TYPE points unknown\npoints{a=\"1\",b=\"2\"} 1\n# EOF\n"
    );
}
