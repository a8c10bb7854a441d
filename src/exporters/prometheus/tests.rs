//! From OTLP to the page.

use std::time::UNIX_EPOCH;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue as Attribute, any_value,
};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    Summary, SummaryDataPoint, exemplar, metric::Data, number_data_point,
    summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::page::Page;
use super::*;
use crate::component::DropReason;
use crate::exposition::{Accepted, Format};
use crate::yaml::{Diagnostics, Value, parse};

const SECOND: u64 = 1_000_000_000;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const DELTA: i32 = AggregationTemporality::Delta as i32;

#[derive(Default)]
struct Lost(Vec<(u64, DropReason)>);

impl Discards for Lost {
    fn discard(&mut self, items: u64, reason: DropReason) {
        self.0.push((items, reason));
    }
}

struct Rig {
    settings: Arc<Settings>,
    shared: Shared,
    now: Now,
}

impl Rig {
    fn new(yaml: &str) -> Self {
        let settings = Arc::new(config(yaml).unwrap().settings);
        Self {
            shared: Arc::new(Mutex::new(Ingest::new(Arc::clone(&settings)))),
            settings,
            now: Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_secs(1_000),
            },
        }
    }

    /// Takes in metrics of a service `s` with the instance `i`; says what was lost.
    fn send(&mut self, metrics: Vec<Metric>) -> Vec<(u64, DropReason)> {
        self.send_from(service("s", "i"), "", metrics)
    }

    fn send_from(
        &mut self,
        resource: Vec<Attribute>,
        scope: &str,
        metrics: Vec<Metric>,
    ) -> Vec<(u64, DropReason)> {
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource {
                    attributes: resource,
                    ..Default::default()
                }),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(InstrumentationScope {
                        name: scope.to_owned(),
                        ..Default::default()
                    }),
                    metrics,
                    ..Default::default()
                }],
                ..Default::default()
            }],
        };
        let batch = Batch::decode(Signal::Metrics, request.encode_to_vec().into()).unwrap();
        let mut lost = Lost::default();
        lock(&self.shared).batch(&batch, self.now, &mut lost);
        lost.0
    }

    fn page(&self, format: Format) -> String {
        let accepted = Accepted {
            format,
            gzip: false,
        };
        let mut page = Page::new(
            Arc::clone(&self.shared),
            &self.settings,
            Vec::new(),
            accepted,
            self.now.monotonic,
        );
        let mut text = Vec::new();
        while let Some(chunk) = page.next_chunk() {
            text.extend_from_slice(&chunk);
        }
        String::from_utf8(text).unwrap()
    }

    /// The page as text, without `target_info` and comments.
    fn lines(&self) -> Vec<String> {
        self.page(Format::Text)
            .lines()
            .filter(|line| !line.starts_with('#') && !line.starts_with("target_info"))
            .map(str::to_owned)
            .collect()
    }

    fn wait(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.wall += Duration::from_secs(seconds);
    }

    /// What was counted since the last call.
    fn conflicts(&self) -> ingest::Conflicts {
        lock(&self.shared).take_conflicts()
    }
}

fn config(yaml: &str) -> Result<Config, String> {
    let diagnostics = Diagnostics::new();
    let node = parse(yaml, &"test".into(), &diagnostics);
    let config = node.and_then(|node| Config::read(&Value::root(&node, &diagnostics)));
    match diagnostics.problems().first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(config.unwrap()),
    }
}

fn attribute(key: &str, value: &str) -> Attribute {
    Attribute {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..Default::default()
    }
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<Attribute> {
    pairs.iter().map(|(k, v)| attribute(k, v)).collect()
}

fn service(name: &str, instance: &str) -> Vec<Attribute> {
    attributes(&[("service.name", name), ("service.instance.id", instance)])
}

fn number(time: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: time * SECOND,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..Default::default()
    }
}

fn delta(start: u64, time: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: start * SECOND,
        ..number(time, value)
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Default::default()
    }
}

