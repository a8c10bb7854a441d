//! The program beside a name server that never answers: its lookups hang, and nothing else.
//!
//! The lookups of the program are replaced by a function that doesn't return, since a real
//! silent name server would need a file in `/etc`, and port 53.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/peers.rs"]
mod peers;
#[path = "support/process.rs"]
mod process;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use process::Process;
use tokio::time::{Duration, Instant};

/// What the agent has at most while names hang; `main` says how many if everything does.
const MOST_THREADS: u64 = 40;

/// What it may take on a loaded machine until every source was polled three times.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the library that hangs lookups, where there is a compiler for it.
fn silent_names(directory: &Path) -> Option<std::path::PathBuf> {
    let library = directory.join("silent_names.so");
    let mut compile = Command::new(peers::find("cc")?);
    compile.args(["-shared", "-fPIC", "-o"]).arg(&library);
    let compiled = compile.arg("tests/support/silent_names.c").status();
    assert!(compiled.unwrap().success());
    Some(library)
}

/// Half of a hundred sources are Betanet services and half are nodes, each with a name of its
/// own; what they give would go to another name.
fn hundred_names() -> String {
    let (mut services, mut nodes) = (String::new(), String::new());
    for n in 0..50 {
        let _ = write!(services, "'http://service-{n}.example:9000', ");
        let _ = write!(
            nodes,
            "{{node_id: n{n}, url: 'http://node-{n}.example:9100/metrics'}}, "
        );
    }
    format!(
        "
receivers:
  betanet: {{endpoints: [{services}], collection_interval: 1s}}
  node: {{node_id: here, targets: [{nodes}], collection_interval: 1s}}
exporters:
  prometheus:
  otlp_grpc: {{endpoint: 'http://collector.example:4317', timeout: 1s}}
service:
  pipelines:
    metrics:
      receivers: [betanet, node]
      exporters: [prometheus, otlp_grpc]
"
    )
}

#[tokio::test]
async fn a_hundred_sources_behind_a_silent_name_server_cost_few_threads_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let Some(library) = silent_names(directory.path()) else {
        return;
    };
    let preloaded = [("LD_PRELOAD", library.as_os_str())];
    let agent = Process::start_in(&hundred_names(), &preloaded);
    let begun = Instant::now();
    loop {
        let page = agent.get("/metrics").await;
        let threads = agent.threads();
        assert!(threads <= MOST_THREADS, "{threads} threads");
        for (labels, up) in process::entries(&page, "up") {
            let here = labels["instance"] == "here";
            assert_eq!(up, f64::from(u8::from(here)), "{labels:?}");
        }
        let failures = process::entries(&page, "scrape_failures_total");
        let by_name = failures
            .iter()
            .filter(|(labels, count)| labels["reason"] == "dns" && *count >= 3.0);
        let failed = by_name.count();
        if failed == 100 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{failed} have failed: {page}");
    }
    let polled = agent.own("up").await;
    assert_eq!(polled.len(), 101, "{polled:?}");
    // A source whose next lookup is under way may show another error for a moment.
    loop {
        let health = agent.get("/health").await;
        let hung = health.matches("the name server hasn't answered").count();
        if hung >= 100 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{hung} of 100: {health}");
    }
    agent.stop().await;
}
