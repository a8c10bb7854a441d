//! What it costs to pass OTLP on: the CPU time of a process between a load and a sink.
//!
//! ```sh
//! cargo build --release --bins --examples
//! target/release/examples/e2e [ROUNDS [REQUEST [PROCESS]]]
//! ```
//!
//! `REQUEST` and `PROCESS` leave in the table only the lines that contain them, such as
//! `'10 points' foghorn`.
//!
//! The processes under test are the `foghorn` beside this program's directory, `otelcol`
//! where the `PATH` has it, both with the same pipeline (otlp to otlp_grpc, the queue on),
//! and a raw TCP proxy, which bounds what any of them could do. They take turns, so that
//! whatever else the machine does meets each alike, and the least of each is printed, in
//! CPU time per data point by `/proc/PID/task/*/schedstat`. A point of about 165 bytes has
//! four attributes. The load has eight requests under way on one connection; the sink
//! counts points and takes all.
//!
//! To hold a change against what was before it, `FOGHORN_BEFORE` names another `foghorn`,
//! which then takes its turns with the rest.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that measures prints, and gives up where it can't"
)]

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use foghorn::pdata::{Batch, Signal};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;

const PATH: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Requests under way at a time.
const IN_FLIGHT: usize = 8;

/// One line of the table.
struct Workload {
    name: &'static str,
    /// Points of a request.
    points: u64,
    /// Requests of a round.
    requests: u64,
    gzip: bool,
    /// Under `processors`, if anything.
    processor: Option<&'static str>,
}

const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "1,000 points",
        points: 1000,
        requests: 1000,
        gzip: false,
        processor: None,
    },
    Workload {
        name: "10 points",
        points: 10,
        requests: 15_000,
        gzip: false,
        processor: None,
    },
    Workload {
        name: "1,000 points, gzip",
        points: 1000,
        requests: 250,
        gzip: true,
        processor: None,
    },
    Workload {
        name: "1,000 points, one attribute inserted",
        points: 1000,
        requests: 1000,
        gzip: false,
        processor: Some(
            "attributes: {actions: [{key: deployment.environment, value: production, action: insert}]}",
        ),
    },
];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Proxy,
    Foghorn,
    /// The one that `FOGHORN_BEFORE` names.
    FoghornBefore,
    Collector,
}

const SUBJECTS: [Subject; 4] = [
    Subject::Proxy,
    Subject::Foghorn,
    Subject::FoghornBefore,
    Subject::Collector,
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("proxy") {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let (from, to) = (arguments.next().unwrap(), arguments.next().unwrap());
        return runtime.unwrap().block_on(proxy(from, to));
    }
    let rounds = first.map_or(5, |rounds| rounds.parse().unwrap());
    let wanted = [arguments.next(), arguments.next()].map(Option::unwrap_or_default);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        // The processes under test end with the future that holds them.
        tokio::select! {
            () = measure(rounds, &wanted) => {}
            _ = terminate.recv() => {}
        }
    });
}

