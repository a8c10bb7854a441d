//! The worst requests that OTLP allows, sent to pipelines whose processors and exporters read
//! them: each is taken while memory is free, is answered at once when it can never be taken,
//! and costs memory in proportion to its size.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/costly.rs"]
mod costly;
#[path = "support/otlp.rs"]
mod otlp;
#[path = "support/process.rs"]
mod process;
#[path = "support/wire.rs"]
mod wire;

use std::path::Path;

use futures_util::future::join_all;
use otlp::Style;
use process::Process;
use wire::{Client, http_path};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// The largest body, in bytes.
const BODY: usize = 256 << 10;

/// What one request of the largest size may need beyond what the agent needed before, in KiB:
/// its bytes eight times while it is put in order, with new attributes six times, and what each
/// of the exporters keeps of two-byte points.
const ROOM_KIB: u64 = 48 * (BODY as u64 >> 10);

/// An agent whose `memory_limiter` has room for so many bytes of each signal. Each signal passes
/// these processors.
fn agent(folder: &Path, in_flight: usize, processors: &str) -> Process {
    let pipeline = |signal: &str, exporters: &str| {
        format!(
            "{signal}: {{receivers: [otlp], processors: [memory_limiter/{signal}{processors}],
              exporters: [{exporters}]}}"
        )
    };
    Process::start(&format!(
        "
receivers:
  otlp:
    protocols:
      http: {{endpoint: '127.0.0.1:0', max_request_body_size: {BODY}}}
processors:
  memory_limiter/metrics: {{in_flight: {in_flight}}}
  memory_limiter/traces: {{in_flight: {in_flight}}}
  memory_limiter/logs: {{in_flight: {in_flight}}}
  attributes:
    actions: [{{action: insert, key: a, value: 1}}, {{action: delete, key: k}}]
  filter:
    metrics: {{exclude: {{match_type: regexp, datapoint_attributes: [{{key: gone}}]}}}}
    spans: {{exclude: {{match_type: regexp, span_names: ['^gone']}}}}
    logs: {{exclude: {{match_type: regexp, record_attributes: [{{key: gone}}]}}}}
exporters:
  debug: {{verbosity: detailed}}
  file: {{path: '{file}', flush_interval: 0}}
  prometheus:
service:
  pipelines:
    {}
    {}
    {}
",
        pipeline("metrics", "debug, file, prometheus"),
        pipeline("traces", "debug, file"),
        pipeline("logs", "debug, file"),
        file = folder.join("out.jsonl").display(),
    ))
}

/// Requests of metrics of about so many bytes, irregular and not, that cost as much as may be.
fn costly_metrics(size: usize) -> Vec<Vec<u8>> {
    [costly::irregular(size), costly::regular(size)].concat()
}

/// The random requests of a signal, by seed.
type Sample = fn(u64, Style) -> Vec<u8>;

/// A request of each signal in whatever encoding protobuf allows, joined from random ones to
/// about so many bytes.
fn random_requests(size: usize) -> [(&'static str, Vec<u8>); 3] {
    let signals: [(&str, Sample); 3] = [
        ("metrics", otlp::metrics),
        ("traces", otlp::traces),
        ("logs", otlp::logs),
    ];
    signals.map(|(signal, sample)| {
        let mut joined = Vec::new();
        for next in (0..).map(|seed| sample(seed, Style::ANY)) {
            if joined.len() + next.len() > size {
                break;
            }
            joined.extend(next);
        }
        (signal, joined)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_views_read_is_taken_while_memory_is_free() {
    for processors in ["", ", filter", ", attributes, filter"] {
        let folder = tempfile::tempdir().unwrap();
        // Room for the costliest request of the largest size, and for nothing beside it.
        let agent = agent(folder.path(), 8 * BODY, processors);
        let mut client = Client::http(&agent.address("http").await).await;
        let calm = agent.peak_kib();
        let mut largest = 0;
        for size in (10..).map(|bits| 1 << bits) {
            let costly = costly_metrics(size).into_iter();
            let costly = costly.map(|request| ("metrics", request));
            // Some are a little larger than was asked for.
            let requests: Vec<_> = costly
                .chain(random_requests(size))
                .filter(|(_, request)| request.len() <= BODY)
                .collect();
            if size > BODY {
                break;
            }
            for (signal, request) in requests {
                let what = format!("{signal} of {} bytes through [{processors}]", request.len());
                largest = largest.max(request.len());
                let answer = client.post(&http_path(signal), &[PROTOBUF], request).await;
                assert_eq!(answer.status, 200, "{what}: {answer:?}");
                agent.settled().await;
                let needed = agent.peak_kib().saturating_sub(calm);
                assert!(needed < ROOM_KIB, "{what} needed {needed} KiB");
            }
        }
        assert!(largest > BODY - (BODY >> 3), "{largest}");
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_memory_ends_with_what_is_in_flight_or_says_that_it_never_will() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(folder.path(), 4 * BODY, ", attributes, filter");
    let address = agent.address("http").await;
    let post = async |request: Vec<u8>| {
        let mut client = Client::http(&address).await;
        client.post("/v1/metrics", &[PROTOBUF], request).await
    };
    let all = costly::irregular(BODY - (BODY >> 3));
    let [pieces, fitting, ..] = &all[..] else {
        panic!("there are several");
    };
    let answer = post(pieces.clone()).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(!answer.headers.contains_key("retry-after"), "{answer:?}");

    let crowd = join_all((0..16).map(|_| post(fitting.clone()))).await;
    for answer in &crowd {
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            answer.status == 503,
            "{answer:?}"
        );
        assert!([200, 503].contains(&answer.status), "{answer:?}");
    }
    agent.settled().await;
    assert_eq!(post(fitting.clone()).await.status, 200);
    agent.settled().await;
    agent.stop().await;
}
