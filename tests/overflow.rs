//! Senders that wait for room: `block_on_overflow`, through the receivers and on the wire.
//! Time is paused, so that waiting takes none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use hyper::{Response, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tokio::time::Instant;
use wire::{Answer, Client, Sink, Trouble, accepted, framed, grpc_path, http_path, trouble};

const PROTOCOLS: [&str; 2] = ["grpc", "http"];

/// One span, and the bytes that its name brings along.
fn span(name: usize) -> Vec<u8> {
    let spans = vec![Span {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        name: "n".repeat(name),
        ..Default::default()
    }];
    let scope_spans = vec![ScopeSpans {
        spans,
        ..Default::default()
    }];
    let resource_spans = vec![ResourceSpans {
        scope_spans,
        ..Default::default()
    }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// An agent that forwards spans to the sink, and whose senders wait for room in its queue.
async fn agent(sink: &Sink, queue: &str) -> Agent {
    Agent::start(&format!(
        "receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:0'}}
      http: {{endpoint: '127.0.0.1:0'}}
exporters:
  otlp_http:
    endpoint: 'http://{}'
    timeout: 10m
    breaker: {{mode: off}}
    retry_on_failure: {{initial_interval: 7s, randomization_factor: 0}}
    sending_queue: {{block_on_overflow: true, {queue}}}
service:
  http: {{endpoint: none}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
",
        sink.address
    ))
    .await
}

/// Sends over a connection of its own, with a deadline where gRPC has one.
async fn send(agent: &Agent, protocol: &str, deadline: &str, request: &[u8]) -> Answer {
    let address = agent.address(protocol);
    if protocol == "grpc" {
        let mut headers = vec![("content-type", "application/grpc")];
        if !deadline.is_empty() {
            headers.push(("grpc-timeout", deadline));
        }
        let mut client = Client::grpc(&address).await;
        let body = framed(request, false);
        client.post(grpc_path("traces"), &headers, body).await
    } else {
        let headers = [("content-type", "application/x-protobuf")];
        let mut client = Client::http(&address).await;
        let body = request.to_vec();
        client.post(&http_path("traces"), &headers, body).await
    }
}

fn is_accepted(answer: &Answer) -> bool {
    answer.status == 200 && matches!(answer.grpc_status(), None | Some(0))
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 503 || answer.grpc_status() == Some(14)
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_room_until_its_deadline_and_for_30_s_at_most() {
    let sink = Sink::scripted(Arc::new(|_| trouble(Trouble::Silence))).await;
    let agent = agent(&sink, "queue_size: 1").await;
    assert!(is_accepted(&send(&agent, "http", "", &span(1)).await));
    let f = async |protocol: &str, deadline: &str, seconds: u64| {
        let begun = Instant::now();
        let answer = send(&agent, protocol, deadline, &span(1)).await;
        assert!(is_refused(&answer), "{protocol} {deadline}: {answer:?}");
        let waited = begun.elapsed().as_secs();
        assert_eq!(waited, seconds, "{protocol} {deadline}");
    };
    f("http", "", 30).await;
    f("grpc", "", 30).await;
    f("grpc", "3S", 3).await;
    f("grpc", "4000m", 4).await;
    f("grpc", "5000000u", 5).await;
    f("grpc", "1M", 30).await;
    f("grpc", "99999999H", 30).await;
    f("grpc", "soon", 30).await;
    agent.stop().await;
}

#[tokio::test(start_paused = true)]
async fn room_that_comes_in_time_is_given_to_who_waits_whatever_is_full() {
    let whole = span(1000).len();
    let f = async |protocol: &str, queue: &str| {
        let sink = Sink::scripted(Arc::new(|n| match n {
            0 => {
                let mut busy = Response::new(Default::default());
                *busy.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                busy
            }
            _ => accepted(),
        }))
        .await;
        let agent = agent(&sink, queue).await;
        assert!(is_accepted(&send(&agent, protocol, "", &span(1000)).await));
        sink.wait_for(1).await;
        let begun = Instant::now();
        let answer = send(&agent, protocol, "20S", &span(1000)).await;
        assert!(is_accepted(&answer), "{protocol} {queue}: {answer:?}");
        let waited = begun.elapsed().as_secs();
        assert_eq!(waited, 7, "{protocol} {queue}: the time of the retry");
        sink.wait_for(3).await;
        let drained = agent.stop().await;
        assert_eq!(drained.ledger.snapshot().legs[0].sent, 2);
    };
    for protocol in PROTOCOLS {
        f(protocol, "queue_size: 1").await;
        f(protocol, &format!("queue_bytes: {whole}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_at_once_that_the_agent_ends() {
    let sink = Sink::scripted(Arc::new(|_| trouble(Trouble::Silence))).await;
    let agent = agent(&sink, "queue_size: 1").await;
    assert!(is_accepted(&send(&agent, "http", "", &span(1)).await));
    let address = agent.address("http");
    let waiting = tokio::spawn(async move {
        let begun = Instant::now();
        let mut client = Client::http(&address).await;
        let headers = [("content-type", "application/x-protobuf")];
        let answer = client.post(&http_path("traces"), &headers, span(1)).await;
        (answer, begun.elapsed())
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    agent.stop().await;
    let (answer, waited) = waiting.await.unwrap();
    assert!(is_refused(&answer), "{answer:?}");
    assert_eq!(waited.as_secs(), 2);
}
