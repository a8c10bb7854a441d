//! Peers that keep to no rule of HTTP/2.

use std::time::Duration;

use hyper::body::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::component::BuildContext;
use crate::exporters::otlp::target::GrpcEndpoint;
use crate::net::ClientTls;
use crate::telemetry::{Telemetry, TelemetrySettings};

/// What a connection may cost: the quota of a call, and what sockets hold.
const MOST: usize = ANSWER_QUOTA + 8 * 1024 * 1024;

fn telemetry() -> Telemetry {
    Telemetry::new(&TelemetrySettings::default()).unwrap()
}

/// How many connections the exporter says it has ended.
fn ended(telemetry: &Telemetry) -> usize {
    let families = telemetry.registry().gather();
    let family = families
        .iter()
        .find(|family| family.name() == "foghorn_otlp_connections_ended_total");
    family.map_or(0, |family| {
        family.get_metric()[0].get_counter().get_value() as usize
    })
}

fn exporter(port: u16, telemetry: &Telemetry) -> Grpc {
    let target = GrpcEndpoint::parse(&format!("127.0.0.1:{port}")).unwrap();
    let plain = ClientTls {
        insecure: true,
        ..ClientTls::default()
    };
    let id: crate::component::ComponentId = "otlp_grpc".parse().unwrap();
    let settings = GrpcSettings {
        endpoint: Destination::new(target, None, &plain).unwrap(),
        headers: HeaderMap::new(),
        compression: Compression::None,
        timeout: Duration::from_secs(600),
        keepalive: None,
    };
    let context = BuildContext::standalone(id.clone(), telemetry.clone());
    let partial = partial::AnswerLog::new(id);
    Grpc::new(settings, partial, Floods::new(&context)).unwrap()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Answers the call on stream 1 if `answer` isn't empty, and sends `flood` again and again until
/// the exporter ends the connection. Returns how many bytes it took.
async fn peer(listener: TcpListener, answer: Vec<u8>, flood: Vec<u8>) -> usize {
    let (stream, _) = listener.accept().await.unwrap();
    let (mut reading, mut writing) = TcpStream::into_split(stream);
    // The exporter's acknowledgements have to be read, or it stops reading itself.
    reading.read_exact(&mut [0; 24]).await.unwrap();
    writing
        .write_all(&frame(SETTINGS, 0, 0, &[]))
        .await
        .unwrap();
    // An answer to a stream that isn't open yet would be an error.
    let mut head = [0; 9];
    while head[3] != HEADERS {
        reading.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        reading
            .read_exact(&mut vec![0; length as usize])
            .await
            .unwrap();
    }
    let drain = tokio::spawn(async move {
        let mut bytes = vec![0; 64 * 1024];
        while reading.read(&mut bytes).await.is_ok_and(|n| n > 0) {}
    });
    writing.write_all(&answer).await.unwrap();
    let many = flood.repeat(64 * 1024 / flood.len());
    let mut taken = 0;
    while let Ok(n) = writing.write(&many).await {
        taken += n;
    }
    drain.await.unwrap();
    taken
}

async fn flooded(what: &str, answer: Vec<u8>, flood: Vec<u8>) -> Result<Delivered, ExportError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let telemetry = telemetry();
    let exporter = exporter(listener.local_addr().unwrap().port(), &telemetry);
    let peer = tokio::spawn(peer(listener, answer, flood));
    let batch = Batch::decode(Signal::Metrics, Bytes::new()).unwrap();
    let outcome = exporter.export(&batch).await;
    let taken = peer.await.unwrap();
    assert!(taken < MOST, "{what}: {taken} bytes");
    assert_eq!(ended(&telemetry), 1, "{what}");
    outcome
}

#[tokio::test]
async fn a_peer_that_sends_without_end_what_nobody_asked_for_loses_its_connection() {
    // `:status: 103`, whose name stands in HPACK's table at 8.
    let interim = [&[0x08, 3][..], b"103"].concat();
    for (what, flood) in [
        ("PING", frame(6, 0, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("WINDOW_UPDATE", frame(8, 0, 0, &[0, 0, 0, 1])),
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 0, 1])),
        ("an unknown type", frame(0x42, 0, 0, &[0; 8])),
        ("interim answers", frame(HEADERS, END_HEADERS, 1, &interim)),
    ] {
        let error = flooded(what, Vec::new(), flood).await.unwrap_err();
        assert_eq!(error.remedy, crate::component::Remedy::Retry, "{what}");
        let reason = "sends without end what nobody asked for";
        assert!(error.message.contains(reason), "{what}: {}", error.message);
    }
}

#[tokio::test]
async fn a_flood_after_an_answer_ends_the_connection_and_costs_no_call() {
    // `:status: 200` stands in HPACK's table at 8.
    let mut block = vec![0x88];
    for (name, value) in [("content-type", "application/grpc"), ("grpc-status", "0")] {
        block.extend([0, name.len() as u8]);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    let answer = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    let outcome = flooded("PING", answer, frame(6, 0, 0, &[0; 8])).await;
    assert_eq!(outcome.unwrap(), Delivered::default());
}

#[tokio::test]
async fn a_late_failure_leaves_the_connection_that_was_made_since() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let exporter = exporter(listener.local_addr().unwrap().port(), &telemetry());
    let _peer = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.unwrap());
        }
    });
    let first = exporter.connection().await.unwrap().number;
    exporter.disconnect(first);
    let second = exporter.connection().await.unwrap().number;
    exporter.disconnect(first);
    let present = exporter.slot().as_ref().map(|present| present.number);
    assert_eq!(present, Some(second));
}
