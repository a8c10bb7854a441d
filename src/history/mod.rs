//! Shows by HTTP what the `window` processors remember.
//!
//! - `GET /stats`: how much is remembered, as JSON
//! - `GET /metrics/aggregated`: statistics of it, as Prometheus text
//! - `/api/v1/query` and more: Prometheus's API for queries
//!
//! **Architecture Invariant:** reads snapshots on threads of its own. Whoever asks for much waits
//! alone, and neither a pipeline nor another page waits with them.

mod aggregated;
mod api;
mod sending;
mod source;
mod stats;

pub use api::ApiSettings;

use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::component::{AgentPage, Handler, Response, Route, full_body, handler};
use crate::lane::Lane;
use crate::recording::OwnMetrics;
use crate::telemetry::Telemetry;
use crate::window::Shelf;

/// Questions that are answered at a time.
const THREADS: usize = 1;

/// The pages, for the agent's own listener.
pub fn routes(
    windows: &Shelf,
    own_metrics: &OwnMetrics,
    settings: ApiSettings,
    telemetry: &Telemetry,
) -> Vec<Route> {
    let mut routes = api::routes(windows, own_metrics, settings, telemetry);
    // Without a window the server says that there is none.
    if !windows.all().is_empty() {
        let lane = Lane::new(THREADS);
        routes.push(AgentPage::Stats.route(stats_page(windows, &lane)));
        routes.push(aggregated::route(windows, telemetry));
    }
    routes
}

fn stats_page(windows: &Shelf, lane: &Lane) -> Arc<dyn Handler> {
    let (windows, lane) = (windows.clone(), lane.clone());
    handler(move |_| {
        let (windows, lane) = (windows.clone(), lane.clone());
        async move {
            // Takes long with many series.
            let work = move |proceed: &mut dyn FnMut() -> bool| stats::body(&windows, proceed);
            // Without a body nobody is there to have it.
            json(lane.run_while_awaited(work).await.unwrap_or_default())
        }
    })
}

fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(full_body(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
