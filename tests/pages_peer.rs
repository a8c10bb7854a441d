//! A real Prometheus scrapes a server with hundreds of pages, each a target of its own: real ones,
//! and changed pieces of them, in all three formats. Read back through its API, each target's
//! health, series, values, metadata, exemplars and counts are what we make of the same page.
//!
//! `FOGHORN_ROUNDS` makes it more pages, `FOGHORN_SEED` other ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run says what it compared")]

#[path = "pages/compare.rs"]
mod compare;
#[path = "pages/mutate.rs"]
mod mutate;
#[path = "support/peers.rs"]
mod peers;
#[path = "promql/random.rs"]
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use compare::{Native, ours};
use foghorn::exposition::read::{PageEntry, PageFormat, PageReader, ScrapeProtocol, accept};
use foghorn::pdata::writer::MetricsWriter;
use foghorn::translation::scraped::{ScrapedSettings, ScrapedTarget};
use mutate::{SEEDS, is_indented, number};
use random::Dice;
use serde_json::Value;

/// Time for Prometheus to start and to scrape every page.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often each page is scraped: no more than two hundred pages a second.
fn interval(pages: usize) -> Duration {
    Duration::from_secs((pages as u64 / 200).max(2))
}

/// A page that is served.
struct Served {
    name: String,
    format: PageFormat,
    body: Vec<u8>,
}

fn pages() -> Vec<Served> {
    let rounds = number("FOGHORN_ROUNDS").unwrap_or(400);
    let first = number("FOGHORN_SEED").unwrap_or(1);
    let mut pages: Vec<Served> = SEEDS
        .iter()
        .map(|(name, format, body)| Served {
            name: (*name).to_owned(),
            format: *format,
            body: body.to_vec(),
        })
        .collect();
    pages.push(Served {
        name: "nothing".to_owned(),
        format: PageFormat::OpenMetrics,
        body: Vec::new(),
    });
    for seed in first..first + rounds {
        let (name, format, body) = mutate::page(&mut Dice::new(seed));
        // Blanks before a name are one of the deliberate differences.
        if !is_indented(&body, format) {
            pages.push(Served {
                name: format!("{name} FOGHORN_SEED={seed} FOGHORN_ROUNDS=1"),
                format,
                body,
            });
        }
    }
    pages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_what_we_read() {
    let Some(program) = peers::find("prometheus") else {
        return;
    };
    let pages = Arc::new(pages());
    let server = serve(Arc::clone(&pages));
    let directory = tempfile::tempdir().unwrap();
    let peer = Prometheus::start(&program, directory.path(), server, pages.len());
    let health = peer.health(pages.len()).await;
    let (mut up, mut series) = (0, 0);
    for (at, page) in pages.iter().enumerate() {
        let said = || {
            format!(
                "page {at}: {}\n{}",
                page.name,
                String::from_utf8_lossy(&page.body)
            )
        };
        let native = Native {
            native: true,
            classic_too: false,
        };
        let found = ours(&page.body, page.format, native);
        let stored = peer.stored(at).await;
        let (theirs, error) = &health[&at];
        assert_eq!(
            found.is_ok(),
            theirs == "up",
            "{error}\n{found:?}\n{}",
            said()
        );
        let counts = counts(page);
        let has_times = has_times(page);
        for (name, count, reported) in [
            (
                "scrape_samples_scraped",
                counts.0,
                stored.of_scrape("scrape_samples_scraped"),
            ),
            (
                "scrape_samples_post_metric_relabeling",
                counts.1,
                stored.of_scrape("scrape_samples_post_metric_relabeling"),
            ),
            // Only the first scrape adds them; it may be over.
            ("scrape_series_added", counts.2, peer.most_added(at).await),
        ] {
            // Values of other times may be refused, and their series are none then.
            if name == "scrape_series_added" && has_times {
                continue;
            }
            // Prometheus takes the series of a line before it sees what is wrong behind the value.
            let is_one_more = found.is_err()
                && page.format == PageFormat::OpenMetrics
                && reported == Some(count as f64 + 1.0);
            let is_same = reported == Some(count as f64) || is_one_more;
            assert!(is_same, "{name} {reported:?} {count}\n{}", said());
        }
        let Ok(found) = found else { continue };
        up += 1;
        let ours = own_series(&found);
        series += ours.len();
        let theirs = &stored.series;
        let timed = timed(&found);
        let all: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for labels in all {
            // Prometheus takes no values of long ago, and a query shows none.
            if !timed.contains(labels) {
                assert_eq!(
                    ours.get(labels),
                    theirs.get(labels),
                    "{labels:?}\n{}",
                    said()
                );
            }
        }
        let metadata = peer.metadata(at).await;
        assert_eq!(own_metadata(&found), metadata, "{}", said());
    }
    println!("{} pages: {up} accepted with {series} series", pages.len());
    assert!(up > 20 && up < pages.len());
    let exemplars = peer.exemplars().await;
    assert!(exemplars.contains("0af7651916cd43dd8448eb211c80319c"));
}

/// Whether a value has a time of its own, up to where the page can be read.
fn has_times(page: &Served) -> bool {
    let mut reader = PageReader::new(&page.body, page.format, compare::LIMITS);
    reader = reader.native_histograms(true, false);
    while let Ok(Some(entry)) = reader.next(b"") {
        if let PageEntry::Series(series) = entry
            && series.reading.timestamp.is_some()
        {
            return true;
        }
    }
    false
}

/// What a scrape of a page counts: series, those left, and new ones.
fn counts(page: &Served) -> (u64, u64, u64) {
    let labels = vec![
        ("instance".to_owned(), "i".to_owned()),
        ("job".to_owned(), "j".to_owned()),
    ];
    let settings = ScrapedSettings {
        limits: compare::LIMITS,
        native_histograms: true,
        ..ScrapedSettings::default()
    };
    let mut target = ScrapedTarget::new(settings, labels);
    let mut out = MetricsWriter::new();
    let now = SystemTime::now();
    let (counts, result) = target.page(&page.body, page.format, now, &mut (), &mut out);
    // As in Prometheus, the counts of a page that fails are those until then.
    drop(result);
    (counts.scraped, counts.kept, counts.added)
}

type SeriesLabels = BTreeMap<String, String>;

/// The bits of a number, or of count and sum of a native histogram.
type SeriesValue = (u64, Option<u64>);

/// Our series and their values, the first of each.
fn own_series(found: &Value) -> BTreeMap<SeriesLabels, SeriesValue> {
    let mut series = BTreeMap::new();
    for entry in found["series"].as_array().unwrap() {
        let number = |value: &Value| {
            let bits = u64::from_str_radix(value.as_str().unwrap(), 16).unwrap();
            comparable(f64::from_bits(bits))
        };
        let value = match &entry["histogram"] {
            Value::Null => (number(&entry["value"]), None),
            histogram => (number(&histogram["count"]), Some(number(&histogram["sum"]))),
        };
        series.entry(labels_of(entry)).or_insert(value);
    }
    series
}

/// The bits of a number, the same for every NaN.
fn comparable(value: f64) -> u64 {
    if value.is_nan() { f64::NAN } else { value }.to_bits()
}

/// Those with a time of their own.
fn timed(found: &Value) -> BTreeSet<SeriesLabels> {
    let series = found["series"].as_array().unwrap().iter();
    series
        .filter(|entry| !entry["time"].is_null())
        .map(labels_of)
        .collect()
}

fn labels_of(entry: &Value) -> SeriesLabels {
    let labels = entry["labels"].as_array().unwrap().iter();
    labels
        .map(|label| {
            let text = |at: usize| label[at].as_str().unwrap().to_owned();
            (text(0), text(1))
        })
        .collect()
}

/// Types by family: the last one that was said. Prometheus lists families of which it knows
/// anything.
fn own_metadata(found: &Value) -> BTreeMap<String, (String, String, String)> {
    let mut families: BTreeMap<String, (String, String, String)> = BTreeMap::new();
    for entry in found["metadata"].as_array().unwrap() {
        let text = |at: usize| entry[at].as_str().unwrap().to_owned();
        let family = families.entry(text(1));
        let family = family.or_insert_with(|| ("unknown".to_owned(), String::new(), String::new()));
        match text(0).as_str() {
            "TYPE" => family.0 = text(2),
            "HELP" => family.1 = text(2),
            _ => family.2 = text(2),
        }
    }
    families
}

/// Serves each page under its number.
fn serve(pages: Arc<Vec<Served>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            // A scraper that hangs up is tried again by itself.
            let _ = answer(socket, &pages);
        }
    });
    address
}

