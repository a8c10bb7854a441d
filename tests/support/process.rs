//! The program itself, as a process of its own: what it listens on, what it counts, how
//! much memory and how many threads it needs, and whether it ends well.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test needs another part of it, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// What it may take to do a thing on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `foghorn`. It is killed when it is dropped.
pub struct Process {
    child: Child,
    /// Of its own HTTP server.
    url: String,
    log: tempfile::NamedTempFile,
}

/// One line of the ledger: its labels and its items.
type Entry = (BTreeMap<String, String>, f64);

impl Process {
    /// Starts it and waits until it serves.
    pub fn start(yaml: &str) -> Self {
        Self::start_in(yaml, &[])
    }

    /// The same with these variables in its environment.
    pub fn start_in(yaml: &str, environment: &[(&str, &OsStr)]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_foghorn"))
            .args(["run", "--config", &format!("yaml:{yaml}")])
            .args(["--set", "service.http.endpoint=127.0.0.1:0"])
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let url = stdout.lines().map_while(Result::ok).find_map(|line| {
            let (_, url) = line.split_once("http://")?;
            let (address, path) = url.split_once('/')?;
            (path == "metrics").then(|| format!("http://{address}"))
        });
        let said = || std::fs::read_to_string(log.path()).unwrap();
        let url = url.unwrap_or_else(|| panic!("it didn't start: {}", said()));
        Self { child, url, log }
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The URL of its own HTTP server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address that a protocol of the OTLP receiver was bound to: `grpc` or `http`.
    pub async fn address(&self, protocol: &str) -> String {
        let prefix = format!("{protocol}://");
        let health: serde_json::Value = serde_json::from_str(&self.get("/health").await).unwrap();
        let endpoints = health["endpoints"].as_array().unwrap();
        let ids = endpoints.iter().map(|endpoint| endpoint["id"].as_str());
        ids.flatten()
            .find_map(|id| id.strip_prefix(&prefix))
            .unwrap_or_else(|| panic!("nothing listens for {protocol}: {health}"))
            .to_owned()
    }

    /// The address of its own HTTP server.
    pub fn own_address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// A page of its own HTTP server.
    pub async fn get(&self, path: &str) -> String {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        answer.text().await.unwrap()
    }

    /// The values of a metric of its own, with their labels.
    pub async fn own(&self, name: &str) -> Vec<Entry> {
        entries(&self.get("/metrics").await, name)
    }

    /// Waits until nothing is under way any more, and checks that the books balance.
    pub async fn settled(&self) {
        let begun = Instant::now();
        loop {
            let page = self.get("/metrics").await;
            let total = |name: &str| entries(&page, name).iter().map(|e| e.1).sum::<f64>();
            // Requests without items are only seen by their bytes.
            let under_way = total("foghorn_pipeline_held_items")
                + total("foghorn_delivery_queued_items")
                + total("foghorn_pipeline_in_flight_bytes");
            if under_way == 0.0 {
                let problems = imbalances(&page);
                assert!(problems.is_empty(), "{problems:?}");
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{under_way} items and bytes stay"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The most memory that it has held so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.status("VmHWM")
    }

    /// The threads that it has now.
    pub fn threads(&self) -> u64 {
        self.status("Threads")
    }

    /// What the kernel says of it, in KiB where it is memory.
    fn status(&self, key: &str) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let mut lines = status.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(name, _)| *name == key).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Ends it in good order, and returns its log.
    pub async fn stop(self) -> String {
        self.stop_by(&[rustix::process::Signal::TERM]).await
    }

    /// The same with other signals.
    pub async fn stop_by(mut self, signals: &[rustix::process::Signal]) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        for signal in signals {
            rustix::process::kill_process(pid, *signal).unwrap();
        }
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it doesn't end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let log = std::fs::read_to_string(self.log.path()).unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is gone already where the test has ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is wrong with the two identities of the ledger, pipeline by pipeline and leg by leg.
fn imbalances(page: &str) -> Vec<String> {
    let sum = |name: &str, wanted: &[(&str, &str)]| -> f64 {
        entries(page, name)
            .into_iter()
            .filter(|(labels, _)| {
                let has =
                    |(key, value): &(&str, &str)| labels.get(*key).is_some_and(|v| v == value);
                wanted.iter().all(has)
            })
            .map(|(_, value)| value)
            .sum()
    };
    let mut problems = Vec::new();
    let mut check = |what: String, left: f64, right: f64| {
        if left != right {
            problems.push(format!("{what}: {left} came and {right} are accounted for"));
        }
    };
    for (labels, held) in entries(page, "foghorn_pipeline_held_items") {
        let pipeline = labels["pipeline"].as_str();
        let items = |outcome| {
            sum(
                "foghorn_pipeline_items_total",
                &[("pipeline", pipeline), ("outcome", outcome)],
            )
        };
        let came = items("accepted") + items("created");
        check(
            pipeline.to_owned(),
            came,
            items("dropped") + held + items("fanned_out"),
        );
    }
    for (labels, queued) in entries(page, "foghorn_delivery_queued_items") {
        let (pipeline, exporter) = (labels["pipeline"].as_str(), labels["exporter"].as_str());
        let fanned_out = sum(
            "foghorn_pipeline_items_total",
            &[("pipeline", pipeline), ("outcome", "fanned_out")],
        );
        let gone = sum(
            "foghorn_delivery_items_total",
            &[("pipeline", pipeline), ("exporter", exporter)],
        );
        check(
            format!("{pipeline} to {exporter}"),
            fanned_out,
            gone + queued,
        );
    }
    problems
}

/// The lines of one name on a page. The agent's own labels have no escapes.
pub fn entries(page: &str, name: &str) -> Vec<Entry> {
    let line = |line: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix('{')?;
        let (labels, value) = rest.rsplit_once("} ")?;
        let labels = labels.split("\",").filter_map(|label| {
            let (key, value) = label.split_once("=\"")?;
            Some((key.to_owned(), value.trim_end_matches('"').to_owned()))
        });
        Some((labels.collect(), value.parse().ok()?))
    };
    page.lines().filter_map(line).collect()
}
