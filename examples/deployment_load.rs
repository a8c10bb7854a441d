//! What the receiver `deployment` takes for many deployments and many replicas: memory and CPU time
//! of a process that does nothing else. The servers run in a process of their own.
//!
//! ```text
//! cargo run --release --example deployment_load -- --deployments 10000 --targets 1000
//! ```

#![allow(clippy::print_stdout, reason = "a program that measures prints")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use foghorn::component::{Admission, BuildContext, Intake, Origin, Refusal};
use foghorn::pdata::{Batch, Signal};
use foghorn::receivers::deployment;
use foghorn::telemetry::Telemetry;
use foghorn::yaml::{self, Diagnostics, PlacedNode};
use futures_util::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[path = "../tests/support/control_plane.rs"]
mod control_plane;

use control_plane::{ControlPlane, Plane, PlaneOptions, deployed};

/// Prints what 10,000 deployments and 1,000 replicas take.
#[derive(Debug, Parser)]
struct Arguments {
    /// Deployments of each control plane
    #[arg(long, default_value_t = 10_000)]
    deployments: usize,
    /// Replicas whose pages are scraped
    #[arg(long, default_value_t = 1_000)]
    targets: usize,
    /// Seconds from one poll to the next
    #[arg(long, default_value_t = 5)]
    interval: u64,
    /// How many polls there are
    #[arg(long, default_value_t = 6)]
    polls: u64,
    /// Runs the servers; for the program's own use
    #[arg(long, hide = true)]
    serve: bool,
}

/// Counts points, and drops them.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

impl Intake for Counter {
    fn try_admit(&self, _origin: Origin, _bytes: u64) -> Result<Box<dyn Admission>, Refusal> {
        Ok(Box::new(self.clone()))
    }
}

