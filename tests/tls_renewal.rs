//! Certificates that are replaced while the agent runs: its listeners show the new ones, its
//! exporters trust the new authorities, and the log and the agent's metrics tell of a pair that
//! can't be used. Time is paused, so that nothing is waited for.

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
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::Agent;
use foghorn::net::ClientTls;
use pki::Pki;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::advance;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use wire::{Client, Sink, framed, grpc_path, messages};

const PROTOCOLS: [&str; 2] = ["grpc", "http"];

/// Within this time a change is in use.
const IN_USE: Duration = Duration::from_secs(10);

/// Replaces a file in the directory.
fn put(pki: &Pki, from: &str, to: &str) {
    std::fs::copy(pki.path(from), pki.path(to)).unwrap();
}

/// Takes OTLP over TLS with the certificate `shown.pem`.
async fn guarded(pki: &Path, sink: &Sink) -> Agent {
    let (pki, sink) = (pki.display(), sink.address);
    let keys = format!(
        "{{endpoint: '127.0.0.1:0', tls: {{cert_file: '{pki}/shown.pem', \
         key_file: '{pki}/shown.key'}}}}"
    );
    Agent::start(&format!(
        "receivers:
  otlp: {{protocols: {{grpc: {keys}, http: {keys}}}}}
exporters:
  otlp_http: {{endpoint: 'http://{sink}', compression: none}}
service:
  http: {{endpoint: '127.0.0.1:0'}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [otlp_http]}}
"
    ))
    .await
}

/// Sends OTLP over TLS to servers of the authority `trusted.pem`.
async fn sender(pki: &Path, protocol: &str, address: &str) -> Agent {
    let pki = pki.display();
    Agent::start(&format!(
        "receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}}}}}
exporters:
  otlp_{protocol}:
    endpoint: 'https://{address}'
    compression: none
    tls: {{ca_file: '{pki}/trusted.pem'}}
    breaker: {{mode: off}}
    retry_on_failure: {{initial_interval: 1s, max_interval: 1s, max_elapsed_time: 0}}
service:
  http: {{endpoint: none}}
  shutdown: {{grace: 200ms}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [otlp_{protocol}]}}
"
    ))
    .await
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

/// A connection whose client accepts any certificate.
async fn connect(address: &str) -> TlsStream<TcpStream> {
    let tls = ClientTls {
        insecure_skip_verify: true,
        ..ClientTls::default()
    };
    let connector = TlsConnector::from(Arc::new(tls.client_config().unwrap()));
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, socket).await.unwrap()
}

/// What the listener has shown.
fn shown(connection: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    connection.get_ref().1.peer_certificates().unwrap()[0].clone()
}

fn certificate(pki: &Pki, name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(pki.path(name)).unwrap()
}

/// Posts an empty request over HTTP/1 and checks that it is accepted.
async fn post(connection: &mut TlsStream<TcpStream>) {
    let request = "POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\
                   content-type: application/x-protobuf\r\n\r\n";
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(connection.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

/// How many changes the agent's own metrics count with this outcome.
async fn counted(agent: &Agent, outcome: &str) -> u64 {
    let url = agent.urls.iter().find(|url| url.ends_with("/metrics"));
    let page = reqwest::get(url.unwrap()).await.unwrap();
    let page = page.text().await.unwrap();
    let prefix = format!("foghorn_file_renewals_total{{outcome=\"{outcome}\"}} ");
    let mut values = page.lines().filter_map(|line| line.strip_prefix(&prefix));
    values.next().unwrap().parse().unwrap()
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
fn renewed_files_are_used_by_the_next_connection_and_unusable_ones_are_told() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Of the whole process, since files are read on threads of their own.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        listeners(&log).await;
        for protocol in PROTOCOLS {
            exporter(protocol).await;
        }
    });
}

async fn listeners(log: &Log) {
    let pki = Pki::new();
    put(&pki, "server.pem", "shown.pem");
    put(&pki, "server.key", "shown.key");
    let agent = guarded(pki.dir(), &Sink::accepting().await).await;
    let addresses = PROTOCOLS.map(|protocol| agent.address(protocol));
    let mut open = connect(&addresses[1]).await;
    assert_eq!(shown(&open), certificate(&pki, "server.pem"));
    post(&mut open).await;

    put(&pki, "stranger.pem", "shown.pem");
    let mut unusable = 0;
    for _ in 0..3 {
        advance(IN_USE).await;
        for address in &addresses {
            let next = connect(address).await;
            assert_eq!(shown(&next), certificate(&pki, "server.pem"));
        }
        // One for each listener, however often it looks.
        unusable = counted(&agent, "unusable").await;
        assert_eq!(unusable, 2);
    }
    assert_eq!(counted(&agent, "renewed").await, 0);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let place = format!("tls::cert_file: {}", pki.path("shown.pem").display());
    let told = text.lines().filter(|line| {
        line.contains("WARN") && line.contains("can't be used") && line.contains(&place)
    });
    assert_eq!(told.count(), 2, "{text}");
    assert!(!text.contains("PRIVATE"), "{text}");

    put(&pki, "stranger.key", "shown.key");
    advance(IN_USE).await;
    for address in &addresses {
        let next = connect(address).await;
        assert_eq!(shown(&next), certificate(&pki, "stranger.pem"));
    }
    assert_eq!(counted(&agent, "renewed").await, 2);
    assert_eq!(counted(&agent, "unusable").await, unusable);
    post(&mut open).await;
    drop(open);
    agent.stop().await;
}

/// An exporter that doesn't trust its destination until its authority is put in place.
async fn exporter(protocol: &str) {
    let pki = Pki::new();
    put(&pki, "server.pem", "shown.pem");
    put(&pki, "server.key", "shown.key");
    put(&pki, "stranger-ca.pem", "trusted.pem");
    let sink = Sink::accepting().await;
    let behind = guarded(pki.dir(), &sink).await;
    let sender = sender(pki.dir(), protocol, &behind.address(protocol)).await;
    let sent = send(&sender).await;
    tokio::time::sleep(2 * IN_USE).await;
    assert!(sink.received().is_empty(), "{protocol}");
    put(&pki, "ca.pem", "trusted.pem");
    let received = tokio::time::timeout(IN_USE, sink.wait_for(1)).await;
    assert!(messages(&received.unwrap()) == sent, "{protocol}");
    sender.stop().await;
    behind.stop().await;
}
