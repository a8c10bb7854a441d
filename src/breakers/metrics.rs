//! The metrics of every breaker, observed when somebody asks.
//!
//! For each endpoint, with the labels `component` (the receiver's or exporter's id),
//! `endpoint` (its URL without credentials and query) and, of a destination, `signal`:
//!
//! - `circuit_breaker_state`: 0 Healthy, 1 Degraded, 2 CoolingDown, 3 HalfOpen
//! - `circuit_breaker_enforcing`: 1 where the breaker rejects; 0 with `mode: observe`, where
//!   the other metrics tell what would have happened, and with `mode: off`, where outcomes
//!   aren't counted
//! - `circuit_breaker_failures_total`, `circuit_breaker_late_results_total`
//! - `circuit_breaker_transitions_total{from,to,reason}`
//! - `circuit_breaker_requests_total{outcome}`: wire attempts
//! - `circuit_breaker_rejected_total{reason}`
//! - `circuit_breaker_latency_ms`: mean of the last fifty latencies of the last 5 minutes
//! - `circuit_breaker_success_ratio`, `circuit_breaker_health_score`,
//!   `circuit_breaker_ewma_error_ratio`
//! - `circuit_breaker_threshold`: failures in a row that open it
//! - `circuit_breaker_last_opened`: Unix seconds; absent before the first opening
//! - `circuit_breaker_open_remaining_seconds`: until an attempt can be admitted; absent
//!   while it is forced open, since no time ends that
//! - `circuit_breaker_half_open_in_flight`: canaries
//! - `circuit_breaker_retries_total{result}`
//!
//! and for those that are polled:
//!
//! - `circuit_breaker_retry_budget_tokens`
//! - `circuit_breaker_cache_requests_total{result}`
//! - `circuit_breaker_cache_age_seconds`, `circuit_breaker_cache_stale`: while the cache
//!   holds something
//!
//! For the whole agent, without labels:
//!
//! - `circuit_breaker_registration_failures_total`
//! - `circuit_breaker_monitoring_task_count`: what polls
//! - `circuit_breaker_active_tasks`: fetches and pushes in flight
//! - `circuit_breaker_network_suspected`: 1 while our own network is suspected
//!
//! Ten thousand endpoints are allowed, so a counter with a further label has series only
//! for what has happened at an endpoint, but for the first of each, which are there from
//! the start: `requests_total{outcome="success"}` and so on.
//!
//! `circuit_breaker_request_duration_seconds` is in [`super::durations`].

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use tokio::time::Instant;

use super::readings::{BreakerReading, Readings};
use crate::resilience::{CacheResult, Endpoints, Outcome, RejectReason, RetryResult};
use crate::telemetry::Telemetry;

/// Series of one endpoint that a family with further labels has at most: every edge of the
/// states with its reasons.
const SERIES: usize = 24;

