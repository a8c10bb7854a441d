//! Whatever comes in, the prometheus exporter's page is valid: for a strict reader of our
//! own, for promtool, and for the parsers of Prometheus's Python client.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/otlp.rs"]
mod otlp;
#[path = "support/page.rs"]
mod page;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/strict.rs"]
mod strict;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use foghorn::breakers::BreakerWatch;
use foghorn::resilience::{Attempt, BreakerSettings, Completion, EndpointId, Endpoints, Outcome};
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, metric::Data, number_data_point,
    summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use page::{Exporter, OPENMETRICS, TEXT};
use proptest::prelude::*;
use prost::Message as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const STRATEGIES: [&str; 4] = [
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
];

/// Texts that a careless writer puts on a page as they are.
const HOSTILE: [&str; 17] = [
    "plain",
    "",
    "_",
    "__name__",
    "le",
    "quantile",
    "job",
    "a.b",
    "a_b",
    "1st",
    "naïve 温度",
    "quote\"s",
    "new\nline",
    "back\\slash\\",
    "nul\0 bell\u{7} esc\u{1b} return\r tab\t",
    "} 1\n# TYPE x counter",
    "\u{1c}\u{85}\u{2028}\u{feff}",
];

const VALUES: [f64; 8] = [
    0.0,
    -1.5,
    1e300,
    5e-324,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    9_007_199_254_740_993.0,
];

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs
        .iter()
        .map(|(key, value)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue {
                value: Some(any_value::Value::StringValue((*value).to_owned())),
            }),
            ..Default::default()
        })
        .collect()
}

fn number(index: usize, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: 1,
        value: Some(number_data_point::Value::AsDouble(value)),
        attributes: attributes(&[
            (
                HOSTILE[index % HOSTILE.len()],
                HOSTILE[(index / 3) % HOSTILE.len()],
            ),
            ("n", &index.to_string()),
        ]),
        ..Default::default()
    }
}

/// Every hostile text as name, unit, help, label and label value, of every kind of metric
/// and with every odd value; each name several times, with changing type and unit.
fn corpus() -> Vec<u8> {
    let mut metrics = Vec::new();
    let cumulative = AggregationTemporality::Cumulative as i32;
    let data: [fn(usize, f64, i32) -> Data; 4] = [
        |index, value, _| {
            Data::Gauge(Gauge {
                data_points: vec![number(index, value), number(index, value)],
            })
        },
        |index, value, temporality| {
            Data::Sum(Sum {
                data_points: vec![number(index, value)],
                aggregation_temporality: temporality,
                is_monotonic: true,
            })
        },
        |index, value, temporality| {
            Data::Histogram(Histogram {
                data_points: vec![HistogramDataPoint {
                    count: 6,
                    sum: Some(value),
                    bucket_counts: vec![1, 2, 3],
                    explicit_bounds: vec![-1.0, 1e6],
                    attributes: number(index, value).attributes,
                    ..Default::default()
                }],
                aggregation_temporality: temporality,
            })
        },
        |index, value, _| {
            Data::Summary(Summary {
                data_points: vec![SummaryDataPoint {
                    count: 3,
                    sum: value,
                    quantile_values: vec![ValueAtQuantile {
                        quantile: 0.5,
                        value,
                    }],
                    attributes: number(index, value).attributes,
                    ..Default::default()
                }],
            })
        },
    ];
    let suffixes = ["", "_total", "_bucket", "_sum", "_created", "_total_total"];
    let mut index = 0;
    for (at, name) in HOSTILE.iter().enumerate() {
        for (with, suffix) in suffixes.iter().enumerate() {
            for make in data.iter().cycle().skip(at + with).take(data.len()) {
                index += 1;
                metrics.push(Metric {
                    name: format!("{name}{suffix}"),
                    unit: ["", "1", "s", "By/s", HOSTILE[index % HOSTILE.len()]][index % 5]
                        .to_owned(),
                    description: HOSTILE[(index / 2) % HOSTILE.len()].to_owned(),
                    data: Some(make(index, VALUES[index % VALUES.len()], cumulative)),
                    ..Default::default()
                });
            }
        }
    }
    let resource = |pairs| Resource {
        attributes: attributes(pairs),
        ..Default::default()
    };
    let group = |resource, metrics| ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![ScopeMetrics {
            metrics,
            ..Default::default()
        }],
        ..Default::default()
    };
    let service = [
        ("service.name", "a \"quoted\"\nservice"),
        ("service.instance.id", "i\\1"),
        ("x.y", "1"),
        ("x_y", "2"),
    ];
    ExportMetricsServiceRequest {
        resource_metrics: vec![
            group(resource(&service), metrics.clone()),
            group(resource(&[("x", "y")]), metrics),
        ],
    }
    .encode_to_vec()
}

