//! A real Prometheus scrapes an agent that polls Betanet and this machine: the target is
//! up, the platform's names come out exactly, and every series that Prometheus has stored
//! is one of the page, with the same value.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/betanet_server.rs"]
mod betanet_server;
#[path = "support/page.rs"]
mod page;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/strict.rs"]
mod strict;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent::Agent;
use betanet_server::{Dialects, Options, Server};
use reqwest::header::ACCEPT;
use strict::Samples;
use tokio::time::Instant;

/// A name and its labels.
type Series = (String, BTreeMap<String, String>);

/// What dashboards and alerts of the platform ask for.
const PLATFORM: [&str; 34] = [
    "betanet_connected_peers",
    "betanet_mixnode_active",
    "betanet_messages_total",
    "betanet_packets_dropped_total",
    "betanet_bytes_transmitted_total",
    "betanet_bytes_received_total",
    "betanet_peak_throughput",
    "betanet_message_latency_seconds_bucket",
    "betanet_message_latency_seconds_sum",
    "betanet_message_latency_seconds_count",
    "betanet_packets_processed",
    "betanet_packets_dropped",
    "betanet_latency",
    "betanet_connections",
    "betanet_mixnode_packets_processed_total",
    "betanet_mixnode_packets_forwarded_total",
    "betanet_mixnode_packets_dropped_total",
    "betanet_mixnode_uptime_seconds",
    "betanet_mixnode_latency_seconds",
    "betanet_network_messages_total",
    "betanet_network_packets_dropped_total",
    "betanet_network_bytes_transmitted_total",
    "betanet_network_bytes_received_total",
    "betanet_network_connected_peers",
    "betanet_network_mixnode_active",
    "betanet_network_instances_fresh",
    "betanet_network_instances_expected",
    "node_cpu_usage",
    "node_memory_usage",
    "node_disk_usage",
    "node_network_io",
    "system_uptime",
    "system_total_nodes",
    "up",
];

/// Some of the agent's own.
const OWN: [&str; 4] = [
    "otelcol_process_uptime",
    "otelcol_receiver_accepted_metric_points",
    "foghorn_pipeline_items_total",
    "foghorn_prometheus_series",
];

/// Time for Prometheus to start, find its target and scrape it.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_stores_what_the_page_says() {
    let Some(prometheus) = peers::find("prometheus") else {
        return;
    };
    let (v1, native) = (server(Dialects::V1).await, server(Dialects::Native).await);
    // Each source is polled once, so that the page stands still while it is compared.
    let agent = Agent::start(&format!(
        "
receivers:
  betanet:
    endpoints: ['{}', '{}']
    parts: [mixnodes, status, metrics]
    collection_interval: 1h
  node:
    collection_interval: 1h
exporters:
  prometheus:
service:
  http: {{endpoint: 127.0.0.1:0}}
  pipelines:
    metrics: {{receivers: [betanet, node], exporters: [prometheus]}}
",
        v1.url(),
        native.url()
    ))
    .await;
    let page = agent.urls.iter().find(|url| url.ends_with("/metrics"));
    let page = page.unwrap().clone();
    let target = page
        .trim_start_matches("http://")
        .trim_end_matches("/metrics");
    let directory = tempfile::tempdir().unwrap();
    let peer = Prometheus::start(&prometheus, directory.path(), target);

    let deadline = Instant::now() + PATIENCE;
    let (shown, stored) = loop {
        let shown = scrape(&page, target).await;
        let stored = peer.stored().await;
        let agree = platform(&shown) == platform(&stored);
        if (agree && missing(&stored).is_empty()) || Instant::now() > deadline {
            break (shown, stored);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(missing(&stored), BTreeSet::new());
    let (shown, stored_of_sources) = (platform(&shown), platform(&stored));
    let differences: Vec<_> = differences(&shown, &stored_of_sources).collect();
    assert_eq!(differences, [], "on the page, in the store");
    // Prometheus's own word on the target, beside those of the agent on its sources.
    let up = stored
        .iter()
        .filter(|((name, labels), _)| name == "up" && labels["job"] == "foghorn");
    let up: Vec<f64> = up.map(|(_, value)| *value).collect();
    assert_eq!(up, [1.0]);
    drop(peer);
    agent.stop().await;
}

async fn server(dialects: Dialects) -> Server {
    let options = Options {
        speed: 0.0,
        ..Options::new(dialects)
    };
    Server::start(options).await.unwrap()
}

/// Names that nobody has seen yet.
fn missing(samples: &Samples) -> BTreeSet<&'static str> {
    let names: BTreeSet<&str> = samples.keys().map(|(name, _)| name.as_str()).collect();
    let expected = PLATFORM.into_iter().chain(OWN);
    expected.filter(|name| !names.contains(name)).collect()
}

