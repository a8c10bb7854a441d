//! A Betanet service to try the agent with: both dialects, numbers that move by a little
//! model, and switches for trouble. The example `betanet_server` runs it from the command
//! line, tests run it in process.
//!
//! Like the real server it answers one request per connection and closes without saying
//! so.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "the example and the tests are crates of their own and each use a part of it"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// What a path does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Answers 500.
    Fail,
    /// Never answers.
    Hang,
    /// Answers 200 with something else than what is expected.
    Garbage,
    /// Answers with this status.
    Status(u16),
    /// Answers 429, and asks to be left alone for so many seconds.
    Throttle(u64),
    /// Answers 200 with so many bytes.
    Huge(u64),
    /// Closes the connection without an answer.
    Drop,
}

/// Which paths there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialects {
    Both,
    V1,
    Native,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    pub dialects: Dialects,
    /// Seconds of the model per second; 0 makes it stand still.
    pub speed: f64,
}

impl Options {
    /// On a free port of loopback.
    pub fn new(dialects: Dialects) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dialects,
            speed: 1.0,
        }
    }
}

/// The running server. It ends when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    dialects: Dialects,
    speed: f64,
    state: Mutex<State>,
}

struct State {
    /// When the service was started, for its counters.
    started: Instant,
    /// How far the model has been moved on.
    ahead: Duration,
    troubles: BTreeMap<String, Trouble>,
    slow: Duration,
    asked: Vec<String>,
}

impl Server {
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let shared = Arc::new(Shared {
            dialects: options.dialects,
            speed: options.speed,
            state: Mutex::new(State {
                started: Instant::now(),
                ahead: Duration::from_secs(600),
                troubles: BTreeMap::new(),
                slow: Duration::ZERO,
                asked: Vec::new(),
            }),
        });
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            tasks,
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Gives a path trouble, or takes it away.
    pub fn set(&self, path: &str, trouble: Option<Trouble>) {
        let mut state = self.shared.state();
        match trouble {
            Some(trouble) => state.troubles.insert(path.to_owned(), trouble),
            None => state.troubles.remove(path),
        };
    }

    /// How long every answer takes.
    pub fn slow(&self, slow: Duration) {
        self.shared.state().slow = slow;
    }

    /// Starts the service anew: its counters begin at 0.
    pub fn restart(&self) {
        self.shared.restart();
    }

