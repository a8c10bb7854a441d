use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use url::Url;

use super::*;
use crate::component::BuildContext;
use crate::receivers::scrape::PollReason;
use crate::receivers::scrape::http::{Access, Client, Fetch, FetchRequest, HttpClientConfig};
use crate::receivers::scrape::testing::{Series, context, series};
use crate::resilience;

#[path = "../../../../tests/support/peers.rs"]
mod peers;

/// A client that answers with the text that the test has set.
struct Script(Arc<Mutex<String>>);

impl Fetch for Script {
    fn fetch<'a>(
        &'a self,
        _request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<FetchedPage, FetchError>> {
        let text = self.0.lock().unwrap().clone();
        Box::pin(async move {
            if text.is_empty() {
                return Err(FailureReason::Refused.error("nothing listens"));
            }
            Ok(text.into_bytes().into())
        })
    }
}

struct Node {
    remote: Remote,
    now: Now,
}

impl Node {
    fn new(fetch: Arc<dyn Fetch>, url: &str) -> Self {
        Self::with(None, fetch, url)
    }

    fn with(guard: Option<resilience::Settings>, fetch: Arc<dyn Fetch>, url: &str) -> Self {
        let context = BuildContext {
            guard: guard.map(Arc::new),
            ..context("node")
        };
        let accept = "text/plain;version=0.0.4";
        let request = FetchRequest::new(Url::parse(url).unwrap(), accept);
        Self {
            remote: Remote::new(
                "n2".to_owned(),
                Access::new(&context, fetch).document(request, |page| {
                    read(&page, &NameFilter::default(), &NameFilter::default())
                }),
                Arc::new(AtomicBool::new(false)),
            ),
            now: Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH,
            },
        }
    }

    /// Polls ten seconds later.
    async fn poll(&mut self) -> (Series, Scrape) {
        self.now.monotonic += Duration::from_secs(10);
        let mut out = MetricsWriter::new();
        out.resource(&[]);
        out.scope("test", "");
        let poll = Poll {
            now: self.now,
            reason: PollReason::Interval,
        };
        let scrape = self.remote.scrape(poll, &mut out).await;
        (series(&out.finish()), scrape)
    }
}

const FIRST: &str = r#"
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 100
node_cpu_seconds_total{cpu="0",mode="iowait"} 10
node_cpu_seconds_total{cpu="0",mode="user"} 50
node_memory_MemTotal_bytes 1000
node_memory_MemAvailable_bytes 250
node_filesystem_size_bytes{device="/dev/a",fstype="ext4",mountpoint="/"} 1000
node_filesystem_free_bytes{device="/dev/a",fstype="ext4",mountpoint="/"} 500
node_filesystem_avail_bytes{device="/dev/a",fstype="ext4",mountpoint="/"} 300
node_filesystem_size_bytes{device="/dev/a",fstype="ext4",mountpoint="/again"} 1000
node_filesystem_free_bytes{device="/dev/a",fstype="ext4",mountpoint="/again"} 500
node_filesystem_avail_bytes{device="/dev/a",fstype="ext4",mountpoint="/again"} 300
node_filesystem_size_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 9000
node_filesystem_free_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 0
node_filesystem_avail_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 0
node_network_receive_bytes_total{device="eth0"} 1000
node_network_transmit_bytes_total{device="eth0"} 2000
node_network_receive_bytes_total{device="lo"} 1
node_network_transmit_bytes_total{device="lo"} 1
node_time_seconds 5000
node_boot_time_seconds 1000
"#;

const SECOND: &str = r#"
node_cpu_seconds_total{cpu="0",mode="idle"} 107
node_cpu_seconds_total{cpu="0",mode="iowait"} 9
node_cpu_seconds_total{cpu="0",mode="user"} 53
node_network_receive_bytes_total{device="eth0"} 1500
node_network_transmit_bytes_total{device="eth0"} 2100
node_network_receive_bytes_total{device="lo"} 10001
"#;

