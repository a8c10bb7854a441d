//! Signals that ask the program to end, sent to the program itself.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/process.rs"]
mod process;
#[path = "support/wire.rs"]
mod wire;

use rustix::process::Signal;

use process::Process;
use wire::{Client, Sink, http_path};

/// A request of one log record.
const RECORD: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#;

/// An agent whose batch processor holds a request and passes it on only at the end.
fn holding(sink: &Sink) -> String {
    format!(
        "{{receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}}}, \
         processors: {{batch: {{timeout: 1h}}}}, \
         exporters: {{otlp_http: {{endpoint: 'http://{}', compression: none}}}}, \
         service: {{pipelines: {{logs: {{receivers: [otlp], processors: [batch], \
         exporters: [otlp_http]}}}}}}}}",
        sink.address
    )
}

#[tokio::test]
async fn a_hangup_drains_as_any_other_request_to_end() {
    for signals in [&[Signal::HUP][..], &[Signal::TERM, Signal::HUP]] {
        let sink = Sink::accepting().await;
        let agent = Process::start(&holding(&sink));
        let mut client = Client::http(&agent.address("http").await).await;
        let headers = [("content-type", "application/json")];
        let answer = client
            .post(&http_path("logs"), &headers, RECORD.as_bytes().to_vec())
            .await;
        assert_eq!(answer.status, 200);
        drop(client);
        let log = agent.stop_by(signals).await;
        assert!(log.contains("shut down"), "{log}");
        assert!(!log.contains("aborting"), "{log}");
        assert_eq!(sink.received().len(), 1, "{log}");
    }
}
