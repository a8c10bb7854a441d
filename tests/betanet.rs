//! The betanet receiver against a Betanet service on loopback: when one path fails, the metrics
//! of the other paths are delivered, its own are absent, and the reason is counted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use foghorn::component::{
    Admission, BuildContext, ComponentState, Health, Intake, Origin, Refusal,
};
use foghorn::pdata::{Batch, Signal};
use foghorn::receivers::betanet;
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use foghorn::yaml::{self, Diagnostics, PlacedNode};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

#[path = "support/betanet_server.rs"]
mod betanet_server;
#[path = "support/series.rs"]
mod series;

use betanet_server::{Dialects, Options, Server, Trouble};
use series::Series;

/// Hands every batch to the test.
struct Pass(mpsc::UnboundedSender<Batch>);

impl Intake for Pass {
    fn try_admit(&self, _origin: Origin, _bytes: u64) -> Result<Box<dyn Admission>, Refusal> {
        Ok(Box::new(Pass(self.0.clone())))
    }
}

impl Admission for Pass {
    fn grow(&mut self, _bytes: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn accept(self: Box<Self>, batch: Batch) -> BoxFuture<'static, ()> {
        // The test may have seen enough.
        let _ = self.0.send(batch);
        Box::pin(std::future::ready(()))
    }
}

/// A receiver that polls a server.
struct Rig {
    server: Arc<Server>,
    batches: mpsc::UnboundedReceiver<Batch>,
    telemetry: Telemetry,
    health: Health,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    async fn start(dialects: Dialects, keys: &str) -> Self {
        // The values don't change, so two polls differ only in which metrics are absent.
        let server = Server::start(Options {
            speed: 0.0,
            ..Options::new(dialects)
        });
        let server = Arc::new(server.await.unwrap());
        let text = format!(
            "{{endpoints: ['{}'], collection_interval: 400ms, max_body_size: 1MiB, {keys}}}",
            server.url()
        );
        let diagnostics = Diagnostics::new();
        let node = yaml::parse(&text, &Arc::from("test"), &diagnostics).unwrap();
        let config = (betanet::FACTORY.configure)(&PlacedNode::root(&node, &diagnostics));
        assert_eq!(diagnostics.problems(), [], "{text}");

        let (sender, batches) = mpsc::unbounded_channel();
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        let health = Health::new();
        let context = BuildContext {
            health: health.clone(),
            ..BuildContext::standalone("betanet/test".parse().unwrap(), telemetry.clone())
        };
        let intake: Arc<dyn Intake> = Arc::new(Pass(sender));
        let intakes = BTreeMap::from([(Signal::Metrics, intake)]);
        let mut receiver = config.unwrap().build(&context, intakes).unwrap();
        receiver.start().await.unwrap();
        let stop = CancellationToken::new();
        Self {
            server,
            batches,
            telemetry,
            health,
            task: tokio::spawn(receiver.run(stop.clone())),
            stop,
        }
    }

    /// The series of the next poll, with the instance's label left out.
    async fn poll(&mut self) -> Series {
        let batch = timeout(Duration::from_secs(10), self.batches.recv());
        let batch = batch.await.unwrap().unwrap();
        let instance = format!("betanet.instance=\"{}\"", self.server.url());
        series::read(batch.parts().iter().map(|part| part.bytes().as_ref()))
            .into_iter()
            .map(|(key, value)| {
                let key = key.replace(&format!("{{{instance}}}"), "");
                (key.replace(&format!("{instance},"), ""), value)
            })
            .collect()
    }

    /// The series of the first poll that begins after now.
    async fn next_poll(&mut self) -> Series {
        // A poll may be under way, and the channel may hold an earlier one.
        while self.batches.try_recv().is_ok() {}
        self.poll().await;
        self.poll().await
    }
}

/// Everything but what describes the poll itself, by name and labels.
fn platform(series: &Series) -> Vec<&str> {
    let names = series.keys().map(String::as_str);
    names.filter(|name| name.starts_with("betanet_")).collect()
}

/// The names of the series that are in the one and not in the other. Of a name, all of them
/// are or none is.
fn missing<'a>(whole: &'a Series, found: &Series) -> Vec<&'a str> {
    let name = |series: &'a str| series.split('{').next().unwrap_or(series);
    let (mut gone, mut left) = (BTreeSet::new(), BTreeSet::new());
    for series in platform(whole) {
        let names = match found.contains_key(series) {
            true => &mut left,
            false => &mut gone,
        };
        names.insert(name(series));
    }
    assert!(gone.is_disjoint(&left), "{gone:?}, but not all of them");
    gone.into_iter().collect()
}

