//! What queries cost, asked by HTTP of the agent and of the real Prometheus that remembers the
//! same day, and what they cost those who send points meanwhile.
//!
//! ```sh
//! cargo bench --bench query [-- ROUNDS [SECONDS]]
//! ```
//!
//! Needs `prometheus` on the `PATH`. Both get the same points by OTLP: 25 h at 15 s of 1,000
//! gauges and of 1,000 counters, of which the agent remembers 24 h. They are asked right after it
//! has sealed all heads, when the newest points lie in chunks. Prometheus is asked once it has
//! put what is old in blocks, as one that has run for a day has.
//!
//! Each round asks both in turn. Times are those of the whole exchange and, since the machine may
//! have other things to do, the CPU time of the process. The ratios are those of the least.
//!
//! Then requests of 1,000 points are sent to the agent for some SECONDS at a time, with two
//! clients that ask heavy queries one after the other, and without.
#![allow(clippy::print_stdout, reason = "it is what a bench is for")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use foghorn::query as lib;

#[path = "../tests/promql/data.rs"]
mod data;
#[path = "query/history.rs"]
mod history;
#[path = "query/latency.rs"]
mod latency;
#[path = "../tests/promql/peer.rs"]
mod peer;
#[path = "../tests/support/peers.rs"]
mod peers;
#[path = "../tests/support/process.rs"]
mod process;
#[path = "../tests/promql/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::time::Duration;

use history::History;
use peer::{Client, Peer};
use process::Process;
use serde_json::Value;
use tokio::time::Instant;

const AGENT: &str = "
receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}
processors: {window: {}}
exporters: {prometheus: {}}
service: {pipelines: {metrics: {receivers: [otlp], processors: [window], exporters: [prometheus]}}}
";

/// Looks at whether something has come to pass, a tenth of a second apart.
const LOOKS: usize = 3_000;

/// The most that Prometheus keeps outside of blocks once it has tidied up.
const PROMETHEUS_HEAD_SECONDS: f64 = 3.5 * 3_600.0;

/// How far results may lie apart, relatively.
const TOLERANCE: f64 = 1e-9;

#[tokio::main]
async fn main() {
    let numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let numbers: Vec<u64> = numbers.collect();
    let rounds = numbers.first().copied().unwrap_or(9);
    let seconds = numbers.get(1).copied().unwrap_or(10);
    let Some(program) = peers::find("prometheus") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(&program, directory.path());
    let process = Process::start(AGENT);
    let receiver = process.address("http").await;
    let mut sender = Client::new(receiver.clone());
    let mut agent = Client::new(process.own_address());
    let history = History::ending_now();
    let (mut ours, mut theirs) = (Spent::default(), Spent::default());
    history.send(|request| {
        ours.add(process.pid(), || {
            sender.post("/v1/metrics", "application/x-protobuf", &[], request);
        });
        theirs.add(peer.pid(), || peer.export(request));
    });
    settle(&mut agent, &mut peer, &history).await;
    println!("\n| work | Foghorn | Prometheus | ratio |\n|---|---|---|---|");
    let cells = |what: &str, ours: f64, theirs: f64| {
        println!(
            "| {what} | {ours:.2} | {theirs:.2} | {:.3} |",
            ours / theirs
        );
    };
    let mib = |pid| resident_kib(pid) as f64 / 1024.0;
    cells("resident memory, MiB", mib(process.pid()), mib(peer.pid()));
    let points = history.points() as f64;
    cells(
        "a point taken by OTLP, ns of CPU",
        ours.cpu.as_nanos() as f64 / points,
        theirs.cpu.as_nanos() as f64 / points,
    );
    for query in queries(&history) {
        let mut of_agent = Costs::default();
        let mut of_peer = Costs::default();
        for round in 0..=rounds {
            let first = of_agent.ask(process.pid(), &mut agent, &query);
            let second = of_peer.ask(peer.pid(), peer.client(), &query);
            if round == 0 {
                compare(query.name, &first, &second);
                // What is needed for the first time is not what a query costs.
                (of_agent, of_peer) = (Costs::default(), Costs::default());
            }
        }
        let (ours, theirs) = (of_agent.sorted(), of_peer.sorted());
        let cell = |what: &str, ours: f64, theirs: f64| {
            cells(&format!("{}: {what}", query.name), ours, theirs);
        };
        cell("least, ms", ours.wall[0], theirs.wall[0]);
        cell("median, ms", middle(&ours.wall), middle(&theirs.wall));
        cell("least CPU, ms", ours.cpu[0], theirs.cpu[0]);
    }
    let heavy = queries(&history).map(|query| query.asked);
    latency::measure(&process, &receiver, &heavy, seconds);
    process.stop().await;
}

/// A query of the table.
struct TimedQuery {
    name: &'static str,
    asked: Asked,
    /// How often it is asked in a row, so that it takes a tenth of a second.
    times: u32,
}

/// A path of the API and the fields of a form.
type Asked = (&'static str, Vec<(&'static str, String)>);

