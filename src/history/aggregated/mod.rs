//! `GET /metrics/aggregated`: statistics of what is remembered, as Prometheus text.
//!
//! `/metrics/aggregated?window=5m&match=node_cpu_usage&group_by=node_id&stat=p95` answers
//!
//! ```text
//! # TYPE node_cpu_usage gauge
//! node_cpu_usage{node_id="node-1",stat="p95",window="5m"} 65.2
//! node_cpu_usage{node_id="node-1",stat="coverage",window="5m"} 1
//! ```
//!
//! | parameter | what it says | default |
//! |---|---|---|
//! | `window` | how far back; shown as it is written | `5m` |
//! | `match` | a series selector; may repeat | what the `aggregate` processors are for, else all but `target_info` and the agent's own |
//! | `group_by` | a label whose values make a group; may repeat | theirs, else every series |
//! | `stat` | a statistic; may repeat | theirs |
//!
//! Without `match` every `aggregate` answers for the metrics that it is for, and all else is as it
//! says (`across`, `combine`, `method`); with `match` as the one says whose id is first in the
//! alphabet. Results are gauges with their metric's name, those of counters without `_total`. What
//! each statistic is of stands in [`window::aggregation`](crate::window::aggregation). A histogram
//! is selected by its own name, without `_bucket`.
//!
//! Wrong parameters get a 400 that says what is right, and what would touch too much a 422 that
//! names the bound, which holds for each `aggregate` by itself: 20,000 series, 115,200,000 points,
//! 2,097,152 values of one group. Nothing is cut off silently. Four requests are answered at a
//! time, within 30 s; who finds no place in that time gets a 503. Who then takes longer than 30 s
//! for the page loses the connection.
//!
//! Metrics:
//!
//! - `foghorn_aggregated_requests_total{outcome}`: `answered`, `bad_request`, `max_series`,
//!   `max_points`, `max_held`, `timeout`, `busy`, `slow_client`

mod page;
mod parameters;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Request, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use self::page::{AggregatedPage, collect};
use self::parameters::{AggregatedParameters, WrongParameter};
use super::sending::{self, BegunAnswer, SendingEnd};
use crate::component::{AgentPage, Handler, Response, Route, full_body, handler};
use crate::exposition::Accepted;
use crate::lane::Lane;
use crate::telemetry::Telemetry;
use crate::window::Shelf;
use crate::window::aggregation::AggregationStop;

/// Requests that are answered at a time: what a page holds while it is sent takes up to 20 MiB.
const PLACES: usize = 4;

/// Pages that are computed at a time. More would take processors from the pipeline.
const THREADS: usize = 1;

/// How long a request waits for a place, and then for its page; and again how long that may take
/// to be sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// The page, for the agent's own listener.
pub(super) fn route(shelf: &Shelf, telemetry: &Telemetry) -> Route {
    AgentPage::Aggregated.route(page_of(shelf, telemetry))
}

fn page_of(shelf: &Shelf, telemetry: &Telemetry) -> Arc<dyn Handler> {
    let answers = Arc::new(Answers {
        shelf: shelf.clone(),
        places: Arc::new(Semaphore::new(PLACES)),
        computing: Lane::in_background(THREADS),
        sending: Lane::new(THREADS),
        requests: telemetry
            .meter("foghorn.history")
            .u64_counter("foghorn_aggregated_requests_total")
            .with_description("Requests for /metrics/aggregated, by how they ended")
            .build(),
    });
    handler(move |request| {
        let answers = Arc::clone(&answers);
        async move { answers.answer(&request).await }
    })
}

struct Answers {
    shelf: Shelf,
    places: Arc<Semaphore>,
    computing: Lane,
    /// For the pieces of pages, which don't wait until the page of somebody else is computed.
    sending: Lane,
    requests: Counter<u64>,
}

/// Why there is no page.
enum PageRefusal {
    Wrong(WrongParameter),
    Stopped(AggregationStop),
}

impl Answers {
    async fn answer(&self, request: &Request<Bytes>) -> Response {
        let accepted = Accepted::from_headers(request.headers());
        let query = request.uri().query().unwrap_or_default();
        let parameters = match AggregatedParameters::read(query) {
            Ok(parameters) => parameters,
            Err(wrong) => return self.refuse(&wrong),
        };
        // The semaphore is never closed.
        let place = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned());
        let Ok(Ok(place)) = place.await else {
            self.count("busy");
            return unavailable("other requests take all places: try again later\n");
        };
        let computed = timeout(PATIENCE, self.compute(parameters, accepted)).await;
        match computed {
            Ok(Ok(page)) => self.send(page, accepted, place),
            Ok(Err(PageRefusal::Wrong(wrong))) => self.refuse(&wrong),
            Ok(Err(PageRefusal::Stopped(AggregationStop::GivenUp))) | Err(_) => {
                self.count("timeout");
                unavailable("this takes too long: select fewer series or a shorter window\n")
            }
            Ok(Err(PageRefusal::Stopped(stop))) => {
                self.count(stop.reason());
                let refusal = format!("the page would need {stop}\n");
                text(StatusCode::UNPROCESSABLE_ENTITY, refusal)
            }
        }
    }

    /// Computes the page and its first pieces. Dropping the future ends the work.
    async fn compute(
        &self,
        parameters: AggregatedParameters,
        accepted: Accepted,
    ) -> Result<BegunAnswer<AggregatedPage>, PageRefusal> {
        let shelf = self.shelf.clone();
        let work = move |proceed: &mut dyn FnMut() -> bool| {
            let series = parameters.series().map_err(PageRefusal::Wrong)?;
            let to = SystemTime::now().duration_since(UNIX_EPOCH);
            let to = i64::try_from(to.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
            let families = collect(&shelf, (&parameters, &series), to, proceed)
                .map_err(PageRefusal::Stopped)?;
            let page = AggregatedPage::new(families, parameters.window, accepted);
            Ok(BegunAnswer::new(page))
        };
        self.computing.run_while_awaited(work).await
    }

    /// Sends a page, of which each piece is made only when it is needed: a client that reads
    /// slowly occupies no thread, and its place for [`PATIENCE`] at most.
    fn send(
        &self,
        page: BegunAnswer<AggregatedPage>,
        accepted: Accepted,
        place: OwnedSemaphorePermit,
    ) -> Response {
        let requests = self.requests.clone();
        let ended = move |end| match end {
            SendingEnd::Whole => count(&requests, "answered"),
            SendingEnd::CutOff => count(&requests, "slow_client"),
        };
        let deadline = Instant::now() + PATIENCE;
        let body = sending::body(page, place, &self.sending, deadline, ended);
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static(accepted.format.content_type());
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if accepted.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn refuse(&self, wrong: &WrongParameter) -> Response {
        self.count("bad_request");
        text(StatusCode::BAD_REQUEST, format!("{wrong}\n"))
    }

    fn count(&self, outcome: &'static str) {
        count(&self.requests, outcome);
    }
}

fn count(requests: &Counter<u64>, outcome: &'static str) {
    requests.add(1, &[KeyValue::new("outcome", outcome)]);
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = Response::new(full_body(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

fn unavailable(why: &'static str) -> Response {
    text(StatusCode::SERVICE_UNAVAILABLE, why)
}
