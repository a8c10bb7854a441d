//! Shows by HTTP what the `window` processors remember.
//!
//! - `GET /stats`: how much is remembered, as JSON
//!
//! **Architecture Invariant:** reads snapshots on threads of its own. Whoever asks for much waits
//! alone, and neither a pipeline nor another page waits with them.

mod source;
mod stats;

use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::component::{AgentPage, Handler, Response, Route, full_body, handler};
use crate::lane::Lane;
use crate::window::Shelf;

/// Questions that are answered at a time.
const THREADS: usize = 1;

/// The pages, for the agent's own listener; none if nothing is remembered.
pub fn routes(windows: &Shelf) -> Vec<Route> {
    if windows.all().is_empty() {
        return Vec::new();
    }
    let lane = Lane::new(THREADS);
    vec![AgentPage::Stats.route(stats_page(windows, &lane))]
}

fn stats_page(windows: &Shelf, lane: &Lane) -> Arc<dyn Handler> {
    let (windows, lane) = (windows.clone(), lane.clone());
    handler(move |_| {
        let (windows, lane) = (windows.clone(), lane.clone());
        async move {
            // Takes long with many series.
            lane.run(move || json(stats::body(&windows))).await
        }
    })
}

fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(full_body(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
