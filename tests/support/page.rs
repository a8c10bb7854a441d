//! A prometheus exporter outside an agent: batches in, pages out.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test needs another part of it, and fails by panicking"
)]

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use foghorn::component::{
    BuildContext, BuiltExporter, Discards, DropReason, Now, Response, Routes, Sink,
};
use foghorn::components::FACTORIES;
use foghorn::pdata::{Batch, Signal};
use foghorn::telemetry::Telemetry;
use foghorn::yaml::{Diagnostics, PlacedNode, parse};
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::header::ACCEPT;

/// An `Accept` header that asks for text.
pub const TEXT: &str = "text/plain;version=0.0.4";
/// An `Accept` header that asks for OpenMetrics.
pub const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

/// The exporter and what it has dropped.
pub struct Exporter {
    sink: Box<dyn Sink>,
    routes: Routes,
    now: Now,
    /// Items it gave up, with the reason.
    pub lost: Lost,
}

/// Remembers what was discarded.
#[derive(Debug, Default)]
pub struct Lost(pub Vec<(u64, DropReason)>);

impl Discards for Lost {
    fn discard(&mut self, items: u64, reason: DropReason) {
        self.0.push((items, reason));
    }
}

impl Exporter {
    /// An exporter with this configuration, on the agent's listener.
    pub fn new(yaml: &str, telemetry: Telemetry) -> Self {
        let diagnostics = Diagnostics::new();
        let node = parse(yaml, &Arc::from("test"), &diagnostics).unwrap();
        let factory = FACTORIES
            .exporters
            .iter()
            .find(|factory| factory.kind == "prometheus")
            .unwrap();
        let config = (factory.configure)(&PlacedNode::root(&node, &diagnostics)).unwrap();
        let routes = Routes::new();
        let built = config.build(&BuildContext {
            routes: routes.clone(),
            ..BuildContext::standalone("prometheus".parse().unwrap(), telemetry)
        });
        let Ok(BuiltExporter::Local(mut sink)) = built else {
            panic!("the exporter is a local one");
        };
        sink.start().unwrap();
        Self {
            sink,
            routes,
            now: Now {
                monotonic: tokio::time::Instant::now(),
                wall: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            },
            lost: Lost::default(),
        }
    }

    /// Takes in an encoded request.
    pub fn consume(&mut self, request: Vec<u8>) {
        let batch = Batch::decode(Signal::Metrics, request.into()).unwrap();
        self.take(batch);
    }

    /// Takes in a batch.
    pub fn take(&mut self, batch: Batch) {
        self.sink.consume(batch, self.now, &mut self.lost);
    }

    /// The answer to a scraper with this `Accept` header.
    pub async fn answer(&self, accept: &str) -> Response {
        let request = Request::builder()
            .uri("/metrics")
            .header(ACCEPT, accept)
            .body(Bytes::new());
        let handler = Arc::clone(&self.routes.all()[0].handler);
        handler.handle(request.unwrap()).await
    }

    /// The page that such a scraper gets.
    pub async fn page(&self, accept: &str) -> Vec<u8> {
        let body = self.answer(accept).await.into_body();
        body.collect().await.unwrap().to_bytes().to_vec()
    }
}