/// How often each reason was counted.
fn reasons(series: &Series) -> BTreeMap<&str, f64> {
    let counted = series.iter().filter_map(|(name, count)| {
        let reason = name.strip_prefix("scrape_failures_total{reason=\"")?;
        Some((reason.strip_suffix("\"}")?, *count))
    });
    counted.collect()
}

/// Makes one path fail in every way in turn, and checks which series are left.
async fn troubles(dialects: Dialects, keys: &str, path: &str, absent: &[&str]) {
    let mut rig = Rig::start(dialects, keys).await;
    let whole = rig.poll().await;
    assert_eq!((whole["up"], whole["scrape_parts_failed"]), (1.0, 0.0));
    let mut before = whole.clone();
    for (trouble, reason) in [
        (Trouble::Fail, "status"),
        (Trouble::Hang, "timeout"),
        (Trouble::Garbage, "parse"),
        (Trouble::Huge(50 << 20), "limit"),
        (Trouble::Drop, "reset"),
    ] {
        let case = format!("{trouble:?} of {path}");
        rig.server.set(path, Some(trouble));
        // The poll under way may still see the previous failure, so only the next one is checked.
        let between = rig.next_poll().await;
        let found = rig.poll().await;
        assert_eq!(
            (found["up"], found["scrape_parts_failed"]),
            (1.0, 1.0),
            "{case}"
        );
        assert_eq!(missing(&whole, &found), absent, "{case}");
        for (counted, count) in reasons(&found) {
            let grown = count - reasons(&between)[counted];
            assert_eq!(grown, f64::from(counted == reason), "{counted}: {case}");
        }
        assert!(reasons(&found)[reason] > reasons(&before)[reason], "{case}");
        before = found;
    }
    rig.server.set(path, None);
    let healed = rig.next_poll().await;
    assert_eq!(platform(&healed), platform(&whole), "all back");
}

#[tokio::test]
async fn a_path_in_trouble_leaves_the_others_and_its_own_metrics_absent() {
    // They run at the same time, since they mostly wait.
    tokio::join!(
        troubles(
            Dialects::V1,
            "",
            "/api/v1/metrics",
            &[
                "betanet_messages_total",
                "betanet_packets_dropped",
                "betanet_packets_dropped_total",
                "betanet_packets_processed",
            ],
        ),
        troubles(
            Dialects::Both,
            "",
            "/api/v1/nodes/status",
            &["betanet_connected_peers", "betanet_mixnode_active"],
        ),
        troubles(
            Dialects::V1,
            "dialect: v1",
            "/api/v1/network/stats",
            &[
                "betanet_bytes_received_total",
                "betanet_bytes_transmitted_total",
                "betanet_latency",
                "betanet_message_latency_seconds",
                "betanet_message_latency_seconds_sum",
                "betanet_peak_throughput",
            ],
        ),
        troubles(
            Dialects::Native,
            "dialect: native, parts: [mixnodes, metrics, status]",
            "/status",
            &["betanet_connections"],
        ),
        troubles(
            Dialects::Native,
            "dialect: native, parts: [mixnodes, metrics, status]",
            "/mixnodes",
            // `/metrics` and `/status` tell the rest as well.
            &[
                "betanet_mixnode_latency_seconds",
                "betanet_mixnode_packets_dropped_total",
                "betanet_mixnode_packets_forwarded_total",
                "betanet_mixnode_packets_processed_total",
                "betanet_mixnode_uptime_seconds",
            ],
        ),
        troubles(
            Dialects::Native,
            "dialect: native, parts: [metrics, status]",
            "/metrics",
            &[
                "betanet_connected_peers",
                "betanet_packets_dropped",
                "betanet_packets_dropped_total",
            ],
        ),
    );
}