/// The series of the sources, which say their own job; the agent's own say none, and get
/// that of the scrape.
fn platform(samples: &Samples) -> Samples {
    let from_source =
        |labels: &BTreeMap<String, String>| labels.get("job").is_some_and(|job| job != "foghorn");
    samples
        .iter()
        .filter(|((_, labels), _)| from_source(labels))
        .map(|(series, value)| (series.clone(), *value))
        .collect()
}

/// Series that aren't the same on both sides, with what each has.
fn differences<'s>(
    left: &'s Samples,
    right: &'s Samples,
) -> impl Iterator<Item = (&'s Series, Option<&'s f64>, Option<&'s f64>)> {
    let all: BTreeSet<&Series> = left.keys().chain(right.keys()).collect();
    all.into_iter()
        .map(|series| (series, left.get(series), right.get(series)))
        .filter(|(_, left, right)| left != right)
}

/// The page, in the format that Prometheus prefers, with the labels that it attaches: those
/// of the scrape where a series says nothing itself, as the sums over all instances.
async fn scrape(url: &str, target: &str) -> Samples {
    let request = reqwest::Client::new().get(url);
    let answer = request.header(ACCEPT, page::OPENMETRICS).send().await;
    let answer = answer.unwrap().error_for_status().unwrap();
    let samples = strict::read(&answer.text().await.unwrap(), true).unwrap();
    let attach = |((name, mut labels), value): (Series, f64)| {
        for (label, value) in [("job", "foghorn"), ("instance", target)] {
            let entry = labels.entry(label.to_owned());
            entry.or_insert_with(|| value.to_owned());
        }
        ((name, labels), value)
    };
    samples.into_iter().map(attach).collect()
}

/// A Prometheus with one target. It ends when it is dropped.
struct Prometheus {
    url: String,
    process: Child,
}

impl Prometheus {
    fn start(program: &Path, directory: &Path, target: &str) -> Self {
        let configuration = "
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: foghorn
    honor_labels: true
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
";
        std::fs::write(directory.join("prometheus.yaml"), configuration).unwrap();
        let targets = format!(r#"[{{"targets": ["{target}"]}}]"#);
        std::fs::write(directory.join("targets.json"), targets).unwrap();
        // It takes no port 0, so the port may be another's by the time it starts; then it
        // ends, and the test says so.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = Command::new(program)
            .arg(format!(
                "--config.file={}",
                directory.join("prometheus.yaml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--scrape.discovery-reload-interval=100ms")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            url: format!("http://{address}"),
            process,
        }
    }

    /// All that is in its store now; nothing before it is up.
    async fn stored(&self) -> Samples {
        let query = reqwest::Client::new()
            .get(format!(
                "{}/api/v1/query?query=%7Bjob!%3D%22%22%7D",
                self.url
            ))
            .send();
        let Ok(Ok(answer)) = query.await.map(reqwest::Response::error_for_status) else {
            return Samples::new();
        };
        let answer: serde_json::Value =
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let series = answer["data"]["result"].as_array().unwrap();
        series
            .iter()
            .map(|series| {
                let labels = series["metric"].as_object().unwrap();
                let mut labels: BTreeMap<String, String> = labels
                    .iter()
                    .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                    .collect();
                let name = labels.remove("__name__").unwrap();
                let value = series["value"][1].as_str().unwrap().parse().unwrap();
                ((name, labels), value)
            })
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It is gone already where it couldn't start.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
