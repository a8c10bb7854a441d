//! A whole agent that remembers and aggregates: points by OTLP, the page by HTTP, and results
//! that go on in the pipeline.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/strict.rs"]
mod strict;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use foghorn::component::Factories;
use foghorn::components::FACTORIES;
use foghorn::config::{Config, Sources};
use foghorn::pdata::Batch;
use foghorn::pdata::writer::{
    MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use foghorn::query::{
    LabelMatcher, LabelPair, LabelSet, PointValue, PromQuery, QueryError, QueryLimits,
    QueryOptions, QueryValue, SelectedSeries, SeriesPoints, SeriesSource, SourceRoom,
};
use foghorn::receivers::embedded;
use foghorn::service::Service;
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use http_body_util::BodyExt as _;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// The default configuration's processors, with Prometheus's percentiles.
const CONFIG: &str = "
receivers:
  otlp: {protocols: {http: {endpoint: 127.0.0.1:0}}}
processors:
  resilience:
  memory_limiter:
  window:
  aggregate: {method: linear}
exporters:
  prometheus:
service:
  http: {endpoint: 127.0.0.1:0}
  pipelines:
    metrics:
      receivers: [otlp]
      processors: [resilience, memory_limiter, window, aggregate]
      exporters: [prometheus]
";

/// A series that is sent: the value of its label, and its points.
type Sent = (String, Vec<(i64, f64)>);

/// Points every five seconds with gaps, from four minutes ago until one minute ago. Both ends
/// of a window of five minutes are so far away that it doesn't matter when exactly it ends.
fn series(count: usize, seed: u64, counter: bool) -> Vec<Sent> {
    let mut random = SmallRng::seed_from_u64(seed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let one = |number: usize| {
        let mut total = 0.0;
        let mut points = Vec::new();
        for age in (60..=240).rev().step_by(5) {
            total = match random.random_range(0..20) {
                0 => 0.0,
                _ => total + f64::from(random.random_range(0..1000)) / 7.0,
            };
            if random.random_bool(0.8) {
                let value = if counter { total } else { 500.0 - total };
                points.push((now - age * 1000, value));
            }
        }
        (format!("s{number}"), points)
    };
    (0..count).map(one).collect()
}

fn otlp(gauges: &[Sent], counters: &[Sent]) -> Value {
    let points = |all: &[Sent]| -> Vec<Value> {
        let point = |id: &str, (time, value): &(i64, f64)| {
            json!({
                "timeUnixNano": format!("{}", time * 1_000_000),
                "asDouble": value,
                "attributes": [{"key": "id", "value": {"stringValue": id}}],
            })
        };
        let all = all.iter();
        all.flat_map(|(id, points)| points.iter().map(|p| point(id, p)).collect::<Vec<_>>())
            .collect()
    };
    let observations = |age: i64, counts: [u64; 3]| {
        let (time, _) = gauges[0].1[0];
        json!({
            "timeUnixNano": format!("{}", (time + age * 1000) * 1_000_000),
            "count": counts.iter().sum::<u64>().to_string(),
            "sum": 1.0,
            "explicitBounds": [1.0, 2.0],
            "bucketCounts": counts.map(|count| count.to_string()),
        })
    };
    json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeMetrics": [{"metrics": [
            {"name": "temp", "description": "How warm", "gauge": {"dataPoints": points(gauges)}},
            {"name": "hits", "sum": {
                "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points(counters),
            }},
            {"name": "hits", "gauge": {"dataPoints": points(&gauges[..1])}},
            {"name": "wait", "histogram": {"aggregationTemporality": 2, "dataPoints": [
                observations(5, [0, 0, 0]), observations(10, [10, 30, 0]),
            ]}},
        ]}],
    }]})
}

