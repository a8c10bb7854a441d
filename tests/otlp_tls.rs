//! OTLP over TLS between two agents, with certificates on both sides, and secrets that stay
//! secret.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/pki.rs"]
mod pki;
#[path = "support/otlp.rs"]
mod samples;
#[path = "support/wire.rs"]
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::Agent;
use foghorn::component::DropReason;
use foghorn::components::FACTORIES;
use foghorn::config::{Config, Sources};
use foghorn::service::Service;
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use pki::Pki;
use wire::{Client, Sink, framed, grpc_path, messages};

const PROTOCOLS: [&str; 2] = ["grpc", "http"];

/// Takes OTLP over TLS from clients of the authority that know the token.
async fn guarded(pki: &Path, sink: SocketAddr) -> Agent {
    let pki = pki.display();
    let keys = format!(
        "{{endpoint: '127.0.0.1:0', auth: {{bearer_token: s3cret}}, tls: {{cert_file: \
         '{pki}/server.pem', key_file: '{pki}/server.key', client_ca_file: '{pki}/ca.pem'}}}}"
    );
    Agent::start(&format!(
        "receivers:
  otlp: {{protocols: {{grpc: {keys}, http: {keys}}}}}
exporters:
  otlp_http: {{endpoint: 'http://{sink}', compression: none}}
service:
  http: {{endpoint: none}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [otlp_http]}}
"
    ))
    .await
}

fn sender_yaml(protocol: &str, address: &str, tls: &str, token: &str) -> String {
    format!(
        "receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}}}}}
exporters:
  otlp_{protocol}:
    endpoint: 'https://{address}'
    compression: none
    headers: {{authorization: 'Bearer {token}'}}
    tls: {tls}
    retry_on_failure: {{initial_interval: 10ms}}
service:
  http: {{endpoint: none}}
  shutdown: {{grace: 200ms}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [otlp_{protocol}]}}
"
    )
}

async fn send(agent: &Agent) -> Vec<u8> {
    let request = samples::metrics(1, samples::Style::CANONICAL);
    let mut client = Client::grpc(&agent.address("grpc")).await;
    let headers = [("content-type", "application/grpc")];
    let body = framed(&request, false);
    let answer = client.post(grpc_path("metrics"), &headers, body).await;
    assert_eq!(answer.grpc_status(), Some(0));
    request
}

