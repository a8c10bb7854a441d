//! Foghorn and the OpenTelemetry Collector, each as a process of its own, with the very
//! same configuration.
//!
//! The configuration finds its ports in `OTLP_PORT`, `PAGE_PORT` and `HEALTH_PORT` and its
//! file in `OUT_FILE`, and must serve the health check that [`YAML_OF_BOTH`] has.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test needs another part of it, and fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::peers::free_ports;

/// What a program may take before a test calls it dead: they start on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The beginning of every such configuration.
pub const YAML_OF_BOTH: &str = "
extensions:
  health_check: {endpoint: '127.0.0.1:${env:HEALTH_PORT}'}
receivers:
  otlp:
    protocols:
      http: {endpoint: '127.0.0.1:${env:OTLP_PORT}'}
";

/// A running program. It ends with the test.
pub struct Twin {
    /// `foghorn` or `otelcol`.
    pub name: &'static str,
    process: Child,
    log: PathBuf,
    out: PathBuf,
    otlp: u16,
    page: u16,
}

impl Twin {
    /// Foghorn, and the Collector that was found.
    pub async fn both(collector: &Path, directory: &Path, yaml: &str) -> [Self; 2] {
        Self::both_with(collector, directory, yaml, &[]).await
    }

    /// Both with these further variables in their environment.
    pub async fn both_with(
        collector: &Path,
        directory: &Path,
        yaml: &str,
        variables: &[(&str, &str)],
    ) -> [Self; 2] {
        let foghorn = Path::new(env!("CARGO_BIN_EXE_foghorn"));
        // Its own pages aren't compared, and 9200 may be taken.
        let apart = ["--set", "service.http.endpoint=127.0.0.1:0"];
        let here = Self::start("foghorn", foghorn, directory, yaml, &apart, variables);
        let there = Self::start("otelcol", collector, directory, yaml, &[], variables);
        let (here, there) = futures_util::future::join(here, there).await;
        [here, there]
    }

    /// Starts a program and waits until it says that it works.
    async fn start(
        name: &'static str,
        program: &Path,
        directory: &Path,
        yaml: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let [otlp, page, health] = free_ports();
        let config = directory.join(format!("{name}.yaml"));
        let (log, out) = (
            directory.join(format!("{name}.log")),
            directory.join(format!("{name}.jsonl")),
        );
        std::fs::write(&config, yaml).unwrap();
        let file = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(program);
        if name == "foghorn" {
            command.arg("run");
        }
        let process = command
            .arg("--config")
            .arg(&config)
            .args(arguments)
            .env("OTLP_PORT", otlp.to_string())
            .env("PAGE_PORT", page.to_string())
            .env("HEALTH_PORT", health.to_string())
            .env("OUT_FILE", &out)
            .envs(variables.iter().copied())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut twin = Self {
            name,
            process,
            log,
            out,
            otlp,
            page,
        };
        let begun = Instant::now();
        loop {
            assert!(
                twin.process.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE,
                "{name} doesn't start:\n{}\n{yaml}",
                twin.said()
            );
            let answer = reqwest::get(format!("http://127.0.0.1:{health}/")).await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return twin;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it has logged.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Posts a request in JSON.
    pub async fn post(&self, signal: &str, request: &serde_json::Value) {
        let answer = reqwest::Client::new()
            .post(format!("http://127.0.0.1:{}/v1/{signal}", self.otlp))
            .header("content-type", "application/json")
            .body(request.to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{}: {text}\n{request}", self.name);
    }

    /// Its page for Prometheus, by the format that is accepted.
    pub async fn page(&self, accept: &str) -> String {
        let answer = reqwest::Client::new()
            .get(format!("http://127.0.0.1:{}/metrics", self.page))
            .header("accept", accept)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{}: {text}\n{}", self.name, self.said());
        text
    }

    /// The page, once it holds this.
    pub async fn page_with(&self, accept: &str, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let page = self.page(accept).await;
            if page.contains(text) {
                return page;
            }
            let patient = begun.elapsed() < PATIENCE;
            assert!(
                patient,
                "{}: no {text} in\n{page}\n{}",
                self.name,
                self.said()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The whole lines of its file, once one of them holds this.
    pub async fn lines_with(&self, text: &str) -> Vec<serde_json::Value> {
        let begun = Instant::now();
        loop {
            let written = std::fs::read_to_string(&self.out).unwrap_or_default();
            let whole = written.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if whole.contains(text) {
                let lines = whole.lines().map(serde_json::from_str);
                return lines.collect::<Result<_, _>>().unwrap();
            }
            let patient = begun.elapsed() < PATIENCE;
            assert!(
                patient,
                "{}: no {text} in\n{written}\n{}",
                self.name,
                self.said()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