fn gauge(name: &str, points: Vec<NumberDataPoint>) -> Metric {
    metric(
        name,
        "",
        Data::Gauge(Gauge {
            data_points: points,
        }),
    )
}

fn sum(name: &str, temporality: i32, points: Vec<NumberDataPoint>) -> Metric {
    metric(
        name,
        "",
        Data::Sum(Sum {
            data_points: points,
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
    )
}

fn histogram(name: &str, temporality: i32, points: Vec<HistogramDataPoint>) -> Metric {
    metric(
        name,
        "s",
        Data::Histogram(Histogram {
            data_points: points,
            aggregation_temporality: temporality,
        }),
    )
}

fn buckets(start: u64, time: u64, bounds: &[f64], counts: &[u64]) -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: start * SECOND,
        time_unix_nano: time * SECOND,
        count: counts.iter().sum(),
        sum: Some(1.5),
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        ..Default::default()
    }
}

fn with(mut point: NumberDataPoint, pairs: &[(&str, &str)]) -> NumberDataPoint {
    point.attributes = attributes(pairs);
    point
}

const LOST_OLD: [(u64, DropReason); 1] = [(1, DropReason::OutOfOrder)];
const UNSUPPORTED: [(u64, DropReason); 1] = [(1, DropReason::Unsupported)];

#[test]
fn the_platforms_names_come_out_exactly() {
    let mut rig = Rig::new("");
    let gauges = [
        "betanet_connected_peers",
        "betanet_mixnode_active",
        "betanet_peak_throughput",
        "betanet_packets_processed",
        "betanet_packets_dropped",
        "betanet_latency",
        "betanet_connections",
        "betanet_mixnode_uptime_seconds",
        "betanet_mixnode_latency_seconds",
        "betanet_network_connected_peers",
        "betanet_network_mixnode_active",
        "betanet_network_instances_fresh",
        "betanet_network_instances_expected",
        "node_cpu_usage",
        "node_memory_usage",
        "node_disk_usage",
        "node_network_io",
        "system_uptime",
        "system_total_nodes",
        "deployment_replica_count",
        "deployment_replicas_target",
        "deployment_health",
        "deployment_replica_status",
        "system_active_deployments",
        "deployment_request_rate",
        "deployment_error_rate",
        "deployment_latency",
        "deployment_latency_p95",
        "deployment_latency_p99",
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_parts_failed",
    ];
    let counters = [
        "betanet_messages_total",
        "betanet_packets_dropped_total",
        "betanet_bytes_transmitted_total",
        "betanet_bytes_received_total",
        "betanet_mixnode_packets_processed_total",
        "betanet_mixnode_packets_forwarded_total",
        "betanet_mixnode_packets_dropped_total",
        "betanet_network_messages_total",
        "betanet_network_packets_dropped_total",
        "betanet_network_bytes_transmitted_total",
        "betanet_network_bytes_received_total",
        "scrape_failures_total",
    ];
    let mut metrics: Vec<Metric> = gauges
        .iter()
        .map(|name| gauge(name, vec![number(1, 1.0)]))
        .collect();
    metrics.extend(
        counters
            .iter()
            .map(|name| sum(name, CUMULATIVE, vec![number(1, 1.0)])),
    );
    metrics.push(histogram(
        "betanet_message_latency_seconds",
        CUMULATIVE,
        vec![buckets(1, 1, &[0.5], &[1, 0])],
    ));
    assert_eq!(rig.send(metrics), []);
    for format in [Format::Text, Format::OpenMetrics] {
        let page = rig.page(format);
        for name in gauges.iter().chain(&counters) {
            let line = format!("\n{name}{{instance=\"i\",job=\"s\"}} 1\n");
            assert!(page.contains(&line), "{name}\n{page}");
        }
        assert!(page.contains("# TYPE betanet_message_latency_seconds histogram"));
        assert!(page.contains("# TYPE betanet_packets_dropped gauge"));
    }
    let page = rig.page(Format::OpenMetrics);
    assert!(page.contains("# TYPE betanet_packets_dropped_total unknown"));
    assert!(page.contains("# TYPE betanet_messages counter"));
}