/// What the exporter of an agent says is wrong, once it says something.
async fn complaint(agent: &Agent) -> String {
    loop {
        let reports = agent.health.reports();
        if let Some(error) = reports.iter().find_map(|report| report.last_error.clone()) {
            return error;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn client_tls(pki: &Path, ca: &str, client: Option<&str>) -> String {
    let pki = pki.display();
    let identity = client.map_or_else(String::new, |name| {
        format!(", cert_file: '{pki}/{name}.pem', key_file: '{pki}/{name}.key'")
    });
    format!("{{ca_file: '{pki}/{ca}.pem'{identity}}}")
}

#[tokio::test]
async fn agents_with_certificates_and_the_token_talk() {
    let pki = Pki::new();
    for protocol in PROTOCOLS {
        let sink = Sink::accepting().await;
        let behind = guarded(pki.dir(), sink.address).await;
        let tls = client_tls(pki.dir(), "ca", Some("client"));
        let address = behind.address(protocol);
        let sender = Agent::start(&sender_yaml(protocol, &address, &tls, "s3cret")).await;
        let sent = send(&sender).await;
        let received = sink.wait_for(1).await;
        assert!(messages(&received) == sent, "{protocol}");
        sender.stop().await;
        behind.stop().await;
    }
}

#[tokio::test]
async fn without_the_right_certificate_nothing_passes_and_the_reason_is_told() {
    let pki = Pki::new();
    let f = async |ca: &str, client: Option<&str>, words: &str| {
        for protocol in PROTOCOLS {
            let sink = Sink::accepting().await;
            let behind = guarded(pki.dir(), sink.address).await;
            let tls = client_tls(pki.dir(), ca, client);
            let address = behind.address(protocol);
            let sender = Agent::start(&sender_yaml(protocol, &address, &tls, "s3cret")).await;
            send(&sender).await;
            let complaint = complaint(&sender).await;
            assert!(complaint.contains(words), "{protocol}: {complaint}");
            assert!(!complaint.contains("s3cret"), "{complaint}");
            sender.stop().await;
            assert!(sink.received().is_empty());
            behind.stop().await;
        }
    };
    f("stranger-ca", Some("client"), "certificate").await;
    f("ca", None, "fatal alert: CertificateRequired").await;
    f("ca", Some("stranger"), "fatal alert").await;
}

#[tokio::test]
async fn another_name_than_the_hosts_is_what_the_server_must_prove() {
    let pki = Pki::new();
    for protocol in PROTOCOLS {
        let sink = Sink::accepting().await;
        let behind = guarded(pki.dir(), sink.address).await;
        let address = behind.address(protocol);
        let tls = client_tls(pki.dir(), "ca", Some("client"));
        let named = |name: &str| {
            let tls = tls.trim_end_matches('}');
            let tls = format!("{tls}, server_name_override: {name}}}");
            sender_yaml(protocol, &address, &tls, "s3cret")
        };
        let mistaken = Agent::start(&named("elsewhere.example")).await;
        send(&mistaken).await;
        let complaint = complaint(&mistaken).await;
        assert!(
            complaint.contains("not valid for name"),
            "{protocol}: {complaint}"
        );
        mistaken.stop().await;
        assert!(sink.received().is_empty());
        let sender = Agent::start(&named("localhost")).await;
        let sent = send(&sender).await;
        assert!(messages(&sink.wait_for(1).await) == sent, "{protocol}");
        sender.stop().await;
        behind.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_for_good() {
    let pki = Pki::new();
    for (protocol, answered) in [("grpc", "UNAUTHENTICATED"), ("http", "HTTP 401")] {
        let sink = Sink::accepting().await;
        let behind = guarded(pki.dir(), sink.address).await;
        let tls = client_tls(pki.dir(), "ca", Some("client"));
        let address = behind.address(protocol);
        let sender = Agent::start(&sender_yaml(protocol, &address, &tls, "gu3ssed")).await;
        send(&sender).await;
        let complaint = complaint(&sender).await;
        assert!(complaint.contains(answered), "{complaint}");
        assert!(!complaint.contains("gu3ssed"), "{complaint}");
        let drained = sender.stop().await;
        let leg = &drained.ledger.snapshot().legs[0];
        assert_eq!(leg.dropped.of(DropReason::Permanent), leg.dropped.total());
        assert!(leg.dropped.total() > 0 && sink.received().is_empty());
        behind.stop().await;
    }
}

/// Starts an agent that can't, and returns what it says.
async fn refusal(yaml: &str) -> String {
    let sources = Sources {
        configs: vec![format!("yaml:{yaml}")],
        sets: Vec::new(),
    };
    let loaded = match Config::load(&sources, &|_| None, &FACTORIES) {
        Ok(loaded) => loaded,
        Err(error) => return error.to_string(),
    };
    let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
    let service = match Service::build(&loaded.config, &telemetry) {
        Ok(service) => service,
        Err(error) => return format!("{error:#}"),
    };
    match service.start().await {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn files_that_are_no_certificates_are_named_with_their_keys() {
    let pki = Pki::new();
    let dir = pki.dir().display().to_string();
    std::fs::write(pki.path("empty.pem"), "").unwrap();
    let f = async |tls: String, key: &str, file: &str| {
        for protocol in PROTOCOLS {
            let message = refusal(&sender_yaml(protocol, "127.0.0.1:1", &tls, "s3cret")).await;
            let path = format!("{dir}/{file}");
            assert!(
                message.contains(&format!("otlp_{protocol}")),
                "{protocol}: {message}"
            );
            assert!(message.contains(key), "{protocol}: {message}");
            assert!(message.contains(&path), "{protocol}: {message}");
            assert!(!message.contains("s3cret"), "{message}");
            assert!(!message.contains("PRIVATE"), "{message}");
        }
    };
    f(
        format!("{{ca_file: '{dir}/none.pem'}}"),
        "tls::ca_file",
        "none.pem",
    )
    .await;
    f(
        format!("{{ca_file: '{dir}/empty.pem'}}"),
        "tls::ca_file",
        "empty.pem",
    )
    .await;
    f(
        format!("{{ca_file: '{dir}/server.key'}}"),
        "tls::ca_file",
        "server.key",
    )
    .await;
    f(
        format!("{{cert_file: '{dir}/none.pem', key_file: '{dir}/client.key'}}"),
        "tls::cert_file",
        "none.pem",
    )
    .await;
    f(
        format!("{{cert_file: '{dir}/client.pem', key_file: '{dir}/empty.pem'}}"),
        "tls::key_file",
        "empty.pem",
    )
    .await;
    f(
        format!("{{cert_file: '{dir}/client.pem', key_file: '{dir}/server.key'}}"),
        "tls::cert_file",
        "client.pem",
    )
    .await;
}

/// Everything that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn secrets_of_headers_stand_in_no_log_line() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    // Of the whole process, other tests included: where one thread alone has a subscriber,
    // a place that another thread comes by first may stay silent for all.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pki = Pki::new();
        for (protocol, token) in [("grpc", "gu3ssed"), ("http", "gu3ssed"), ("grpc", "s3cret")] {
            let sink = Sink::accepting().await;
            let behind = guarded(pki.dir(), sink.address).await;
            let tls = client_tls(pki.dir(), "ca", Some("client"));
            let address = behind.address(protocol);
            let sender = Agent::start(&sender_yaml(protocol, &address, &tls, token)).await;
            send(&sender).await;
            if token == "s3cret" {
                sink.wait_for(1).await;
            } else {
                complaint(&sender).await;
            }
            sender.stop().await;
            behind.stop().await;
        }
    });
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("UNAUTHENTICATED"), "the log is not empty");
    for secret in ["s3cret", "gu3ssed", "PRIVATE KEY"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
}