impl Admission for Counter {
    fn grow(&mut self, _bytes: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn accept(self: Box<Self>, batch: Batch) -> BoxFuture<'static, ()> {
        self.0.fetch_add(batch.items(), Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    if arguments.serve {
        runtime.block_on(serve(arguments.deployments))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut servers = Command::new(std::env::current_exe()?)
        .arg("--serve")
        .arg(format!("--deployments={}", arguments.deployments))
        .stdout(Stdio::piped())
        .spawn()?;
    let said = BufReader::new(servers.stdout.take().context("no output")?);
    let addresses: Vec<String> = said.lines().take(3).collect::<Result<_, _>>()?;
    let [fog, kubernetes, replica] = &addresses[..] else {
        anyhow::bail!("the servers didn't start");
    };
    println!("| what | points per poll | CPU per poll, ms | resident, MiB | anonymous, MiB |");
    println!("|---|---|---|---|---|");
    runtime.block_on(run("nothing", "", &arguments))?;
    let plane =
        |kind: &str, url: &str| format!("control_plane: {{type: {kind}, endpoint: '{url}'}}");
    runtime.block_on(run("the fog", &plane("fog", fog), &arguments))?;
    runtime.block_on(run(
        "Kubernetes",
        &plane("kubernetes", kubernetes),
        &arguments,
    ))?;
    let targets: Vec<String> = (0..arguments.targets)
        .map(|n| {
            format!("{{deployment_id: d-{n}, deployment_name: app-{n}, urls: ['{replica}/{n}']}}")
        })
        .collect();
    let scrape = format!(
        "request_metrics: {{scrape: {{targets: [{}]}}}}",
        targets.join(",")
    );
    runtime.block_on(run("replicas", &scrape, &arguments))?;
    servers.kill()?;
    servers.wait()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a receiver for some polls, and prints what it took, without the first one.
async fn run(what: &str, keys: &str, arguments: &Arguments) -> anyhow::Result<()> {
    let interval = Duration::from_secs(arguments.interval);
    let counter = Counter::default();
    let stop = CancellationToken::new();
    let mut running = None;
    if !keys.is_empty() {
        let text = format!("{{{keys}, collection_interval: {}s}}", arguments.interval);
        let diagnostics = Diagnostics::new();
        let node = yaml::parse(&text, &Arc::from("load"), &diagnostics).context("no YAML")?;
        let config = (deployment::FACTORY.configure)(&PlacedNode::root(&node, &diagnostics));
        let config = config.with_context(|| format!("{:?}", diagnostics.problems()))?;
        let context = BuildContext::standalone("deployment".parse()?, Telemetry::off());
        let intake: Arc<dyn Intake> = Arc::new(counter.clone());
        let intakes = BTreeMap::from([(Signal::Metrics, intake)]);
        let receiver = config.build(&context, intakes)?;
        running = Some(tokio::spawn(receiver.run(stop.clone())));
    }
    // The first poll, and until the ticks have found their phases.
    tokio::time::sleep(2 * interval).await;
    let (begun, cpu, points) = (
        Instant::now(),
        cpu_time(),
        counter.0.load(Ordering::Relaxed),
    );
    tokio::time::sleep(interval * u32::try_from(arguments.polls)?).await;
    let polls = begun.elapsed().as_secs_f64() / interval.as_secs_f64();
    let cpu = (cpu_time() - cpu).as_secs_f64() * 1000.0 / polls;
    let points = (counter.0.load(Ordering::Relaxed) - points) as f64 / polls;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mebibytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kibibytes / 1024.0)
    };
    let resident = mebibytes("VmRSS:").unwrap_or_default();
    let anonymous = mebibytes("RssAnon:").unwrap_or_default();
    println!("| {what} | {points:.0} | {cpu:.1} | {resident:.1} | {anonymous:.1} |");
    stop.cancel();
    if let Some(running) = running {
        running.await?;
    }
    Ok(())
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Runs both control planes, and a server that is every replica; prints where they are.
async fn serve(deployments: usize) -> anyhow::Result<()> {
    for plane in [Plane::Fog, Plane::Kubernetes] {
        let options = PlaneOptions {
            listen: "127.0.0.1:0".parse()?,
            plane,
            token: None,
            page: 100,
        };
        let server = ControlPlane::start(options).await?;
        for n in 0..deployments {
            let id = format!("2f1c4e0a-0000-4000-8000-{n:012}");
            server.set(&id, Some(deployed(&format!("app-{n}"), 3, 3)));
        }
        println!("{}", server.url());
        // Keeps it.
        std::mem::forget(server);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let begun = Instant::now();
    loop {
        let (stream, _) = listener.accept().await?;
        let seconds = begun.elapsed().as_secs();
        tokio::spawn(async move { expose(stream, seconds * 100).await.ok() });
    }
}

/// A page of a service: 10 routes with two statuses and a histogram each, among others.
async fn expose(mut stream: TcpStream, requests: u64) -> std::io::Result<()> {
    let mut head = [0; 2048];
    let _ = stream.read(&mut head).await?;
    let mut page = String::new();
    for route in 0..10 {
        for (code, part) in [("200", 99), ("500", 1)] {
            let count = requests * part / 100;
            page += &format!(
                "http_requests_total{{method=\"get\",route=\"/r{route}\",code=\"{code}\"}} {count}\n"
            );
        }
        for (bound, share) in [
            ("0.005", 10),
            ("0.01", 20),
            ("0.025", 40),
            ("0.05", 60),
            ("0.1", 80),
            ("0.25", 90),
            ("0.5", 95),
            ("1", 98),
            ("2.5", 99),
            ("5", 100),
            ("+Inf", 100),
        ] {
            let count = requests * share / 100;
            page += &format!(
                "http_request_duration_seconds_bucket{{route=\"/r{route}\",le=\"{bound}\"}} {count}\n"
            );
        }
        let sum = requests as f64 * 0.07;
        page += &format!(
            "http_request_duration_seconds_sum{{route=\"/r{route}\"}} {sum}\n\
             http_request_duration_seconds_count{{route=\"/r{route}\"}} {requests}\n"
        );
    }
    for other in 0..40 {
        page += &format!("go_other_{other} {requests}\n");
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await
}
