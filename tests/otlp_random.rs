//! Thousands of random requests through the program itself: what nothing touches comes out
//! byte for byte, JSON as the same protobuf, and what a processor edits differs exactly by
//! the edit, as prost makes it.
//!
//! `FOGHORN_ROUNDS` makes it more requests of each kind, `FOGHORN_SEED` other ones; a
//! failure names the seed of the request at fault.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/process.rs"]
mod process;
#[path = "support/otlp.rs"]
mod samples;
#[path = "support/wire.rs"]
mod wire;

use std::io::Write as _;

use foghorn::pdata::Signal;
use futures_util::future::{join_all, join3};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use oracle::{CASES, Case, Request};
use process::Process;
use prost::Message;
use samples::Style;
use wire::{Client, Received, Sink, framed, grpc_path, http_path, messages};

/// A request as it was made, so that a failure can name its seed.
struct Sent {
    seed: u64,
    request: Vec<u8>,
}

/// How a request travels.
#[derive(Debug, Clone, Copy)]
enum Way {
    Http(&'static str),
    Grpc(&'static str),
    Json(&'static str),
}

const PROTOBUF: [Way; 6] = [
    Way::Http("identity"),
    Way::Http("gzip"),
    Way::Http("zstd"),
    Way::Grpc("identity"),
    Way::Grpc("gzip"),
    Way::Grpc("zstd"),
];

const JSON: [Way; 3] = [Way::Json("identity"), Way::Json("gzip"), Way::Json("zstd")];

/// Requests of each signal through each agent.
fn rounds() -> u64 {
    let rounds = std::env::var("FOGHORN_ROUNDS").ok();
    rounds.map_or(80, |rounds| rounds.parse().unwrap())
}

fn seeds() -> std::ops::Range<u64> {
    let first = std::env::var("FOGHORN_SEED").ok();
    let first: u64 = first.map_or(0, |first| first.parse().unwrap());
    first..first + rounds()
}

fn sample(signal: Signal, seed: u64, style: Style) -> Vec<u8> {
    match signal {
        Signal::Metrics => samples::metrics(seed, style),
        Signal::Traces => samples::traces(seed, style),
        Signal::Logs => samples::logs(seed, style),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nothing_touches_comes_out_byte_for_byte() {
    let exporters = ["otlp_grpc", "otlp_http"].into_iter().flat_map(|kind| {
        ["none", "gzip", "zstd"].map(|compression| (kind, compression, "", PROTOBUF.as_slice()))
    });
    // Batches join what came, and nothing else: what comes out is the concatenation.
    let joined = (
        "otlp_http",
        "none",
        "batch: {timeout: 20ms, send_batch_size: 500}",
        &PROTOBUF[..],
    );
    let runs = exporters
        .chain([joined])
        .map(async |(kind, compression, processor, ways)| {
            let what = format!("{kind} {compression} {processor}");
            for (signal, sent, received) in
                through(kind, compression, processor, ways, Style::ANY).await
            {
                assert_joined(&what, signal, &sent, &messages(&received), |request| {
                    request.to_vec()
                });
            }
        });
    join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_comes_out_as_the_same_protobuf() {
    let runs = ["otlp_grpc", "otlp_http"].map(async |kind| {
        for (signal, sent, received) in through(kind, "none", "", &JSON, Style::PLAIN).await {
            let received = canonical(signal, &messages(&received));
            let expected = |request: &[u8]| canonical(signal, request);
            assert_joined(kind, signal, &sent, &received, expected);
        }
    });
    join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_processor_edits_differs_exactly_by_the_edit() {
    let runs = CASES
        .iter()
        .flat_map(|case| [(case, Style::REGULAR), (case, Style::ANY)]);
    let runs = runs.map(async |(case, style)| {
        let processor = format!("{}: {}", case.kind, case.yaml);
        for (signal, sent, received) in
            through("otlp_grpc", "none", &processor, &PROTOBUF, style).await
        {
            let received = messages(&received);
            assert_joined(
                case.yaml,
                signal,
                &sent,
                &canonical(signal, &received),
                |request| edited(case, signal, request),
            );
            // prost drops unknown fields, which an edit must not. Groups among them do go where
            // a request can't be read in one pass, so such a request isn't compared.
            if !style.irregular {
                let before = sent.iter().flat_map(|s| rest(case, signal, &s.request));
                let (before, after) = (before.collect::<Vec<_>>(), rest(case, signal, &received));
                let kept = match case.kind {
                    "filter" => is_subsequence(&after, &before),
                    _ => after == before,
                };
                assert!(
                    kept,
                    "{signal} lose more than the edit through {}",
                    case.yaml
                );
            }
        }
    });
    join_all(runs).await;
}

/// Sends every signal's requests through an agent, in order, and gives what came out.
async fn through(
    kind: &str,
    compression: &str,
    processor: &str,
    ways: &'static [Way],
    style: Style,
) -> [(Signal, Vec<Sent>, Vec<Received>); 3] {
    let sink = Sink::accepting().await;
    let processors = processor.split_once(':').map_or("", |(id, _)| id);
    let yaml = format!(
        "
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:0'}}
      http: {{endpoint: '127.0.0.1:0'}}
processors:
  {processor}
exporters:
  {kind}: {{endpoint: 'http://{}', compression: {compression}}}
service:
  pipelines:
    metrics: {{receivers: [otlp], processors: [{processors}], exporters: [{kind}]}}
    traces: {{receivers: [otlp], processors: [{processors}], exporters: [{kind}]}}
    logs: {{receivers: [otlp], processors: [{processors}], exporters: [{kind}]}}
",
        sink.address
    );
    let agent = Process::start(&yaml);
    let (http, grpc) = (agent.address("http").await, agent.address("grpc").await);
    let send = |signal| send(signal, &http, &grpc, ways, style);
    let (metrics, traces, logs) = join3(
        send(Signal::Metrics),
        send(Signal::Traces),
        send(Signal::Logs),
    )
    .await;
    agent.settled().await;
    agent.stop().await;

    let received = sink.received();
    [
        (Signal::Metrics, metrics),
        (Signal::Traces, traces),
        (Signal::Logs, logs),
    ]
    .map(|(signal, sent)| {
        let paths = [
            http_path(signal.as_str()),
            grpc_path(signal.as_str()).to_owned(),
        ];
        let of_signal = received.iter().filter(|r| paths.contains(&r.path));
        (signal, sent, of_signal.cloned().collect())
    })
}

/// Sends one signal's requests, each once the one before is acknowledged: acknowledged is
/// queued, so that they leave in this order.
async fn send(signal: Signal, http: &str, grpc: &str, ways: &[Way], style: Style) -> Vec<Sent> {
    let mut http = Client::http(http).await;
    let mut grpc = Client::grpc(grpc).await;
    let mut sent = Vec::new();
    for seed in seeds() {
        let request = sample(signal, seed, style);
        let way = ways[(seed % ways.len() as u64) as usize];
        let answer = match way {
            Way::Http(encoding) => {
                let headers = [
                    ("content-type", "application/x-protobuf"),
                    ("content-encoding", encoding),
                ];
                let body = compress(&request, encoding);
                http.post(&http_path(signal.as_str()), &headers, body).await
            }
            Way::Json(encoding) => {
                let headers = [
                    ("content-type", "application/json"),
                    ("content-encoding", encoding),
                ];
                let body = compress(&json(signal, &request), encoding);
                http.post(&http_path(signal.as_str()), &headers, body).await
            }
            Way::Grpc(encoding) => {
                let headers = [
                    ("content-type", "application/grpc"),
                    ("grpc-encoding", encoding),
                ];
                let body = framed(&compress(&request, encoding), encoding != "identity");
                grpc.post(grpc_path(signal.as_str()), &headers, body).await
            }
        };
        let what = format!("{signal} {way:?}, seed {seed}");
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        assert!(
            matches!(answer.grpc_status(), None | Some(0)),
            "{what}: {answer:?}"
        );
        sent.push(Sent { seed, request });
    }
    sent
}

fn compress(request: &[u8], encoding: &str) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(request).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(request, 0).unwrap(),
        _ => request.to_vec(),
    }
}

/// The same as JSON, by code that isn't ours.
fn json(signal: Signal, request: &[u8]) -> Vec<u8> {
    let json = match signal {
        Signal::Metrics => {
            serde_json::to_vec(&ExportMetricsServiceRequest::decode(request).unwrap())
        }
        Signal::Traces => serde_json::to_vec(&ExportTraceServiceRequest::decode(request).unwrap()),
        Signal::Logs => serde_json::to_vec(&ExportLogsServiceRequest::decode(request).unwrap()),
    };
    json.unwrap()
}

/// Decoded and encoded again: equal for requests that mean the same.
fn canonical(signal: Signal, request: &[u8]) -> Vec<u8> {
    Request::decode(signal, request).unwrap().encode()
}

fn edited(case: &Case, signal: Signal, request: &[u8]) -> Vec<u8> {
    let mut request = Request::decode(signal, request).unwrap();
    (case.edit)(&mut request);
    request.encode()
}

/// What was received must be what `expected` makes of the requests, one after the other.
fn assert_joined(
    what: &str,
    signal: Signal,
    sent: &[Sent],
    received: &[u8],
    expected: impl Fn(&[u8]) -> Vec<u8>,
) {
    let mut left = received;
    for Sent { seed, request } in sent {
        let expected = expected(request);
        left = left.strip_prefix(&expected[..]).unwrap_or_else(|| {
            panic!(
                "{signal} differ through {what}: run this with FOGHORN_SEED={seed} FOGHORN_ROUNDS=1"
            )
        });
    }
    assert!(
        left.is_empty(),
        "{signal} through {what}: {} bytes too many",
        left.len()
    );
}

/// Where the attributes of a signal's items stand, as field numbers from the request down.
fn attributes_of_items(signal: Signal) -> &'static [&'static [u32]] {
    match signal {
        Signal::Metrics => &[
            &[1, 2, 2, 5, 1, 7],
            &[1, 2, 2, 7, 1, 7],
            &[1, 2, 2, 9, 1, 9],
            &[1, 2, 2, 10, 1, 1],
            &[1, 2, 2, 11, 1, 7],
        ],
        Signal::Traces => &[&[1, 2, 2, 9]],
        Signal::Logs => &[&[1, 2, 2, 6]],
    }
}

/// Where the attributes of resources stand.
const ATTRIBUTES_OF_RESOURCES: &[&[u32]] = &[&[1, 1, 1]];

/// What must not change of a request, in order: every field beside the attributes that are
/// edited; of a filter, every data point, span or log record that is left.
fn rest(case: &Case, signal: Signal, request: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = Vec::new();
    match case.kind {
        "attributes" => outside(request, attributes_of_items(signal), &mut rest),
        "resource" => outside(request, ATTRIBUTES_OF_RESOURCES, &mut rest),
        _ => {
            let items: Vec<&[u32]> = attributes_of_items(signal)
                .iter()
                .map(|path| &path[..path.len() - 1])
                .collect();
            at(request, &items, &mut rest);
        }
    }
    rest
}

/// The fields that are neither at one of these paths nor around it.
fn outside(message: &[u8], paths: &[&[u32]], out: &mut Vec<Vec<u8>>) {
    for (number, raw, content) in fields(message) {
        let inner = below(number, paths);
        match content {
            Some(_) if inner.iter().any(|path| path.is_empty()) => {}
            Some(content) if !inner.is_empty() => outside(content, &inner, out),
            _ => out.push(raw.to_vec()),
        }
    }
}

/// The fields at these paths.
fn at(message: &[u8], paths: &[&[u32]], out: &mut Vec<Vec<u8>>) {
    for (number, raw, content) in fields(message) {
        let inner = below(number, paths);
        match content {
            _ if inner.iter().any(|path| path.is_empty()) => out.push(raw.to_vec()),
            Some(content) if !inner.is_empty() => at(content, &inner, out),
            _ => {}
        }
    }
}

fn below<'p>(number: u32, paths: &[&'p [u32]]) -> Vec<&'p [u32]> {
    let inner = paths.iter().filter(|path| path.first() == Some(&number));
    inner.map(|path| &path[1..]).collect()
}

/// A field: the number, all of it, and the content of one that has a length.
type Field<'m> = (u32, &'m [u8], Option<&'m [u8]>);

/// The fields of a message without groups.
fn fields(mut message: &[u8]) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let start = message;
        let key = prost::encoding::decode_varint(&mut message).unwrap();
        let mut content = None;
        let length = match key & 7 {
            0 => {
                prost::encoding::decode_varint(&mut message).unwrap();
                0
            }
            1 => 8,
            5 => 4,
            2 => {
                let length = prost::encoding::decode_varint(&mut message).unwrap() as usize;
                content = Some(&message[..length]);
                length
            }
            wire => panic!("the wire type {wire}"),
        };
        message = &message[length..];
        let raw = &start[..start.len() - message.len()];
        fields.push(((key >> 3) as u32, raw, content));
    }
    fields
}

fn is_subsequence(some: &[Vec<u8>], of: &[Vec<u8>]) -> bool {
    let mut of = of.iter();
    some.iter().all(|one| of.any(|other| other == one))
}
