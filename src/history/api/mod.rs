//! Prometheus's HTTP API for queries, over what the windows remember.
//!
//! ```yaml
//! service:
//!   http:
//!     query:
//!       max_concurrent: 2        # requests that are answered at a time; others wait
//!       timeout: 30s             # for waiting and answering; and again for sending
//!       max_samples: 50000000    # points that a query may hold at once
//!       max_memory: 64MiB        # what those and its results may take
//!       max_text: 64KiB          # a posted form, and the text of a query
//!       max_depth: 256           # expressions inside of each other
//! ```
//!
//! | path under `/api/v1` | answers |
//! |---|---|
//! | `/query`, `/query_range` | what a query comes to, at one time or at every step |
//! | `/series` | the labels of series |
//! | `/labels`, `/label/{name}/values` | names of labels, and values of one |
//! | `/metadata` | types, helps and units of metrics |
//! | `/status/buildinfo` | which Prometheus this is like |
//! | `/query_exemplars`, `/rules`, `/alerts` | nothing: there are none |
//!
//! Parameters, answers, kinds of errors and codes are those of Prometheus 3. A request that finds
//! no place in time, or takes too long, gets a 503. Answers are compressed for whoever accepts
//! gzip, and sent piece by piece. Where this differs: a body that isn't a form is refused; NaN is
//! no time; the message of an error doesn't say where in the text it is; `/query_exemplars` of a
//! query without selectors is answered with an empty list and not with 204; and `canceled` is a
//! 503 and not a 499, which no standard knows: it ends a query whose client is gone, or one that
//! runs while the agent ends.
//!
//! A question about series has the agent's own metrics sampled first, if that is due.
//!
//! Emits:
//!
//! | metric | |
//! |---|---|
//! | `foghorn_query_requests_total{endpoint, outcome}` | answered requests; `success`, or the kind of error |
//! | `foghorn_query_seconds_total{endpoint}` | time until their answers began |
//! | `foghorn_query_in_flight{stage}` | requests that are `waiting` for a place, or `running`: in one |
//! | `foghorn_query_rejected_total{reason}` | requests given up: `no_place`, `timeout`, `limit`, `client_gone`, `slow_client` |
//!
//! **Architecture Invariant:** only `answering` knows where points come from, and only on threads
//! of [`places`].

mod answer;
mod answering;
mod endpoint;
mod escaping;
mod form;
mod metrics;
mod numbers;
mod places;
mod question;
mod refusal;
mod times;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Method, Request};
use tokio::time::Instant;

use self::answer::AnswerPieces;
use self::endpoint::QueryEndpoint;
use self::form::QueryForm;
use self::metrics::{QueryMetrics, QueryRejection};
use self::places::{QueryPlace, QueryPlaces};
use self::question::ApiQuestion;
use self::refusal::{ApiRefusal, RefusalKind};
use super::sending::{self, BegunAnswer, SendingEnd};
use crate::component::{Body, Handler, Now, Response, Route};
use crate::exposition::Accepted;
use crate::query::QueryLimits;
use crate::recording::OwnMetrics;
use crate::telemetry::Telemetry;
use crate::window::Shelf;

/// What requests to the API may use.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// How many are answered at a time.
    pub max_concurrent: usize,
    /// How long one may wait and take, and then how long its answer may take to be sent.
    pub timeout: Duration,
    /// What one may use. The text's bound is that of a posted form, too.
    pub limits: QueryLimits,
}

/// The routes of the API, for the agent's own listener.
pub(super) fn routes(
    windows: &Shelf,
    own_metrics: &OwnMetrics,
    settings: ApiSettings,
    telemetry: &Telemetry,
) -> Vec<Route> {
    let metrics = QueryMetrics::new(telemetry);
    let api = Arc::new(QueryApi {
        windows: windows.clone(),
        own_metrics: own_metrics.clone(),
        places: QueryPlaces::new(settings.max_concurrent, &metrics),
        settings,
        metrics,
    });
    let routes = QueryEndpoint::ALL.into_iter().map(|endpoint| {
        let api = Arc::clone(&api);
        endpoint
            .page()
            .route(Arc::new(EndpointHandler { endpoint, api }))
    });
    routes.collect()
}

