//! OTLP with programs that others wrote, with nothing special configured on either side:
//! the Python SDK, telemetrygen and the OpenTelemetry Collector send to the agent, and the
//! agent sends to the Collector, whose file shows what arrived.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent::Agent;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use peers::free_ports;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use wire::{Received, Sink, messages};

/// What a peer may take before a test calls it dead: they start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that passes everything on to these exporters.
async fn agent(exporters: &[String]) -> Agent {
    relay::relay(&relay::SIGNALS, exporters).await
}

async fn agent_before(sink: &Sink) -> Agent {
    agent(&[format!(
        "otlp_http: {{endpoint: 'http://{}'}}",
        sink.address
    )])
    .await
}

/// Everything that a sink got of one signal.
fn all<T: prost::Message + Default>(received: &[Received], path: &str) -> T {
    let of_signal: Vec<Received> = received
        .iter()
        .filter(|request| request.path == path)
        .cloned()
        .collect();
    T::decode(&messages(&of_signal)[..]).unwrap()
}

fn service_name(resource: Option<&Resource>) -> String {
    let attributes = &resource.unwrap().attributes;
    let name = |attribute: &&KeyValue| attribute.key == "service.name";
    match attributes.iter().find(name).and_then(|a| a.value.clone()) {
        Some(AnyValue {
            value: Some(any_value::Value::StringValue(name)),
        }) => name,
        other => panic!("{other:?}"),
    }
}

/// Runs a program to its end.
async fn run(mut command: Command) {
    let output = spawn_blocking(move || command.stdin(Stdio::null()).output().unwrap())
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An application as its documentation shows one: each signal by its exporter's defaults.
/// Arguments: protocol, endpoint, compression.
const APPLICATION: &str = r#"
import logging, sys
protocol, endpoint, compression = sys.argv[1:]
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
if protocol == "grpc":
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    kind = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
    made = lambda exporter, path: exporter(endpoint=endpoint, insecure=True, compression=kind)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    kind = Compression.Gzip if compression == "gzip" else Compression.NoCompression
    made = lambda exporter, path: exporter(endpoint=endpoint + path, compression=kind)
resource = Resource.create({"service.name": "application"})

meters = MeterProvider(resource=resource, metric_readers=[
    PeriodicExportingMetricReader(made(OTLPMetricExporter, "/v1/metrics"), export_interval_millis=3_600_000)])
meter = meters.get_meter("test")
meter.create_counter("requests", unit="1", description="Requests").add(7, {"path": "/ä"})
meter.create_histogram("latency", unit="s").record(0.25)
meters.shutdown()

traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(made(OTLPSpanExporter, "/v1/traces")))
with traces.get_tracer("test").start_as_current_span("outer") as span:
    span.set_attribute("n", 3)
    with traces.get_tracer("test").start_as_current_span("inner"):
        pass
traces.shutdown()

logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(made(OTLPLogExporter, "/v1/logs")))
logger = logging.getLogger("test")
logger.addHandler(LoggingHandler(logger_provider=logs))
logger.warning("disk is %d %% full", 91)
logs.shutdown()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_application_with_the_python_sdk_needs_nothing_special() {
    let Some(python) = peers::find("otel-python") else {
        return;
    };
    for (protocol, compression) in [("grpc", "none"), ("http", "gzip")] {
        let sink = Sink::accepting().await;
        let agent = agent_before(&sink).await;
        let mut application = Command::new(&python);
        application
            .args(["-c", APPLICATION, protocol])
            .arg(format!("http://{}", agent.address(protocol)))
            .arg(compression);
        run(application).await;
        let drained = agent.stop().await;
        let received = sink.received();

        let metrics: ExportMetricsServiceRequest = all(&received, "/v1/metrics");
        let resource = &metrics.resource_metrics[0];
        assert_eq!(service_name(resource.resource.as_ref()), "application");
        let scope = &resource.scope_metrics[0];
        let names: Vec<&str> = scope.metrics.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["requests", "latency"], "{protocol}");
        assert!(matches!(&scope.metrics[1].data, Some(Data::Histogram(h))
            if h.data_points[0].sum == Some(0.25)));

        let traces: ExportTraceServiceRequest = all(&received, "/v1/traces");
        let spans: Vec<&str> = traces
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans)
            .map(|span| span.name.as_str())
            .collect();
        assert_eq!(spans, ["inner", "outer"], "{protocol}");

        let logs: ExportLogsServiceRequest = all(&received, "/v1/logs");
        let record = &logs.resource_logs[0].scope_logs[0].log_records[0];
        let body = AnyValue {
            value: Some(any_value::Value::StringValue("disk is 91 % full".into())),
        };
        assert_eq!(record.body, Some(body), "{protocol}");
        assert_eq!(drained.ledger.snapshot().check(), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_telemetrygen_sends_reaches_the_collector_item_by_item() {
    let (Some(telemetrygen), Some(collector)) =
        (peers::find("telemetrygen"), peers::find("otelcol"))
    else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(&collector, directory.path(), RECEIVING, &[]).await;
    let agent = agent(&[
        format!(
            "otlp_grpc: {{endpoint: '127.0.0.1:{}', tls: {{insecure: true}}}}",
            collector.grpc
        ),
        format!(
            "otlp_http: {{endpoint: 'http://127.0.0.1:{}'}}",
            collector.http
        ),
    ])
    .await;
    for protocol in ["grpc", "http"] {
        for signal in ["metrics", "traces", "logs"] {
            let mut generator = Command::new(&telemetrygen);
            generator
                .args([signal, "--otlp-insecure", "--service", "generated"])
                .args(["--otlp-endpoint", &agent.address(protocol)])
                .args([&format!("--{signal}"), "20", "--rate", "0"]);
            if protocol == "http" {
                generator.arg("--otlp-http");
            }
            run(generator).await;
        }
    }
    agent.stop().await;

    // Twenty of each by each protocol, and each by both exporters; a trace has two spans.
    let expected = [
        ("resourceMetrics", 80),
        ("resourceSpans", 160),
        ("resourceLogs", 80),
    ];
    for (signal, items) in expected {
        let arrived = collector
            .lines_once(|lines| count(lines, signal) >= items)
            .await;
        assert_eq!(count(&arrived, signal), items, "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_collector_sends_another_gets_through_the_agent() {
    let Some(program) = peers::find("otelcol") else {
        return;
    };
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let behind = Collector::start(&program, directories[0].path(), RECEIVING, &[]).await;
    let agent = agent(&[format!(
        "otlp_grpc: {{endpoint: '127.0.0.1:{}', tls: {{insecure: true}}}}",
        behind.grpc
    )])
    .await;
    let targets = [
        ("AGENT_GRPC", agent.address("grpc")),
        ("AGENT_HTTP", agent.address("http")),
    ];
    let before = Collector::start(&program, directories[1].path(), SCRAPING, &targets).await;
    // Some scrapes of some resources, and then what its queues still hold.
    before
        .lines_once(|lines| count(lines, "resourceMetrics") >= 100)
        .await;
    let sent = before.stop().await;
    agent.stop().await;
    let arrived = behind
        .lines_once(|lines| count(lines, "resourceMetrics") >= 3 * count(&sent, "resourceMetrics"))
        .await;

    // Each resource as it was, by gRPC, by HTTP in protobuf, and by HTTP in JSON.
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for resource in resources(&arrived, "resourceMetrics") {
        *times.entry(resource.to_string()).or_default() += 1;
    }
    let sent = resources(&sent, "resourceMetrics");
    assert!(sent.len() > 10, "{}", sent.len());
    for resource in &sent {
        assert_eq!(times.remove(&resource.to_string()), Some(3), "{resource}");
    }
    assert!(times.is_empty(), "{times:?}");
}

/// A Collector that writes down what it gets.
const RECEIVING: &str = "
receivers:
  otlp:
    protocols:
      grpc: {endpoint: '127.0.0.1:${env:GRPC_PORT}'}
      http: {endpoint: '127.0.0.1:${env:HTTP_PORT}'}
exporters:
  file: {path: '${env:OUT_FILE}', flush_interval: 50ms}
extensions:
  health_check: {endpoint: '127.0.0.1:${env:HEALTH_PORT}'}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [otlp], exporters: [file]}
    traces: {receivers: [otlp], exporters: [file]}
    logs: {receivers: [otlp], exporters: [file]}
";

/// A Collector that reads its host and sends in each way it can, and writes down what.
const SCRAPING: &str = "
receivers:
  host_metrics:
    collection_interval: 200ms
    initial_delay: 0s
    scrapers: {cpu: , memory: , load: }
exporters:
  file: {path: '${env:OUT_FILE}', flush_interval: 50ms}
  otlp_grpc: {endpoint: '${env:AGENT_GRPC}', tls: {insecure: true}}
  otlp_http: {endpoint: 'http://${env:AGENT_HTTP}'}
  otlp_http/json: {endpoint: 'http://${env:AGENT_HTTP}', encoding: json, compression: zstd}
extensions:
  health_check: {endpoint: '127.0.0.1:${env:HEALTH_PORT}'}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics:
      receivers: [host_metrics]
      exporters: [file, otlp_grpc, otlp_http, otlp_http/json]
";

/// A running Collector, which ends with the test.
struct Collector {
    process: Child,
    out: PathBuf,
    grpc: u16,
    http: u16,
}

impl Collector {
    /// Starts it in a directory of its own and waits until it says that it works.
    async fn start(
        program: &Path,
        directory: &Path,
        configuration: &str,
        variables: &[(&str, String)],
    ) -> Self {
        let [grpc, http, health] = free_ports();
        let config = directory.join("collector.yaml");
        let out = directory.join("out.jsonl");
        std::fs::write(&config, configuration).unwrap();
        let log = std::fs::File::create(directory.join("collector.log")).unwrap();
        let process = Command::new(program)
            .arg("--config")
            .arg(&config)
            .env("GRPC_PORT", grpc.to_string())
            .env("HTTP_PORT", http.to_string())
            .env("HEALTH_PORT", health.to_string())
            .env("OUT_FILE", &out)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut collector = Self {
            process,
            out,
            grpc,
            http,
        };
        let begun = Instant::now();
        loop {
            let log = directory.join("collector.log");
            let said = || std::fs::read_to_string(&log).unwrap();
            assert!(
                collector.process.try_wait().unwrap().is_none(),
                "{}",
                said()
            );
            let answer = reqwest::get(format!("http://127.0.0.1:{health}/")).await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return collector;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What it has written, once that is enough.
    async fn lines_once(&self, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let lines = self.lines();
            if enough(&lines) || begun.elapsed() > PATIENCE {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.out).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Ends it in good order; the answer is all that it has written.
    async fn stop(mut self) -> Vec<Value> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let begun = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "the Collector doesn't end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.lines()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The resources of one signal, as they stand in the Collector's lines.
fn resources<'a>(lines: &'a [Value], signal: &str) -> Vec<&'a Value> {
    lines
        .iter()
        .filter_map(|line| line.get(signal)?.as_array())
        .flatten()
        .collect()
}

/// Items of one signal.
fn count(lines: &[Value], signal: &str) -> usize {
    let (scopes, items) = match signal {
        "resourceMetrics" => ("scopeMetrics", "metrics"),
        "resourceSpans" => ("scopeSpans", "spans"),
        _ => ("scopeLogs", "logRecords"),
    };
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned();
    let scopes = resources(lines, signal)
        .into_iter()
        .filter_map(|resource| list(resource, scopes))
        .flatten();
    let items = scopes
        .filter_map(|scope| list(&scope, items))
        .flatten()
        .map(|item| match signal {
            "resourceMetrics" => points(&item),
            _ => 1,
        });
    items.sum()
}

fn points(metric: &Value) -> usize {
    [
        "gauge",
        "sum",
        "histogram",
        "exponentialHistogram",
        "summary",
    ]
    .iter()
    .filter_map(|kind| metric.get(kind)?.get("dataPoints")?.as_array())
    .map(Vec::len)
    .sum()
}
