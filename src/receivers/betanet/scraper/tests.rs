mod guarded;
mod native;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::Config;
use super::*;
use crate::component::BuildContext;
use crate::pdata::Batch;
use crate::receivers::scrape::PollSettings;
use crate::receivers::scrape::http::{Access, Fetch, FetchRequest, FetchedPage, wrong_status};
use crate::receivers::scrape::testing::{Series, context, series};
use crate::resilience::FetchError;
use crate::yaml::{Diagnostics, Node, NodeKind, PlacedNode, SourceSpan};

const MIXNODES: &str = r#"[
    {"id": "m-1", "status": "active", "packets_processed": 30, "packets_forwarded": 20,
     "packets_dropped": 2, "uptime_seconds": 12, "avg_latency_ms": 2.0},
    {"id": "m-2", "status": "inactive", "packets_processed": 10, "packets_forwarded": 5,
     "packets_dropped": 1}]"#;

/// A client that answers each path as the test says, after a delay, and counts the requests.
#[derive(Default)]
struct Script {
    answers: Mutex<BTreeMap<&'static str, (u64, Answer)>>,
    asked: Mutex<Vec<String>>,
    /// The host whose requests are all refused.
    down: Mutex<Option<&'static str>>,
}

#[derive(Clone)]
enum Answer {
    Body(&'static str),
    Status(u16),
    Fails(FailureReason),
}

impl Script {
    fn set(&self, path: &'static str, seconds: u64, answer: Answer) {
        self.answers.lock().unwrap().insert(path, (seconds, answer));
    }