#[test]
fn job_instance_and_target_info_come_from_the_resource() {
    let mut rig = Rig::new("");
    let mut resource = service("shop", "host:1");
    resource.extend(attributes(&[
        ("service.namespace", "prod"),
        ("host.name", "h"),
        ("host_name", "i"),
    ]));
    rig.send_from(resource, "lib", vec![gauge("g", vec![number(1, 1.0)])]);
    let page = rig.page(Format::Text);
    assert_eq!(
        page,
        "# TYPE g gauge\n\
         g{instance=\"host:1\",job=\"prod/shop\",otel_scope_name=\"lib\"} 1\n\
         # HELP target_info Target metadata\n\
         # TYPE target_info gauge\n\
         target_info{host_name=\"h;i\",instance=\"host:1\",job=\"prod/shop\"} 1\n"
    );
}

#[test]
fn a_changed_resource_replaces_the_targets_info() {
    let mut rig = Rig::new("");
    for host in ["a", "b"] {
        let mut resource = service("s", "i");
        resource.push(attribute("host", host));
        rig.send_from(resource, "", vec![gauge("g", vec![number(1, 1.0)])]);
    }
    let page = rig.page(Format::Text);
    assert!(page.contains("target_info{host=\"b\""), "{page}");
    assert!(!page.contains("host=\"a\""), "{page}");
}

#[test]
fn a_resource_without_identity_has_no_target() {
    let mut rig = Rig::new("");
    let resource = attributes(&[("service.name", "s"), ("x", "y")]);
    rig.send_from(resource, "", vec![gauge("g", vec![number(1, 1.0)])]);
    assert_eq!(rig.page(Format::Text), "# TYPE g gauge\ng{job=\"s\"} 1\n");
}

#[test]
fn labels_are_translated_renamed_and_joined() {
    let f = |yaml: &str, labels: &[(&str, &str)], expected: &str, renamed: u64| {
        let mut rig = Rig::new(yaml);
        let lost = rig.send(vec![gauge("g", vec![with(number(1, 1.0), labels)])]);
        assert_eq!(lost, []);
        assert_eq!(rig.lines(), [expected]);
        assert_eq!(rig.conflicts().label, renamed);
    };
    f(
        "",
        &[("b.c", "2"), ("b_c", "3"), ("a", "1"), ("b-c", "1")],
        r#"g{a="1",b_c="1;2;3",instance="i",job="s"} 1"#,
        0,
    );
    f(
        "",
        &[("job", "x"), ("instance", "y")],
        r#"g{exported_instance="y",exported_job="x",instance="i",job="s"} 1"#,
        2,
    );
    f(
        "",
        &[("a", "first"), ("a", "second"), ("empty", ""), ("1st", "x")],
        r#"g{a="first",instance="i",job="s",key_1st="x"} 1"#,
        0,
    );
    f(
        "",
        &[("__name__", "x"), ("le", "stays")],
        r#"g{exported___name__="x",instance="i",job="s",le="stays"} 1"#,
        1,
    );
    f(
        "const_labels: {site: \"north \\\"1\\\"\"}",
        &[("site", "own")],
        r#"g{exported_site="own",instance="i",job="s",site="north \"1\""} 1"#,
        1,
    );
    f(
        "translation_strategy: NoTranslation",
        &[("b.c", "2")],
        r#"g{"b.c"="2",instance="i",job="s"} 1"#,
        0,
    );
    f(
        "resource_to_telemetry_conversion: {enabled: true}",
        &[("service.name", "mine")],
        r#"g{instance="i",job="s",service_instance_id="i",service_name="s"} 1"#,
        0,
    );
}

