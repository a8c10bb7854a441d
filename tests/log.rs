//! The log and the first lines where nobody reads them: the agent works on, counts what is
//! lost, and ends when it is told to.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// What it may take to do a thing on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pipe that has no room for another byte.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for piece in [4096, 1] {
        while writer.write(&vec![b'\n'; piece]).is_ok() {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

fn agent(keys: &[&str], stdout: Stdio, stderr: Stdio) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foghorn"));
    for set in [
        "service.http.endpoint=127.0.0.1:0",
        "receivers.betanet.endpoints=[http://127.0.0.1:9]",
        "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0",
        "receivers.otlp.protocols.http.endpoint=127.0.0.1:0",
    ] {
        command.args(["--set", set]);
    }
    for set in keys {
        command.args(["--set", set]);
    }
    command
        .env_remove("RUST_LOG")
        .env_remove("BETANET_URL")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap()
}

/// The address of its pages, from the first lines.
fn address(child: &mut Child) -> String {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.map_while(Result::ok).find_map(|line| {
        let (_, url) = line.split_once("look at")?;
        let url = url.trim().strip_prefix("http://")?;
        Some(url.strip_suffix("/metrics")?.to_owned())
    });
    url.unwrap()
}

async fn end(child: &mut Child) -> ExitStatus {
    kill_process(Pid::from_child(child), Signal::TERM).unwrap();
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it doesn't end");
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// A page of the agent, by a connection of its own.
async fn get(address: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Waits until the agent has logged more than its log has room for.
async fn overflow(address: &str) {
    let begun = Instant::now();
    while dropped(address).await == 0.0 {
        assert!(begun.elapsed() < PATIENCE, "nothing was dropped");
    }
}

async fn dropped(address: &str) -> f64 {
    let page = get(address, "/metrics").await;
    let mut values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix("foghorn_log_lines_dropped_total")?;
        rest.rsplit(' ').next()?.parse().ok()
    });
    values.next().unwrap()
}

/// A running agent that has dropped lines of its log, whose pipe nobody has read yet.
async fn unread() -> (PipeReader, Child, String) {
    let (reader, writer) = full_pipe();
    // Each is warned of several times within the first second.
    let refusing: Vec<_> = (1..=60).map(|n| format!("http://127.0.0.{n}:9")).collect();
    let endpoints = format!("receivers.betanet.endpoints=[{}]", refusing.join(", "));
    let keys = [
        endpoints.as_str(),
        "receivers.betanet.collection_interval=100ms",
        "service.telemetry.logs.queue_bytes=16KiB",
    ];
    let mut child = agent(&keys, Stdio::piped(), writer.into());
    let address = address(&mut child);
    overflow(&address).await;
    (reader, child, address)
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    let (_reader, mut child, address) = unread().await;
    for path in ["/livez", "/health"] {
        let answer = get(&address, path).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    assert_eq!(end(&mut child).await.code(), Some(0));
}

#[tokio::test]
async fn a_log_that_is_read_again_tells_what_is_missing_and_goes_on() {
    let (reader, mut child, _) = unread().await;
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    let told = lines
        .by_ref()
        .filter(|line| !line.is_empty())
        .find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let told = line["message"] == "log lines were dropped: nobody read them";
            told.then(|| line["dropped"].as_u64())
        });
    assert!(told.unwrap() > Some(0));
    let rest = std::thread::spawn(move || lines.any(|line| line.contains("shut down")));
    assert_eq!(end(&mut child).await.code(), Some(0));
    assert!(rest.join().unwrap(), "the last words arrive");
}

#[tokio::test]
async fn first_lines_and_a_debug_exporter_that_nobody_reads_stop_nothing() {
    let (_reader, stdout) = full_pipe();
    let (_other, stderr) = full_pipe();
    let keys = [
        "exporters.debug.output_paths=[stdout, stderr]",
        "service.pipelines.metrics.exporters=[prometheus, debug]",
        "service.shutdown.grace=100ms",
    ];
    let mut child = agent(&keys, stdout.into(), stderr.into());
    // It catches the signal as soon as it runs; before, the signal would just kill it.
    let status = format!("/proc/{}/status", child.id());
    let begun = Instant::now();
    loop {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        if caught & 1 << (Signal::TERM.as_raw() - 1) != 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it doesn't start");
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(end(&mut child).await.code(), Some(0));
}

#[test]
fn a_panic_is_a_line_of_the_log() {
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let page = Page::default();
    let writer = {
        let page = page.clone();
        move || page.clone()
    };
    let log = tracing_subscriber::fmt()
        .json()
        .with_writer(writer)
        .finish();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(foghorn::telemetry::logs::log_panic));
    let number = 7;
    let caught = tracing::subscriber::with_default(log, || {
        std::panic::catch_unwind(|| panic!("the sink broke {number} times"))
    });
    std::panic::set_hook(usual);
    assert!(caught.is_err());
    let line = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let fields = &line["fields"];
    assert_eq!(fields["message"], "panicked: the sink broke 7 times");
    let place = fields["location"].as_str().unwrap();
    assert!(place.starts_with("tests/log.rs:"), "{place}");
}
