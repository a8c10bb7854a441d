//! The board and its verdicts.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::resilience::{BreakerConfig, Completion, Edge, EndpointId, Endpoints, Force, Outcome};

fn id(text: &str) -> ComponentId {
    text.parse().unwrap()
}

fn status(health: &Health) -> Status {
    health.snapshot(Instant::now()).status
}

#[derive(Debug)]
struct Probe(PipelineReport);

impl PipelineProbe for Probe {
    fn pipelines(&self, _now: Instant) -> Vec<PipelineReport> {
        vec![self.0.clone()]
    }
}

/// A pipeline with exporters that work and lose items, or not.
fn pipeline(exporters: &[(bool, bool)], queue_age: u64) -> PipelineReport {
    let legs = exporters.iter().map(|&(working, losing)| LegReport {
        exporter: id("otlp"),
        working,
        losing,
    });
    PipelineReport {
        id: "metrics".to_owned(),
        exporters: legs.collect(),
        held_items: 0,
        queued_items: 0,
        queue_age: Duration::from_secs(queue_age),
        shortages: Vec::new(),
    }
}

#[test]
fn what_was_never_tried_is_not_held_against_anybody() {
    let health = Health::new();
    let _source = health.reporter(Subject::Endpoint, &id("betanet"), "http://localhost:9000");
    let _peer = health.reporter(Subject::Exporter, &id("otlp"), "otlp");
    assert_eq!(status(&health), Status::Healthy);
}

#[test]
fn a_failing_source_degrades_and_its_recovery_heals() {
    let health = Health::new();
    let source = health.reporter(Subject::Endpoint, &id("node"), "node");
    source.failing("connection refused");
    assert_eq!(status(&health), Status::Degraded);
    source.working();
    assert_eq!(status(&health), Status::Healthy);
    source.degraded("/gateways is missing");
    assert_eq!(status(&health), Status::Degraded);
    drop(source);
    assert_eq!(status(&health), Status::Healthy);
}

#[test]
fn a_pipeline_is_unhealthy_where_it_loses_and_degraded_where_it_waits() {
    let f = |exporters: &[(bool, bool)], queue_age: u64, expected: Status| {
        let health = Health::new();
        health.watch(Arc::new(Probe(pipeline(exporters, queue_age))));
        assert_eq!(status(&health), expected, "{exporters:?} {queue_age}");
    };
    const WORKS: (bool, bool) = (true, false);
    const FAILS: (bool, bool) = (false, false);
    const LOSES: (bool, bool) = (false, true);
    f(&[WORKS, WORKS], 0, Status::Healthy);
    f(&[WORKS, FAILS], 0, Status::Degraded);
    f(&[FAILS, FAILS], 0, Status::Degraded);
    f(&[WORKS, LOSES], 0, Status::Unhealthy);
    f(&[(true, true)], 0, Status::Unhealthy);
    f(&[WORKS], 59, Status::Healthy);
    f(&[WORKS], 60, Status::Degraded);
}

#[test]
fn the_worst_of_all_decides() {
    let health = Health::new();
    health.watch(Arc::new(Probe(pipeline(&[(false, true)], 0))));
    let source = health.reporter(Subject::Endpoint, &id("node"), "node");
    source.failing("no /proc");
    assert_eq!(status(&health), Status::Unhealthy);
}

#[test]
fn a_dead_task_stays_while_it_is_missed_and_never_fills_memory() {
    let health = Health::new();
    for i in 0..1_000 {
        health.task_died(format!("task {i}"));
    }
    let dead = health.snapshot(Instant::now()).dead_tasks;
    assert_eq!(dead.len(), DEAD_TASKS + 1);
    assert_eq!(
        dead.last().unwrap(),
        &format!("{} more", 1_000 - DEAD_TASKS)
    );
    for i in 0..1_000 {
        assert_eq!(status(&health), Status::Unhealthy, "{i}");
        health.dead_task_is_over(&format!("task {i}"));
    }
    assert_eq!(status(&health), Status::Healthy);
}

#[test]
fn long_errors_are_cut_between_characters() {
    let cut = shortened("ä".repeat(1_000));
    assert_eq!(cut, format!("{}...", "ä".repeat(ERROR_LENGTH / 2)));
    assert_eq!(shortened("short".to_owned()), "short");
}

#[test]
fn what_stands_behind_a_breaker_is_as_well_as_the_breaker_lets_it_be() {
    let health = Health::new();
    let endpoints = Endpoints::new(10, CancellationToken::new());
    let endpoint = |name: &str, mode| {
        let config = BreakerConfig {
            mode: Some(mode),
            ..BreakerConfig::default()
        };
        let settings = config.resolve(Edge::Source, Duration::from_secs(5));
        let id = EndpointId::new("betanet", name);
        endpoints.breaker(id, settings.unwrap()).unwrap()
    };
    let parts = [
        endpoint("http://a/1", Mode::Enforce),
        endpoint("http://a/2", Mode::Enforce),
    ];
    let source = health.reporter(Subject::Endpoint, &id("betanet"), "http://a");
    source.guarded_by(parts.clone());
    source.working();
    let f = |state: ComponentState, breaker: resilience::BreakerState, expected: Status| {
        let report = &health.reports()[0];
        assert_eq!((report.state, report.breaker), (state, Some(breaker)));
        assert_eq!(status(&health), expected);
    };
    use resilience::BreakerState::{CoolingDown, Degraded, Healthy};
    f(ComponentState::Working, Healthy, Status::Healthy);
    assert_eq!(health.reports()[0].health_score, Some(1.0));

    let now = Instant::now();
    for _ in 0..3 {
        let permit = parts[0].breaker().acquire(now).unwrap();
        permit.record(
            now,
            Completion::new(Outcome::Timeout, Duration::from_secs(5)),
        );
    }
    f(ComponentState::Degraded, Degraded, Status::Degraded);
    assert!(health.reports()[0].health_score.unwrap() < 0.3);
    parts[1].breaker().force(Force::Open, now);
    f(ComponentState::Degraded, CoolingDown, Status::Degraded);
    source.failing("no");
    f(ComponentState::Failing, CoolingDown, Status::Degraded);
    source.working();
    for part in &parts {
        part.breaker().force(Force::Reset, now);
    }
    f(ComponentState::Working, Healthy, Status::Healthy);

    let observed = endpoint("http://a/3", Mode::Observe);
    observed.breaker().force(Force::Open, now);
    source.guarded_by([observed]);
    f(ComponentState::Working, CoolingDown, Status::Healthy);
}

#[test]
fn a_pipeline_that_refuses_for_lack_of_room_is_degraded_and_says_so() {
    let f = |shortage: Shortage, words: &str| {
        let health = Health::new();
        let mut report = pipeline(&[(true, false)], 0);
        report.shortages.push(shortage.clone());
        health.watch(Arc::new(Probe(report)));
        assert_eq!(status(&health), Status::Degraded);
        let said = shortage.to_string();
        assert_eq!(said, format!("requests are refused: {words}"));
    };
    let excess = MemoryExcess {
        in_use: 124,
        most: 80,
    };
    f(
        Shortage::Memory(excess),
        "124 bytes of memory are in use, and memory_limiter allows 80",
    );
    f(
        Shortage::InFlight { most: 64 },
        "there is no room in the 64 bytes that memory_limiter allows in flight",
    );
    f(Shortage::Queue(id("otlp/2")), "the queue of otlp/2 is full");
}
