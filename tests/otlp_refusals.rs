//! What a sender gets for a request that can't be taken as it means it: what is wrong, in the
//! words of its protocol.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/wire.rs"]
mod wire;

use agent::Agent;
use opentelemetry_proto::tonic::trace::v1::Span;
use relay::relay;
use wire::{Client, Sink, framed, grpc_path, http_path};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GRPC: (&str, &str) = ("content-type", "application/grpc");

async fn start(sink: &Sink) -> Agent {
    let exporter = format!("otlp_http: {{endpoint: 'http://{}'}}", sink.address);
    relay(&["traces"], &[exporter]).await
}

fn span(trace_id: usize, span_id: usize) -> Vec<u8> {
    relay::span(Span {
        trace_id: vec![1; trace_id],
        span_id: vec![2; span_id],
        name: "s".to_owned(),
        ..Default::default()
    })
}

#[tokio::test]
async fn an_id_of_a_wrong_length_is_refused_with_what_is_wrong_and_its_neighbours_are_taken() {
    let sink = Sink::accepting().await;
    let agent = start(&sink).await;
    let mut http = Client::http(&agent.address("http")).await;
    let mut grpc = Client::grpc(&agent.address("grpc")).await;
    for (trace_id, span_id, field, length) in [(2, 8, "trace_id", 16), (16, 16, "span_id", 8)] {
        let wrong = format!("an id that is not {length} bytes long");
        let body = span(trace_id, span_id);
        let answer = http
            .post(&http_path("traces"), &[PROTOBUF], body.clone())
            .await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(said.contains(&wrong) && said.contains(field), "{said}");

        let answer = grpc
            .post(grpc_path("traces"), &[GRPC], framed(&body, false))
            .await;
        assert_eq!(answer.grpc_status(), Some(3), "{answer:?}");
        let said = answer.headers["grpc-message"].to_str().unwrap();
        assert!(said.contains(&wrong) && said.contains(field), "{said}");

        let text = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{}","spanId":"{}"}}]}}]}}]}}"#,
            "01".repeat(trace_id),
            "02".repeat(span_id)
        );
        let answer = http
            .post(&http_path("traces"), &[JSON], text.into_bytes())
            .await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let answer = http
            .post(&http_path("traces"), &[PROTOBUF], span(16, 8))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    agent.stop().await;
    assert!(
        sink.received()
            .iter()
            .all(|request| request.path == "/v1/traces")
    );
}

#[tokio::test]
async fn json_in_which_nothing_is_recognised_is_answered_with_a_warning() {
    let sink = Sink::accepting().await;
    let agent = start(&sink).await;
    let mut http = Client::http(&agent.address("http")).await;
    let body = br#"{"resourceMetrics":[{"scopeMetrics":[]}]}"#;
    let answer = http
        .post(&http_path("traces"), &[JSON], body.to_vec())
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let warning = said["partialSuccess"]["errorMessage"].as_str().unwrap();
    assert!(
        warning.contains("nothing in this request was recognised"),
        "{said}"
    );
    for nothing in ["{}", r#"{"resourceSpans":[]}"#] {
        let answer = http
            .post(&http_path("traces"), &[JSON], nothing.as_bytes().to_vec())
            .await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    }
    agent.stop().await;
    assert!(sink.received().is_empty(), "nothing is passed on");
}
