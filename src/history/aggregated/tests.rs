//! The page as a client sees it.

use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use tokio::time::sleep;

use super::*;
use crate::telemetry::TelemetrySettings;
use crate::window::aggregation::{AggregationPlan, StatChoice, metrics_like};
use crate::window::stats::Method;
use crate::window::{STALE, ValueKind, WindowSettings};

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// Puts a series of one point every 15 s in the store of this name; the last is as of now.
fn put(shelf: &Shelf, store: &str, kind: ValueKind, name: &str, labels: &[(&str, &str)]) {
    let store = shelf.open(store, &WindowSettings::default());
    let mut windows = store.lock();
    let now = now();
    windows.advance(0, now);
    let id = windows.register(name, kind, labels).unwrap();
    windows.describe(name, kind, "", "What it is").unwrap();
    for index in 0..20 {
        let time = now - (19 - index) * 15_000;
        windows.push(id, time, index as f64).unwrap();
    }
}

fn request(query: &str) -> Request<Bytes> {
    let uri = format!("/metrics/aggregated?{query}");
    Request::builder().uri(uri).body(Bytes::new()).unwrap()
}

async fn ask(shelf: &Shelf, query: &str) -> (StatusCode, String) {
    let page = page_of(shelf, &Telemetry::off());
    let response = page.handle(request(query)).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn plan(metrics: &str, stats: &[&str]) -> Arc<AggregationPlan> {
    Arc::new(AggregationPlan {
        series: vec![vec![metrics_like(metrics).unwrap()]],
        stats: stats
            .iter()
            .map(|s| StatChoice::named(s).unwrap())
            .collect(),
        ..AggregationPlan::default()
    })
}

#[tokio::test]
async fn the_example_of_the_documentation_comes_out_as_it_stands() {
    let shelf = Shelf::default();
    for (store, cpu) in [("window", "0"), ("window/other", "1")] {
        let labels = [("cpu", cpu), ("job", "node"), ("node_id", "node-1")];
        put(&shelf, store, ValueKind::Gauge, "node_cpu_usage", &labels);
    }
    put(&shelf, "window", ValueKind::Gauge, "other", &[]);
    let query = "window=5m&match=node_cpu_usage&group_by=node_id&stat=p95";
    let (status, text) = ask(&shelf, query).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        text,
        "# HELP node_cpu_usage What it is\n\
         # TYPE node_cpu_usage gauge\n\
         node_cpu_usage{node_id=\"node-1\",stat=\"p95\",window=\"5m\"} 19\n\
         node_cpu_usage{node_id=\"node-1\",stat=\"coverage\",window=\"5m\"} 1\n"
    );
}

#[tokio::test]
async fn no_sample_is_there_twice_whatever_the_metrics_are_called() {
    let shelf = Shelf::default();
    put(&shelf, "window", ValueKind::Gauge, "dropped", &[]);
    put(&shelf, "window", ValueKind::Counter, "dropped_total", &[]);
    put(&shelf, "window/b", ValueKind::Counter, "dropped_total", &[]);
    put(&shelf, "window", ValueKind::Gauge, "g", &[("stat", "x")]);
    let (_, text) = ask(&shelf, "stat=last&stat=count").await;
    assert_eq!(
        text,
        "# HELP dropped What it is\n# TYPE dropped gauge\n\
         dropped{stat=\"last\",window=\"5m\"} 19\n\
         dropped{stat=\"count\",window=\"5m\"} 20\n\
         dropped{stat=\"coverage\",window=\"5m\"} 1\n\
         # HELP dropped_counter What it is\n# TYPE dropped_counter gauge\n\
         dropped_counter{stat=\"last\",window=\"5m\"} 19\n\
         dropped_counter{stat=\"count\",window=\"5m\"} 20\n\
         dropped_counter{stat=\"coverage\",window=\"5m\"} 1\n\
         # HELP g What it is\n# TYPE g gauge\n\
         g{exported_stat=\"x\",stat=\"last\",window=\"5m\"} 19\n\
         g{exported_stat=\"x\",stat=\"count\",window=\"5m\"} 20\n\
         g{exported_stat=\"x\",stat=\"coverage\",window=\"5m\"} 1\n"
    );
}

#[tokio::test]
async fn a_request_that_says_nothing_gets_what_is_configured() {
    let shelf = Shelf::default();
    for name in ["a", "b", "c"] {
        put(&shelf, "window", ValueKind::Gauge, name, &[]);
    }
    let shown = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let coverage = |line: &&str| !line.contains("coverage");
        lines.filter(coverage).map(str::to_owned).collect()
    };
    let (_, all) = ask(&shelf, "").await;
    assert_eq!(
        shown(&all).len(),
        3 * 8,
        "no rate and increase of gauges: {all}"
    );
    shelf.plan("aggregate", plan("a", &["max"]));
    shelf.plan("aggregate/b", plan("?", &["max", "min"]));
    shelf.plan("aggregate/c", plan("none", &["avg"]));
    let f = async |query: &str, expected: &[&str]| {
        let (_, text) = ask(&shelf, query).await;
        assert_eq!(shown(&text), expected, "{query}");
    };
    let max = |name| format!("{name}{{stat=\"max\",window=\"5m\"}} 19");
    let min = |name| format!("{name}{{stat=\"min\",window=\"5m\"}} 0");
    let (a, b, c) = (max("a"), max("b"), max("c"));
    f("", &[&a, &min("a"), &b, &min("b"), &c, &min("c")]).await;
    f("match=b", &[&b]).await;
    f("stat=max&window=5m", &[&a, &b, &c]).await;
    f(
        "window=1m&stat=min&match=c",
        &["c{stat=\"min\",window=\"1m\"} 16"],
    )
    .await;
}

