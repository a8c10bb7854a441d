//! OTLP through the agent, in and out, byte for byte.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/otlp.rs"]
mod samples;
#[path = "support/wire.rs"]
mod wire;

use std::io::Write;
use std::time::Duration;

use agent::Agent;
use relay::{SIGNALS, relay};
use samples::Style;
use wire::{Client, Sink, framed, grpc_path, http_path, messages};

fn sample(signal: &str, seed: u64) -> Vec<u8> {
    match signal {
        "metrics" => samples::metrics(seed, Style::ANY),
        "traces" => samples::traces(seed, Style::ANY),
        _ => samples::logs(seed, Style::ANY),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Sends random requests of every signal in one encoding after the other, and compares
/// what the sink got with what was sent.
async fn round_trip(exporter: &str, sink: &Sink) {
    let agent = relay(&SIGNALS, &[exporter.to_owned()]).await;
    let mut http = Client::http(&agent.address("http")).await;
    let mut grpc = Client::grpc(&agent.address("grpc")).await;
    let mut expected = Vec::new();
    let mut sent = 0;
    for seed in 0..60 {
        for signal in SIGNALS {
            let request = sample(signal, seed);
            if request.is_empty() {
                continue;
            }
            let answer = match seed % 4 {
                0 => {
                    let headers = [("content-type", "application/x-protobuf")];
                    http.post(&http_path(signal), &headers, request.clone())
                        .await
                }
                1 => {
                    let headers = [
                        ("content-type", "application/x-protobuf"),
                        ("content-encoding", "gzip"),
                    ];
                    http.post(&http_path(signal), &headers, gzip(&request))
                        .await
                }
                2 => {
                    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
                    grpc.post(grpc_path(signal), &headers, framed(&request, false))
                        .await
                }
                _ => {
                    let headers = [
                        ("content-type", "application/grpc"),
                        ("grpc-encoding", "zstd"),
                    ];
                    let body = zstd::encode_all(&request[..], 0).unwrap();
                    grpc.post(grpc_path(signal), &headers, framed(&body, true))
                        .await
                }
            };
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(matches!(answer.grpc_status(), None | Some(0)), "{answer:?}");
            // Waiting for each keeps the order across signals.
            sent += 1;
            sink.wait_for(sent).await;
            expected.extend(request);
        }
    }
    let received = sink.received();
    assert!(
        messages(&received) == expected,
        "what came out is what went in"
    );
    agent.stop().await;
}

#[tokio::test]
async fn what_passes_untouched_leaves_byte_for_byte_over_grpc() {
    let sink = Sink::accepting().await;
    let address = sink.address;
    for compression in ["none", "gzip", "zstd"] {
        let sink = if compression == "none" {
            sink.clone()
        } else {
            Sink::accepting().await
        };
        let address = if compression == "none" {
            address
        } else {
            sink.address
        };
        let exporter =
            format!("otlp_grpc: {{endpoint: 'http://{address}', compression: {compression}}}");
        round_trip(&exporter, &sink).await;
    }
}

#[tokio::test]
async fn what_passes_untouched_leaves_byte_for_byte_over_http() {
    for compression in ["none", "gzip", "zstd"] {
        let sink = Sink::accepting().await;
        let exporter = format!(
            "otlp_http: {{endpoint: 'http://{}', compression: {compression}}}",
            sink.address
        );
        round_trip(&exporter, &sink).await;
    }
}

#[tokio::test]
async fn a_proxy_is_asked_instead_of_the_peer() {
    let proxy = Sink::accepting().await;
    let exporter = format!(
        "otlp_http: {{endpoint: 'http://nowhere.invalid:4318', proxy_url: 'http://{}'}}",
        proxy.address
    );
    round_trip(&exporter, &proxy).await;
}

#[tokio::test]
async fn scripts_of_allowed_origins_may_send_and_read_the_answer() {
    let agent = Agent::start(
        "receivers:
  otlp:
    protocols:
      http:
        endpoint: '127.0.0.1:0'
        metrics_url_path: /otlp/metrics
        auth: {bearer_token: s3cret}
        cors: {allowed_origins: ['https://*.example'], allowed_headers: [authorization]}
exporters:
  debug: {verbosity: basic}
service:
  http: {endpoint: none}
  pipelines:
    metrics: {receivers: [otlp], exporters: [debug]}
",
    )
    .await;
    let url = format!("http://{}/otlp/metrics", agent.address("http"));
    let client = reqwest::Client::new();
    let f = async |origin: &str, allowed: bool| {
        // Without credentials, as browsers ask.
        let asked = client
            .request(reqwest::Method::OPTIONS, &url)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            )
            .send()
            .await
            .unwrap();
        assert_eq!(asked.status(), 204);
        for token in ["s3cret", "other"] {
            let sent = client
                .post(&url)
                .header("origin", origin)
                .header("content-type", "application/json")
                .bearer_auth(token)
                .body("{}")
                .send()
                .await
                .unwrap();
            assert_eq!(sent.status(), if token == "s3cret" { 200 } else { 401 });
            for headers in [asked.headers(), sent.headers()] {
                let told = headers.get("access-control-allow-origin");
                assert_eq!(
                    told.map(|told| told.to_str().unwrap()),
                    allowed.then_some(origin)
                );
            }
        }
    };
    f("https://fog.example", true).await;
    f("https://fog.evil", false).await;
    let elsewhere = client
        .post(url.replace("/otlp/", "/v1/"))
        .send()
        .await
        .unwrap();
    assert_eq!(elsewhere.status(), 404);
    let text = elsewhere.text().await.unwrap();
    assert_eq!(text, "post to /otlp/metrics, /v1/traces or /v1/logs\n");
    agent.stop().await;
}

#[tokio::test]
async fn a_connection_of_age_is_asked_to_go_and_a_new_one_is_taken() {
    let agent = Agent::start(
        "receivers:
  otlp:
    protocols:
      grpc:
        endpoint: '127.0.0.1:0'
        keepalive: {server_parameters: {max_connection_age: 50ms, max_connection_age_grace: 5s}}
exporters:
  debug: {verbosity: basic}
service:
  http: {endpoint: none}
  pipelines:
    metrics: {receivers: [otlp], exporters: [debug]}
",
    )
    .await;
    for _ in 0..2 {
        let mut client = Client::grpc(&agent.address("grpc")).await;
        let headers = [("content-type", "application/grpc")];
        let body = framed(&sample("metrics", 1), false);
        let answer = client.post(grpc_path("metrics"), &headers, body).await;
        assert_eq!(answer.grpc_status(), Some(0));
        let gone = async {
            let Client::Grpc(connection) = &mut client else {
                unreachable!()
            };
            while connection.ready().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone)
            .await
            .expect("it is asked to go");
    }
    agent.stop().await;
}

/// An agent that takes metrics and traces, but no logs, under small limits.
async fn strict() -> Agent {
    Agent::start(
        "receivers:
  otlp:
    protocols:
      grpc: {endpoint: '127.0.0.1:0', max_recv_msg_size_mib: 1, auth: {bearer_token: s3cret}}
      http: {endpoint: '127.0.0.1:0', max_request_body_size: 1MiB, auth: {bearer_token: s3cret}}
exporters:
  debug: {verbosity: basic}
service:
  http: {endpoint: none}
  pipelines:
    metrics: {receivers: [otlp], exporters: [debug]}
    traces: {receivers: [otlp], exporters: [debug]}
",
    )
    .await
}

/// 64 MiB of zeros, a thousandth of that when compressed.
fn bomb(compression: &str) -> Vec<u8> {
    let zeros = vec![0; 64 << 20];
    match compression {
        "gzip" => gzip(&zeros),
        _ => zstd::encode_all(&zeros[..], 0).unwrap(),
    }
}

#[tokio::test]
async fn every_refusal_over_http_has_its_status_and_leaves_the_connection_usable() {
    let agent = strict().await;
    let address = agent.address("http");
    let f = async |path: &str, headers: &[(&str, &str)], body: Vec<u8>, expected: u16| {
        let mut client = Client::http(&address).await;
        let answer = client.post(path, headers, body).await;
        assert_eq!(answer.status, expected, "{path} {headers:?} {answer:?}");
        if !matches!(expected, 413) {
            let headers = [
                ("content-type", "application/json"),
                ("authorization", "Bearer s3cret"),
            ];
            let answer = client.post("/v1/metrics", &headers, b"{}".to_vec()).await;
            assert_eq!(
                (answer.status, &answer.body[..]),
                (200, &b"{}"[..]),
                "after {path}"
            );
        }
    };
    let auth = ("authorization", "Bearer s3cret");
    let proto = ("content-type", "application/x-protobuf");
    let json = ("content-type", "application/json; charset=utf-8");
    let request = sample("metrics", 1);
    f("/v1/metrics", &[auth, proto], request.clone(), 200).await;
    f(
        "/v1/metrics",
        &[auth, json],
        b"{\"resourceMetrics\":null}".to_vec(),
        200,
    )
    .await;
    f("/v1/metrics", &[proto], request.clone(), 401).await;
    f(
        "/v1/metrics",
        &[("authorization", "Bearer other"), proto],
        request.clone(),
        401,
    )
    .await;
    f(
        "/v1/metrics",
        &[auth, ("content-type", "text/plain")],
        request.clone(),
        415,
    )
    .await;
    f("/v1/metrics", &[auth], request.clone(), 415).await;
    f(
        "/v1/metrics",
        &[auth, proto, ("content-encoding", "br")],
        request.clone(),
        415,
    )
    .await;
    f("/v1/metrics", &[auth, proto], b"\xff\xff".to_vec(), 400).await;
    f(
        "/v1/metrics",
        &[auth, json],
        b"{\"resourceMetrics\":7}".to_vec(),
        400,
    )
    .await;
    f(
        "/v1/metrics",
        &[auth, proto, ("content-encoding", "gzip")],
        request.clone(),
        400,
    )
    .await;
    f(
        "/v1/metrics",
        &[auth, proto, ("content-encoding", "zstd")],
        request.clone(),
        400,
    )
    .await;
    f("/v1/metrics", &[auth, proto], vec![0; 2 << 20], 413).await;
    f(
        "/v1/metrics",
        &[auth, proto, ("content-encoding", "gzip")],
        bomb("gzip"),
        413,
    )
    .await;
    f(
        "/v1/metrics",
        &[auth, proto, ("content-encoding", "zstd")],
        bomb("zstd"),
        413,
    )
    .await;
    f("/v1/logs", &[auth, proto], Vec::new(), 404).await;
    f("/v1/profiles", &[auth, proto], Vec::new(), 404).await;
    agent.stop().await;
}

#[tokio::test]
async fn every_refusal_over_grpc_has_its_code_and_leaves_the_connection_usable() {
    let agent = strict().await;
    // One connection for all: a call that is refused leaves its neighbours alone.
    let mut client = Client::grpc(&agent.address("grpc")).await;
    let mut f = async |path: &str, headers: &[(&str, &str)], body: Vec<u8>, expected: u32| {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/grpc+proto"));
        let answer = client.post(path, &headers, body).await;
        assert_eq!(
            answer.grpc_status(),
            Some(expected),
            "{path} {headers:?} {answer:?}"
        );
    };
    let auth = ("authorization", "Bearer s3cret");
    let metrics = grpc_path("metrics");
    let request = sample("metrics", 1);
    f(metrics, &[auth], framed(&request, false), 0).await;
    f(metrics, &[], framed(&request, false), 16).await;
    f(metrics, &[auth], framed(b"\xff\xff", false), 3).await;
    f(metrics, &[auth], Vec::new(), 3).await;
    f(metrics, &[auth], vec![0, 0, 0, 0, 9, 1], 3).await;
    f(metrics, &[auth], vec![7, 0, 0, 0, 0], 3).await;
    f(
        metrics,
        &[auth, ("grpc-encoding", "snappy")],
        framed(&request, true),
        12,
    )
    .await;
    f(
        metrics,
        &[auth, ("grpc-encoding", "gzip")],
        framed(&request, true),
        3,
    )
    .await;
    f(
        metrics,
        &[auth, ("grpc-encoding", "gzip")],
        framed(&bomb("gzip"), true),
        8,
    )
    .await;
    f(
        metrics,
        &[auth, ("grpc-encoding", "zstd")],
        framed(&bomb("zstd"), true),
        8,
    )
    .await;
    f(metrics, &[auth], framed(&vec![0; 2 << 20], false), 8).await;
    f(grpc_path("logs"), &[auth], framed(&[], false), 12).await;
    f(
        "/grpc.health.v1.Health/Check",
        &[auth],
        framed(&[], false),
        12,
    )
    .await;
    f(metrics, &[auth], framed(&request, false), 0).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_refused_sender_is_told_when_to_come_back() {
    // The one destination never answers, and its queue has room for one request.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let exporter = format!(
        "otlp_http: {{endpoint: 'http://{}', sending_queue: {{queue_size: 1}}}}",
        silent.local_addr().unwrap()
    );
    let configuration = relay::configuration(&SIGNALS, &[exporter])
        .replace("service:\n", "service:\n  shutdown: {grace: 100ms}\n");
    let agent = Agent::start(&configuration).await;
    let mut http = Client::http(&agent.address("http")).await;
    let headers = [("content-type", "application/x-protobuf")];
    let request = sample("metrics", 1);
    let mut refusal = None;
    for _ in 0..10 {
        let answer = http.post("/v1/metrics", &headers, request.clone()).await;
        if answer.status != 200 {
            refusal = Some(answer);
            break;
        }
    }
    let refusal = refusal.unwrap();
    assert_eq!(refusal.status, 503);
    let advice: u64 = refusal.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(advice >= 1);
    let mut grpc = Client::grpc(&agent.address("grpc")).await;
    let headers = [("content-type", "application/grpc")];
    let answer = grpc
        .post(grpc_path("metrics"), &headers, framed(&request, false))
        .await;
    assert_eq!(answer.grpc_status(), Some(14));
    assert!(answer.headers.contains_key("grpc-status-details-bin"));
    agent.stop().await;
}