/// What all endpoints share.
struct QueryApi {
    windows: Shelf,
    own_metrics: OwnMetrics,
    settings: ApiSettings,
    places: QueryPlaces,
    metrics: QueryMetrics,
}

struct EndpointHandler {
    endpoint: QueryEndpoint,
    api: Arc<QueryApi>,
}

impl Handler for EndpointHandler {
    fn methods(&self) -> &'static [Method] {
        self.endpoint.methods()
    }

    fn max_body(&self) -> Option<usize> {
        Some(self.api.settings.limits.max_text)
    }

    fn handle(&self, request: Request<Bytes>) -> BoxFuture<'static, Response> {
        let (api, endpoint) = (Arc::clone(&self.api), self.endpoint);
        Box::pin(async move { api.respond(endpoint, &request).await })
    }
}

impl QueryApi {
    /// Answers a request. If this is dropped, the work on it ends.
    async fn respond(&self, endpoint: QueryEndpoint, request: &Request<Bytes>) -> Response {
        let begun = Instant::now();
        let gone = ClientGone(Some(&self.metrics));
        let answered = self.answer(endpoint, request, begun).await;
        gone.stayed();
        let refused = answered.as_ref().err().map(|refusal| refusal.kind);
        self.metrics
            .answered(endpoint.as_str(), refused, begun.elapsed());
        match answered {
            Ok(response) => response,
            Err(refusal) => refusal.response(),
        }
    }

    async fn answer(
        &self,
        endpoint: QueryEndpoint,
        request: &Request<Bytes>,
        begun: Instant,
    ) -> Result<Response, ApiRefusal> {
        let form = QueryForm::of(request)?;
        let question = ApiQuestion::read(endpoint, &form, request.uri().path())?;
        let gzip = Accepted::from_headers(request.headers()).gzip;
        let patience = question.timeout().unwrap_or(Duration::MAX);
        let deadline = begun + patience.min(self.settings.timeout);
        if question.needs_points() && self.windows.all().is_empty() {
            let message = "nothing is remembered: there is no window in any pipeline";
            return Err(ApiRefusal::new(RefusalKind::Unavailable, message));
        }
        let place = self.places.take(deadline).await?;
        let queued = begun.elapsed();
        let (windows, settings) = (self.windows.clone(), self.settings.clone());
        let own_metrics = self.own_metrics.clone();
        let work = move |watch: &Arc<places::QueryWatch>| {
            if question.needs_points() {
                let now = Now::read();
                own_metrics.sample_here(now.uptime_millis(), now.wall_millis());
            }
            let answer = question.answer(&windows, &settings, watch, queued)?;
            Ok(BegunAnswer::new(AnswerPieces::new(answer, gzip)))
        };
        let (place, made) = self.places.run(place, deadline, work).await;
        let answer = made.inspect_err(|refusal| self.count(refusal))?;
        let with = (&self.places, &self.metrics);
        let deadline = Instant::now() + self.settings.timeout;
        Ok(json(body(answer, place, with, deadline), gzip))
    }

    /// Counts a query that ran into a bound.
    fn count(&self, refusal: &ApiRefusal) {
        match refusal.kind {
            RefusalKind::Timeout => self.metrics.rejected(QueryRejection::Timeout),
            _ if refusal.is_limit => self.metrics.rejected(QueryRejection::Limit),
            _ => {}
        }
    }
}

/// The body of an answer. Whoever doesn't take it until the deadline is cut off, and counted.
fn body(
    answer: BegunAnswer<AnswerPieces>,
    place: QueryPlace,
    (places, metrics): (&QueryPlaces, &QueryMetrics),
    deadline: Instant,
) -> Body {
    let metrics = metrics.clone();
    let ended = move |end| match end {
        SendingEnd::Whole => {}
        SendingEnd::CutOff => metrics.rejected(QueryRejection::SlowClient),
    };
    sending::body(answer, place, places.lane(), deadline, ended)
}

fn json(body: Body, gzip: bool) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Counts a client that goes away before it has an answer.
struct ClientGone<'m>(Option<&'m QueryMetrics>);

impl ClientGone<'_> {
    /// The client is there to have its answer.
    fn stayed(mut self) {
        self.0 = None;
    }
}

impl Drop for ClientGone<'_> {
    fn drop(&mut self) {
        if let Some(metrics) = self.0 {
            metrics.rejected(QueryRejection::ClientGone);
        }
    }
}
