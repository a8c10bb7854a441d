//! The server over real sockets on loopback.

mod binding;
mod bodies;
mod crowd;
mod hostile;
mod protection;

use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::{Method, Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::texts::plain;
use super::*;
use crate::component::{Handler, Listener, Phase, Response, Subject, handler};
use crate::telemetry::TelemetrySettings;

/// What `/big` answers, to all who ask.
static BIG: LazyLock<Bytes> = LazyLock::new(|| vec![b'x'; 16 << 20].into());

/// A running server with the agent's own routes, and `/big`, `/panic`.
struct Rig {
    address: SocketAddr,
    health: Health,
    telemetry: Telemetry,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    async fn start(config: ListenerConfig) -> Self {
        Self::with(config, Vec::new()).await
    }

    /// With more routes.
    async fn with(config: ListenerConfig, more: Vec<Route>) -> Self {
        let routes = Routes::new();
        more.into_iter().for_each(|route| routes.register(route));
        routes.register(route(Listener::Agent, "/big", "test"));
        routes.register(Route {
            handler: handler(async |_| panic!("a handler that breaks")),
            ..route(Listener::Agent, "/panic", "test")
        });
        routes.register(Route {
            handler: Arc::new(Told),
            ..route(Listener::Agent, "/things/{id}/tell", "test")
        });
        let (health, telemetry) = (
            Health::new(),
            Telemetry::new(&TelemetrySettings::default()).unwrap(),
        );
        let server = Server::bind(Some(&config), &routes, &health, &telemetry)
            .await
            .unwrap();
        let stop = CancellationToken::new();
        Self {
            address: server.agent_address().unwrap(),
            health,
            telemetry,
            stop: stop.clone(),
            task: tokio::spawn(server.run(stop)),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request and returns all that comes back until the server closes.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ))
        .await
    }

    fn metrics(&self) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&self.telemetry.registry().gather())
            .unwrap()
    }

    /// How many connections are open.
    fn open(&self) -> u64 {
        let start = format!("foghorn_http_connections{{listener=\"{}\"}} ", self.address);
        let page = self.metrics();
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start} in {page}"))
            .parse()
            .unwrap()
    }

    fn rejected(&self, reason: &str) -> u64 {
        let start = format!(
            "foghorn_http_connections_rejected_total{{listener=\"{}\",reason=\"{reason}\"}} ",
            self.address
        );
        let page = self.metrics();
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start} in {page}"))
            .parse()
            .unwrap()
    }
}

/// A handler that accepts POST.
struct Told;

impl Handler for Told {
    fn methods(&self) -> &'static [Method] {
        &[Method::POST]
    }

    fn handle(&self, _: Request<Bytes>) -> BoxFuture<'static, Response> {
        Box::pin(std::future::ready(plain(StatusCode::OK, "told\n")))
    }
}

fn route(listener: Listener, path: &str, owner: &str) -> Route {
    Route {
        listener,
        path: path.to_owned(),
        owner: owner.to_owned(),
        handler: handler(async |_| plain(StatusCode::OK, BIG.clone())),
    }
}

/// Keeps a paused clock where it is until what this returns is dropped: tokio moves it on only
/// while no thread of the runtime is blocked. So no deadline passes on a slow machine.
fn stop_the_clock() -> mpsc::Sender<()> {
    let (stopped, goes_on) = mpsc::channel();
    tokio::task::spawn_blocking(move || goes_on.recv());
    stopped
}

/// Reads until the server closes; a reset counts as closing.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer by its content-length; the connection stays open.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        text.push(char::from(byte[0]));
        if text.ends_with("\r\n\r\n") {
            break;
        }
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    text + &String::from_utf8(body).unwrap()
}

#[tokio::test]
async fn paths_and_methods_are_answered_as_they_deserve() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let f = async |path: &str, status: &str, body: &str| {
        let answer = rig.get(path).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{path}: {answer}"
        );
        assert!(answer.contains(body), "{path}: {answer}");
    };
    f("/livez", "200", "alive").await;
    f("/readyz", "503", "starting").await;
    f("/health", "200", "\"status\": \"healthy\"").await;
    f("/metrics", "200", "otelcol_process_uptime ").await;
    f("/metrics?x=1", "200", "target_info{").await;
    f("/metrics/aggregated", "503", "nothing is aggregated").await;
    f("/stats", "503", "nothing is aggregated").await;
    f("/", "200", "  /health\n  /livez\n  /metrics\n").await;
    f("/nothing", "404", "served here is\n  /big\n  /health\n").await;
    f("/livez/", "404", "").await;
    let answer = rig
        .ask("POST /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD"),
        "{answer}"
    );

    let page = rig.metrics();
    let f = |path: &str, code: &str, count: u64| {
        let listener = rig.address;
        let line = format!(
            "foghorn_http_requests_total{{code=\"{code}\",listener=\"{listener}\",path=\"{path}\"}} {count}"
        );
        assert!(page.lines().any(|l| l == line), "{line} in {page}");
    };
    f("/metrics", "200", 2);
    f("other", "404", 2);
    f("other", "200", 1);
    f("/livez", "405", 1);
}

