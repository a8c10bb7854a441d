//! Random queries over random series, asked by HTTP: of the program, and of a real Prometheus.
//! Both were sent the same points by OTLP, some of them late.
//!
//! `FOGHORN_PROMQL_QUERIES` says how many (2,000 by default), `FOGHORN_PROMQL_SEED` with
//! which seed they begin.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seed and the count are to be seen")]

use foghorn::query as lib;

#[path = "promql/asked.rs"]
mod asked;
#[path = "promql/compare.rs"]
mod compare;
#[path = "promql/data.rs"]
mod data;
#[path = "promql/otlp.rs"]
mod otlp;
#[path = "promql/peer.rs"]
mod peer;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/process.rs"]
mod process;
#[path = "promql/queries.rs"]
mod queries;
#[path = "promql/random.rs"]
mod random;
#[path = "promql/said.rs"]
mod said;
#[path = "promql/words.rs"]
mod words;

use std::time::Duration;

use asked::{Asked, setting};
use compare::Differences;
use peer::{Client, Peer};
use process::Process;
use random::Dice;

/// Without its own metrics, so that it holds the same points as the other.
const AGENT: &str = "
receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}
processors: {window: {out_of_order_window: 24h}}
exporters: {prometheus: {}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {metrics: {receivers: [otlp], processors: [window], exporters: [prometheus]}}
";

/// Looks at whether all points have arrived.
const LOOKS: usize = 600;

#[tokio::test]
async fn random_queries_are_answered_as_prometheus_answers_them_over_http() {
    let Some(program) = peers::find("prometheus") else {
        return;
    };
    let count = setting("FOGHORN_PROMQL_QUERIES", 2_000);
    let seed = setting("FOGHORN_PROMQL_SEED", 1);
    let directory = tempfile::tempdir().unwrap();
    let mut dice = Dice::new(seed ^ 0x5eed);
    let sent = otlp::requests(&data::random(seed), &mut dice);
    let mut peer = Peer::start(&program, directory.path());
    let process = Process::start(AGENT);
    let mut receiver = Client::new(process.address("http").await);
    let mut agent = Client::new(process.own_address());
    for request in &sent.bodies {
        receiver.post("/v1/metrics", "application/x-protobuf", &[], request);
        peer.export(request);
    }
    peer.export(&sent.ends);
    wait_for(&mut agent, sent.points).await;
    let mut differences = Differences::default();
    for _ in 0..count {
        let mut asked = Asked::random(&mut dice);
        // OTLP's series have one kind of point each, and names as pages have them.
        asked.query = asked.query.replace("mixed", "sizes");
        asked.query = asked.query.replace("größe.°C", "level");
        let ours = asked.by_http(|method, path, form| agent.ask(method, path, form));
        let theirs = asked.by_http(|method, path, form| peer.ask(method, path, form));
        let (ours, theirs) = (said::theirs(&ours), said::theirs(&theirs));
        differences.add(&asked, ours, theirs);
    }
    println!("seed {seed}: {}", differences.summary());
    differences.finish(setting("FOGHORN_PROMQL_SHOW", 40) as usize);
    process.stop().await;
}

/// Waits until the windows remember so many points and have refused none.
async fn wait_for(agent: &mut Client, points: usize) {
    for _ in 0..LOOKS {
        let stats = agent.get("/stats");
        assert_eq!(stats["dropped"], serde_json::json!({}), "{stats}");
        if stats["samples"].as_u64() == Some(points as u64) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!(
        "{points} points were sent, and {} arrived",
        agent.get("/stats")
    );
}
