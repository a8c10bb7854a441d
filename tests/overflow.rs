//! Senders for which there is no room: they are told when to come back, or wait for it with
//! `block_on_overflow`, through the receivers and on the wire.
//! Time is paused, so that waiting takes no real time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use foghorn::pdata::status::RpcStatus;
use hyper::{Response, StatusCode};
use opentelemetry_proto::tonic::trace::v1::Span;
use relay::{PROTOCOLS, is_accepted, is_refused};
use tokio::time::Instant;
use wire::{Answer, Sink, Trouble, accepted, trouble};

/// One span, and the bytes that its name brings along.
fn span(name: usize) -> Vec<u8> {
    relay::span(Span {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        name: "n".repeat(name),
        ..Default::default()
    })
}

/// An agent that forwards spans to the sink, and whose senders wait for room in its queue.
async fn agent(sink: &Sink, queue: &str) -> Agent {
    let exporter = format!(
        "otlp_http: {{endpoint: 'http://{}', timeout: 10m, breaker: {{mode: off}}, \
         retry_on_failure: {{initial_interval: 7s, randomization_factor: 0}}, \
         sending_queue: {{block_on_overflow: true, {queue}}}}}",
        sink.address
    );
    relay::relay(&["traces"], &[exporter]).await
}

/// Sends, with a deadline where gRPC has one.
async fn send(agent: &Agent, protocol: &str, deadline: &str, request: &[u8]) -> Answer {
    relay::send(
        &agent.address(protocol),
        protocol,
        "traces",
        deadline,
        request,
    )
    .await
}

/// How long a refused sender should wait, in seconds.
fn advice(answer: &Answer) -> u64 {
    assert!(is_refused(answer), "{answer:?}");
    match answer.headers.get("grpc-status-details-bin") {
        Some(details) => {
            let details = STANDARD_NO_PAD.decode(details).unwrap();
            let status = RpcStatus::decode(&details).unwrap();
            status.retry_after.unwrap().as_secs()
        }
        None => {
            let status = RpcStatus::decode(&answer.body).unwrap();
            let seconds = answer.headers["retry-after"].to_str().unwrap();
            let seconds = seconds.parse().unwrap();
            assert_eq!(status.retry_after, Some(Duration::from_secs(seconds)));
            seconds
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_sender_is_told_to_wait_as_long_as_what_is_full_takes() {
    let f = async |keys: &str, processors: &str, first: &str, seconds: u64| {
        // The destination refuses everything, and its breaker opens after two failures: the
        // advice stays that of the queue, which a canary may empty sooner.
        let refuse = |_| {
            let mut response = accepted();
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        };
        let sink = Sink::scripted(Arc::new(refuse)).await;
        let agent = Agent::start(&format!(
            "receivers:
  otlp:
    protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}, http: {{endpoint: '127.0.0.1:0'}}}}
processors:
  memory_limiter: {{in_flight: 64KiB}}
exporters:
  otlp_http:
    endpoint: 'http://{}'
    breaker: {{failure_threshold: 2, cooldown: 90s, max_cooldown: 90s}}
    sending_queue: {{{keys}}}
service:
  http: {{endpoint: none}}
  shutdown: {{grace: 200ms}}
  pipelines:
    traces: {{receivers: [otlp], processors: [{processors}], exporters: [otlp_http]}}
",
            sink.address
        ))
        .await;
        let first = send(&agent, first, "", &span(50_000)).await;
        assert!(is_accepted(&first), "{first:?}");
        for _ in 0..5 {
            for protocol in PROTOCOLS {
                let answer = send(&agent, protocol, "", &span(50_000)).await;
                assert_eq!(advice(&answer), seconds, "{protocol} {keys}");
            }
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        agent.stop().await;
    };
    f("queue_size: 1", "", "http", 5).await;
    f("queue_bytes: 64KiB", "", "grpc", 5).await;
    f("", "memory_limiter", "http", 1).await;
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
        let answer = relay::send(&address, "http", "traces", "", &span(1)).await;
        (answer, begun.elapsed())
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    agent.stop().await;
    let (answer, waited) = waiting.await.unwrap();
    assert!(is_refused(&answer), "{answer:?}");
    assert_eq!(waited.as_secs(), 2);
}