#[test]
fn scopes_are_labels_unless_switched_off() {
    let mut rig = Rig::new("");
    rig.send_from(vec![], "lib", vec![gauge("g", vec![number(1, 1.0)])]);
    assert_eq!(rig.lines(), ["g{otel_scope_name=\"lib\"} 1"]);
    let mut rig = Rig::new("without_scope_info: true");
    rig.send_from(vec![], "lib", vec![gauge("g", vec![number(1, 1.0)])]);
    assert_eq!(rig.lines(), ["g 1"]);
}

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
fn a_point_is_delivered_once() {
    let mut rig = Rig::new("");
    let counter = |points| vec![sum("c", DELTA, points)];
    assert_eq!(rig.send(counter(vec![delta(0, 10, 5.0)])), []);
    assert_eq!(rig.send(counter(vec![delta(10, 20, 2.0)])), []);
    assert_eq!(rig.send(counter(vec![delta(10, 20, 2.0)])), LOST_OLD);
    assert_eq!(rig.lines(), ["c_total{instance=\"i\",job=\"s\"} 7"]);
}

#[test]
fn deltas_add_up_and_begin_anew_after_a_gap() {
    let f = |points: &[NumberDataPoint], lost: &[(u64, DropReason)], shown: &str| {
        let mut rig = Rig::new("");
        assert_eq!(rig.send(vec![sum("c", DELTA, points.to_vec())]), lost);
        assert_eq!(
            rig.lines(),
            [format!("c_total{{instance=\"i\",job=\"s\"}} {shown}")]
        );
    };
    f(&[delta(1, 2, 1.0), delta(2, 3, 2.0)], &[], "3");
    f(&[delta(1, 2, 1.0), delta(5, 6, 2.0)], &[], "2");
    f(&[delta(0, 2, 1.0), delta(0, 3, 2.0)], &[], "3");
    f(&[delta(1, 3, 1.0), delta(2, 4, 2.0)], &LOST_OLD, "1");
    f(&[delta(1, 3, 1.0), delta(3, 4, -2.0)], &UNSUPPORTED, "1");
    f(
        &[delta(1, 3, 1.0), delta(3, 4, f64::NAN)],
        &UNSUPPORTED,
        "1",
    );
    f(&[delta(1, 2, 1e308), delta(2, 3, 1e308)], &[], "1e+308");
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
    assert_eq!(send(3, 4, &[2.0], &[1, 0]), (vec![], "1".to_owned()));
    assert_eq!(
        send(4, 5, &[2.0], &[u64::MAX, 0]),
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
    // Five lines, and target_info.
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
    let mut text = page.next_chunk().unwrap().to_vec();
    assert!(text.len() < 100_000, "a piece, not the page");
    // Series that were written already move behind the place where the page goes on.
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
    while let Some(chunk) = page.next_chunk() {
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
fn configurations_are_read_as_the_collectors() {
    let config = config(
        "endpoint: 127.0.0.1:8889\nnamespace: ns\nsend_timestamps: true\n\
         metric_expiration: 180m\nenable_open_metrics: false\nadd_metric_suffixes: false\n\
         const_labels: {a.b: c}\nresource_to_telemetry_conversion: {enabled: true}\n",
    )
    .unwrap();
    assert!(matches!(config.listener, Listener::At(_)));
    assert_eq!(config.settings.expiration, Duration::from_secs(180 * 60));
    assert_eq!(
        config.settings.const_labels,
        [("a_b".to_owned(), "c".to_owned())]
    );
    assert_eq!(config.describe(), "http://127.0.0.1:8889/metrics");
    let f = |yaml: &str, expected: &str| {
        let error = super::tests::config(yaml).unwrap_err();
        assert!(error.ends_with(expected), "{error}");
    };
    f(
        "translation_strategy: NoTranslatio",
        "unknown strategy `NoTranslatio`, did you mean `NoTranslation`?",
    );
    f(
        "metric_expiration: 0s",
        "with 0 nothing would ever be shown: use a duration such as 5m",
    );
    f(
        "const_labels: {a.b: x, a_b: y}",
        "two labels come out as `a_b`",
    );
    f(
        "const_labels: {le: x}",
        "`le` has a meaning of its own in Prometheus",
    );
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