    /// The paths that were asked since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state().asked)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the set, and it with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        // A client that goes away is no concern of ours.
                        let _ = shared.serve(stream).await;
                    });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restart(&self) {
        let mut state = self.state();
        state.started = Instant::now();
        state.ahead = Duration::ZERO;
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > 8192 {
                return Ok(());
            }
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if let Some(command) = path.strip_prefix("/control/") {
            let (status, text) = match (method, self.control(command)) {
                ("POST", Ok(())) => (200, "ok\n".to_owned()),
                ("POST", Err(error)) => (400, format!("{error}\n")),
                _ => (405, "POST this\n".to_owned()),
            };
            return answer(&mut stream, status, "text/plain", text.as_bytes()).await;
        }

        let (trouble, slow) = {
            let mut state = self.state();
            state.asked.push(path.to_owned());
            (state.troubles.get(path).copied(), state.slow)
        };
        sleep(slow).await;
        match trouble {
            None => match self.document(path) {
                Some((kind, body)) => answer(&mut stream, 200, kind, body.as_bytes()).await,
                None => answer(&mut stream, 404, "text/plain", b"not found\n").await,
            },
            Some(Trouble::Fail) => answer(&mut stream, 500, "text/plain", b"told to fail\n").await,
            Some(Trouble::Hang) => std::future::pending().await,
            Some(Trouble::Garbage) => {
                answer(
                    &mut stream,
                    200,
                    "text/html",
                    b"<html>\xff not what you want",
                )
                .await
            }
            Some(Trouble::Status(status)) => {
                answer(&mut stream, status, "text/plain", b"told to answer so\n").await
            }
            Some(Trouble::Throttle(seconds)) => {
                let head = format!(
                    "HTTP/1.1 429 Example\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await
            }
            Some(Trouble::Huge(bytes)) => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[";
                stream.write_all(head.as_bytes()).await?;
                let chunk = [b' '; 65536];
                for _ in 0..bytes / chunk.len() as u64 {
                    stream.write_all(&chunk).await?;
                }
                stream.write_all(b"]").await
            }
            Some(Trouble::Drop) => Ok(()),
        }
    }

    /// A command of the control paths, such as `hang/mixnodes`.
    fn control(&self, command: &str) -> Result<(), String> {
        let (word, rest) = command.split_once('/').unwrap_or((command, ""));
        let path = format!("/{rest}");
        let (path, trouble) = match word {
            "restart" => {
                self.restart();
                return Ok(());
            }
            "heal" if rest.is_empty() => {
                let mut state = self.state();
                state.troubles.clear();
                state.slow = Duration::ZERO;
                return Ok(());
            }
            "slow" => {
                let millis = rest.parse().map_err(|_| "slow: expected milliseconds")?;
                self.state().slow = Duration::from_millis(millis);
                return Ok(());
            }
            "heal" => (path, None),
            "fail" => (path, Some(Trouble::Fail)),
            "hang" => (path, Some(Trouble::Hang)),
            "garbage" => (path, Some(Trouble::Garbage)),
            "drop" => (path, Some(Trouble::Drop)),
            "status" => {
                let (code, rest) = rest.split_once('/').unwrap_or((rest, ""));
                let code = code
                    .parse()
                    .map_err(|_| "status: expected a code and a path")?;
                (format!("/{rest}"), Some(Trouble::Status(code)))
            }
            "throttle" => {
                let (seconds, rest) = rest.split_once('/').unwrap_or((rest, ""));
                let seconds = seconds
                    .parse()
                    .map_err(|_| "throttle: expected seconds and a path")?;
                (format!("/{rest}"), Some(Trouble::Throttle(seconds)))
            }
            "huge" => (path, Some(Trouble::Huge(50 << 20))),
            other => return Err(format!("no such command: {other}")),
        };
        let mut state = self.state();
        match trouble {
            Some(trouble) => state.troubles.insert(path, trouble),
            None => state.troubles.remove(&path),
        };
        Ok(())
    }

    /// The document at a path, with its media type.
    fn document(&self, path: &str) -> Option<(&'static str, String)> {
        let model = {
            let state = self.state();
            let moved = state.started.elapsed().mul_f64(self.speed) + state.ahead;
            Model::at(moved.as_secs_f64())
        };
        let is_v1 = path.starts_with("/api/v1/");
        let served = match self.dialects {
            Dialects::Both => true,
            Dialects::V1 => is_v1,
            Dialects::Native => !is_v1,
        };
        let json = "application/json";
        match path {
            _ if !served => None,
            "/api/v1/metrics" => Some((json, model.v1_metrics())),
            "/api/v1/nodes/status" => Some((json, model.v1_nodes())),
            "/api/v1/network/stats" => Some((json, model.v1_network())),
            "/status" => Some((json, model.native_status())),
            "/mixnodes" => Some((json, model.native_mixnodes())),
            "/metrics" => Some(("text/plain; version=0.0.4", model.native_metrics())),
            _ => None,
        }
    }
}

/// Answers and closes, without a word about it in the headers.
async fn answer(stream: &mut TcpStream, status: u16, kind: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Example\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await
}

/// The network at one moment: a function of the time since its start, and nothing else.
/// Traffic goes in waves, one node commutes (there for two of every three minutes), and a
/// spare one stands by.
struct Model {
    seconds: f64,
    nodes: Vec<Node>,
}

struct Node {
    id: String,
    listed: bool,
    active: bool,
    processed: u64,
    dropped: u64,
    latency_ms: f64,
    uptime: u64,
}

