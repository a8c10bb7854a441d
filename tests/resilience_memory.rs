//! Ten thousand endpoints, and what each of them holds: resident memory of this process
//! before and after, so nothing else may run in it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use std::sync::Arc;

use foghorn::breakers::BreakerWatch;
use foghorn::resilience::{EndpointId, Endpoints, Guard, RegistrationError, Settings};
use foghorn::telemetry::{self, Telemetry};
use tokio_util::sync::CancellationToken;

const ENDPOINTS: usize = 10_000;

/// What an idle endpoint may hold: registry, breaker, guard, and its series.
const BOUND: usize = 4_096;

#[test]
fn an_idle_endpoint_holds_at_most_four_kibibytes() {
    let before = resident();
    let watch = BreakerWatch::new();
    let endpoints = Endpoints::new(ENDPOINTS, CancellationToken::new());
    let endpoints = Arc::new(endpoints.observed_by(watch.observer()));
    let settings = Settings::default();
    let guards: Vec<Guard<bytes::Bytes>> = (0..ENDPOINTS)
        .map(|index| endpoints.guard(id(index), settings.clone()).unwrap())
        .collect();
    let guarded = (resident() - before) / ENDPOINTS;
    println!(
        "{guarded} bytes for each of {} guarded endpoints",
        guards.len()
    );
    assert!((500..=BOUND).contains(&guarded), "{guarded} bytes");
    assert!(
        guards.iter().all(|guard| guard.wake_at().is_none()),
        "no timer"
    );

    // One more is refused, and the error names the key.
    let refused = endpoints.guard::<()>(id(ENDPOINTS), settings).unwrap_err();
    assert!(matches!(
        refused,
        RegistrationError::Full { max: ENDPOINTS, .. }
    ));
    assert!(refused.to_string().contains("service.max_endpoints"));

    let telemetry = Telemetry::new(&telemetry::TelemetrySettings::default()).unwrap();
    watch.begin(&telemetry, &endpoints, endpoints.max());
    let instrumented = (resident() - before) / ENDPOINTS;
    println!("{instrumented} bytes with instruments");
    assert!(instrumented <= BOUND, "{instrumented} bytes");

    // Each has its series: the SDK folds what it has no room for into one.
    let families = telemetry.gather_now();
    let of_breakers = |name: &str| {
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0, |family| family.get_metric().len())
    };
    assert_eq!(of_breakers("circuit_breaker_state"), ENDPOINTS);
    assert_eq!(of_breakers("circuit_breaker_requests_total"), ENDPOINTS);
}

fn id(index: usize) -> EndpointId {
    let url = format!("http://node-{index}.example.org:9100/metrics");
    EndpointId::new("node", &url)
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