#[tokio::test]
async fn the_native_server_is_asked_for_its_mixnodes_alone() {
    let mut rig = Rig::start(Dialects::Native, "").await;
    // The server of today: once asked for these, it hangs.
    rig.server.set("/status", Some(Trouble::Hang));
    rig.server.set("/metrics", Some(Trouble::Hang));
    for _ in 0..3 {
        let found = rig.poll().await;
        assert_eq!(found["up"], 1.0);
        assert_eq!(found["betanet_connected_peers"], 6.0);
        assert_eq!(found["betanet_mixnode_active"], 5.0);
        assert_eq!(found["scrape_failures_total{reason=\"status\"}"], 0.0);
        let uptime = "betanet_mixnode_uptime_seconds{mixnode_id=\"mixnode-18\"}";
        assert_eq!(found[uptime], 600.0);
    }
    let asked = rig.server.asked();
    let of = |path: &str| asked.iter().filter(|asked| *asked == path).count();
    assert_eq!((of("/status"), of("/metrics")), (0, 0), "{asked:?}");
    assert_eq!(of("/api/v1/metrics"), 1, "probed once");
    assert!(
        of("/mixnodes") >= 3,
        "a connection for each, closed unannounced"
    );
}

#[tokio::test]
async fn without_its_only_part_a_source_is_down_and_all_of_it_is_absent() {
    let mut rig = Rig::start(Dialects::Native, "dialect: native").await;
    assert_eq!(rig.poll().await["up"], 1.0);
    for (trouble, reason) in [
        (Trouble::Fail, "status"),
        (Trouble::Hang, "timeout"),
        (Trouble::Garbage, "parse"),
        (Trouble::Huge(50 << 20), "limit"),
        (Trouble::Drop, "reset"),
    ] {
        rig.server.set("/mixnodes", Some(trouble));
        let between = rig.next_poll().await;
        let found = rig.poll().await;
        assert_eq!(
            (found["up"], platform(&found)),
            (0.0, vec![]),
            "{trouble:?}"
        );
        for (counted, count) in reasons(&found) {
            let grown = count - reasons(&between)[counted];
            assert_eq!(
                grown,
                f64::from(counted == reason),
                "{counted}: {trouble:?}"
            );
        }
    }
    rig.server.set("/mixnodes", None);
    assert_eq!(rig.next_poll().await["betanet_connected_peers"], 6.0);
}

#[tokio::test]
async fn a_restart_of_the_service_is_a_new_epoch_and_no_failure() {
    let mut rig = Rig::start(Dialects::V1, "").await;
    let before = rig.poll().await;
    assert!(before["betanet_messages_total"] > 100_000.0);
    rig.server.restart();
    let after = rig.next_poll().await;
    assert_eq!(after["betanet_messages_total"], 0.0, "as it reports");
    assert_eq!(after["up"], 1.0);
}

#[tokio::test]
async fn a_server_that_is_gone_is_down_with_its_reason_and_no_invented_value() {
    let mut rig = Rig::start(Dialects::Both, "").await;
    assert_eq!(rig.poll().await["up"], 1.0);
    assert_eq!(rig.health.reports()[0].state, ComponentState::Working);
    let url = rig.server.url();
    // A port on which nobody listens: the server's own, once it has gone.
    rig.server = Arc::new(Server::start(Options::new(Dialects::Both)).await.unwrap());
    let gone = loop {
        let found = rig.poll().await;
        if found["up"] == 0.0 {
            break found;
        }
    };
    let ended = platform(&gone);
    assert!(ended.len() == 12 && ended.iter().all(|name| gone[*name].is_nan()));
    assert_eq!(platform(&rig.poll().await), [""; 0], "ended once");
    assert!(gone["scrape_failures_total{reason=\"refused\"}"] >= 1.0);
    assert_eq!(gone["scrape_samples_scraped"], 0.0);
    let report = rig.health.reports().remove(0);
    assert_eq!(
        (report.state, report.id.as_str()),
        (ComponentState::Failing, url.as_str())
    );
    assert!(
        report.last_error.unwrap().starts_with("connection refused"),
        "it says why"
    );
    let families = rig.telemetry.registry().gather();
    let errored = families
        .iter()
        .find(|family| family.name() == "otelcol_scraper_errored_metric_points")
        .unwrap();
    assert!(errored.get_metric()[0].get_counter().get_value() >= 3.0);
}

#[tokio::test]
async fn stopping_ends_a_fetch_that_hangs() {
    let mut rig = Rig::start(Dialects::V1, "").await;
    rig.poll().await;
    for path in ["/api/v1/metrics", "/api/v1/nodes/status"] {
        rig.server.set(path, Some(Trouble::Hang));
    }
    while rig.server.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    rig.stop.cancel();
    timeout(Duration::from_millis(250), rig.task)
        .await
        .expect("sooner than the timeout of the request")
        .unwrap();
}
