//! Breakers seen and commanded by HTTP, on the agent's own server.
//!
//! - `GET /breakers`: every breaker as it stands, with its id, as JSON
//! - `POST /breakers/{id}/force_open`: rejects everything, until forced closed or reset
//! - `POST /breakers/{id}/force_closed`: admits everything, until forced open or reset
//! - `POST /breakers/{id}/reset`: as new, with no memory of the endpoint
//!
//! An id is the component and the URL, each percent-encoded as `encodeURIComponent` does,
//! with a colon between: `betanet:http%3A%2F%2Flocalhost%3A9000%2Fmetrics`. A destination's
//! has its signal behind a second colon: `otlp_http:http%3A%2F%2Fcollector%3A4318:metrics`. So
//! it is the same after a restart, and a script can write it without asking.
//!
//! A client that can command a breaker can cut off a source, so this needs two things at once:
//! a listener that only this machine reaches, and `service.http.auth`. Without either the
//! answer says which one is missing.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode, http};
use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode,
};
use serde::Serialize;
use tokio::time::Instant;

use super::readings::BreakerReading;
use crate::component::{AgentPage, Handler, Response, Route, full_body, handler};
use crate::lane::Lane;
use crate::resilience::{Endpoint, EndpointId, Endpoints, Force};
use crate::settings::ListenerConfig;

const COMMANDS: [(AgentPage, &str, Force); 3] = [
    (AgentPage::ForceOpen, "force_open", Force::Open),
    (AgentPage::ForceClosed, "force_closed", Force::Closed),
    (AgentPage::Reset, "reset", Force::Reset),
];

/// The routes, for the agent's own server that listens as `listener` says.
pub fn routes(endpoints: &Arc<Endpoints>, listener: &ListenerConfig) -> Vec<Route> {
    let registry = Arc::clone(endpoints);
    let lane = Lane::new(1);
    let list = handler(move |_| {
        let (registry, lane) = (Arc::clone(&registry), lane.clone());
        // Ten thousand take a while.
        async move { lane.run(move || list(&registry, Instant::now())).await }
    });
    let mut routes = vec![AgentPage::Breakers.route(list)];
    routes.extend(COMMANDS.map(|(page, name, force)| {
        let command = BreakerCommand {
            name,
            force,
            refusal: refusal(listener),
            endpoints: Arc::clone(endpoints),
        };
        page.route(Arc::new(command))
    }));
    routes
}

/// Why commands are refused on this listener, if they are.
fn refusal(listener: &ListenerConfig) -> Option<&'static str> {
    let address: IpAddr = listener.endpoint.ip().to_canonical();
    if !address.is_loopback() {
        return Some(
            "breakers are commanded from this machine alone: set service.http.endpoint to an \
             address of loopback, such as 127.0.0.1:9200\n",
        );
    }
    if listener.auth.is_none() {
        return Some("commanding breakers needs a token: configure service.http.auth\n");
    }
    None
}

/// One thing to do to a breaker.
struct BreakerCommand {
    name: &'static str,
    force: Force,
    refusal: Option<&'static str>,
    endpoints: Arc<Endpoints>,
}

impl Handler for BreakerCommand {
    fn methods(&self) -> &'static [Method] {
        &[Method::POST]
    }

    fn handle(&self, request: http::Request<Bytes>) -> BoxFuture<'static, Response> {
        Box::pin(std::future::ready(self.obey(request.uri().path())))
    }
}

impl BreakerCommand {
    fn obey(&self, path: &str) -> Response {
        if let Some(refusal) = self.refusal {
            return plain(StatusCode::FORBIDDEN, refusal);
        }
        let endpoint = path
            .split('/')
            .nth(2)
            .and_then(parse_id)
            .and_then(|id| self.endpoints.find(&id));
        let Some(endpoint) = endpoint else {
            return plain(
                StatusCode::NOT_FOUND,
                "there is no breaker of this id; GET /breakers lists them\n",
            );
        };
        let now = Instant::now();
        endpoint.breaker().force(self.force, now);
        let line = BreakerLine::of(&endpoint, now);
        tracing::info!(
            component = line.component,
            endpoint = line.endpoint,
            command = self.name,
            state = line.state,
            "circuit breaker commanded over HTTP"
        );
        json(&line)
    }
}