async fn get(url: &str) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// What a page has for a metric and a statistic, by the label `id`.
fn shown(page: &str, metric: &str, stat: &str) -> BTreeMap<String, f64> {
    let samples = strict::read(page, false).unwrap_or_else(|wrong| panic!("{wrong}\n{page}"));
    let wanted = samples.into_iter().filter(|((name, labels), _)| {
        name == metric && labels.get("stat").is_some_and(|own| own == stat)
    });
    let by_id = wanted.map(|((_, labels), value)| (labels["id"].clone(), value));
    by_id.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_says_what_queries_say_of_the_same_points() {
    let agent = agent::Agent::start(CONFIG).await;
    let (gauges, counters) = (series(40, 1, false), series(40, 2, true));
    let url = format!("http://{}/v1/metrics", agent.address("http"));
    let client = reqwest::Client::new();
    let sent = client
        .post(url)
        .header("content-type", "application/json")
        .body(otlp(&gauges, &counters).to_string());
    assert_eq!(sent.send().await.unwrap().status(), 200);
    let base = agent.urls[0].trim_end_matches("/metrics").to_owned();
    let base = format!("{}/metrics/aggregated", base.trim_end_matches('/'));

    // A point is remembered a moment after its request is answered.
    let stats =
        "stat=avg&stat=p95&stat=p50&stat=max&stat=count&stat=stddev&stat=rate&stat=increase";
    let mut page = String::new();
    for _ in 0..10_000 {
        let (status, text) = get(&format!("{base}?{stats}")).await;
        assert_eq!(status, 200, "{text}");
        page = text;
        if shown(&page, "hits_counter", "avg").len() == counters.len() {
            break;
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let source = Points(&[("temp", &gauges), ("hits_total", &counters)]);
    let mut compared = 0;
    for (metric, stat, query) in [
        ("temp", "avg", "avg_over_time(temp[5m])"),
        ("temp", "p95", "quantile_over_time(0.95, temp[5m])"),
        ("temp", "p50", "quantile_over_time(0.5, temp[5m])"),
        ("temp", "max", "max_over_time(temp[5m])"),
        ("temp", "count", "count_over_time(temp[5m])"),
        ("temp", "stddev", "stddev_over_time(temp[5m])"),
        ("hits_counter", "rate", "rate(hits_total[5m])"),
        ("hits_counter", "increase", "increase(hits_total[5m])"),
        ("hits_counter", "avg", "avg_over_time(hits_total[5m])"),
    ] {
        let (found, expected) = (shown(&page, metric, stat), source.ask(query, now));
        assert_eq!(expected.len(), 40, "{query}");
        assert!(
            found.keys().eq(expected.keys()),
            "{query}: {found:?} {expected:?}"
        );
        for (id, expected) in &expected {
            let found = found[id];
            let close = (found - expected).abs() <= 1e-9 * expected.abs().max(1e-9);
            assert!(close, "{query} of {id}: {found} {expected}");
            compared += 1;
        }
    }
    assert_eq!(compared, 9 * 40);
    assert_eq!(
        shown(&page, "hits", "max").len(),
        1,
        "the gauge of that name"
    );

    for query in [
        "",
        "window=1h&group_by=job",
        "match=wait&stat=p50&stat=rate",
        stats,
    ] {
        let (status, page) = get(&format!("{base}?{query}")).await;
        assert_eq!(status, 200);
        strict::read(&page, false).unwrap_or_else(|wrong| panic!("{query}: {wrong}\n{page}"));
        promtool_takes(&page, query);
    }
    let (_, page) = get(&format!("{base}?match=wait&stat=p50&stat=count&window=10m")).await;
    let expected = [
        "# TYPE wait gauge",
        "wait{job=\"shop\",stat=\"p50\",window=\"10m\"} 1.3333333333333333",
        "wait{job=\"shop\",stat=\"count\",window=\"10m\"} 40",
    ];
    let lines: Vec<&str> = page
        .lines()
        .filter(|line| !line.contains("coverage"))
        .collect();
    assert_eq!(lines, expected);
    let (status, why) = get(&format!("{base}?stat=p95&mach=x")).await;
    assert_eq!(status, 400);
    assert_eq!(
        why,
        "unknown parameter \"mach\": expected window, match, group_by or stat\n"
    );
    agent.stop().await;
}

fn promtool_takes(page: &str, what: &str) {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let mut check = Command::new(promtool)
        .args(["check", "metrics", "--lint=none", "--extended"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = check.stdin.take().unwrap();
    input.write_all(page.as_bytes()).unwrap();
    drop(input);
    let output = check.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}\n{page}");
}

/// Points in memory, for the engine: metrics and their series.
struct Points<'a>(&'a [(&'a str, &'a [Sent])]);

struct OnePoints<'a> {
    labels: LabelSet,
    points: &'a [(i64, f64)],
}

impl Points<'_> {
    /// The values of a query by the label `id`.
    fn ask(&self, query: &str, time: i64) -> BTreeMap<String, f64> {
        let query = PromQuery::parse(query, &QueryLimits::default()).unwrap();
        let options = QueryOptions::default();
        let answer = query.instant(self, time, &options, &|| None).unwrap();
        let QueryValue::Vector(samples) = answer.value else {
            panic!("not a vector");
        };
        let samples = samples.into_iter().map(|(labels, value)| match value {
            PointValue::Float(value) => (labels.value("id").to_owned(), value),
            PointValue::Histogram(_) => panic!("a histogram"),
        });
        samples.collect()
    }
}

impl SeriesSource for Points<'_> {
    fn select<'a>(
        &'a self,
        matchers: &[LabelMatcher],
        _: i64,
        _: i64,
        _: &'a dyn SourceRoom,
    ) -> Result<Vec<Box<dyn SelectedSeries + 'a>>, QueryError> {
        let mut found: Vec<Box<dyn SelectedSeries + 'a>> = Vec::new();
        for (name, all) in self.0 {
            for (id, points) in *all {
                let labels = vec![
                    LabelPair::new("__name__", *name),
                    LabelPair::new("id", &**id),
                ];
                let labels = LabelSet::new(labels);
                if matchers.iter().all(|m| m.matches(labels.value(&m.name))) {
                    found.push(Box::new(OnePoints { labels, points }));
                }
            }
        }
        Ok(found)
    }
}