#[tokio::test]
async fn a_head_has_the_length_of_the_body_and_no_body() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let answer = rig
        .ask("HEAD /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.contains("content-length: 6\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn readiness_follows_the_life_of_the_agent() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    rig.health.enter(Phase::Running);
    assert!(rig.get("/readyz").await.starts_with("HTTP/1.1 200"));
    rig.health.enter(Phase::Draining);
    let answer = rig.get("/readyz").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.ends_with("draining\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn health_tells_who_fails_and_why() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let id = "betanet".parse().unwrap();
    let source = rig
        .health
        .reporter(Subject::Endpoint, &id, "http://localhost:9000");
    source.failing("connection \"refused\"");
    let answer = rig.get("/health").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("application/json"),
        "{head}"
    );
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["status"], "degraded");
    let line = &body["endpoints"][0];
    assert_eq!(line["id"], "http://localhost:9000");
    assert_eq!(line["state"], "failing");
    assert!(line["breaker"].is_null() && line["health_score"].is_null());
    assert_eq!(line["last_error"], "connection \"refused\"");
    assert_eq!(line["consecutive_failures"], 1);
    assert!(line["last_success_seconds_ago"].is_null());

    rig.health.task_died("exporter otlp");
    let answer = rig.get("/health").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("\"status\": \"unhealthy\"") && answer.contains("exporter otlp"));
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let mut stream = rig.connect().await;
    for _ in 0..100 {
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        assert!(one_answer(&mut stream).await.ends_with("alive\n"));
    }
    // Two requests sent at once are answered in order.
    let two = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /readyz HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(two.as_bytes()).await.unwrap();
    assert!(one_answer(&mut stream).await.ends_with("alive\n"));
    assert!(one_answer(&mut stream).await.ends_with("starting\n"));
}

#[tokio::test]
async fn a_body_is_never_read() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let answer = rig
        .ask("GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\nstart")
        .await;
    assert!(answer.ends_with("alive\n"), "{answer}");
}

#[tokio::test]
async fn a_route_has_its_own_methods_and_segments_that_may_be_anything() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let f = async |request: &str, status: &str, body: &str| {
        let close = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answer = rig.ask(&format!("{request} {close}")).await;
        let start = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&start), "{request}: {answer}");
        assert!(answer.contains(body), "{request}: {answer}");
    };
    f("POST /things/a%2Fb:c/tell", "200", "told").await;
    f("GET /things/a/tell", "405", "allow: POST\r\n").await;
    f("DELETE /things/a/tell", "405", "use POST\n").await;
    f("POST /things//tell", "405", "allow: GET, HEAD").await;
    f("GET /things//tell", "404", "  /things/{id}/tell\n").await;
    f("GET /things/a", "404", "").await;
    f("GET /things/a/tell/b", "404", "").await;
    f("GET /things/a/b/tell", "404", "").await;
    f("POST /nothing", "405", "allow: GET, HEAD").await;
    let line = "foghorn_http_requests_total{code=\"200\"";
    let page = rig.metrics();
    let line = page.lines().find(|l| l.starts_with(line)).unwrap();
    assert!(line.contains("path=\"/things/{id}/tell\""), "{line}");

    let answer = rig
        .ask("POST /things/a/tell HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\n")
        .await;
    assert!(answer.ends_with("told\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_cut_off_after_ten_seconds() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let started = Instant::now();
    let mut stream = rig.connect().await;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nho")
        .await
        .unwrap();
    assert_eq!(rest(&mut stream).await, "");
    assert_eq!(started.elapsed().as_secs(), 10);
    assert_eq!(rig.rejected("slow_head"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_idle_between_scrapes_but_not_for_ever() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let mut stream = rig.connect().await;
    for _ in 0..3 {
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        one_answer(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let idle = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    // The last request was 60 s ago.
    assert_eq!(idle.elapsed().as_secs(), 60);
    assert_eq!(rig.rejected("slow_head"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_off() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let mut stream = rig.connect().await;
    stream
        .write_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    // The paused clock advances when every task waits.
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(rig.rejected("slow_read"), 1);
}

#[tokio::test]
async fn heads_beyond_16_kib_are_refused() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let padding = |bytes: usize| {
        let value = "a".repeat(bytes);
        format!("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\npad: {value}\r\n\r\n")
    };
    assert!(
        rig.ask(&padding(15 << 10))
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        rig.ask(&padding(17 << 10))
            .await
            .starts_with("HTTP/1.1 431")
    );
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert!(rig.ask(&many).await.starts_with("HTTP/1.1 431"));
    assert_eq!(rig.rejected("malformed"), 2);
}

#[tokio::test]
async fn a_handler_that_panics_takes_nothing_with_it() {
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    assert_eq!(rig.get("/panic").await, "");
    assert!(rig.get("/livez").await.ends_with("alive\n"));
}

#[tokio::test(start_paused = true)]
async fn stopping_leaves_no_connection() {
    let _stopped = stop_the_clock();
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let mut idle = rig.connect().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    one_answer(&mut idle).await;
    let mut fresh = rig.connect().await;
    // A client whose request is being answered, and that reads its answer to the end.
    let mut busy = rig.connect().await;
    busy.write_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 1024];
    busy.read_exact(&mut start).await.unwrap();

    rig.stop.cancel();
    let answer = rest(&mut busy).await;
    assert!(start.len() + answer.len() > 16 << 20, "{}", answer.len());
    rig.task.await.unwrap();
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut fresh).await, "");
    assert!(TcpStream::connect(rig.address).await.is_err());
    let page = prometheus::TextEncoder::new()
        .encode_to_string(&rig.telemetry.registry().gather())
        .unwrap();
    let line = format!("foghorn_http_connections{{listener=\"{}\"}} 0", rig.address);
    assert!(page.contains(&line), "{page}");
}