/// Every breaker.
#[derive(Debug, Serialize)]
struct All<'a> {
    network_suspected: bool,
    max_endpoints: usize,
    breakers: Vec<BreakerLine<'a>>,
}

fn list(endpoints: &Endpoints, now: Instant) -> Response {
    let all = endpoints.all();
    json(&All {
        network_suspected: endpoints.network().suspected(now),
        max_endpoints: endpoints.max(),
        breakers: all
            .iter()
            .map(|endpoint| BreakerLine::of(endpoint, now))
            .collect(),
    })
}

/// One breaker.
#[derive(Debug, Serialize)]
struct BreakerLine<'a> {
    id: String,
    component: &'a str,
    endpoint: &'a str,
    /// Null for sources.
    signal: Option<&'static str>,
    mode: &'static str,
    state: &'static str,
    generation: u64,
    consecutive_failures: u32,
    threshold: u32,
    failures: u64,
    success_ratio: Option<f64>,
    ewma_error_ratio: f64,
    health_score: f64,
    latency_ms: Option<f64>,
    /// Null while it is forced open, since no time ends that.
    open_remaining_seconds: Option<f64>,
    /// Unix seconds.
    last_opened: Option<f64>,
    /// Null for destinations, whose retries have no budget, and which have no cache.
    retry_budget_tokens: Option<f64>,
    cache_age_seconds: Option<f64>,
    cache_stale: Option<bool>,
}

impl<'a> BreakerLine<'a> {
    fn of(endpoint: &'a Endpoint, now: Instant) -> Self {
        let reading = BreakerReading::of(endpoint, now);
        let breaker = reading.breaker;
        Self {
            id: id(endpoint.id()),
            component: endpoint.id().component(),
            endpoint: endpoint.id().url(),
            signal: endpoint.id().signal(),
            mode: endpoint.breaker().mode().as_str(),
            state: breaker.state.as_str(),
            generation: breaker.generation,
            consecutive_failures: breaker.consecutive_failures,
            threshold: breaker.threshold,
            failures: breaker.failures,
            success_ratio: breaker.success_ratio,
            ewma_error_ratio: breaker.ewma_error_ratio,
            health_score: breaker.health_score,
            latency_ms: breaker.latency_ms,
            open_remaining_seconds: breaker.open_remaining.map(|left| left.as_secs_f64()),
            last_opened: breaker
                .last_opened
                .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
                .map(|at| at.as_secs_f64()),
            retry_budget_tokens: reading.budget_tokens,
            cache_age_seconds: reading
                .cache
                .map(|cache| now.saturating_duration_since(cache.fetched).as_secs_f64()),
            cache_stale: reading.cache.map(|cache| cache.stale),
        }
    }
}

/// An endpoint's id in paths.
fn id(endpoint: &EndpointId) -> String {
    let (component, url) = (encode(endpoint.component()), encode(endpoint.url()));
    match endpoint.signal() {
        Some(signal) => format!("{component}:{url}:{}", encode(signal)),
        None => format!("{component}:{url}"),
    }
}

/// The endpoint that a path means, if it means any.
fn parse_id(id: &str) -> Option<EndpointId> {
    let (component, rest) = id.split_once(':')?;
    let (url, signal) = match rest.split_once(':') {
        Some((url, signal)) => (url, Some(signal)),
        None => (rest, None),
    };
    let (component, url) = (decode(component)?, decode(url)?);
    let id = match url.split_once('#') {
        Some((url, instance)) => EndpointId::new(&component, url).of_instance(instance),
        None => EndpointId::new(&component, &url),
    };
    let Some(signal) = signal else {
        return Some(id);
    };
    let mut signals = ["metrics", "traces", "logs"].into_iter();
    Some(id.carrying(signals.find(|known| *known == signal)?))
}

fn encode(text: &str) -> PercentEncode<'_> {
    /// `encodeURIComponent` leaves `!`, `'`, `(`, `)` and `*` as well, which read the same.
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(text, ENCODED)
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

fn json(value: &impl Serialize) -> Response {
    // Strings and numbers always have a JSON form.
    let mut body = serde_json::to_vec_pretty(value).unwrap_or_default();
    body.push(b'\n');
    let mut response = Response::new(full_body(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(full_body(text));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
