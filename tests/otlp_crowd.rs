//! Many senders at once, at the OTLP receiver.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/wire.rs"]
mod wire;

use agent::Agent;
use foghorn::component::ComponentState;
use tokio::net::TcpStream;
use wire::{Client, framed, grpc_path, http_path};

fn receiver(keys: &str) -> String {
    let port = format!("{{endpoint: '127.0.0.1:0'{keys}}}");
    format!(
        "{{receivers: {{otlp: {{protocols: {{grpc: {port}, http: {port}}}}}}}, \
         exporters: {{debug: {{}}}}, \
         service: {{http: {{endpoint: none}}, \
         pipelines: {{logs: {{receivers: [otlp], exporters: [debug]}}}}}}}}"
    )
}

/// Sends an empty request over each protocol.
async fn both_are_served(agent: &Agent) {
    let mut http = Client::http(&agent.address("http")).await;
    let protobuf = [("content-type", "application/x-protobuf")];
    let answer = http.post(&http_path("logs"), &protobuf, Vec::new()).await;
    assert_eq!(answer.status, 200);
    let mut grpc = Client::grpc(&agent.address("grpc")).await;
    let headers = [("content-type", "application/grpc")];
    let answer = grpc
        .post(grpc_path("logs"), &headers, framed(&[], false))
        .await;
    assert_eq!(answer.grpc_status(), Some(0));
}

#[tokio::test]
async fn hundreds_of_quiet_senders_leave_room_for_more() {
    let agent = Agent::start(&receiver("")).await;
    let mut quiet = Vec::new();
    for _ in 0..300 {
        quiet.push(Client::grpc(&agent.address("grpc")).await);
        quiet.push(Client::http(&agent.address("http")).await);
    }
    both_are_served(&agent).await;
    agent.stop().await;
}

#[tokio::test]
async fn refused_connections_show_in_the_health_of_the_listener() {
    let agent = Agent::start(&receiver(", max_connections: 2")).await;
    both_are_served(&agent).await;
    let mut held = Vec::new();
    for protocol in ["grpc", "http"] {
        let address = agent.address(protocol);
        for _ in 0..3 {
            held.push(TcpStream::connect(&address).await.unwrap());
        }
        // The last one ends as soon as it was refused.
        let last = held.pop().unwrap();
        last.readable().await.unwrap();
        let reports = agent.health.reports();
        let id = format!("{protocol}://{address}");
        let line = reports.iter().find(|report| report.id == id).unwrap();
        assert_eq!(line.state, ComponentState::Degraded, "{line:?}");
        let error = line.last_error.as_deref().unwrap();
        assert!(error.contains("max_connections"), "{error}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_content_coding_has_no_case() {
    let agent = Agent::start(&receiver("")).await;
    let mut http = Client::http(&agent.address("http")).await;
    for coding in ["gzip", "GZIP", "Gzip", "x-gzip", "Identity"] {
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", coding),
        ];
        let body = match coding {
            "Identity" => Vec::new(),
            // Nothing, compressed.
            _ => vec![
                31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
        };
        let answer = http.post(&http_path("logs"), &headers, body).await;
        assert_eq!(answer.status, 200, "{coding}: {:?}", answer.body);
    }
    agent.stop().await;
}

#[tokio::test]
async fn an_endpoint_without_a_host_takes_both_families() {
    let yaml = "{receivers: {otlp: {protocols: {grpc: {endpoint: ':0', \
                allow_insecure_bind: true}}}}, exporters: {debug: {}}, \
                service: {http: {endpoint: none}, \
                pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}}";
    let agent = Agent::start(yaml).await;
    let address = agent.address("grpc");
    let (_, port) = address.rsplit_once(':').unwrap();
    let mut hosts = vec!["127.0.0.1"];
    // Where the machine has no IPv6, there is nothing to connect from.
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        hosts.push("[::1]");
    }
    for host in hosts {
        TcpStream::connect(format!("{host}:{port}")).await.unwrap();
    }
    agent.stop().await;
}