impl SelectedSeries for OnePoints<'_> {
    fn labels(&self) -> LabelSet {
        self.labels.clone()
    }

    fn read(&mut self, from: i64, to: i64, into: &mut SeriesPoints) -> Result<(), QueryError> {
        for (time, value) in self.points {
            if (from..=to).contains(time) {
                into.push(*time, *value);
            }
        }
        Ok(())
    }
}

const COMPONENTS: Factories = Factories {
    receivers: &[embedded::FACTORY],
    ..FACTORIES
};

const EMITTING: &str = "
receivers: {embedded: }
processors:
  window:
  aggregate: {emit: true, windows: [5m], stats: [max, increase]}
exporters: {prometheus: }
service:
  http: {endpoint: 127.0.0.1:0}
  pipelines:
    metrics:
      receivers: [embedded]
      processors: [window, aggregate]
      exporters: [prometheus]
";

fn batch(total: i64) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[("service.name", "shop".into()), ("host.name", "h".into())]);
    writer.scope("test", "");
    let descriptor = |name| MetricDescriptor {
        name,
        unit: "",
        description: "",
    };
    let point = NumberPointData {
        attributes: &[],
        start: None,
        time: SystemTime::now(),
        value: Some(PointNumber::Int(total)),
    };
    writer.metric(MetricKind::Counter, descriptor("requests"));
    writer.number(point);
    writer.metric(MetricKind::Gauge, descriptor("load"));
    writer.number(point);
    writer.finish()
}

#[tokio::test(start_paused = true)]
async fn what_is_emitted_stands_beside_its_metric_and_in_the_books() {
    let sources = Sources {
        configs: vec![format!("yaml:{EMITTING}")],
        sets: Vec::new(),
    };
    let loaded = Config::load(&sources, &|_| None, &COMPONENTS).unwrap();
    let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
    let service = Service::build(&loaded.config, &telemetry).unwrap();
    let input = service.input(&"embedded".parse().unwrap()).unwrap();
    let routes = service.routes();
    let running = service.start().await.unwrap();
    let (end, told) = oneshot::channel::<()>();
    let agent = tokio::spawn(running.run(async { drop(told.await) }, std::future::pending()));

    // The clock of the test stands still while a thread computes.
    let mut lines = Vec::new();
    for total in 1..100 {
        input.push(batch(total)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(15)).await;
        let page = routes
            .all()
            .into_iter()
            .find(|route| route.path == "/metrics");
        let request = hyper::Request::builder().uri("/metrics").body(Bytes::new());
        let answer = page.unwrap().handler.handle(request.unwrap()).await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let page = String::from_utf8(body.to_vec()).unwrap();
        strict::read(&page, false).unwrap_or_else(|wrong| panic!("{wrong}\n{page}"));
        let ours = page.lines().filter(|line| line.contains("stat=\"max\""));
        lines = ours.map(str::to_owned).collect();
        if !lines.is_empty() {
            break;
        }
    }
    let heads: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let labels = "{job=\"shop\",otel_scope_name=\"test\",stat=\"max\",window=\"5m\"}";
    assert_eq!(
        heads,
        [format!("load{labels}"), format!("requests{labels}")]
    );
    drop(end);
    let books = agent.await.unwrap().ledger.snapshot();
    books.check().unwrap_or_else(|e| panic!("{e:?}"));
    let pipeline = books.pipeline("metrics").unwrap();
    assert!(
        pipeline.created >= 4,
        "two statistics and the coverage of two series: {pipeline:?}"
    );
    assert_eq!(pipeline.fanned_out, pipeline.accepted + pipeline.created);
}