fn gauge(name: &str) -> String {
    format!(r#"{name}{{node_id="n2"}}"#)
}

#[tokio::test(start_paused = true)]
async fn the_gauges_follow_from_the_exporters_names() {
    let page = Arc::new(Mutex::new(FIRST.to_owned()));
    let mut node = Node::new(Arc::new(Script(Arc::clone(&page))), "http://n2/metrics");
    let (first, scrape) = node.poll().await;
    assert!(scrape.up());
    assert_eq!(first[&gauge("node_memory_usage")], 75.0);
    assert_eq!(first[&gauge("node_disk_usage")], 62.5);
    assert_eq!(first[&gauge("system_uptime")], 4000.0);
    assert_eq!(first.len(), 3, "differences need two polls: {first:?}");

    *page.lock().unwrap() = SECOND.to_owned();
    let (second, _) = node.poll().await;
    assert_eq!(second[&gauge("node_cpu_usage")], 30.0);
    assert_eq!(second[&gauge("node_network_io")], 60.0);
    let ended = ["node_disk_usage", "node_memory_usage", "system_uptime"].map(gauge);
    let absent = second.iter().filter(|(_, value)| value.is_nan());
    assert!(absent.map(|(key, _)| key).eq(&ended), "{second:?}");
    assert_eq!(second.len(), 4 + ended.len(), "{second:?}");
    let (third, _) = node.poll().await;
    assert_eq!(third.len(), 4, "ended once: {third:?}");
}

#[tokio::test(start_paused = true)]
async fn a_processor_counter_that_falls_makes_the_percentage_absent() {
    let page = Arc::new(Mutex::new(FIRST.to_owned()));
    let mut node = Node::new(Arc::new(Script(Arc::clone(&page))), "http://n2/metrics");
    node.poll().await;
    *page.lock().unwrap() = FIRST.replace("} 50", "} 49");
    let (series, _) = node.poll().await;
    assert!(!series.contains_key(&gauge("node_cpu_usage")));
}

#[tokio::test(start_paused = true)]
async fn an_interval_in_which_bytes_fall_or_the_node_restarts_has_no_rate() {
    let page = Arc::new(Mutex::new(FIRST.to_owned()));
    let mut node = Node::new(Arc::new(Script(Arc::clone(&page))), "http://n2/metrics");
    node.poll().await;
    let mut f = async |from: &str, to: &str, expected: Option<f64>| {
        *page.lock().unwrap() = FIRST.replace(from, to);
        let (series, _) = node.poll().await;
        let found = series.get(&gauge("node_network_io")).copied();
        assert_eq!(found.filter(|rate| !rate.is_nan()), expected, "{to}");
    };
    let received = r#"node_network_receive_bytes_total{device="eth0"}"#;
    let of = |bytes: u64| format!("{received} {bytes}");
    f(&of(1000), &of(1100), Some(10.0)).await;
    f(&of(1000), &of(1090), None).await;
    f(&of(1000), &of(1190), Some(10.0)).await;
    f(&of(1000), &of(10), None).await;
    f("boot_time_seconds 1000", "boot_time_seconds 4990", None).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_fails_gives_nothing_and_is_not_counted() {
    let page = Arc::new(Mutex::new(FIRST.to_owned()));
    let mut node = Node::new(Arc::new(Script(Arc::clone(&page))), "http://n2/metrics");
    let mut f = async |text: &str, expected: Option<(FailureReason, &str)>| {
        *page.lock().unwrap() = text.to_owned();
        let (series, scrape) = node.poll().await;
        let failure = scrape.failures().first();
        let found = failure.map(|failure| (failure.reason, failure.message.as_str()));
        assert_eq!(found, expected);
        assert_eq!(
            node.remote.answered.load(Ordering::Relaxed),
            expected.is_none()
        );
        let shown = series.values().any(|value| !value.is_nan());
        assert_eq!(shown, expected.is_none(), "what fails is absent at once");
    };
    f(FIRST, None).await;
    f("", Some((FailureReason::Refused, "nothing listens"))).await;
    let broken = (FailureReason::Parse, "line 1: expected a metric name");
    f("<html>", Some(broken)).await;
    f(FIRST, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_guarded_node_is_shown_as_it_was_and_ends_past_the_staleness() {
    let page = Arc::new(Mutex::new(FIRST.to_owned()));
    let script = Arc::new(Script(Arc::clone(&page)));
    let guard = Some(resilience::Settings::default());
    let mut node = Node::with(guard, script, "http://n2/metrics");
    let (whole, _) = node.poll().await;
    page.lock().unwrap().clear();
    tokio::time::advance(Duration::from_secs(15)).await;
    let (series, scrape) = node.poll().await;
    assert!(!scrape.up() && series.is_empty(), "{series:?}");
    assert!(!node.remote.answered.load(Ordering::Relaxed));
    tokio::time::advance(Duration::from_secs(290)).await;
    let (ended, _) = node.poll().await;
    assert!(ended.keys().eq(whole.keys()) && ended.values().all(|value| value.is_nan()));
    let (series, _) = node.poll().await;
    assert!(series.is_empty(), "ended once");
}

/// A node_exporter process, killed at the end of the test.
struct Exporter(Child);

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_real_node_exporter_is_read_as_its_host_is() {
    let Some(program) = peers::find("node_exporter") else {
        return;
    };
    let mut exporter = Exporter(
        Command::new(program)
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let log = BufReader::new(exporter.0.stderr.take().unwrap());
    let mut lines = log.lines().map_while(Result::ok);
    let address = lines
        .find(|line| line.contains("Listening on"))
        .and_then(|line| Some(line.rsplit_once("address=")?.1.to_owned()))
        .unwrap();
    // The process exits if it can't write to its log, so the pipe is read to its end.
    std::thread::spawn(move || lines.for_each(drop));
    let url = format!("http://{address}/metrics");
    let parsed = Url::parse(&url).unwrap();
    let timeout = Duration::from_secs(10);
    let client = Client::new(&HttpClientConfig::default(), timeout, [&parsed]).unwrap();
    let mut node = Node::new(Arc::new(client), &url);
    // Repeat until the processors' counters have changed between two answers.
    let found = loop {
        let (found, scrape) = node.poll().await;
        assert_eq!(scrape.failures(), []);
        if found.contains_key(&gauge("node_cpu_usage")) {
            break found;
        }
    };
    let proc = |file: &str| std::fs::read_to_string(format!("/proc/{file}")).unwrap();
    let close = |name: &str, expected: f64, by: f64| {
        let value = found[&gauge(name)];
        assert!(
            (value - expected).abs() < by,
            "{name}: {value}, not {expected}"
        );
    };
    let memory = proc("meminfo");
    let field = |name: &str| -> f64 {
        let line = memory.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let total = field("MemTotal:");
    let used = 100.0 * (total - field("MemAvailable:")) / total;
    close("node_memory_usage", used, 5.0);
    let uptime = proc("uptime");
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    close("system_uptime", uptime, 5.0);
    assert!((0.0..=100.0).contains(&found[&gauge("node_cpu_usage")]));
    assert!(found[&gauge("node_network_io")] >= 0.0);
    assert!((0.0..=100.0).contains(&found[&gauge("node_disk_usage")]));
}