/// Endpoints with names that nobody should have, each of which was asked once. They are on
/// the page for as long as the registry lives.
fn hostile_endpoints(telemetry: &Telemetry) -> Arc<Endpoints> {
    let watch = BreakerWatch::new();
    let endpoints = Endpoints::new(HOSTILE.len(), CancellationToken::new());
    let endpoints = Arc::new(endpoints.observed_by(watch.observer()));
    watch.begin(telemetry, &endpoints, HOSTILE.len());
    for name in HOSTILE {
        let id = EndpointId::new("component", &format!("http://a:1/{name}"));
        let Ok(endpoint) = endpoints.breaker(id, BreakerSettings::default()) else {
            continue;
        };
        let now = Instant::now();
        let permit = endpoint.breaker().acquire(now).unwrap();
        let attempt = Attempt {
            number: 0,
            hedge: false,
            canary: permit.is_canary(),
            generation: permit.generation(),
            state: permit.state(),
        };
        let completion = Completion::new(Outcome::Malformed, Duration::from_millis(3));
        endpoint.conclude(permit, attempt, now, completion);
    }
    endpoints
}

/// The corpus's pages under every strategy, in one format, beside the agent's own families.
async fn pages(accept: &str) -> Vec<(String, Vec<u8>)> {
    let mut pages = Vec::new();
    for strategy in STRATEGIES {
        for more in ["", "\nsend_timestamps: true\ncreated_samples: true"] {
            let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
            let _endpoints = hostile_endpoints(&telemetry);
            let yaml = format!("translation_strategy: {strategy}{more}");
            let mut exporter = Exporter::new(&yaml, telemetry);
            exporter.consume(corpus());
            let page = exporter.page(accept).await;
            assert!(page.len() > 10_000, "the corpus is on the page");
            let text = String::from_utf8_lossy(&page);
            let durations = "circuit_breaker_request_duration_seconds_count{";
            assert!(text.contains(durations), "so are the endpoints");
            pages.push((yaml, page));
        }
    }
    pages
}

fn check(program: &std::path::Path, arguments: &[&str], page: &[u8], what: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let page = page.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&page));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    assert!(
        output.status.success(),
        "{what}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_strict_reader_takes_the_hostile_corpus() {
    for (accept, openmetrics) in [(TEXT, false), (OPENMETRICS, true)] {
        for (what, page) in pages(accept).await {
            let page = String::from_utf8(page).unwrap();
            if let Err(problem) = strict::read(&page, openmetrics) {
                panic!("{what}: {problem}");
            }
        }
    }
}

#[tokio::test]
async fn promtool_takes_the_hostile_corpus() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    for (what, page) in pages(TEXT).await {
        let arguments = ["check", "metrics", "--lint=none", "--extended"];
        check(&promtool, &arguments, &page, &what);
    }
}

#[tokio::test]
async fn the_python_clients_parsers_take_the_hostile_corpus() {
    const PARSE: &str = "
import sys
if sys.argv[1] == 'text':
    from prometheus_client.parser import text_fd_to_metric_families as parse
else:
    from prometheus_client.openmetrics.parser import text_fd_to_metric_families as parse
page = open(0, newline='\\n', encoding='utf-8')
assert sum(len(family.samples) for family in parse(page)) > 100
";
    let Some(python) = peers::find("otel-python") else {
        return;
    };
    for (format, accept) in [("text", TEXT), ("openmetrics", OPENMETRICS)] {
        for (what, page) in pages(accept).await {
            check(
                &python,
                &["-c", PARSE, format],
                &page,
                &format!("{format}, {what}"),
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Random requests of everything that protobuf allows, several in a row.
    #[test]
    fn any_batches_give_pages_that_read_back(seed: u64, strategy in 0..4_usize, timestamps: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let yaml = format!(
            "translation_strategy: {}\nsend_timestamps: {timestamps}",
            STRATEGIES[strategy]
        );
        let mut exporter = Exporter::new(&yaml, Telemetry::off());
        for at in 0..4 {
            exporter.consume(otlp::metrics(seed.wrapping_add(at), otlp::Style::ANY));
        }
        for (accept, openmetrics) in [(TEXT, false), (OPENMETRICS, true)] {
            let page = runtime.block_on(exporter.page(accept));
            let page = String::from_utf8(page).unwrap();
            let read = strict::read(&page, openmetrics);
            prop_assert!(read.is_ok(), "{}\n{page}", read.unwrap_err());
        }
    }
}
