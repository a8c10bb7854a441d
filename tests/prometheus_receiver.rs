//! A real Prometheus and the receiver scrape the same targets by the same configuration, and come
//! to the same series: each value at each scrape, and each stale marker.
//!
//! The targets count the requests of both, and answer the same to the n-th of each. So it doesn't
//! matter that the two scrape at different moments. What Prometheus has stored is read by
//! `promtool tsdb dump`, which shows stale markers; what the receiver gives, from the `file`
//! exporter.
//!
//! `FOGHORN_SECONDS=180` scrapes for three minutes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/peers.rs"]
mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent::Agent;
use http_body_util::{Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

type Labels = BTreeMap<String, String>;

/// The values of a series by their times in milliseconds; `None` for a stale marker.
type Samples = Vec<(i64, Option<f64>)>;

type Store = BTreeMap<Labels, Samples>;

/// What a target answers.
enum Answer {
    /// A page in the text format.
    Page(String),
    /// A page of OpenMetrics.
    OpenMetrics(String),
    Status(u16),
    /// The beginning of an answer, and then nothing more on this connection.
    BrokenOff,
    /// Nothing within the timeout.
    Late,
    /// 100 MiB.
    Huge,
}

/// Answers the n-th scrape, counted from 0.
type Script = fn(usize, i64) -> Answer;

/// The targets that are always there.
const TARGETS: [(&str, Script); 12] = [
    ("steady", steady),
    ("dying", dying),
    ("changing", changing),
    ("resetting", resetting),
    ("late", late),
    ("huge", huge),
    ("honoring", honoring),
    ("broken", broken),
    ("limited", limited),
    ("relabelled", steady),
    ("open", open),
    ("double", double),
];

fn steady(n: usize, _: i64) -> Answer {
    let n = n as f64;
    let mut page = String::from("# HELP requests_total All.\n# TYPE requests_total counter\n");
    for code in ["200", "500"] {
        writeln!(
            page,
            "requests_total{{code=\"{code}\",path=\"/a \\\"b\\\"\"}} {}",
            n * 3.0
        )
        .unwrap();
    }
    writeln!(
        page,
        "# TYPE heat gauge\nheat {}\nheat{{at=\"é\"}} -0",
        n / 3.0
    )
    .unwrap();
    writeln!(page, "loose{{a=\"1\"}} {}\nloose +Inf", n * 1e300).unwrap();
    page.push_str("# TYPE took_seconds histogram\n");
    for (le, count) in [("0.1", n), ("1", n * 2.0), ("+Inf", n * 3.0)] {
        writeln!(
            page,
            "took_seconds_bucket{{le=\"{le}\",job_kind=\"x\"}} {count}"
        )
        .unwrap();
    }
    writeln!(page, "took_seconds_sum{{job_kind=\"x\"}} {}", n * 0.7).unwrap();
    writeln!(page, "took_seconds_count{{job_kind=\"x\"}} {}", n * 3.0).unwrap();
    page.push_str("# TYPE rpc_seconds summary\n");
    for quantile in ["0.5", "0.99"] {
        writeln!(page, "rpc_seconds{{quantile=\"{quantile}\"}} {}", n * 0.25).unwrap();
    }
    writeln!(page, "rpc_seconds_sum {}\nrpc_seconds_count {n}", n * 0.5).unwrap();
    Answer::Page(page)
}

fn dying(n: usize, _: i64) -> Answer {
    match n {
        3 => Answer::Status(503),
        4 | 5 => Answer::BrokenOff,
        n => Answer::Page(format!("alive{{n=\"x\"}} {n}\nalso_alive {n}\n")),
    }
}

fn changing(n: usize, _: i64) -> Answer {
    let version = n / 3;
    let mut page = format!("info{{version=\"{version}\"}} 1\n");
    for pod in 0..3 {
        if !(n + pod).is_multiple_of(4) {
            writeln!(page, "pods{{pod=\"{pod}\"}} {n}").unwrap();
        }
    }
    Answer::Page(page)
}

fn resetting(n: usize, _: i64) -> Answer {
    let count = if n < 4 { 100 + n } else { n - 4 };
    Answer::Page(format!(
        "# TYPE restarts_total counter\nrestarts_total {count}\n"
    ))
}

fn late(n: usize, _: i64) -> Answer {
    match n {
        3 | 6 => Answer::Late,
        n => Answer::Page(format!("slow {n}\n")),
    }
}

fn huge(n: usize, _: i64) -> Answer {
    match n {
        2 => Answer::Huge,
        n => Answer::Page(format!("small {n}\n")),
    }
}

/// With labels and times of its own.
fn honoring(n: usize, began: i64) -> Answer {
    let time = began + n as i64 * 1000;
    Answer::Page(format!(
        "own{{job=\"their_job\",instance=\"their:1\"}} {n}\nown {n}\n\
         timed{{zone=\"a\"}} {n} {time}\n"
    ))
}

/// What stands before a wrong line isn't ended by Prometheus at that scrape. Here it is.
fn broken(n: usize, _: i64) -> Answer {
    match n {
        3 => Answer::Page("wrong{ 2\nright 1\n".to_owned()),
        5 => Answer::Page("no_value\n".to_owned()),
        7 => Answer::Page(String::new()),
        n => Answer::Page(format!("right {n}\n")),
    }
}

/// Of a page that exceeds a limit Prometheus ends at the next scrape what it has never stored, and
/// at that scrape only what isn't on the page: so that page has others.
fn limited(n: usize, _: i64) -> Answer {
    let (name, series) = if n == 4 { ("beyond", 12) } else { ("many", 8) };
    let lines = (0..series).map(|at| format!("{name}{{at=\"{at}\"}} {n}\n"));
    Answer::Page(lines.collect())
}

fn open(n: usize, _: i64) -> Answer {
    Answer::OpenMetrics(format!(
        "# TYPE jobs counter\n# UNIT jobs \n# HELP jobs Jobs.\njobs_total {n} # {{trace_id=\"ab\"}} 1.0\n\
         # TYPE level gauge\nlevel{{name=\"a,b\"}} {n}.5\n\
         # TYPE state stateset\nstate{{state=\"on\"}} 1\nstate{{state=\"off\"}} 0\n\
         # TYPE build info\nbuild_info{{v=\"1\"}} 1\n# EOF\n"
    ))
}

/// The same series twice.
fn double(n: usize, _: i64) -> Answer {
    Answer::Page(format!("twice 1{n}\nonce {n}\ntwice 2{n}\n"))
}

/// How often each scraper asked each target, in each of its lives.
type Counts = Arc<Mutex<BTreeMap<(String, String), usize>>>;

/// Serves a target on a port of its own until it is dropped.
async fn serve(name: &'static str, script: Script, counts: Counts, began: i64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let counts = Arc::clone(&counts);
            let answer = service_fn(move |request: Request<Incoming>| {
                let counts = Arc::clone(&counts);
                async move { answer(name, script, &request, &counts, began).await }
            });
            tokio::spawn(async move {
                // Who breaks off on purpose makes the server say so.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    });
    address
}

type AnswerBody = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

async fn answer(
    name: &str,
    script: Script,
    request: &Request<Incoming>,
    counts: &Counts,
    began: i64,
) -> Result<Response<AnswerBody>, Infallible> {
    use http_body_util::BodyExt as _;
    let agent = request.headers()[USER_AGENT].to_str().unwrap();
    let who = agent.split('/').next().unwrap().to_lowercase();
    let n = {
        let mut counts = counts.lock().unwrap();
        let life = request.uri().query().unwrap_or_default();
        let count = counts.entry((who, format!("{name}?{life}"))).or_default();
        *count += 1;
        *count - 1
    };
    let full = |text: String| Full::from(text).map_err(|never| match never {}).boxed();
    let pieces = |pieces: Vec<Result<Bytes, std::io::Error>>| {
        let frames = pieces.into_iter().map(|piece| piece.map(Frame::data));
        StreamBody::new(futures_util::stream::iter(frames)).boxed()
    };
    let (kind, body) = match script(n, began) {
        Answer::Page(text) => ("text/plain; version=0.0.4", full(text)),
        Answer::OpenMetrics(text) => (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            full(text),
        ),
        Answer::Status(status) => {
            let mut response = Response::new(full(String::new()));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            return Ok(response);
        }
        Answer::BrokenOff => {
            let error = std::io::Error::other("broken off");
            let pieces = pieces(vec![Ok(Bytes::from_static(b"half 1\nha")), Err(error)]);
            ("text/plain; version=0.0.4", pieces)
        }
        Answer::Late => {
            tokio::time::sleep(Duration::from_secs(3)).await;
            ("text/plain; version=0.0.4", full("slow 1\n".to_owned()))
        }
        Answer::Huge => {
            let line = Bytes::from(vec![b'#'; 1 << 20]);
            let all = (0..100).map(|_| Ok(line.clone())).collect();
            ("text/plain; version=0.0.4", pieces(all))
        }
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, kind.parse().unwrap());
    Ok(response)
}

/// Serves a list of targets by HTTP, which changes.
async fn serve_list(list: Arc<Mutex<String>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let list = Arc::clone(&list);
            let answer = service_fn(move |request: Request<Incoming>| {
                assert_eq!(
                    request.headers()["x-prometheus-refresh-interval-seconds"],
                    "1"
                );
                let mut response = Response::new(Full::<Bytes>::from(list.lock().unwrap().clone()));
                let json = "application/json".parse().unwrap();
                response.headers_mut().insert(CONTENT_TYPE, json);
                std::future::ready(Ok::<_, Infallible>(response))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pasted_configuration_gives_the_series_of_prometheus() {
    let (Some(prometheus), Some(promtool)) = (peers::find("prometheus"), peers::find("promtool"))
    else {
        return;
    };
    let seconds = std::env::var("FOGHORN_SECONDS").map_or(24, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let began = millis_now();
    let counts = Counts::default();
    let mut addresses = BTreeMap::new();
    for (name, script) in TARGETS {
        addresses.insert(name, serve(name, script, Arc::clone(&counts), began).await);
    }
    let mut found = BTreeMap::new();
    for name in [
        "file_stays",
        "file_leaves",
        "file_moves",
        "http_stays",
        "http_leaves",
    ] {
        found.insert(name, serve(name, steady, Arc::clone(&counts), began).await);
    }
    let file = place.join("targets.json");
    let write = |entries: &[(&str, &str)]| {
        let groups: Vec<Value> = entries
            .iter()
            .map(|(name, zone)| {
                let labels = serde_json::json!({"name": name, "zone": zone, "__param_life": zone});
                serde_json::json!({"targets": [found[name].to_string()], "labels": labels})
            })
            .collect();
        serde_json::to_string(&groups).unwrap()
    };
    let replace = |text: String| {
        let new = place.join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &file).unwrap();
    };
    replace(write(&[
        ("file_stays", "a"),
        ("file_leaves", "a"),
        ("file_moves", "a"),
    ]));
    let list = Arc::new(Mutex::new(write(&[
        ("http_stays", "a"),
        ("http_leaves", "a"),
    ])));
    let server = serve_list(Arc::clone(&list)).await;
    let configuration = configuration(&addresses, &file, server);

    let lines = place.join("points.jsonl");
    let agent = Agent::start(&format!(
        "
receivers:
  prometheus:
    config:{}
exporters:
  file: {{path: '{}'}}
service:
  http: {{endpoint: 127.0.0.1:0}}
  pipelines:
    metrics: {{receivers: [prometheus], exporters: [file]}}
",
        configuration.replace('\n', "\n      "),
        lines.display()
    ))
    .await;
    let peer = Prometheus::start(&prometheus, place, &configuration);

    // A third each: all targets, then some gone or changed, then all again.
    let third = Duration::from_secs(seconds) / 3;
    tokio::time::sleep(third).await;
    replace(write(&[("file_stays", "a"), ("file_moves", "b")]));
    *list.lock().unwrap() = write(&[("http_stays", "a")]);
    tokio::time::sleep(third).await;
    replace("[{".to_owned());
    *list.lock().unwrap() = write(&[("http_stays", "a"), ("http_leaves", "c")]);
    tokio::time::sleep(third).await;

    agent.stop().await;
    let theirs = peer.stop(&promtool);
    let ours = ours(&lines);
    let compared = compare(&theirs, &ours);
    println!(
        "{} series, {} samples, {} stale markers are the same",
        compared.series, compared.samples, compared.stale
    );
    let enough = u64::try_from(TARGETS.len()).unwrap() * seconds;
    assert!(compared.samples > enough * 8 && compared.stale > 50);
}

fn configuration(
    addresses: &BTreeMap<&str, SocketAddr>,
    file: &Path,
    server: SocketAddr,
) -> String {
    let mut text =
        String::from("\nglobal: {scrape_interval: 1s, scrape_timeout: 500ms}\nscrape_configs:\n");
    for (name, address) in addresses {
        let more = match *name {
            "huge" => "body_size_limit: 1MB",
            "honoring" => "honor_labels: true\n  track_timestamps_staleness: true",
            "limited" => "sample_limit: 10\n  extra_scrape_metrics: true",
            "relabelled" => {
                "metric_relabel_configs:\n  \
                 - {source_labels: [__name__], regex: 'heat|loose', action: drop}\n  \
                 - {source_labels: [code], regex: '(.).*', target_label: class, replacement: '${1}xx'}\n  \
                 - {regex: path, action: labeldrop}\n  \
                 - {source_labels: [quantile], regex: '0.5', action: drop}\n  \
                 - {source_labels: [__name__], regex: 'requests_(.*)', target_label: __name__, replacement: 'calls_$1'}"
            }
            _ => "honor_timestamps: true",
        };
        writeln!(
            text,
            "- job_name: {name}\n  {more}\n  static_configs:\n  \
             - {{targets: ['{address}'], labels: {{target: {name}}}}}"
        )
        .unwrap();
    }
    write!(
        text,
        "- job_name: files\n  file_sd_configs: [{{files: ['{}'], refresh_interval: 1s}}]\n  \
         relabel_configs:\n  - {{source_labels: [name], target_label: target}}\n  \
         - {{regex: name, action: labeldrop}}\n\
         - job_name: lists\n  http_sd_configs: [{{url: 'http://{server}/', refresh_interval: 1s}}]\n  \
         relabel_configs:\n  - {{source_labels: [name], target_label: target}}\n  \
         - {{source_labels: [name], target_label: instance}}\n",
        file.display()
    )
    .unwrap();
    text
}

fn millis_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[derive(Debug, Default)]
struct Compared {
    series: usize,
    samples: u64,
    stale: u64,
}

/// Compares what both have of each target: the values of its n-th scrape, for every n that both
/// have made.
fn compare(theirs: &Store, ours: &Store) -> Compared {
    let mut compared = Compared::default();
    let mut differences = Vec::new();
    let (theirs, ours) = (by_target(theirs), by_target(ours));
    let targets: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    for target in targets {
        let empty = Store::new();
        let theirs = theirs.get(target).unwrap_or(&empty);
        let ours = ours.get(target).unwrap_or(&empty);
        let (their_lives, our_lives) = (lives(theirs), lives(ours));
        assert_eq!(their_lives.len(), our_lives.len(), "lives of {target}");
        for (their_life, our_life) in their_lives.iter().zip(&our_lives) {
            let scrapes = their_life.scrapes.len().min(our_life.scrapes.len());
            assert!(scrapes >= 2, "{target} was scraped {scrapes} times");
            let (a, b) = (
                told(theirs, their_life, scrapes),
                told(ours, our_life, scrapes),
            );
            let all: BTreeSet<&(Labels, usize)> = a.keys().chain(b.keys()).collect();
            for at in all {
                let (a, b) = (a.get(at), b.get(at));
                match (a, b) {
                    (Some(a), Some(b)) if same(*a, *b) => {
                        compared.samples += u64::from(a.is_some());
                        compared.stale += u64::from(a.is_none());
                    }
                    _ => differences.push(format!(
                        "{target}, scrape {}: {:?}: {a:?} {b:?}",
                        at.1, at.0
                    )),
                }
            }
            let timed = (
                with_own_times(theirs, scrapes),
                with_own_times(ours, scrapes),
            );
            compared.samples += timed.0.len() as u64;
            let has_times = target.starts_with("honoring");
            assert_eq!(timed.0.is_empty(), !has_times, "{target}: {timed:?}");
            if timed.0 != timed.1 {
                differences.push(format!("{target}, times of the page: {timed:?}"));
            }
            // What ends with the target.
            if let (Some(their_end), Some(our_end)) = (their_life.end, our_life.end) {
                let ended = |store: &Store, end: i64| -> BTreeSet<Labels> {
                    let ends = |samples: &&Samples| samples.contains(&(end, None));
                    let ended = store.iter().filter(|(_, samples)| ends(samples));
                    ended.map(|(labels, _)| labels.clone()).collect()
                };
                let (a, b) = (ended(theirs, their_end), ended(ours, our_end));
                compared.stale += a.len() as u64;
                for labels in a.symmetric_difference(&b) {
                    differences.push(format!(
                        "{target}: {labels:?} ends with it: {} {}",
                        a.contains(labels),
                        b.contains(labels)
                    ));
                }
            } else {
                assert_eq!(
                    their_life.end.is_some(),
                    our_life.end.is_some(),
                    "end of {target}"
                );
            }
        }
        compared.series += theirs.len();
    }
    let shown: Vec<String> = differences.iter().take(60).cloned().collect();
    assert!(
        differences.is_empty(),
        "{} differences (theirs, ours):\n{}",
        differences.len(),
        shown.join("\n")
    );
    compared
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || (a.is_nan() && b.is_nan()),
        (None, None) => true,
        _ => false,
    }
}

/// The series of each target, by its label `target` and those that tell its lives apart.
fn by_target(store: &Store) -> BTreeMap<String, Store> {
    let mut targets: BTreeMap<String, Store> = BTreeMap::new();
    for (labels, samples) in store {
        let target = format!(
            "{} {}",
            labels.get("target").map_or("", String::as_str),
            labels
                .get("zone")
                .filter(|_| labels.get("job").is_some_and(|job| job == "files"))
                .map_or("", String::as_str)
        );
        let mut labels = labels.clone();
        // Differs between the two by what it says.
        if labels["__name__"] == "scrape_duration_seconds" {
            continue;
        }
        normalize(&mut labels);
        targets
            .entry(target)
            .or_default()
            .insert(labels, samples.clone());
    }
    targets
}

/// Numbers in labels, which may be written in several ways.
fn normalize(labels: &mut Labels) {
    for name in ["le", "quantile"] {
        if let Some(value) = labels.get_mut(name) {
            *value = value.parse::<f64>().unwrap().to_string();
        }
    }
}

/// A time in which a target was scraped: it may leave and return.
#[derive(Debug)]
struct Life {
    scrapes: Vec<i64>,
    /// When its series ended, if they did.
    end: Option<i64>,
}

/// The lives of a target, by its `up`.
fn lives(store: &Store) -> Vec<Life> {
    let up = store.iter().find(|(labels, _)| labels["__name__"] == "up");
    let mut lives = Vec::new();
    let mut current = Vec::new();
    for (time, value) in up.map_or(&[][..], |(_, samples)| samples) {
        match value {
            Some(_) => current.push(*time),
            None => lives.push(Life {
                scrapes: std::mem::take(&mut current),
                end: Some(*time),
            }),
        }
    }
    if !current.is_empty() {
        lives.push(Life {
            scrapes: current,
            end: None,
        });
    }
    lives
}

/// What each series has at each of the first scrapes of a life.
fn told(store: &Store, life: &Life, scrapes: usize) -> BTreeMap<(Labels, usize), Option<f64>> {
    let mut told = BTreeMap::new();
    for (labels, samples) in store {
        for (time, value) in samples {
            // Values with times of their own are compared by these.
            let name = labels["__name__"].as_str();
            if name == "timed" && value.is_some() || name == "beyond" {
                continue;
            }
            if let Ok(n) = life.scrapes[..scrapes].binary_search(time) {
                told.insert((labels.clone(), n), *value);
            }
        }
    }
    told
}

/// The values with times of their own, of which each scrape has one.
fn with_own_times(store: &Store, scrapes: usize) -> Vec<(&Labels, i64, String)> {
    let timed = store
        .iter()
        .filter(|(labels, _)| labels["__name__"] == "timed");
    timed
        .flat_map(|(labels, samples)| {
            let values = samples
                .iter()
                .filter_map(|(time, value)| Some((time, (*value)?)));
            let values = values.take(scrapes);
            values.map(move |(time, value)| (labels, *time, value.to_string()))
        })
        .collect()
}

/// A Prometheus with this configuration. It ends when it is dropped.
struct Prometheus {
    directory: std::path::PathBuf,
    process: Child,
}

impl Prometheus {
    fn start(program: &Path, directory: &Path, configuration: &str) -> Self {
        let file = directory.join("prometheus.yaml");
        std::fs::write(&file, configuration).unwrap();
        // It takes no port 0, so the port may be another's by the time it starts; then it ends,
        // and the test says so.
        let free = StdListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let data = directory.join("data");
        let process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--scrape.discovery-reload-interval=100ms")
            // What it changes of times, so that they are easier to compress, is no part of a scrape.
            .arg("--no-scrape.adjust-timestamps")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join("prometheus.log")).unwrap())
            .spawn()
            .unwrap();
        Self {
            directory: directory.to_owned(),
            process,
        }
    }

    /// Ends it, and reads what it has stored.
    fn stop(mut self, promtool: &Path) -> Store {
        let id = self.process.id().to_string();
        Command::new("kill").arg(&id).status().unwrap();
        self.process.wait().unwrap();
        let dump = Command::new(promtool)
            .args(["tsdb", "dump"])
            .arg(self.directory.join("data"))
            .output()
            .unwrap();
        let log = || std::fs::read_to_string(self.directory.join("prometheus.log")).unwrap();
        assert!(dump.status.success(), "{dump:?}\n{}", log());
        let mut store = Store::new();
        for line in String::from_utf8(dump.stdout).unwrap().lines() {
            let (labels, rest) = line.rsplit_once('}').unwrap();
            let labels = read_labels(labels.strip_prefix('{').unwrap());
            let (value, time) = rest.trim().split_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            // No page here has NaN, so each is a stale marker.
            let sample = (time.parse().unwrap(), (!value.is_nan()).then_some(value));
            store.entry(labels).or_default().push(sample);
        }
        assert!(!store.is_empty(), "{}", log());
        store
            .values_mut()
            .for_each(|samples| samples.sort_by_key(|(time, _)| *time));
        store
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It is gone already where it ended as it should.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Labels as `promtool` writes them.
fn read_labels(text: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap();
        let mut end = 0;
        let bytes = after.as_bytes();
        while bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let value: String = serde_json::from_str(&format!("\"{}\"", &after[..end])).unwrap();
        labels.insert(
            name.trim_start_matches([',', ' '])
                .trim_matches('"')
                .to_owned(),
            value,
        );
        rest = &after[end + 1..];
    }
    labels
}

/// What the receiver gave, in Prometheus's terms.
fn ours(lines: &Path) -> Store {
    let mut store = Store::new();
    for line in std::fs::read_to_string(lines).unwrap().lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        for resource in list(&request, "resourceMetrics") {
            let resource_labels = attributes(&resource["resource"]);
            let base: Labels = [("job", "service.name"), ("instance", "service.instance.id")]
                .into_iter()
                .filter_map(|(label, key)| {
                    Some((label.to_owned(), resource_labels.get(key)?.clone()))
                })
                .collect();
            for scope in list(resource, "scopeMetrics") {
                for metric in list(scope, "metrics") {
                    take(metric, &base, &mut store);
                }
            }
        }
    }
    store
        .values_mut()
        .for_each(|samples| samples.sort_by_key(|(time, _)| *time));
    store
}

fn take(metric: &Value, base: &Labels, store: &mut Store) {
    let name = metric["name"].as_str().unwrap();
    let mut add = |name: String, labels: &Labels, more: Option<(&str, String)>, time, value| {
        let mut labels = labels.clone();
        labels.insert("__name__".to_owned(), name);
        labels.extend(more.map(|(name, value)| (name.to_owned(), value)));
        store.entry(labels).or_default().push((time, value));
    };
    let mut ends = Vec::new();
    for kind in ["gauge", "sum", "histogram", "summary"] {
        for point in list(&metric[kind], "dataPoints") {
            let mut labels = base.clone();
            labels.extend(attributes(point));
            let nanos: i64 = point["timeUnixNano"].as_str().unwrap().parse().unwrap();
            let time = nanos / 1_000_000;
            let is_stale = point["flags"].as_u64() == Some(1);
            let value = |value: f64| (!is_stale).then_some(value);
            match kind {
                // A point without a value has no buckets and no quantiles: all parts end.
                "histogram" | "summary" if is_stale => ends.push((labels, time)),
                "gauge" | "sum" => {
                    let number = number(&point["asDouble"]);
                    let integer = point["asInt"]
                        .as_str()
                        .map(|text| text.parse::<f64>().unwrap());
                    add(
                        name.to_owned(),
                        &labels,
                        None,
                        time,
                        value(number.or(integer).unwrap_or(0.0)),
                    );
                }
                "histogram" => {
                    let count = count(&point["count"]);
                    add(format!("{name}_count"), &labels, None, time, value(count));
                    let sum = number(&point["sum"]).unwrap_or(0.0);
                    add(format!("{name}_sum"), &labels, None, time, value(sum));
                    let mut sum = 0.0;
                    let bounds = list(point, "explicitBounds").map(|bound| number(bound).unwrap());
                    let bounds: Vec<f64> = bounds.chain([f64::INFINITY]).collect();
                    let counts: Vec<f64> = list(point, "bucketCounts").map(self::count).collect();
                    for (at, bound) in bounds.iter().enumerate() {
                        sum += counts.get(at).copied().unwrap_or(0.0);
                        let le = Some(("le", bound.to_string()));
                        add(format!("{name}_bucket"), &labels, le, time, value(sum));
                    }
                }
                _ => {
                    add(
                        format!("{name}_count"),
                        &labels,
                        None,
                        time,
                        value(count(&point["count"])),
                    );
                    let sum = number(&point["sum"]).unwrap_or(0.0);
                    add(format!("{name}_sum"), &labels, None, time, value(sum));
                    for quantile in list(point, "quantileValues") {
                        let of = number(&quantile["quantile"]).unwrap_or(0.0);
                        let of = Some(("quantile", of.to_string()));
                        let number = number(&quantile["value"]).unwrap_or(0.0);
                        add(name.to_owned(), &labels, of, time, value(number));
                    }
                }
            }
        }
    }
    for (whole, time) in ends {
        for (labels, samples) in store.iter_mut() {
            let mut labels = labels.clone();
            labels.remove("le");
            labels.remove("quantile");
            let of = labels.remove("__name__").unwrap();
            let is_part = of
                .strip_prefix(name)
                .is_some_and(|part| matches!(part, "" | "_bucket" | "_sum" | "_count"));
            let is_live = samples.last().is_some_and(|(_, value)| value.is_some());
            if is_part && is_live && labels == whole {
                samples.push((time, None));
            }
        }
    }
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        _ => None,
    }
}

fn count(value: &Value) -> f64 {
    value.as_str().map_or(0.0, |text| text.parse().unwrap())
}

fn attributes(value: &Value) -> Labels {
    list(value, "attributes")
        .map(|attribute| {
            let text = attribute["value"]["stringValue"]
                .as_str()
                .unwrap_or_default();
            (
                attribute["key"].as_str().unwrap().to_owned(),
                text.to_owned(),
            )
        })
        .collect()
}
