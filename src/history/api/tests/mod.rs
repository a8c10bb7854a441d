//! The API by its handlers, without a socket.

mod answers;
mod places;
mod refusals;

use flate2::read::GzDecoder;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use serde_json::Value;

use super::*;
use crate::query::QueryLimits;
use crate::recording::OwnMetrics;
use crate::telemetry::TelemetrySettings;
use crate::window::{StoredExponential, StoredPoint, ValueKind, WindowSettings};

const FORM: &str = "application/x-www-form-urlencoded";

/// The API over stores that are filled by hand.
struct Rig {
    windows: Shelf,
    telemetry: Telemetry,
    routes: Vec<Route>,
}

impl Rig {
    /// `up` of two jobs with two points each, at 1 s and 2 s.
    fn new() -> Self {
        let rig = Self::with(settings());
        for (job, values) in [("a", [1.0, 0.0]), ("b", [1.0, 1.0])] {
            rig.gauge("up", &[("instance", "x"), ("job", job)], &values);
        }
        rig
    }

    fn with(settings: ApiSettings) -> Self {
        let windows = Shelf::default();
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        let routes = routes(&windows, &OwnMetrics::default(), settings, &telemetry);
        Self {
            windows,
            telemetry,
            routes,
        }
    }

    /// Stores points a second apart, the first at 1 s.
    fn gauge(&self, name: &str, labels: &[(&str, &str)], values: &[f64]) {
        let points: Vec<_> = values.iter().map(|v| StoredPoint::Number(*v)).collect();
        self.store((name, ValueKind::Gauge), labels, &points);
    }

    fn store(
        &self,
        (name, kind): (&str, ValueKind),
        labels: &[(&str, &str)],
        points: &[StoredPoint<'_>],
    ) {
        let store = self.windows.open("window", &WindowSettings::default());
        let mut windows = store.lock();
        windows.advance(0, 1_000_000_000);
        windows.describe(name, kind, "s", "help").unwrap();
        let id = windows.register(name, kind, labels).unwrap();
        for (second, point) in (1..).zip(points) {
            windows.push_point(id, 0, second * 1_000, point).unwrap();
        }
    }

    /// The answer to a request.
    async fn ask(&self, request: Request<Bytes>) -> Response {
        let path = request.uri().path();
        let same = |route: &&Route| {
            let mut segments = path.split('/');
            let all = route.path.split('/').all(|expected| {
                segments
                    .next()
                    .is_some_and(|found| found == expected || expected.starts_with('{'))
            });
            all && segments.next().is_none()
        };
        let route = self.routes.iter().find(same).unwrap();
        route.handler.handle(request).await
    }

    /// The status and the text of the answer to a GET of a path under `/api/v1`.
    async fn text(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(format!("/api/v1/{path}")).body(Bytes::new());
        let response = self.ask(request.unwrap()).await;
        let status = response.status();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The value of a metric of the API's own.
    fn own(&self, series: &str) -> f64 {
        let families = self.telemetry.registry().gather();
        let page = prometheus::TextEncoder::new()
            .encode_to_string(&families)
            .unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        let value = line.unwrap_or_else(|| panic!("no {series} in {page}"));
        value.trim().parse().unwrap()
    }
}

fn settings() -> ApiSettings {
    ApiSettings {
        max_concurrent: 2,
        timeout: Duration::from_secs(30),
        limits: QueryLimits::default(),
    }
}

fn post(path: &str, content_type: &str, body: &str) -> Request<Bytes> {
    Request::post(path)
        .header(CONTENT_TYPE, content_type)
        .body(body.to_owned().into())
        .unwrap()
}
