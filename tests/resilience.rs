//! The program against a Betanet service in trouble, with everything between them real:
//! what its page shows at each moment is what is true then.
//!
//! Waiting is most of it, so the tests run side by side, with short intervals, and never
//! wait for longer than a limit that a loaded machine keeps.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{sleep, timeout};

#[path = "support/betanet_server.rs"]
mod betanet_server;
#[path = "support/process.rs"]
mod process;

use betanet_server::{Dialects, Options, Server, Trouble};
use process::Process;

/// Everything is seen within this time, or not at all.
const LIMIT: Duration = Duration::from_secs(60);

const HEALTHY: f64 = 0.0;
const COOLING_DOWN: f64 = 2.0;

/// Opens after three failures and for a second, and asks again a second after a canary.
fn guard(max_staleness: &str) -> String {
    format!(
        "{{breaker: {{failure_threshold: 3, cooldown: 1s, max_cooldown: 1s, jitter: 0}},
           retry: {{max: 0}}, cache: {{ttl: 0, max_staleness: {max_staleness}}}}}"
    )
}

struct Rig {
    server: Option<Server>,
    url: String,
    agent: Process,
}

/// What the page shows, by name and labels.
struct Page(BTreeMap<String, f64>);

impl Rig {
    async fn start(dialects: Dialects, keys: &str, guard: Option<String>) -> Self {
        let server = Server::start(Options::new(dialects)).await.unwrap();
        let url = server.url();
        let processors = guard.map_or(String::new(), |guard| {
            format!("processors: {{resilience: {guard}}}")
        });
        let list = processors
            .split_once(':')
            .map_or("", |_| "processors: [resilience],");
        let agent = Process::start(&format!(
            "
receivers:
  betanet: {{endpoints: ['{url}'], collection_interval: 250ms, timeout: 250ms, {keys}}}
{processors}
exporters: {{prometheus: {{metric_expiration: 1s}}}}
service:
  pipelines:
    metrics: {{receivers: [betanet], {list} exporters: [prometheus]}}"
        ));
        Self {
            server: Some(server),
            url,
            agent,
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Stops the service and closes its port.
    fn stop_server(&mut self) {
        self.server = None;
    }

    /// Starts the service at the same port, with its counters as if it had gone on.
    async fn start_server(&mut self, dialects: Dialects) {
        let options = Options {
            listen: self.url.trim_start_matches("http://").parse().unwrap(),
            ..Options::new(dialects)
        };
        self.server = Some(Server::start(options).await.unwrap());
    }

    async fn look(&self) -> Page {
        let text = self.agent.get("/metrics").await;
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Page(samples.collect())
    }

    /// Each of these paths is asked at least once from now on.
    async fn asked_again(&self, paths: &[&str]) {
        self.server().asked();
        let looking = async {
            let mut missing = paths.to_vec();
            while !missing.is_empty() {
                let asked = self.server().asked();
                missing.retain(|path| !asked.iter().any(|asked| asked == path));
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, looking).await.expect("all are asked again");
    }

    /// The first page on which something is true, and was on the page before: the agent's
    /// own metrics are read a moment before the others of a page.
    async fn until(&self, what: &str, is_true: impl Fn(&Page) -> bool) -> Page {
        let looking = async {
            let mut before = false;
            loop {
                let page = self.look().await;
                let now = is_true(&page);
                if before && now {
                    return page;
                }
                before = now;
                sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(LIMIT, looking).await {
            Ok(page) => page,
            Err(_) => panic!("never: {what}\n{:#?}", self.look().await.0),
        }
    }
}

impl Page {
    /// The value of the only series of this name whose labels contain these.
    fn find(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let found = self.0.iter().filter(|(series, _)| {
            let (family, rest) = series.split_once('{').unwrap_or((series, ""));
            family == name && labels.iter().all(|label| rest.contains(label))
        });
        let found: Vec<f64> = found.map(|(_, value)| *value).collect();
        assert!(
            found.len() < 2,
            "{name} {labels:?} is there {} times",
            found.len()
        );
        found.first().copied()
    }

    fn get(&self, name: &str) -> f64 {
        self.find(name, &[])
            .unwrap_or_else(|| panic!("{name}: {:#?}", self.0))
    }

    fn shows(&self, name: &str) -> bool {
        self.find(name, &[]).is_some()
    }

    /// Of the guard of one path.
    fn guard(&self, name: &str, path: &str) -> Option<f64> {
        let endpoint = format!("{path}\"");
        self.find(
            &format!("circuit_breaker_{name}"),
            &["component=\"betanet\"", &endpoint],
        )
    }

    fn failures(&self, reason: &str) -> f64 {
        let label = format!("reason=\"{reason}\"");
        self.find("scrape_failures_total", &[&label]).unwrap()
    }
}

const METRICS: &str = "/api/v1/metrics";
const NODES: &str = "/api/v1/nodes/status";
const NETWORK: &str = "/api/v1/network/stats";

#[tokio::test]
async fn a_server_that_goes_is_shown_as_it_was_then_not_at_all_and_comes_back_at_once() {
    let mut rig = Rig::start(Dialects::V1, "dialect: v1", Some(guard("6s"))).await;
    let whole = rig
        .until("all parts answer", |page| {
            page.find("up", &[]) == Some(1.0) && page.get("scrape_parts_failed") == 0.0
        })
        .await;
    assert_eq!(whole.guard("state", METRICS), Some(HEALTHY));
    assert_eq!(whole.guard("cache_stale", METRICS), Some(0.0));

    rig.stop_server();
    let down = rig.until("it is down", |page| page.get("up") == 0.0).await;
    assert_eq!(down.guard("cache_stale", METRICS), Some(1.0));
    let shown = down.get("betanet_messages_total");
    assert!(shown >= whole.get("betanet_messages_total"));

    let open = rig
        .until("all three are given up", |page| {
            let states = [METRICS, NODES, NETWORK].map(|path| page.guard("state", path));
            states == [Some(COOLING_DOWN); 3]
        })
        .await;
    // Ticks go on, so that what is shown about them is of now; and the exporter, which
    // forgets other series after a second, leaves it to the guard to end these.
    let later = rig
        .until("ticks are rejected", |page| {
            page.failures("breaker") > open.failures("breaker") + 2.0
                && page.guard("cache_age_seconds", METRICS) > Some(1.5)
        })
        .await;
    assert_eq!(later.get("up"), 0.0);
    assert!(later.failures("refused") >= 3.0);
    assert_eq!(later.get("scrape_parts_failed"), 3.0);
    assert_eq!(later.get("betanet_messages_total"), shown, "as it was");
    let age = |page: &Page| page.guard("cache_age_seconds", METRICS).unwrap();
    assert!(age(&later) > age(&open), "and older");

    let ended = rig
        .until("the series end", |page| {
            !page.shows("betanet_messages_total")
        })
        .await;
    assert!(
        ended.0.keys().all(|series| !series.starts_with("betanet_")),
        "{:#?}",
        ended.0
    );
    for path in [METRICS, NODES, NETWORK] {
        assert_eq!(ended.guard("cache_stale", path), None);
        assert_eq!(ended.guard("cache_age_seconds", path), None);
    }
    assert_eq!(ended.get("up"), 0.0, "which still says what is known");

    rig.start_server(Dialects::V1).await;
    let back = rig.until("it is back", |page| page.get("up") == 1.0).await;
    assert!(back.0.keys().any(|series| series.starts_with("betanet_")));
    let whole = rig
        .until("every part is well", |page| {
            let states = [METRICS, NODES, NETWORK].map(|path| page.guard("state", path));
            states == [Some(HEALTHY); 3]
        })
        .await;
    assert_eq!(whole.get("scrape_parts_failed"), 0.0);
    assert_eq!(whole.guard("cache_stale", METRICS), Some(0.0));
    rig.agent.stop().await;
}

#[tokio::test]
async fn a_path_in_trouble_leaves_its_neighbours_alone_and_is_asked_as_it_deserves() {
    let rig = Rig::start(Dialects::V1, "", Some(guard("6s"))).await;
    rig.until("all parts answer", |page| page.find("up", &[]) == Some(1.0))
        .await;
    rig.server().set(NODES, Some(Trouble::Hang));
    rig.server().set(NETWORK, Some(Trouble::Garbage));
    let given_up = rig
        .until("what hangs is given up", |page| {
            page.guard("state", NODES) == Some(COOLING_DOWN)
        })
        .await;
    assert!(given_up.failures("timeout") >= 3.0);
    assert!(given_up.failures("parse") >= 3.0);
    assert_eq!(
        (given_up.get("up"), given_up.get("scrape_parts_failed")),
        (1.0, 2.0)
    );
    assert_eq!(given_up.guard("cache_stale", NODES), Some(1.0));
    assert_eq!(given_up.guard("cache_stale", NETWORK), Some(1.0));
    assert_eq!(given_up.guard("state", METRICS), Some(HEALTHY));
    let ended = rig
        .until("both end", |page| {
            !page.shows("betanet_connected_peers") && !page.shows("betanet_latency")
        })
        .await;
    assert!(!ended.shows("betanet_mixnode_active"));
    assert!(!ended.shows("betanet_bytes_received_total"));
    assert!(!ended.shows("betanet_message_latency_seconds_count"));
    assert!(ended.get("betanet_messages_total") > given_up.get("betanet_messages_total"));
    assert_ne!(
        ended.guard("state", NETWORK),
        Some(COOLING_DOWN),
        "garbage is an answer"
    );
    // How often a guard asks what it has given up is tested with a paused clock; here, that
    // both the canaries of the one and the polls of the others go on.
    rig.asked_again(&[NODES, METRICS, NETWORK]).await;

    rig.server().set(NODES, None);
    rig.server().set(NETWORK, None);
    rig.until("both are back", |page| {
        page.shows("betanet_connected_peers")
            && page.shows("betanet_latency")
            && page.get("scrape_parts_failed") == 0.0
    })
    .await;
    rig.agent.stop().await;
}

#[tokio::test]
async fn a_server_that_flaps_has_nothing_counted_twice() {
    let rig = Rig::start(Dialects::Native, "dialect: native", Some(guard("1m"))).await;
    rig.until("it answers", |page| page.shows("betanet_messages_total"))
        .await;
    let mut total = 0.0;
    for round in 0..10 {
        let trouble = (round % 2 == 0).then_some(Trouble::Drop);
        rig.server().set("/mixnodes", trouble);
        // Until it was asked in this state, the page is looked at all the time.
        rig.server().asked();
        let looking = async {
            let mut polls = 0;
            while polls < 2 {
                let page = rig.look().await;
                let seen = page.get("betanet_messages_total");
                assert!(seen >= total, "it fell from {total} to {seen}");
                total = seen;
                polls += rig.server().asked().len();
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, looking).await.expect("it is asked");
    }
    rig.server().set("/mixnodes", None);
    let well = rig
        .until("it is well", |page| {
            page.guard("state", "/mixnodes") == Some(HEALTHY)
        })
        .await;
    // The values are exactly those that the service itself counts.
    let (sum, total) = (
        well.get("betanet_packets_processed"),
        well.get("betanet_messages_total"),
    );
    assert_eq!(sum, total);
    let answers = well
        .find(
            "circuit_breaker_requests_total",
            &["outcome=\"success\"", "/mixnodes\""],
        )
        .unwrap();
    let observed = well.get("betanet_message_latency_seconds_count");
    // The page is read while polls go on, and may hold one of them in one place only.
    let apart = (observed - answers).abs();
    assert!(apart <= 1.0, "{observed} observations of {answers} answers");
    rig.agent.stop().await;
}

#[tokio::test]
async fn one_that_asks_to_be_left_alone_is_left_alone() {
    let rig = Rig::start(Dialects::V1, "dialect: v1", Some(guard("1m"))).await;
    rig.until("it answers", |page| page.shows("betanet_messages_total"))
        .await;
    rig.server().set(METRICS, Some(Trouble::Throttle(3)));
    let throttled = rig
        .until("it is throttled", |page| {
            let remaining = page.guard("open_remaining_seconds", METRICS).unwrap();
            remaining > 1.0 && page.failures("status") >= 1.0
        })
        .await;
    assert_eq!(
        throttled.guard("state", METRICS),
        Some(HEALTHY),
        "it is not its fault"
    );
    // Its polls are turned away, and what it said before is shown, stale and not gone. Whether
    // it may be asked again by the time of a look is for a paused clock to say.
    rig.until("polls are turned away", |page| {
        page.failures("breaker") >= 1.0
            && page.guard("cache_stale", METRICS) == Some(1.0)
            && page.shows("betanet_messages_total")
    })
    .await;
    rig.server().set(METRICS, None);
    rig.until("it is asked again", |page| {
        page.get("scrape_parts_failed") == 0.0
    })
    .await;
    rig.agent.stop().await;
}

#[tokio::test]
async fn without_a_guard_what_fails_is_absent_at_once() {
    let rig = Rig::start(Dialects::V1, "", None).await;
    rig.until("it answers", |page| page.shows("betanet_messages_total"))
        .await;
    rig.server().set(METRICS, Some(Trouble::Fail));
    let failing = rig
        .until("a part fails", |page| {
            page.get("scrape_parts_failed") == 1.0
        })
        .await;
    assert!(!failing.shows("betanet_messages_total"));
    assert!(failing.shows("betanet_connected_peers"));
    assert_eq!(failing.guard("state", METRICS), None, "nothing guards it");
    rig.server().set(METRICS, None);
    rig.until("it is back", |page| page.shows("betanet_messages_total"))
        .await;
    rig.agent.stop().await;
}

#[tokio::test]
async fn another_server_that_comes_back_is_spoken_to_in_its_own_way() {
    let mut rig = Rig::start(Dialects::Native, "", Some(guard("1m"))).await;
    let native = rig
        .until("native answers", |page| {
            page.shows("betanet_connected_peers")
        })
        .await;
    assert!(!native.shows("betanet_peak_throughput"));
    rig.server().set("/status", Some(Trouble::Hang));
    rig.server().set("/metrics", Some(Trouble::Hang));
    rig.stop_server();
    rig.until("it is given up", |page| {
        page.guard("state", "/mixnodes") == Some(COOLING_DOWN)
    })
    .await;
    rig.start_server(Dialects::Both).await;
    let v1 = rig
        .until(
            "v1 answers, and nobody watches over the other paths",
            |page| {
                page.shows("betanet_peak_throughput") && page.guard("state", "/mixnodes").is_none()
            },
        )
        .await;
    let per_node = |page: &Page| page.0.keys().any(|series| series.contains("mixnode_id"));
    assert!(per_node(&native));
    assert!(!per_node(&v1), "what v1 doesn't know has ended");
    let asked = rig.server().asked();
    assert!(
        asked
            .iter()
            .all(|path| path != "/status" && path != "/metrics"),
        "{asked:?}"
    );
    rig.agent.stop().await;
}