fn queries(history: &History) -> [TimedQuery; 3] {
    let instant = |text: &str| {
        let form = vec![("query", text.to_owned()), ("time", history.end_seconds())];
        ("/api/v1/query", form)
    };
    let range = vec![
        ("query", "sum by (g) (rate(visits_total[5m]))".to_owned()),
        ("start", history.start_seconds()),
        ("end", history.end_seconds()),
        ("step", "60".to_owned()),
    ];
    [
        TimedQuery {
            name: "`quantile_over_time(0.95, x[24h])`",
            asked: instant("quantile_over_time(0.95, level[24h])"),
            times: 3,
        },
        TimedQuery {
            name: "`quantile_over_time(0.95, x[5m])`",
            asked: instant("quantile_over_time(0.95, level[5m])"),
            times: 100,
        },
        TimedQuery {
            name: "`sum by (g) (rate(x[5m]))` over 24 h by minutes",
            asked: ("/api/v1/query_range", range),
            times: 3,
        },
    ]
}

/// What a query took each time, in milliseconds.
#[derive(Default)]
struct Costs {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Costs {
    /// Asks a query and answers what came.
    fn ask(&mut self, pid: u32, client: &mut Client, query: &TimedQuery) -> Vec<u8> {
        let (path, form) = &query.asked;
        let form: Vec<_> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let mut spent = Spent::default();
        let mut answer = Vec::new();
        spent.add(pid, || {
            for _ in 0..query.times {
                answer = client.fetch(path, &form);
            }
        });
        let each = |spent: Duration| (spent / query.times).as_secs_f64() * 1e3;
        self.wall.push(each(spent.wall));
        self.cpu.push(each(spent.cpu));
        answer
    }

    fn sorted(mut self) -> Self {
        self.wall.sort_by(f64::total_cmp);
        self.cpu.sort_by(f64::total_cmp);
        self
    }
}

fn middle(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Time by the clock and on CPUs.
#[derive(Default)]
struct Spent {
    wall: Duration,
    cpu: Duration,
}

impl Spent {
    /// Adds what a process spends while something is done.
    fn add(&mut self, pid: u32, done: impl FnOnce()) {
        let (cpu, begun) = (cpu_time(pid), Instant::now());
        done();
        self.wall += begun.elapsed();
        self.cpu += cpu_time(pid).saturating_sub(cpu);
    }
}

/// What a process spent on CPUs, threads that have ended included, to a hundredth of a second.
fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the program, in brackets, may contain anything.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = |at: usize| -> u64 { fields.split_whitespace().nth(at).unwrap().parse().unwrap() };
    let (in_user_mode, in_kernel) = (ticks(11), ticks(12));
    let each = rustix::param::clock_ticks_per_second();
    Duration::from_secs(in_user_mode + in_kernel) / u32::try_from(each).unwrap()
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Waits until the agent has all points and Prometheus has put what is old in blocks.
async fn settle(agent: &mut Client, peer: &mut Peer, history: &History) {
    let mut settled = false;
    for _ in 0..LOOKS {
        let stats = agent.get("/stats");
        assert_eq!(stats["dropped"], serde_json::json!({}), "{stats}");
        // The agent remembers points about itself, too.
        let of = |metric: &str| stats["buffer_stats"][metric].as_u64().unwrap_or(0);
        let taken = of("level") + of("visits_total") == history.remembered();
        if taken && peer.head_seconds() < PROMETHEUS_HEAD_SECONDS {
            settled = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(settled, "{}", agent.get("/stats"));
}

/// Both have to answer the same, or it says nothing that one is faster.
fn compare(name: &str, ours: &[u8], theirs: &[u8]) {
    let (ours, theirs) = (results(ours), results(theirs));
    assert!(!ours.is_empty(), "{name}: no result");
    assert_eq!(ours.len(), theirs.len(), "{name}");
    for (mine, other) in ours.iter().zip(&theirs) {
        assert_eq!(mine.0, other.0, "{name}");
        assert_eq!(mine.1.len(), other.1.len(), "{name}: {}", mine.0);
        for (a, b) in mine.1.iter().zip(&other.1) {
            let close = (a - b).abs() <= TOLERANCE * a.abs().max(b.abs());
            assert!(close, "{name}: {}: {a} and {b}", mine.0);
        }
    }
}

/// The series of an answer by their labels, times and values one after the other.
fn results(answer: &[u8]) -> Vec<(String, Vec<f64>)> {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    };
    let series = answer["data"]["result"].as_array().unwrap();
    let mut series: Vec<_> = series
        .iter()
        .map(|series| {
            let labels = series["metric"].as_object().unwrap().iter();
            let labels: BTreeMap<_, _> = labels.collect();
            let one = std::slice::from_ref(&series["value"]);
            let pairs = series["values"].as_array().map_or(one, Vec::as_slice);
            let numbers = pairs.iter().flat_map(|pair| pair.as_array().unwrap());
            (format!("{labels:?}"), numbers.map(number).collect())
        })
        .collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    series
}
