//! A program under attack, and what must hold when the attack is over.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test needs another part of it, and fails by panicking"
)]

use tokio::net::TcpStream;

use crate::process::Process;
use crate::samples::{self, Style};
use crate::wire::{Answer, Client, Sink, framed, grpc_path};

pub const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// What an agent under attack may need beyond what it needs anyway, in KiB: what the
/// limiter admits, twice as much where a buffer grows, and sockets.
const ROOM_KIB: u64 = 160 * 1024;

/// A program under attack, and what stands behind it.
pub struct Scene {
    pub agent: Process,
    pub http: String,
    pub grpc: String,
    /// The most memory that it had needed before.
    calm_kib: u64,
}

impl Scene {
    /// Bodies may take so long.
    pub async fn new(body_timeout: &str) -> Self {
        let sink = Sink::accepting().await;
        let agent = Process::start(&format!(
            "
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:0', body_timeout: {body_timeout},
              keepalive: {{server_parameters: {{time: 1s, timeout: 1s}}}}}}
      http: {{endpoint: '127.0.0.1:0', body_timeout: {body_timeout}}}
processors:
  memory_limiter:
exporters:
  otlp_http: {{endpoint: 'http://{}'}}
service:
  pipelines:
    metrics: {{receivers: [otlp], processors: [memory_limiter], exporters: [otlp_http]}}
",
            sink.address
        ));
        let (http, grpc) = (agent.address("http").await, agent.address("grpc").await);
        let scene = Self {
            agent,
            http,
            grpc,
            calm_kib: 0,
        };
        scene.serves_others().await;
        let calm_kib = scene.agent.peak_kib();
        Self { calm_kib, ..scene }
    }

    /// Others are served on connections of their own.
    pub async fn serves_others(&self) {
        let mut http = Client::http(&self.http).await;
        let answer = http.post("/v1/metrics", &[PROTOBUF], good()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut grpc = Client::grpc(&self.grpc).await;
        assert_eq!(
            call(&mut grpc, &framed(&good(), false), &[])
                .await
                .grpc_status(),
            Some(0)
        );
    }

    /// Others are served, memory stayed bounded, the books balance, and nothing panicked.
    pub async fn survived(self) {
        self.serves_others().await;
        let needed = self.agent.peak_kib() - self.calm_kib;
        assert!(needed < ROOM_KIB, "it needed {needed} KiB");
        self.agent.settled().await;
        self.agent.stop().await;
    }

    /// A connection for HTTP/1 by hand.
    pub async fn raw(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.http).await.unwrap();
        socket.set_nodelay(true).unwrap();
        socket
    }
}

/// A small request that is valid.
pub fn good() -> Vec<u8> {
    let small = |seed| samples::metrics(seed, Style::CANONICAL);
    let requests = (0..).map(small);
    requests
        .into_iter()
        .find(|request| (100..400).contains(&request.len()))
        .unwrap()
}

/// Exports metrics by gRPC.
pub async fn call(client: &mut Client, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    let headers = [&[GRPC], headers].concat();
    client
        .post(grpc_path("metrics"), &headers, body.to_vec())
        .await
}