#[tokio::test]
async fn a_selection_is_answered_by_the_first_aggregate_and_all_else_by_each() {
    let shelf = Shelf::default();
    for name in ["a", "b"] {
        put(&shelf, "window", ValueKind::Gauge, name, &[]);
    }
    // Of 0 to 19 they have different medians.
    let linear = AggregationPlan {
        method: Method::Linear,
        ..AggregationPlan::clone(&plan("a", &["p50"]))
    };
    shelf.plan("aggregate/b", plan("b", &["p50"]));
    shelf.plan("aggregate", Arc::new(linear));
    let f = async |query: &str, expected: &[(&str, f64)]| {
        let (_, text) = ask(&shelf, query).await;
        let shown: Vec<&str> = text.lines().filter(|line| line.contains("p50")).collect();
        let line = |(name, value)| format!("{name}{{stat=\"p50\",window=\"5m\"}} {value}");
        let expected: Vec<String> = expected.iter().copied().map(line).collect();
        assert_eq!(shown, expected, "{query}");
    };
    f("", &[("a", 9.5), ("b", 10.0)]).await;
    f("match=b", &[("b", 9.5)]).await;
    f("match=a&match=b", &[("a", 9.5), ("b", 9.5)]).await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_a_reason() {
    let shelf = Shelf::default();
    put(&shelf, "window", ValueKind::Gauge, "a", &[]);
    let (status, text) = ask(&shelf, "windw=5m").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        text.starts_with("unknown parameter \"windw\": expected"),
        "{text}"
    );
    for (store, series) in [("window", 15_000), ("window/other", 6000)] {
        let store = shelf.open(store, &WindowSettings::default());
        let mut windows = store.lock();
        for number in 0..series {
            let labels = [("a", &*format!("{series}-{number}"))];
            windows.register("x", ValueKind::Gauge, &labels).unwrap();
        }
    }
    let (status, text) = ask(&shelf, "").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        text,
        "the page would need more than 20000 series: select less of them\n"
    );
    assert_eq!(ask(&shelf, "match=a").await.0, StatusCode::OK);
}

/// Puts 2,000 series of one point there.
fn put_many(shelf: &Shelf) {
    let store = shelf.open("window", &WindowSettings::default());
    let mut windows = store.lock();
    windows.advance(0, now());
    for number in 0..2000 {
        let number = number.to_string();
        let id = windows
            .register("x", ValueKind::Gauge, &[("a", &number)])
            .unwrap();
        windows.push(id, now(), 1.0).unwrap();
    }
}

#[tokio::test]
async fn a_long_page_comes_in_pieces_and_whole() {
    let shelf = Shelf::default();
    put_many(&shelf);
    {
        let store = shelf.open("window", &WindowSettings::default());
        let mut windows = store.lock();
        let id = windows.register("gone", ValueKind::Gauge, &[]).unwrap();
        windows.push(id, now(), f64::from_bits(STALE)).unwrap();
    }
    let (_, text) = ask(&shelf, "stat=avg").await;
    assert!(text.len() > 2 * 64 * 1024);
    assert_eq!(
        text.lines().count(),
        1 + 2 * 2000,
        "what has no number is left out"
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_not_taken_gives_its_place_back() {
    let shelf = Shelf::default();
    put_many(&shelf);
    let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
    let page = page_of(&shelf, &telemetry);
    let unread = (0..PLACES).map(|_| page.handle(request("stat=avg")));
    let unread = join_all(unread).await;
    sleep(Duration::from_secs(1)).await;
    // Until then another waits, also for its selectors to be read: that is the work of a place.
    let another = timeout(
        PATIENCE - Duration::from_secs(2),
        page.handle(request("match=x{")),
    );
    assert!(another.await.is_err());
    let another = page.handle(request("match=x&group_by=b")).await;
    assert_eq!(another.status(), StatusCode::OK);
    for page in unread {
        assert!(page.into_body().collect().await.is_err(), "it is cut off");
    }
    let metrics = telemetry.registry().gather();
    let metrics = prometheus::TextEncoder::new().encode_to_string(&metrics);
    let metrics = metrics.unwrap();
    for (outcome, count) in [("slow_client", PLACES), ("answered", 1)] {
        let name = "foghorn_aggregated_requests_total";
        let line = format!("{name}{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}