type Gauge = (
    &'static str,
    &'static str,
    fn(&BreakerReading) -> Option<f64>,
);
type CounterRow = (&'static str, &'static str, fn(&BreakerReading) -> u64);
type Emit<'a> = &'a mut dyn FnMut(u64, &[KeyValue]);
type FamilyRow = (&'static str, &'static str, fn(&BreakerReading, Emit<'_>));

const GAUGES: &[Gauge] = &[
    (
        "circuit_breaker_state",
        "State: 0 Healthy, 1 Degraded, 2 CoolingDown, 3 HalfOpen.",
        |r| Some(r.breaker.state.number().into()),
    ),
    (
        "circuit_breaker_enforcing",
        "1 where the breaker rejects, 0 where it only observes or is off.",
        |r| Some(flag(r.enforces)),
    ),
    (
        "circuit_breaker_latency_ms",
        "Mean of the last 50 latencies of the last 5 minutes, in milliseconds.",
        |r| r.breaker.latency_ms,
    ),
    (
        "circuit_breaker_last_opened",
        "When the breaker last opened, in Unix seconds.",
        |r| {
            let opened = r.breaker.last_opened?.duration_since(UNIX_EPOCH).ok()?;
            Some(opened.as_secs_f64())
        },
    ),
    (
        "circuit_breaker_success_ratio",
        "Share of successes in the last 100 attempts.",
        |r| r.breaker.success_ratio,
    ),
    (
        "circuit_breaker_health_score",
        "Judgement of the endpoint, from 0 to 1.",
        |r| Some(r.breaker.health_score),
    ),
    (
        "circuit_breaker_threshold",
        "Failures in a row that open the breaker.",
        |r| Some(r.breaker.threshold.into()),
    ),
    (
        "circuit_breaker_ewma_error_ratio",
        "Recent error average, from 0 to 1.",
        |r| Some(r.breaker.ewma_error_ratio),
    ),
    (
        "circuit_breaker_open_remaining_seconds",
        "Time until an attempt can be admitted, whatever forbids it.",
        |r| r.breaker.open_remaining.map(|left| left.as_secs_f64()),
    ),
    (
        "circuit_breaker_half_open_in_flight",
        "Canaries under way.",
        |r| Some(r.breaker.half_open_in_flight.into()),
    ),
    (
        "circuit_breaker_retry_budget_tokens",
        "Retry tokens left.",
        |r| r.budget_tokens,
    ),
    (
        "circuit_breaker_cache_age_seconds",
        "Age of the answer that the cache holds.",
        |r| {
            let age = |fetched| r.at.saturating_duration_since(fetched);
            r.cache.map(|cache| age(cache.fetched).as_secs_f64())
        },
    ),
    (
        "circuit_breaker_cache_stale",
        "1 where a poll has failed since the answer that the cache holds.",
        |r| r.cache.map(|cache| flag(cache.stale)),
    ),
];

const COUNTERS: &[CounterRow] = &[
    (
        "circuit_breaker_failures_total",
        "Attempts that failed.",
        |r| r.breaker.failures,
    ),
    (
        "circuit_breaker_late_results_total",
        "Results that came after the state in which they were admitted had ended.",
        |r| r.breaker.late_results,
    ),
];

const FAMILIES: &[FamilyRow] = &[
    (
        "circuit_breaker_transitions_total",
        "Changes of state.",
        |r, emit| {
            for ((from, to, reason), count) in &r.breaker.transitions {
                emit(
                    *count,
                    &[
                        KeyValue::new("from", from.as_str()),
                        KeyValue::new("reason", reason.as_str()),
                        KeyValue::new("to", to.as_str()),
                    ],
                );
            }
        },
    ),
    (
        "circuit_breaker_requests_total",
        "Wire attempts, each retry on its own.",
        |r, emit| {
            happened(
                "outcome",
                &Outcome::ALL.map(Outcome::as_str),
                &r.breaker.outcomes,
                emit,
            )
        },
    ),
    (
        "circuit_breaker_rejected_total",
        "Attempts that the breaker rejected, or would have where it only observes.",
        |r, emit| {
            let reasons = RejectReason::ALL.map(RejectReason::as_str);
            happened("reason", &reasons, &r.breaker.rejected, emit);
        },
    ),
    (
        "circuit_breaker_retries_total",
        "Retries, and those that were not made.",
        |r, emit| {
            let results = RetryResult::ALL.map(RetryResult::as_str);
            happened("result", &results, &r.retries, emit);
        },
    ),
    (
        "circuit_breaker_cache_requests_total",
        "Polls by what the cache had for them.",
        |r, emit| {
            if r.budget_tokens.is_some() {
                let results = CacheResult::ALL.map(CacheResult::as_str);
                happened("result", &results, &r.cache_requests, emit);
            }
        },
    ),
];

/// Emits the first of a closed set, and those that have happened.
fn happened(key: &'static str, names: &[&'static str], counts: &[u64], emit: Emit<'_>) {
    for (index, (name, count)) in names.iter().zip(counts).enumerate() {
        if index == 0 || *count > 0 {
            emit(*count, &[KeyValue::new(key, *name)]);
        }
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// Registers every instrument but the histogram.
pub(super) fn observe(telemetry: &Telemetry, endpoints: &Arc<Endpoints>, room: usize) {
    let meter = telemetry.meter("foghorn.breakers");
    let readings = Arc::new(Readings::new(endpoints));

    telemetry.make_room(room);
    for (index, &(name, help, value)) in GAUGES.iter().enumerate() {
        let readings = Arc::clone(&readings);
        let take = if index == 0 {
            Readings::begin
        } else {
            Readings::current
        };
        meter
            .f64_observable_gauge(name)
            .with_description(help)
            .with_callback(move |observer| {
                for reading in take(&readings).iter() {
                    if let Some(value) = value(reading) {
                        observer.observe(value, &reading.labels);
                    }
                }
            })
            .build();
    }
    for &(name, help, value) in COUNTERS {
        let readings = Arc::clone(&readings);
        meter
            .u64_observable_counter(name)
            .with_description(help)
            .with_callback(move |observer| {
                for reading in readings.current().iter() {
                    observer.observe(value(reading), &reading.labels);
                }
            })
            .build();
    }
    telemetry.make_room(room.saturating_mul(SERIES));
    for (index, &(name, help, emit)) in FAMILIES.iter().enumerate() {
        let readings = Arc::clone(&readings);
        let is_last = index + 1 == FAMILIES.len();
        let take = if is_last {
            Readings::end
        } else {
            Readings::current
        };
        meter
            .u64_observable_counter(name)
            .with_description(help)
            .with_callback(move |observer| {
                let mut labels = Vec::new();
                for reading in take(&readings).iter() {
                    emit(reading, &mut |count, further| {
                        labels.clear();
                        labels.extend_from_slice(&reading.labels);
                        labels.extend_from_slice(further);
                        observer.observe(count, &labels);
                    });
                }
            })
            .build();
    }
    observe_agent(&meter, endpoints);
}

/// Registers what is of no single endpoint.
fn observe_agent(meter: &Meter, endpoints: &Arc<Endpoints>) {
    let registry = Arc::clone(endpoints);
    meter
        .u64_observable_counter("circuit_breaker_registration_failures_total")
        .with_description("Endpoints that could not be registered: too many, or one twice.")
        .with_callback(move |observer| observer.observe(registry.registration_failures(), &[]))
        .build();
    type Figure = fn(&Endpoints) -> u64;
    const GAUGES: [(&str, &str, Figure); 3] = [
        (
            "circuit_breaker_monitoring_task_count",
            "Tasks that poll.",
            |endpoints| endpoints.pollers().count(),
        ),
        (
            "circuit_breaker_active_tasks",
            "Fetches and pushes in flight.",
            Endpoints::active_tasks,
        ),
        (
            "circuit_breaker_network_suspected",
            "1 while nearly every peer fails, so that our own network is suspected.",
            |endpoints| endpoints.network().suspected(Instant::now()).into(),
        ),
    ];
    for (name, help, figure) in GAUGES {
        let registry = Arc::clone(endpoints);
        meter
            .u64_observable_gauge(name)
            .with_description(help)
            .with_callback(move |observer| observer.observe(figure(&registry), &[]))
            .build();
    }
}
