//! An agent that passes OTLP on, who sends to it, and what becomes of what was sent.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test needs another part of it, and fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foghorn::component::DropReason;
use foghorn::pipeline::LegEntry;
use http_body_util::Full;
use hyper::Response;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tokio::time::{Instant, sleep};

use crate::agent::Agent;
use crate::wire::{Answer, Client, Sink, accepted, framed, grpc_path, http_path, messages};

pub const PROTOCOLS: [&str; 2] = ["grpc", "http"];
pub const SIGNALS: [&str; 3] = ["metrics", "traces", "logs"];

/// Makes one answer of a destination.
pub type Reply = fn() -> Response<Full<Bytes>>;

/// The configuration of an agent that takes these signals by both protocols, and passes them
/// on to all of these exporters. Each is a line such as `otlp_http: {endpoint: …}`.
pub fn configuration(signals: &[&str], exporters: &[String]) -> String {
    let ids = exporters.iter().filter_map(|line| line.split_once(": "));
    let ids: Vec<&str> = ids.map(|(id, _)| id).collect();
    let ids = ids.join(", ");
    let pipelines: Vec<String> = signals
        .iter()
        .map(|signal| format!("{signal}: {{receivers: [otlp], exporters: [{ids}]}}"))
        .collect();
    format!(
        "receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:0'}}
      http: {{endpoint: '127.0.0.1:0'}}
exporters:
  {}
service:
  http: {{endpoint: none}}
  pipelines:
    {}
",
        exporters.join("\n  "),
        pipelines.join("\n    "),
    )
}

/// A running agent of that configuration.
pub async fn relay(signals: &[&str], exporters: &[String]) -> Agent {
    Agent::start(&configuration(signals, exporters)).await
}

/// One that passes metrics on to an address by this protocol, with another key of the
/// exporter. Waits don't vary, so that they can be foretold: 1 s, 2 s, 4 s and so on.
pub async fn relay_to(protocol: &str, address: std::net::SocketAddr, key: &str) -> Agent {
    let exporter = format!(
        "otlp_{protocol}: {{endpoint: 'http://{address}', timeout: 5s, retry_on_failure: \
         {{initial_interval: 1s, multiplier: 2, randomization_factor: 0}}, {key}}}"
    );
    relay(&["metrics"], &[exporter]).await
}

/// Sends over a connection of its own, as long silence ends one. A deadline is one of gRPC,
/// such as `3S`, or empty.
pub async fn send(
    address: &str,
    protocol: &str,
    signal: &str,
    deadline: &str,
    request: &[u8],
) -> Answer {
    if protocol == "grpc" {
        let mut headers = vec![("content-type", "application/grpc")];
        if !deadline.is_empty() {
            headers.push(("grpc-timeout", deadline));
        }
        let mut client = Client::grpc(address).await;
        let body = framed(request, false);
        client.post(grpc_path(signal), &headers, body).await
    } else {
        let headers = [("content-type", "application/x-protobuf")];
        let mut client = Client::http(address).await;
        let body = request.to_vec();
        client.post(&http_path(signal), &headers, body).await
    }
}

/// Sends metrics to an agent.
pub async fn send_metrics(agent: &Agent, protocol: &str, request: &[u8]) -> Answer {
    send(&agent.address(protocol), protocol, "metrics", "", request).await
}

pub fn is_accepted(answer: &Answer) -> bool {
    answer.status == 200 && matches!(answer.grpc_status(), None | Some(0))
}

/// Whether it may be sent again later.
pub fn is_refused(answer: &Answer) -> bool {
    answer.status == 503 || answer.grpc_status() == Some(14)
}

/// A request of so many points, which its number tells from the others.
pub fn points(number: u32, count: u64) -> Vec<u8> {
    let data_points = (0..count)
        .map(|time_unix_nano| NumberDataPoint {
            time_unix_nano,
            value: Some(number_data_point::Value::AsDouble(f64::from(number))),
            ..Default::default()
        })
        .collect();
    let metric = Metric {
        name: "m".to_owned(),
        data: Some(Data::Gauge(Gauge { data_points })),
        ..Default::default()
    };
    let scope_metrics = vec![ScopeMetrics {
        metrics: vec![metric],
        ..Default::default()
    }];
    let resource_metrics = vec![ResourceMetrics {
        scope_metrics,
        ..Default::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

/// How many points came to a sink, request by request.
pub fn points_received(sink: &Sink) -> Vec<u64> {
    let received = sink.received();
    let count = |request| points_of(&messages(std::slice::from_ref(request)));
    received.iter().map(count).collect()
}

fn points_of(bytes: &[u8]) -> u64 {
    let request = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let metrics = request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics)
        .flat_map(|scope| &scope.metrics);
    metrics
        .map(|metric| match &metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.len() as u64,
            other => panic!("{other:?}"),
        })
        .sum()
}

/// A request of one span.
pub fn span(span: Span) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans {
        spans: vec![span],
        ..Default::default()
    }];
    let resource_spans = vec![ResourceSpans {
        scope_spans,
        ..Default::default()
    }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// The answer that takes all but three points.
pub fn rejecting_three(message: &str) -> Response<Full<Bytes>> {
    let answer = ExportMetricsServiceResponse {
        partial_success: Some(ExportMetricsPartialSuccess {
            rejected_data_points: 3,
            error_message: message.to_owned(),
        }),
    };
    Response::new(Full::from(answer.encode_to_vec()))
}

/// The books of the agent's first leg, which balance.
pub fn leg(agent: &Agent) -> LegEntry {
    let snapshot = agent.ledger.snapshot();
    snapshot.check().unwrap();
    snapshot.legs[0].clone()
}

/// Waits until nothing of the agent is under way any more.
pub async fn settled(agent: &Agent) -> LegEntry {
    settled_after_saying(agent).await.0
}

/// The same, with the last error on the agent's board until then.
async fn settled_after_saying(agent: &Agent) -> (LegEntry, String) {
    let mut said = String::new();
    loop {
        for line in agent.health.reports() {
            said = line.last_error.unwrap_or(said);
        }
        let snapshot = agent.ledger.snapshot();
        if snapshot.pipelines[0].held == 0 && snapshot.legs[0].queued == 0 {
            return (leg(agent), said);
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// What became of eight points.
pub struct Fate {
    pub sent: u64,
    pub lost: Option<(DropReason, u64)>,
    /// Of what the sink got, request by request.
    pub points: Vec<u64>,
    pub seconds: u64,
    /// The last error of the exporter.
    pub said: String,
}

/// Sends eight points to a destination that gives these answers, and then good ones.
pub async fn meet(protocol: &str, replies: &[Reply]) -> Fate {
    let replies = replies.to_vec();
    let sink = Sink::scripted(Arc::new(move |n| {
        replies.get(n).map_or_else(accepted, |reply| reply())
    }))
    .await;
    let key = "headers: {authorization: Bearer hunter2}";
    let agent = relay_to(protocol, sink.address, key).await;
    let begun = Instant::now();
    let answer = send_metrics(&agent, protocol, &points(7, 8)).await;
    assert!(is_accepted(&answer), "{answer:?}");
    let (leg, said) = settled_after_saying(&agent).await;
    let seconds = begun.elapsed().as_secs();
    agent.stop().await;
    let reasons = DropReason::ALL.into_iter();
    Fate {
        sent: leg.sent,
        lost: reasons
            .map(|reason| (reason, leg.dropped.of(reason)))
            .find(|(_, items)| *items > 0),
        points: points_received(&sink),
        seconds,
        said,
    }
}
