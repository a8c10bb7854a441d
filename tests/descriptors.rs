//! A server that runs out of file descriptors serves again as soon as there are some. It
//! stands in a process of its own, since the limit is the process's.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::time::Duration;

use foghorn::component::{Health, Routes};
use foghorn::server::Server;
use foghorn::settings::ListenerConfig;
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

// The clock is paused: it moves on whenever everybody waits.
#[tokio::test(start_paused = true)]
async fn a_server_out_of_descriptors_serves_again_when_there_are_some() {
    let limit = Rlimit {
        current: Some(256),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
    let config = ListenerConfig::ephemeral();
    let (routes, health) = (Routes::new(), Health::new());
    let server = Server::bind(Some(&config), &routes, &health, &telemetry)
        .await
        .unwrap();
    let address = server.agent_address().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone()));

    // The client's own socket is there before everything else is used up.
    let socket = TcpSocket::new_v4().unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    let mut stream = socket.connect(address).await.unwrap();
    let request = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let mut byte = [0];
    assert!(
        stream.try_read(&mut byte).is_err(),
        "there was a descriptor left"
    );

    drop(hoard);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("alive\n"), "{answer}");

    let page = prometheus::TextEncoder::new()
        .encode_to_string(&telemetry.registry().gather())
        .unwrap();
    let start = format!(
        "foghorn_http_connections_rejected_total{{listener=\"{address}\",reason=\"accept_error\"}} "
    );
    let count = page
        .lines()
        .find_map(|line| line.strip_prefix(&start))
        .unwrap();
    // 50 ms, doubled up to a second each time: about a dozen in 10 s, and no spinning.
    assert!((5..=20).contains(&count.parse::<u64>().unwrap()), "{count}");
    stop.cancel();
    running.await.unwrap();
}
