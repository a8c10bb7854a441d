//! Ten thousand idle endpoints, and what each of them holds: resident memory of this
//! process before and after, so nothing else may run in it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use foghorn::resilience::{EndpointId, Endpoints, Guard, Settings};
use tokio_util::sync::CancellationToken;

const ENDPOINTS: usize = 10_000;

#[test]
fn an_idle_endpoint_holds_at_most_four_kibibytes() {
    let endpoints = Endpoints::new(ENDPOINTS, CancellationToken::new());
    let settings = Settings::default();
    let before = resident();
    let guards: Vec<Guard<bytes::Bytes>> = (0..ENDPOINTS)
        .map(|index| {
            let url = format!("http://node-{index}.example.org:9100/metrics");
            let id = EndpointId::new("node", &url);
            endpoints.guard(id, settings.clone()).unwrap()
        })
        .collect();
    let each = (resident() - before) / ENDPOINTS;
    println!("{each} bytes for each of {} idle endpoints", guards.len());
    assert!((500..=4_096).contains(&each), "{each} bytes");
    assert!(
        guards.iter().all(|guard| guard.wake_at().is_none()),
        "no timer"
    );
}

/// Resident memory in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kibibytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1_024
}