async fn measure(rounds: usize, [request, process]: &[String; 2]) {
    let sink = Sink::start().await;
    let directory = std::env::temp_dir().join(format!("foghorn-e2e-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut lines = Vec::new();
    for workload in WORKLOADS.iter().filter(|w| w.name.contains(request)) {
        let body = body(workload);
        let mut subjects = Vec::new();
        for subject in SUBJECTS {
            let name = format!("{subject:?}").to_lowercase();
            if !name.contains(&process.to_lowercase()) {
                continue;
            }
            if let Some(process) = start(subject, workload, sink.address, &directory).await {
                subjects.push((subject, process, u64::MAX));
            }
        }
        // One more to begin with, which warms up and doesn't count.
        for round in 0..=rounds {
            for (_, process, least) in &mut subjects {
                let spent = load(process, &body, workload, &sink).await;
                if round > 0 {
                    *least = spent.min(*least);
                }
            }
        }
        for (subject, process, least) in &subjects {
            lines.push((workload, *subject, *least, process.resident_peak()));
        }
    }
    let _ = std::fs::remove_dir_all(&directory);
    print(&lines);
}

fn print(lines: &[(&Workload, Subject, u64, u64)]) {
    println!("| request | process | ns/point | of the proxy | of the Collector | peak MiB |");
    println!("|---|---|---|---|---|---|");
    for (workload, subject, least, peak) in lines {
        let points = (workload.points * workload.requests) as f64;
        let ratio = |other: Subject| {
            let of = lines
                .iter()
                .find(|(w, s, ..)| w.name == workload.name && *s == other);
            of.map_or("".to_owned(), |(_, _, base, _)| {
                format!("{:.3}", *least as f64 / *base as f64)
            })
        };
        println!(
            "| {} | {} | {:.1} | {} | {} | {:.1} |",
            workload.name,
            match subject {
                Subject::Proxy => "raw TCP proxy",
                Subject::Foghorn => "Foghorn",
                Subject::FoghornBefore => "Foghorn before",
                Subject::Collector => "Collector",
            },
            *least as f64 / points,
            ratio(Subject::Proxy),
            ratio(Subject::Collector),
            *peak as f64 / 1024.0,
        );
    }
}

/// A process under test.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Nanoseconds on a CPU, of all its threads.
    fn cpu_time(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
            .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// The most memory that was resident, in KiB.
    fn resident_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok());
        kib.unwrap_or(0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a process and waits until it listens; none where there is no such program, or
/// where it doesn't know the pipeline.
async fn start(
    subject: Subject,
    workload: &Workload,
    sink: SocketAddr,
    directory: &Path,
) -> Option<Process> {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let own = std::env::current_exe().unwrap();
    let mut command = match subject {
        Subject::Proxy => {
            let mut command = Command::new(own);
            command.arg("proxy").arg(address.to_string());
            command.arg(sink.to_string());
            command
        }
        Subject::Foghorn | Subject::FoghornBefore | Subject::Collector => {
            let program = match subject {
                Subject::Foghorn => own.parent()?.parent()?.join("foghorn"),
                Subject::FoghornBefore => std::env::var_os("FOGHORN_BEFORE")?.into(),
                _ => on_path("otelcol")?,
            };
            let config = directory.join(format!("{subject:?}.yaml"));
            std::fs::write(&config, configuration(subject, workload, address, sink)).unwrap();
            let mut command = Command::new(program);
            if subject != Subject::Collector {
                command.arg("run");
            }
            command.arg("--config").arg(config);
            command
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut process = Process {
        child: command.stderr(Stdio::null()).spawn().ok()?,
        address,
    };
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        if process.child.try_wait().unwrap().is_some() || begun.elapsed().as_secs() > 30 {
            println!(
                "({subject:?} doesn't start with \"{}\": left out)\n",
                workload.name
            );
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Some(process)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The same pipeline for both, but for what only one of them has.
fn configuration(
    subject: Subject,
    workload: &Workload,
    listen: SocketAddr,
    sink: SocketAddr,
) -> String {
    let compression = if workload.gzip { "gzip" } else { "none" };
    let own = match subject {
        Subject::Foghorn | Subject::FoghornBefore => "http: {endpoint: none}",
        _ => "telemetry: {metrics: {level: none}}",
    };
    let (processors, used) = match workload.processor {
        Some(processor) => (
            format!("processors: {{{processor}}}"),
            "processors: [attributes], ",
        ),
        None => (String::new(), ""),
    };
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{listen}'}}}}}}}}
{processors}
exporters:
  otlp_grpc:
    endpoint: '{sink}'
    compression: {compression}
    tls: {{insecure: true}}
    sending_queue: {{enabled: true}}
service:
  {own}
  pipelines: {{metrics: {{receivers: [otlp], {used}exporters: [otlp_grpc]}}}}
"
    )
}

/// Sends a round's requests and waits until all points have arrived. Returns the CPU time
/// that the process spent.
async fn load(process: &Process, body: &Bytes, workload: &Workload, sink: &Sink) -> u64 {
    let socket = TcpStream::connect(process.address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (client, driver) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .handshake(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(driver);
    let expected = sink.points.load(Ordering::Relaxed) + workload.points * workload.requests;
    let begun = process.cpu_time();
    let left = Arc::new(AtomicU64::new(workload.requests));
    let mut senders = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (client, body, left) = (client.clone(), body.clone(), Arc::clone(&left));
        let gzip = workload.gzip;
        senders.spawn(async move {
            let take = |n: u64| n.checked_sub(1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok()
            {
                while !send(client.clone(), &body, gzip).await {
                    // It has no room: as a sender should, come back later.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
    }
    senders.join_all().await;
    while sink.points.load(Ordering::Relaxed) < expected {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The last answers are still being read.
    tokio::time::sleep(Duration::from_millis(20)).await;
    process.cpu_time() - begun
}

/// Whether the request was taken.
async fn send(mut client: SendRequest<Full<Bytes>>, body: &Bytes, gzip: bool) -> bool {
    client.ready().await.unwrap();
    let mut request = Request::post(format!("http://localhost{PATH}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if gzip {
        request = request.header("grpc-encoding", "gzip");
    }
    let request = request.body(Full::new(body.clone())).unwrap();
    let response = client.send_request(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let status = body
        .trailers()
        .and_then(|trailers| trailers.get("grpc-status"))
        .or(head.headers.get("grpc-status"));
    status.unwrap() == "0"
}

/// Takes everything and counts the points.
struct Sink {
    address: SocketAddr,
    points: Arc<AtomicU64>,
}

impl Sink {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let points = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&points);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let points = Arc::clone(&counted);
                socket.set_nodelay(true).unwrap();
                let service = service_fn(move |request| {
                    let points = Arc::clone(&points);
                    async move {
                        points.fetch_add(count(request).await, Ordering::Relaxed);
                        Ok::<_, Infallible>(taken())
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .initial_stream_window_size(1 << 20)
                        .initial_connection_window_size(4 << 20)
                        .max_frame_size(256 << 10)
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self { address, points }
    }
}

async fn count(request: Request<Incoming>) -> u64 {
    let framed = request.into_body().collect().await.unwrap().to_bytes();
    let message = match framed[0] {
        0 => framed.slice(5..),
        _ => {
            let mut message = Vec::new();
            flate2::read::GzDecoder::new(&framed[5..])
                .read_to_end(&mut message)
                .unwrap();
            message.into()
        }
    };
    Batch::decode(Signal::Metrics, message).unwrap().items()
}

fn taken() -> Response<http_body_util::combinators::BoxBody<Bytes, Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let body = Full::new(Bytes::from_static(&[0; 5]));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    Response::builder()
        .header("content-type", "application/grpc")
        .body(body.boxed())
        .unwrap()
}

/// Passes bytes on, both ways.
async fn proxy(from: String, to: String) {
    let listener = TcpListener::bind(from).await.unwrap();
    while let Ok((mut near, _)) = listener.accept().await {
        let to = to.clone();
        tokio::spawn(async move {
            let mut far = TcpStream::connect(to).await.unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let sizes = 256 << 10;
            let _ =
                tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, sizes, sizes).await;
        });
    }
}

/// A request in its gRPC frame.
fn body(workload: &Workload) -> Bytes {
    let message = request(workload.points).encode_to_vec();
    let mut body = vec![u8::from(workload.gzip), 0, 0, 0, 0];
    if workload.gzip {
        let mut encoder = flate2::write::GzEncoder::new(&mut body, flate2::Compression::default());
        encoder.write_all(&message).unwrap();
        encoder.finish().unwrap();
    } else {
        body.extend(&message);
    }
    let length = u32::try_from(body.len() - 5).unwrap();
    body[1..5].copy_from_slice(&length.to_be_bytes());
    body.into()
}

fn request(points: u64) -> ExportMetricsServiceRequest {
    let text = |key: &str, value: String| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value)),
        }),
        ..Default::default()
    };
    let point = |n: u64| NumberDataPoint {
        attributes: vec![
            text("http.request.method", "GET".to_owned()),
            text("http.route", format!("/api/v1/items/{}", n % 20)),
            text("server.address", format!("node-{:02}.example.net", n % 50)),
            text("http.response.status_code", format!("{}", 200 + n % 5)),
        ],
        start_time_unix_nano: 1_790_000_000_000_000_000,
        time_unix_nano: 1_790_000_000_000_000_000 + n,
        value: Some(number_data_point::Value::AsDouble(n as f64 * 1.37)),
        ..Default::default()
    };
    let metrics = (0..points.div_ceil(50)).map(|metric| Metric {
        name: format!("http.server.requests.{metric}"),
        unit: "{request}".to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: (metric * 50..points.min(metric * 50 + 50))
                .map(point)
                .collect(),
        })),
        ..Default::default()
    });
    let scope_metrics = vec![ScopeMetrics {
        metrics: metrics.collect(),
        ..Default::default()
    }];
    let resource = Resource {
        attributes: vec![text("service.name", "shop".to_owned())],
        ..Default::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics,
            ..Default::default()
        }],
    }
}
