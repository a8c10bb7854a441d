//! What a destination answered is what happened: no request is sent again once an answer to it
//! has begun, and what the answer says is heard in whatever form it comes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use bytes::Bytes;
use foghorn::component::DropReason;
use http_body_util::Full;
use hyper::Response;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use prost::Message as _;
use tokio::time::Instant;
use wire::{Client, Sink, Trouble, accepted, http_path, trouble};

const PROTOCOLS: [&str; 2] = ["grpc", "http"];

type Reply = fn() -> Response<Full<Bytes>>;

/// A request of eight points.
fn points() -> Vec<u8> {
    let data_points = vec![NumberDataPoint::default(); 8];
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

/// What became of eight points that met this answer, and good ones after it.
struct Outcome {
    sent: u64,
    lost: Option<(DropReason, u64)>,
    requests: usize,
    /// The last error of the exporter.
    said: String,
}

async fn meet(protocol: &str, reply: Reply) -> Outcome {
    let sink = Sink::scripted(Arc::new(move |n| match n {
        0 => reply(),
        _ => accepted(),
    }))
    .await;
    let agent = Agent::start(&format!(
        "receivers:
  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}
exporters:
  otlp_{protocol}:
    endpoint: 'http://{}'
    headers: {{authorization: Bearer hunter2}}
    timeout: 5s
    retry_on_failure: {{initial_interval: 1s, randomization_factor: 0}}
service:
  http: {{endpoint: none}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [otlp_{protocol}]}}
",
        sink.address
    ))
    .await;
    let headers = [("content-type", "application/x-protobuf")];
    let mut client = Client::http(&agent.address("http")).await;
    let answer = client.post(&http_path("metrics"), &headers, points()).await;
    assert_eq!(answer.status, 200);
    let mut said = String::new();
    let end = Instant::now() + Duration::from_secs(60);
    let leg = loop {
        for exporter in agent.health.reports() {
            said = exporter.last_error.unwrap_or(said);
        }
        let snapshot = agent.ledger.snapshot();
        snapshot.check().unwrap();
        if snapshot.pipelines[0].held == 0 && snapshot.legs[0].queued == 0 {
            break snapshot.legs[0].clone();
        }
        assert!(Instant::now() < end, "{protocol}: nothing becomes of it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    agent.stop().await;
    let reasons = DropReason::ALL.into_iter();
    Outcome {
        sent: leg.sent,
        lost: reasons
            .map(|reason| (reason, leg.dropped.of(reason)))
            .find(|(_, items)| *items > 0),
        requests: sink.received().len(),
        said,
    }
}

fn partial(message: &str) -> Response<Full<Bytes>> {
    let answer = ExportMetricsServiceResponse {
        partial_success: Some(ExportMetricsPartialSuccess {
            rejected_data_points: 3,
            error_message: message.to_owned(),
        }),
    };
    Response::new(Full::from(answer.encode_to_vec()))
}

fn of_type(status: u16, content_type: &str, body: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Full::from(body.to_owned()))
        .unwrap()
}

fn grpc(status: &str, message: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .header("grpc-status", status)
        .header("grpc-message", message)
        .body(Full::default())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_status_is_what_happened_whatever_its_message_weighs() {
    for protocol in PROTOCOLS {
        let outcome = meet(protocol, || partial(&"x".repeat(70 * 1024))).await;
        assert_eq!((outcome.sent, outcome.requests), (5, 1), "{protocol}");
        assert_eq!(outcome.lost, Some((DropReason::RejectedByPeer, 3)));
    }
    let outcome = meet("grpc", || partial(&"x".repeat(5 * 1024 * 1024))).await;
    assert_eq!((outcome.sent, outcome.requests), (5, 1));
    // Without a message the status stands in the headers, with a text as long as it likes.
    let outcome = meet("grpc", || grpc("0", "")).await;
    assert_eq!((outcome.sent, outcome.requests), (8, 1));
    let outcome = meet("grpc", || grpc("3", &"x".repeat(40 * 1024))).await;
    assert_eq!(outcome.lost, Some((DropReason::Permanent, 8)));
    assert_eq!(outcome.requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_success_whose_body_breaks_off_is_sent_and_not_sent_again() {
    for reply in [|| trouble(Trouble::Cut), || trouble(Trouble::Stall)] as [Reply; 2] {
        let outcome = meet("http", reply).await;
        assert_eq!((outcome.sent, outcome.lost), (8, None));
        assert_eq!(outcome.requests, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_status_is_counted_as_unconfirmed_and_not_sent_again() {
    for reply in [
        || trouble(Trouble::Cut),
        || trouble(Trouble::Stall),
        || grpc("ok", ""),
    ] as [Reply; 3]
    {
        let outcome = meet("grpc", reply).await;
        assert_eq!(outcome.lost, Some((DropReason::Unconfirmed, 8)));
        assert_eq!((outcome.sent, outcome.requests), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_before_any_answer_costs_an_attempt_only() {
    for protocol in PROTOCOLS {
        let outcome = meet(protocol, || trouble(Trouble::HangUp)).await;
        assert_eq!((outcome.sent, outcome.lost), (8, None), "{protocol}");
        assert_eq!(outcome.requests, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_success_in_json_counts_what_it_rejects() {
    let outcome = meet("http", || {
        let answer = r#"{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "old"}}"#;
        of_type(200, "application/json", answer)
    })
    .await;
    assert_eq!((outcome.sent, outcome.requests), (5, 1));
    assert_eq!(outcome.lost, Some((DropReason::RejectedByPeer, 3)));
}

#[tokio::test(start_paused = true)]
async fn a_login_page_is_no_delivery() {
    let page = || {
        of_type(
            200,
            "text/html; charset=utf-8",
            "<!doctype html><title>Login",
        )
    };
    let outcome = meet("http", page).await;
    // It comes again, and arrives once somebody has logged in.
    assert_eq!((outcome.sent, outcome.lost), (8, None));
    assert_eq!(outcome.requests, 2);
    assert!(outcome.said.contains("HTML page"), "{}", outcome.said);
}

#[tokio::test(start_paused = true)]
async fn why_a_peer_refuses_is_shown_whatever_form_it_says_it_in() {
    let f = async |reply: Reply, expected: &str| {
        let outcome = meet("http", reply).await;
        assert_eq!(outcome.lost, Some((DropReason::Permanent, 8)));
        assert_eq!(outcome.said, expected);
    };
    f(
        || of_type(401, "application/json", r#"{"message": "no such tenant"}"#),
        "the peer answered HTTP 401: no such tenant",
    )
    .await;
    f(
        || of_type(400, "text/plain", "line 1\nBearer hunter2"),
        "the peer answered HTTP 400: line 1\\n[redacted]",
    )
    .await;
}