    fn speak_v1(&self) {
        let body = Answer::Body(r#"{"packets_processed": 5000, "packets_dropped": 10}"#);
        self.set("/api/v1/metrics", 1, body);
        let body = Answer::Body(r#"{"active_nodes": 5, "inactive_nodes": 2, "total_nodes": 7}"#);
        self.set("/api/v1/nodes/status", 2, body);
        let body = Answer::Body(
            r#"{"bytes_transmitted": 1000000, "bytes_received": 500000,
                "avg_latency_ms": 45.0, "peak_throughput": 10000}"#,
        );
        self.set("/api/v1/network/stats", 3, body);
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

impl Fetch for Script {
    fn fetch<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<FetchedPage, FetchError>> {
        let path = request.url.path();
        self.asked.lock().unwrap().push(path.to_owned());
        let answer = self.answers.lock().unwrap().get(path).cloned();
        let (seconds, answer) = match *self.down.lock().unwrap() {
            Some(host) if request.url.host_str() == Some(host) => {
                (0, Answer::Fails(FailureReason::Refused))
            }
            _ => answer.unwrap_or((0, Answer::Status(404))),
        };
        Box::pin(async move {
            sleep(Duration::from_secs(seconds)).await;
            match answer {
                Answer::Body(body) => Ok(body.as_bytes().to_vec().into()),
                Answer::Status(status) => Err(wrong_status(status, format!("answered {status}"))),
                Answer::Fails(reason) => Err(reason.error(reason.as_str())),
            }
        })
    }
}

/// The context of a receiver without `resilience`.
fn bare() -> BuildContext {
    context("betanet")
}

fn default_config() -> Config {
    let empty = Node {
        kind: NodeKind::Null,
        span: SourceSpan {
            source: "test".into(),
            line: 1,
            column: 1,
        },
    };
    Config::read(&PlacedNode::root(&empty, &Diagnostics::new())).unwrap()
}

/// The scrapers of a receiver whose configuration is the default but for these fields.
fn scrapers(
    script: &Arc<Script>,
    context: &BuildContext,
    change: impl FnOnce(&mut Config),
) -> Vec<Box<dyn Scraper>> {
    let mut config = default_config();
    change(&mut config);
    let access = Access::new(context, Arc::clone(script) as _);
    let targets = config.targets(context, PollSettings::default().pace(), &access);
    targets.into_iter().map(|target| target.scraper).collect()
}

fn scraper(script: &Arc<Script>, change: impl FnOnce(&mut Config)) -> Box<dyn Scraper> {
    scrapers(script, &bare(), change).remove(0)
}

async fn poll_for(reason: PollReason, scraper: &mut Box<dyn Scraper>) -> (Scrape, Batch) {
    let mut out = MetricsWriter::new();
    let now = Now::read();
    out.resource(&[]);
    out.scope("test", "");
    let scrape = scraper.scrape(Poll { now, reason }, &mut out).await;
    scraper.write_shared(now, &"betanet".parse().unwrap(), &mut out);
    (scrape, out.finish())
}

async fn poll(scraper: &mut Box<dyn Scraper>) -> (Scrape, Batch) {
    poll_for(PollReason::Interval, scraper).await
}

/// The series that a poll gave, with the instance's label left out.
async fn polled(scraper: &mut Box<dyn Scraper>) -> (Scrape, Series) {
    let (scrape, batch) = poll(scraper).await;
    let short = |(key, value): (String, f64)| {
        let key = key.replace("betanet.instance=\"http://localhost:9000\"", "i");
        (key.replace("{i}", "").replace("{i,", "{"), value)
    };
    (scrape, series(&batch).into_iter().map(short).collect())
}

fn expect(found: &Series, expected: &[(&str, f64)]) {
    let expected: Series = expected
        .iter()
        .map(|(k, v)| ((*k).to_owned(), *v))
        .collect();
    // Tombstones are NaN, which equals nothing.
    assert_eq!(format!("{found:#?}"), format!("{expected:#?}"));
}

#[tokio::test(start_paused = true)]
async fn v1_gives_the_platforms_names_and_takes_as_long_as_its_slowest_part() {
    let script = Arc::new(Script::default());
    script.speak_v1();
    let mut scraper = scraper(&script, |_| ());
    let begun = Instant::now();
    let (scrape, found) = polled(&mut scraper).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(3), "not 6");
    assert!(scrape.up() && scrape.failures().is_empty());
    expect(
        &found,
        &[
            ("betanet_bytes_received_total", 500_000.0),
            ("betanet_bytes_transmitted_total", 1_000_000.0),
            ("betanet_connected_peers", 7.0),
            ("betanet_latency", 45.0),
            ("betanet_message_latency_seconds", 1.0),
            ("betanet_message_latency_seconds_sum", 0.045),
            ("betanet_messages_total", 5000.0),
            ("betanet_mixnode_active", 5.0),
            ("betanet_packets_dropped", 10.0),
            ("betanet_packets_dropped_total", 10.0),
            ("betanet_packets_processed", 5000.0),
            ("betanet_peak_throughput", 10_000.0),
        ],
    );
    let (_, found) = polled(&mut scraper).await;
    assert_eq!(found["betanet_messages_total"], 5000.0, "set, not added");
    assert_eq!(found["betanet_message_latency_seconds"], 2.0, "each once");
}

#[tokio::test(start_paused = true)]
async fn native_asks_for_the_mixnodes_alone_and_everything_follows_from_them() {
    let script = Arc::new(Script::default());
    script.set("/mixnodes", 0, Answer::Body(MIXNODES));
    let mut scraper = scraper(&script, |_| ());
    let (scrape, found) = polled(&mut scraper).await;
    assert!(scrape.failures().is_empty(), "detection is no failure");
    assert_eq!(
        script.asked(),
        [
            "/api/v1/metrics",
            "/api/v1/network/stats",
            "/api/v1/nodes/status",
            "/mixnodes"
        ]
    );
    expect(
        &found,
        &[
            ("betanet_connected_peers", 2.0),
            ("betanet_latency", 2.0),
            ("betanet_message_latency_seconds", 1.0),
            ("betanet_message_latency_seconds_sum", 0.002),
            ("betanet_messages_total", 40.0),
            ("betanet_mixnode_active", 1.0),
            ("betanet_mixnode_latency_seconds{mixnode_id=\"m-1\"}", 0.002),
            (
                "betanet_mixnode_packets_dropped_total{mixnode_id=\"m-1\"}",
                2.0,
            ),
            (
                "betanet_mixnode_packets_dropped_total{mixnode_id=\"m-2\"}",
                1.0,
            ),
            (
                "betanet_mixnode_packets_forwarded_total{mixnode_id=\"m-1\"}",
                20.0,
            ),
            (
                "betanet_mixnode_packets_forwarded_total{mixnode_id=\"m-2\"}",
                5.0,
            ),
            (
                "betanet_mixnode_packets_processed_total{mixnode_id=\"m-1\"}",
                30.0,
            ),
            (
                "betanet_mixnode_packets_processed_total{mixnode_id=\"m-2\"}",
                10.0,
            ),
            ("betanet_mixnode_uptime_seconds{mixnode_id=\"m-1\"}", 12.0),
            ("betanet_packets_dropped", 3.0),
            ("betanet_packets_dropped_total", 3.0),
            ("betanet_packets_processed", 40.0),
        ],
    );

    polled(&mut scraper).await;
    assert_eq!(script.asked(), ["/mixnodes"], "remembered");
}

#[tokio::test(start_paused = true)]
async fn a_mixnode_that_leaves_ends_its_series_once_and_keeps_its_share() {
    let script = Arc::new(Script::default());
    script.set("/mixnodes", 0, Answer::Body(MIXNODES));
    let mut scraper = scraper(&script, |config| config.dialect = Dialect::Native);
    polled(&mut scraper).await;
    script.set("/mixnodes", 0, Answer::Fails(FailureReason::Refused));
    let (scrape, found) = polled(&mut scraper).await;
    assert!(!scrape.up());
    assert!(
        found.len() == 17 && found.values().all(|value| value.is_nan()),
        "nobody left, and nothing is known: {found:?}"
    );
    let (_, found) = polled(&mut scraper).await;
    assert_eq!(found, Series::new(), "ended once");
    script.set("/mixnodes", 0, Answer::Body(MIXNODES));
    polled(&mut scraper).await;

    script.set(
        "/mixnodes",
        0,
        Answer::Body(
            r#"[{"id": "m-2", "packets_processed": 11, "packets_forwarded": 5, "packets_dropped": 1}]"#,
        ),
    );
    let (_, found) = polled(&mut scraper).await;
    let processed = "betanet_mixnode_packets_processed_total";
    assert!(found[&format!("{processed}{{mixnode_id=\"m-1\"}}")].is_nan());
    assert_eq!(found[&format!("{processed}{{mixnode_id=\"m-2\"}}")], 11.0);
    assert_eq!(
        found["betanet_messages_total"], 41.0,
        "what it did stays in"
    );
    assert_eq!(found["betanet_packets_processed"], 11.0, "the plain sum");
    let (_, found) = polled(&mut scraper).await;
    assert!(!found.keys().any(|key| key.contains("m-1")), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn only_not_found_decides_against_v1() {
    let script = Arc::new(Script::default());
    script.set("/mixnodes", 0, Answer::Body(MIXNODES));
    for answer in [
        Answer::Fails(FailureReason::Refused),
        Answer::Fails(FailureReason::Timeout),
        Answer::Status(500),
        Answer::Body("<html>"),
    ] {
        script.set("/api/v1/metrics", 0, answer);
        let mut scraper = scraper(&script, |_| ());
        let (scrape, _) = polled(&mut scraper).await;
        assert!(!scrape.up());
        assert_eq!(script.asked().len(), 3, "native wasn't asked");
        script.set("/api/v1/metrics", 0, Answer::Status(404));
        let (scrape, _) = polled(&mut scraper).await;
        assert!(scrape.up(), "and nothing was remembered");
        script.asked();
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialect_is_forgotten_when_all_its_paths_are_gone() {
    let script = Arc::new(Script::default());
    script.speak_v1();
    let mut scraper = scraper(&script, |_| ());
    assert!(polled(&mut scraper).await.0.up());
    script.answers.lock().unwrap().clear();
    script.set("/mixnodes", 0, Answer::Body(MIXNODES));
    assert!(polled(&mut scraper).await.0.up(), "native now");
    script.answers.lock().unwrap().clear();
    script.speak_v1();
    assert!(!polled(&mut scraper).await.0.up());
    assert!(polled(&mut scraper).await.0.up(), "v1 again");
}

#[tokio::test(start_paused = true)]
async fn each_part_that_fails_leaves_the_others_and_its_own_absent() {
    let f = async |path: &'static str, reason: FailureReason, absent: &[&str]| {
        let script = Arc::new(Script::default());
        script.speak_v1();
        let mut scraper = scraper(&script, |_| ());
        let (_, whole) = polled(&mut scraper).await;
        script.set(path, 0, Answer::Fails(reason));
        let (scrape, found) = polled(&mut scraper).await;
        assert!(scrape.up());
        assert_eq!(scrape.failures().len(), 1);
        assert_eq!(scrape.failures()[0].part, path);
        assert_eq!(scrape.failures()[0].reason, reason);
        let ended: Vec<&str> = found
            .iter()
            .filter(|(_, value)| value.is_nan())
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(ended, absent);
        assert!(whole.keys().all(|key| found.contains_key(key)));
        let (_, found) = polled(&mut scraper).await;
        let missing: Vec<&str> = whole
            .keys()
            .map(String::as_str)
            .filter(|key| !found.contains_key(*key))
            .collect();
        assert_eq!(missing, absent, "and stay away");
    };
    f(
        "/api/v1/metrics",
        FailureReason::Timeout,
        &[
            "betanet_messages_total",
            "betanet_packets_dropped",
            "betanet_packets_dropped_total",
            "betanet_packets_processed",
        ],
    )
    .await;
    f(
        "/api/v1/nodes/status",
        FailureReason::Reset,
        &["betanet_connected_peers", "betanet_mixnode_active"],
    )
    .await;
    f(
        "/api/v1/network/stats",
        FailureReason::Limit,
        &[
            "betanet_bytes_received_total",
            "betanet_bytes_transmitted_total",
            "betanet_latency",
            "betanet_message_latency_seconds",
            "betanet_message_latency_seconds_sum",
            "betanet_peak_throughput",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn several_instances_have_network_series_of_their_own() {
    let script = Arc::new(Script::default());
    script.speak_v1();
    let mut scrapers = scrapers(&script, &bare(), |config| {
        for port in 1..3 {
            let text = format!("http://other:{port}");
            let url = text.parse().unwrap();
            config
                .endpoints
                .push(super::super::InstanceEndpoint { text, url });
        }
    });
    for scraper in &mut scrapers[..2] {
        poll(scraper).await;
    }
    let (_, batch) = poll(&mut scrapers[1]).await;
    let found = series(&batch);
    assert_eq!(found["betanet_network_messages_total"], 10_000.0);
    assert_eq!(found["betanet_network_bytes_received_total"], 1_000_000.0);
    assert_eq!(found["betanet_network_connected_peers"], 14.0);
    assert_eq!(found["betanet_network_mixnode_active"], 10.0);
    assert_eq!(found["betanet_network_instances_fresh"], 2.0);
    assert_eq!(found["betanet_network_instances_expected"], 3.0);
    assert_eq!(
        found["betanet_messages_total{betanet.instance=\"http://other:1\"}"],
        5000.0
    );
}
