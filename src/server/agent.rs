//! The agent's own routes: `/livez`, `/readyz` and `/health`.
//!
//! `/metrics`, `/metrics/aggregated` and `/stats` are answered here until a component registers
//! them: the first with the agent's own metrics alone, the others with 503.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use prometheus::proto::MetricFamily;
use serde::Serialize;
use tokio::time::Instant;

use super::texts::plain;
use crate::component::{
    AgentPage, Handler, Health, HealthReport, HealthSnapshot, LegReport, Listener, Phase,
    PipelineReport, Response, Route, Shortage, Status, Subject, full_body, handler,
};
use crate::lane::Lane;
use crate::settings::ListenerConfig;
use crate::telemetry::Telemetry;

/// The paths that people look at, the most useful first.
pub(super) const PAGES: [&str; 2] = [AgentPage::Metrics.path(), AgentPage::Health.path()];

/// The agent's own routes, without those of `breakers`.
pub(super) fn routes(health: &Health, telemetry: &Telemetry) -> Vec<Route> {
    let (board, readiness) = (health.clone(), health.clone());
    let lane = Lane::new(1);
    vec![
        AgentPage::Livez.route(handler(async |_| plain(StatusCode::OK, "alive\n"))),
        AgentPage::Readyz.route(handler(move |_| {
            std::future::ready(ready(readiness.phase()))
        })),
        AgentPage::Health.route(handler(move |_| {
            let (board, lane) = (board.clone(), lane.clone());
            async move {
                // Takes long with ten thousand endpoints.
                let look = move || {
                    let now = Instant::now();
                    well(&board.snapshot(now), now)
                };
                lane.run(look).await
            }
        })),
        AgentPage::Metrics.route(own_metrics(telemetry)),
        AgentPage::Aggregated.route(handler(async |_| nothing_aggregated())),
        AgentPage::Stats.route(handler(async |_| nothing_aggregated())),
    ]
}

/// The route of a page with the agent's own metrics, on a listener of its own.
pub fn metrics_page(config: ListenerConfig, owner: String, telemetry: &Telemetry) -> Route {
    Route {
        listener: Listener::At(config),
        path: AgentPage::Metrics.path().to_owned(),
        owner,
        handler: own_metrics(telemetry),
    }
}

fn own_metrics(telemetry: &Telemetry) -> Arc<dyn Handler> {
    let telemetry = telemetry.clone();
    let lane = Lane::new(1);
    handler(move |_| {
        let (telemetry, lane) = (telemetry.clone(), lane.clone());
        async move { lane.run(move || page(&telemetry.gather_now())).await }
    })
}

fn ready(phase: Phase) -> Response {
    match phase {
        Phase::Starting => plain(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Running => plain(StatusCode::OK, "ready\n"),
        Phase::Draining => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

fn nothing_aggregated() -> Response {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "nothing is aggregated: there is no window in any pipeline\n",
    )
}

/// Writes the agent's own metrics in the Prometheus text format.
fn page(families: &[MetricFamily]) -> Response {
    match prometheus::TextEncoder::new().encode_to_string(families) {
        Ok(text) => {
            let mut response = Response::new(full_body(text));
            let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, format);
            response
        }
        Err(error) => {
            tracing::error!(%error, "the agent's own metrics could not be written");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the metrics could not be written\n",
            )
        }
    }
}

fn well(snapshot: &HealthSnapshot, now: Instant) -> Response {
    // Strings and numbers can always be written as JSON; an infinite score becomes null.
    let body = serde_json::to_vec_pretty(&Well::new(snapshot, now)).unwrap_or_default();
    let mut response = Response::new(full_body(body));
    if snapshot.status == Status::Unhealthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The body of an answer of `/health`.
#[derive(Serialize)]
struct Well<'a> {
    status: &'static str,
    uptime_seconds: f64,
    endpoints: Vec<PipelineLine<'a>>,
    exporters: Vec<PipelineLine<'a>>,
    pipelines: Vec<Pipeline<'a>>,
    dead_tasks: &'a [String],
}

#[derive(Serialize)]
struct PipelineLine<'a> {
    id: &'a str,
    component: &'a str,
    state: &'static str,
    breaker: Option<&'static str>,
    health_score: Option<f64>,
    consecutive_failures: u64,
    last_error: Option<&'a str>,
    last_failure_seconds_ago: Option<f64>,
    last_success_seconds_ago: Option<f64>,
}

#[derive(Serialize)]
struct Pipeline<'a> {
    id: &'a str,
    status: &'static str,
    exporters: Vec<LegLine<'a>>,
    held_items: u64,
    queued_items: u64,
    queue_age_seconds: f64,
    /// Why the pipeline refuses requests, or did within the last minute; `None` if it doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

#[derive(Serialize)]
struct LegLine<'a> {
    id: &'a str,
    working: bool,
    losing: bool,
}

impl<'a> Well<'a> {
    fn new(snapshot: &'a HealthSnapshot, now: Instant) -> Self {
        let lines = |subject| {
            let about = snapshot
                .reports
                .iter()
                .filter(move |r| r.subject == subject);
            about.map(|report| PipelineLine::new(report, now)).collect()
        };
        Self {
            status: snapshot.status.as_str(),
            uptime_seconds: seconds(snapshot.uptime),
            endpoints: lines(Subject::Endpoint),
            exporters: lines(Subject::Exporter),
            pipelines: snapshot.pipelines.iter().map(Pipeline::new).collect(),
            dead_tasks: &snapshot.dead_tasks,
        }
    }
}

impl<'a> PipelineLine<'a> {
    fn new(report: &'a HealthReport, now: Instant) -> Self {
        let ago = |at: Option<Instant>| at.map(|at| seconds(now.saturating_duration_since(at)));
        Self {
            id: &report.id,
            component: report.component.as_str(),
            state: report.state.as_str(),
            breaker: report.breaker.map(|state| state.as_str()),
            health_score: report.health_score,
            consecutive_failures: report.consecutive_failures,
            last_error: report.last_error.as_deref(),
            last_failure_seconds_ago: ago(report.last_failure),
            last_success_seconds_ago: ago(report.last_success),
        }
    }
}

impl<'a> Pipeline<'a> {
    fn new(report: &'a PipelineReport) -> Self {
        Self {
            id: &report.id,
            status: report.status().as_str(),
            exporters: report.exporters.iter().map(LegLine::new).collect(),
            held_items: report.held_items,
            queued_items: report.queued_items,
            queue_age_seconds: seconds(report.queue_age),
            refused: reasons(&report.shortages),
        }
    }
}

/// All of them as one text; none for none.
fn reasons(shortages: &[Shortage]) -> Option<String> {
    let reasons: Vec<String> = shortages.iter().map(Shortage::to_string).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

impl<'a> LegLine<'a> {
    fn new(report: &'a LegReport) -> Self {
        Self {
            id: report.exporter.as_str(),
            working: report.working,
            losing: report.losing,
        }
    }
}

/// Seconds, to the millisecond.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}