impl Model {
    fn at(seconds: f64) -> Self {
        let mut nodes = Vec::new();
        for i in 0..6_u32 {
            let (number, spare) = (f64::from(i), i == 5);
            let commutes = i == 4;
            // The rate swings between half and one and a half of its mean; this is its
            // integral, which therefore never falls.
            let (mean, period) = (40.0 + 15.0 * number, 20.0 + 7.0 * number);
            let wave = |at: f64| (at / period + number).cos();
            let packets = if spare {
                0.0
            } else {
                mean * (seconds + 0.5 * period * (wave(0.0) - wave(seconds)))
            };
            nodes.push(Node {
                id: format!("mixnode-{:02x}", 0x18 + i),
                listed: !commutes || seconds % 180.0 < 120.0,
                active: !spare,
                processed: packets as u64,
                dropped: (packets / 400.0) as u64,
                latency_ms: 8.0 + 4.0 * number + 6.0 * (seconds / 13.0 + number).sin(),
                uptime: seconds as u64,
            });
        }
        Self { seconds, nodes }
    }

    fn listed(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.listed)
    }

    fn active(&self) -> usize {
        self.listed().filter(|node| node.active).count()
    }

    /// Over all nodes, listed or not: the service counts its own packets.
    fn sum(&self, value: impl Fn(&Node) -> u64) -> u64 {
        self.nodes.iter().map(value).sum()
    }

    fn latency_ms(&self) -> f64 {
        let active = self.listed().filter(|node| node.active);
        active.map(|node| node.latency_ms).sum::<f64>() / self.active().max(1) as f64
    }

    fn v1_metrics(&self) -> String {
        let (processed, dropped) = (self.sum(|n| n.processed), self.sum(|n| n.dropped));
        format!(r#"{{"packets_processed": {processed}, "packets_dropped": {dropped}}}"#)
    }

    fn v1_nodes(&self) -> String {
        let (active, total) = (self.active(), self.listed().count());
        let inactive = total - active;
        format!(
            r#"{{"active_nodes": {active}, "inactive_nodes": {inactive}, "total_nodes": {total}}}"#
        )
    }

    fn v1_network(&self) -> String {
        let sent = (self.seconds * 512_000.0) as u64;
        let (received, latency) = (sent / 2, self.latency_ms());
        let peak = 500.0 + self.seconds.sqrt();
        format!(
            r#"{{"bytes_transmitted": {sent}, "bytes_received": {received}, "avg_latency_ms": {latency:.3}, "peak_throughput": {peak:.1}}}"#
        )
    }

    fn native_status(&self) -> String {
        let (active, latency) = (self.active(), self.latency_ms());
        let (processed, time) = (self.sum(|n| n.processed), self.seconds as u64);
        format!(
            r#"{{"status": "operational", "active_nodes": {active}, "connections": {active}, "avg_latency_ms": {latency:.3}, "packets_processed": {processed}, "timestamp": "{time}"}}"#
        )
    }

    fn native_mixnodes(&self) -> String {
        let mut list = String::from("[");
        for (i, node) in self.listed().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let status = if node.active { "active" } else { "inactive" };
            let forwarded = node.processed - node.dropped;
            // Writing to memory can't fail.
            let _ = write!(
                list,
                r#"{comma}{{"id": "{}", "status": "{status}", "packets_processed": {}, "packets_forwarded": {forwarded}, "packets_dropped": {}, "uptime_seconds": {}, "avg_latency_ms": {:.3}}}"#,
                node.id, node.processed, node.dropped, node.uptime, node.latency_ms
            );
        }
        list.push(']');
        list
    }

    fn native_metrics(&self) -> String {
        let processed = self.sum(|n| n.processed);
        let dropped = self.sum(|n| n.dropped);
        let mut text = String::new();
        for (name, kind, value) in [
            ("nodes_total", "gauge", self.listed().count() as f64),
            ("nodes_active", "gauge", self.active() as f64),
            ("packets_processed_total", "counter", processed as f64),
            (
                "packets_forwarded_total",
                "counter",
                (processed - dropped) as f64,
            ),
            ("packets_dropped_total", "counter", dropped as f64),
            ("avg_latency_ms", "gauge", self.latency_ms()),
            ("uptime_seconds", "gauge", self.seconds),
        ] {
            // Writing to memory can't fail.
            let _ = writeln!(text, "# TYPE betanet_{name} {kind}\nbetanet_{name} {value}");
        }
        text
    }
}