fn answer(mut socket: TcpStream, pages: &[Served]) -> std::io::Result<()> {
    let mut lines = BufReader::new(socket.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut accepted = String::new();
    for line in lines {
        let line = line?;
        if let Some(value) = line.strip_prefix("Accept: ") {
            value.clone_into(&mut accepted);
        }
        if line.is_empty() {
            break;
        }
    }
    // Prometheus asks for what we would ask for.
    let wanted = accept(&ScrapeProtocol::PROTOBUF_FIRST);
    let at = request
        .split(['/', ' '])
        .nth(2)
        .and_then(|at| at.parse::<usize>().ok());
    let Some(page) = at.and_then(|at| pages.get(at)) else {
        return socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    if accepted != wanted {
        return socket.write_all(b"HTTP/1.1 406 Not Acceptable\r\nContent-Length: 0\r\n\r\n");
    }
    let content_type = match page.format {
        PageFormat::Text => "text/plain; version=0.0.4; charset=utf-8",
        PageFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0",
        PageFormat::Protobuf => {
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
        }
    };
    write!(
        socket,
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.body.len()
    )?;
    socket.write_all(&page.body)
}

/// A Prometheus whose targets are the pages. It ends when it is dropped.
struct Prometheus {
    url: String,
    process: Child,
    client: reqwest::Client,
    /// The instance of every target.
    server: String,
}

/// What it has stored of a page.
#[derive(Default)]
struct Stored {
    series: BTreeMap<SeriesLabels, SeriesValue>,
    /// Those about the scrape.
    own: BTreeMap<String, f64>,
}

impl Stored {
    fn of_scrape(&self, name: &str) -> Option<f64> {
        self.own.get(name).copied()
    }
}

impl Prometheus {
    fn start(program: &Path, directory: &Path, server: SocketAddr, pages: usize) -> Self {
        // Labels of pages are kept as they are; those of the target go where none has any.
        let interval = interval(pages).as_secs();
        let mut configuration = format!(
            "
global:
  scrape_interval: {interval}s
  scrape_timeout: {interval}s
  scrape_native_histograms: true
  scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0, PrometheusText0.0.4]
storage: {{exemplars: {{max_exemplars: 10000}}}}
scrape_configs:
  - job_name: pages
    honor_labels: true
    static_configs:
"
        );
        for at in 0..pages {
            writeln!(
                configuration,
                "    - {{targets: ['{server}'], labels: {{__metrics_path__: /{at}/, foghorn_page: 'p{at}'}}}}"
            )
            .unwrap();
        }
        std::fs::write(directory.join("prometheus.yaml"), configuration).unwrap();
        let [port, ..] = peers::free_ports();
        let address = format!("127.0.0.1:{port}");
        let process = Command::new(program)
            .arg(format!(
                "--config.file={}",
                directory.join("prometheus.yaml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--scrape.discovery-reload-interval=100ms")
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            url: format!("http://{address}"),
            process,
            client: reqwest::Client::new(),
            server: server.to_string(),
        }
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let url = format!("{}/api/v1/{path}", self.url);
        let url = reqwest::Url::parse_with_params(&url, query).unwrap();
        let answer = self.client.get(url).send().await.ok()?;
        let answer = answer.error_for_status().ok()?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        Some(answer["data"].clone())
    }

    /// Each page's health and error, once all were scraped.
    async fn health(&self, pages: usize) -> BTreeMap<usize, (String, String)> {
        let deadline = tokio::time::Instant::now() + PATIENCE + 2 * interval(pages);
        loop {
            let targets = self
                .ask("targets", &[("state", "active")])
                .await
                .unwrap_or_default();
            let mut health = BTreeMap::new();
            for target in targets["activeTargets"].as_array().into_iter().flatten() {
                let page = target["labels"]["foghorn_page"]
                    .as_str()
                    .unwrap_or_default();
                let state = target["health"].as_str().unwrap_or_default().to_owned();
                let error = target["lastError"].as_str().unwrap_or_default().to_owned();
                if let Ok(at) = page.trim_start_matches('p').parse()
                    && state != "unknown"
                {
                    health.insert(at, (state, error));
                }
            }
            if health.len() == pages {
                return health;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "only {} of {pages} pages were scraped",
                health.len()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The most series that a scrape of a page has added: what the first one did.
    async fn most_added(&self, at: usize) -> Option<f64> {
        let query = format!("max_over_time(scrape_series_added{{foghorn_page=\"p{at}\"}}[1h])");
        let found = self.ask("query", &[("query", &query)]).await?;
        found["result"][0]["value"][1].as_str()?.parse().ok()
    }

    async fn stored(&self, at: usize) -> Stored {
        let query = format!("{{foghorn_page=\"p{at}\"}}");
        let found = self
            .ask("query", &[("query", &query)])
            .await
            .unwrap_or_default();
        let mut stored = Stored::default();
        for entry in found["result"].as_array().into_iter().flatten() {
            let mut labels: SeriesLabels = entry["metric"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
            labels.remove("foghorn_page");
            // The Collector's page says a job of its own.
            if labels.get("job").is_some_and(|job| job == "pages") {
                labels.remove("job");
            }
            if labels.get("instance") == Some(&self.server) {
                labels.remove("instance");
            }
            let name = labels.get("__name__").cloned().unwrap_or_default();
            let about_the_scrape =
                labels.len() == 1 && (name == "up" || name.starts_with("scrape_"));
            if about_the_scrape {
                stored.own.insert(name, number(&entry["value"][1]));
                continue;
            }
            let value = match entry.get("histogram") {
                Some(histogram) => {
                    let [count, sum] = ["count", "sum"].map(|key| number(&histogram[1][key]));
                    (comparable(count), Some(comparable(sum)))
                }
                None => (comparable(number(&entry["value"][1])), None),
            };
            stored.series.insert(labels, value);
        }
        stored
    }

    /// Type, help and unit of each family of a page.
    async fn metadata(&self, at: usize) -> BTreeMap<String, (String, String, String)> {
        let target = format!("{{foghorn_page=\"p{at}\"}}");
        let found = self
            .ask("targets/metadata", &[("match_target", &target)])
            .await;
        let found = found.unwrap_or_default();
        let entries = found.as_array().into_iter().flatten();
        entries
            .map(|entry| {
                let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
                (text("metric"), (text("type"), text("help"), text("unit")))
            })
            .collect()
    }

    async fn exemplars(&self) -> String {
        let query = [
            ("query", "{foghorn_page!=\"\"}"),
            ("start", "0"),
            ("end", "4102444800"),
        ];
        self.ask("query_exemplars", &query)
            .await
            .unwrap_or_default()
            .to_string()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It is gone already where it couldn't start.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
