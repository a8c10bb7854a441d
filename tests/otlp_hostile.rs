//! Broken and hostile senders: each gets the status that `docs/otlp.md` promises, other senders
//! are served, memory stays bounded, and no item is lost or invented.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/process.rs"]
mod process;
#[path = "support/otlp.rs"]
mod samples;
#[path = "support/scene.rs"]
mod scene;
#[path = "support/wire.rs"]
mod wire;

use std::io::Write as _;
use std::time::Duration;

use foghorn::pdata::Signal;
use frames::{
    CONTINUATION, Connection, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM,
    WINDOW_UPDATE, frame,
};
use oracle::Request;
use scene::{JSON, PROTOBUF, Scene, call, good};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::{Client, framed, grpc_path};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_at_any_offset_is_refused_as_prost_refuses_it_beside_good_neighbours() {
    let scene = Scene::new("30s").await;
    // All requests of a protocol use one connection: a refused request must not affect the next.
    let mut http = Client::http(&scene.http).await;
    let mut grpc = Client::grpc(&scene.grpc).await;
    let mut f = async |request: Vec<u8>, what: &str| {
        let good = Request::decode(Signal::Metrics, &request).is_some();
        let answer = http.post("/v1/metrics", &[PROTOBUF], request.clone()).await;
        assert_eq!(
            answer.status,
            if good { 200 } else { 400 },
            "{what}: {answer:?}"
        );
        let answer = call(&mut grpc, &framed(&request, false), &[]).await;
        assert_eq!(
            answer.grpc_status(),
            Some(if good { 0 } else { 3 }),
            "{what}: {answer:?}"
        );
    };
    let request = good();
    let mut random = samples::Random::new(7);
    for at in 0..request.len() {
        f(request[..at].to_vec(), &format!("cut at {at}")).await;
        for byte in [0x00, 0xff, random.next() as u8] {
            let mut damaged = request.clone();
            damaged[at] = byte;
            f(damaged, &format!("{byte:#x} at {at}")).await;
        }
    }
    for seed in 0..100 {
        let mut random = samples::Random::new(seed);
        let bytes = (0..random.below(200)).map(|_| random.next() as u8);
        f(bytes.collect(), &format!("noise {seed}")).await;
    }
    scene.survived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_has_its_status_and_leaves_the_connection_usable() {
    let scene = Scene::new("30s").await;
    let mut client = Client::http(&scene.http).await;
    let mut f = async |header: (&str, &str), body: &[u8], status: u16| {
        let answer = client.post("/v1/metrics", &[header], body.to_vec()).await;
        assert_eq!(
            answer.status,
            status,
            "{:?}: {answer:?}",
            String::from_utf8_lossy(body)
        );
        if status == 400 && header == JSON {
            let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(said["code"], 3, "{said}");
        }
    };
    for kind in [
        "text/plain",
        "application/protobuf",
        "application/grpc",
        "json",
        "",
        "*/*",
    ] {
        f(("content-type", kind), &good(), 415).await;
    }
    // A metric's name that isn't UTF-8, in either encoding.
    f(PROTOBUF, &[10, 7, 18, 5, 18, 3, 10, 1, 0xff], 400).await;
    f(
        JSON,
        b"{\"resourceMetrics\":[{\"schemaUrl\":\"\xff\"}]}",
        400,
    )
    .await;
    let shapes = [
        "",
        "{",
        "[]",
        "7",
        "null",
        "\"text\"",
        "{}{}",
        "{\"resourceMetrics\":{}}",
        "{\"resourceMetrics\":[7]}",
        "{\"resourceMetrics\":[[]]}",
        "{\"resourceMetrics\":[{\"scopeMetrics\":\"x\"}]}",
        "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":7}]}]}]}",
        "{\"resourceMetrics\":[{\"resource\":{\"attributes\":{\"a\":1}}}]}",
        "{\"resourceMetrics\":[{\"resource\":{\"droppedAttributesCount\":-1}}]}",
        "{\"resourceMetrics\":[{\"resource\":{\"droppedAttributesCount\":1e40}}]}",
    ];
    for shape in shapes {
        f(JSON, shape.as_bytes(), 400).await;
    }
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
    f(JSON, deep("[", "]").as_bytes(), 400).await;
    f(
        JSON,
        format!("{{\"unknown\":{}}}", deep("[", "]")).as_bytes(),
        200,
    )
    .await;
    let value = deep("{\"arrayValue\":{\"values\":[", "]}}");
    let body = format!(
        "{{\"resourceMetrics\":[{{\"resource\":{{\"attributes\":[{{\"value\":{value}}}]}}}}]}}"
    );
    f(JSON, body.as_bytes(), 400).await;
    f(PROTOBUF, &good(), 200).await;
    scene.survived().await;
}

/// A gibibyte of zeros as one gzip stream. The stream repeats one compressed piece that refers to
/// no earlier data, so the gibibyte is never in memory.
fn gzip_bomb() -> Vec<u8> {
    let zeros = vec![0; 1 << 20];
    let mut piece = Vec::with_capacity(1 << 16);
    let mut deflate = flate2::Compress::new(flate2::Compression::best(), false);
    deflate
        .compress_vec(&zeros, &mut piece, flate2::FlushCompress::Full)
        .unwrap();
    assert_eq!(deflate.total_in(), 1 << 20);
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for _ in 0..1024 {
        bomb.extend(&piece);
    }
    bomb.extend([3, 0]);
    bomb
}

/// A gibibyte of zeros in one frame of zstd.
fn zstd_bomb() -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_end_at_the_limit() {
    let scene = Scene::new("30s").await;
    for (encoding, bomb) in [("gzip", gzip_bomb()), ("zstd", zstd_bomb())] {
        assert!(bomb.len() < 2 << 20, "{}", bomb.len());
        let mut http = Client::http(&scene.http).await;
        let headers = [PROTOBUF, ("content-encoding", encoding)];
        let answer = http.post("/v1/metrics", &headers, bomb.clone()).await;
        assert_eq!(answer.status, 413, "{encoding} {answer:?}");
        let mut grpc = Client::grpc(&scene.grpc).await;
        let body = framed(&bomb, true);
        let answer = call(&mut grpc, &body, &[("grpc-encoding", encoding)]).await;
        assert_eq!(answer.grpc_status(), Some(8), "{encoding} {answer:?}");
        // A call beside it on the same connection.
        assert_eq!(
            call(&mut grpc, &framed(&good(), false), &[])
                .await
                .grpc_status(),
            Some(0)
        );
        // Many at a time: the limiter refuses those that would be too much together.
        let many = (0..24).map(async |_| {
            let mut http = Client::http(&scene.http).await;
            http.post("/v1/metrics", &headers, bomb.clone())
                .await
                .status
        });
        let statuses = futures_util::future::join_all(many).await;
        assert!(
            statuses.iter().all(|status| [413, 503].contains(status)),
            "{statuses:?}"
        );
    }
    scene.survived().await;
}

/// Sends these bytes on a connection of its own, and gives the status of each answer up to
/// the end of the connection.
async fn statuses(scene: &Scene, pieces: &[&[u8]]) -> Vec<u16> {
    let mut socket = scene.raw().await;
    for piece in pieces {
        // The agent may have closed the connection after an earlier piece.
        let _ = socket.write_all(piece).await;
    }
    let mut answers = Vec::new();
    let mut buffer = [0; 4096];
    // A reset ends the loop like an orderly close.
    while let Ok(Ok(read @ 1..)) = timeout(Duration::from_secs(20), socket.read(&mut buffer)).await
    {
        answers.extend(&buffer[..read]);
    }
    let text = String::from_utf8_lossy(&answers);
    let lines = text.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line[..3].parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_that_breaks_the_rules_is_refused_in_time() {
    let scene = Scene::new("1s").await;
    let f = async |what: &str, pieces: &[&[u8]], expected: &[u16]| {
        assert_eq!(statuses(&scene, pieces).await, expected, "{what}");
    };
    let head = |length: &str| {
        format!(
            "POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n{length}\r\n\r\n"
        )
        .into_bytes()
    };
    let body = good();
    let many: String = (0..100_000).map(|n| format!("x-{n}: y\r\n")).collect();
    f(
        "100,000 headers",
        &[b"POST /v1/metrics HTTP/1.1\r\n", many.as_bytes(), b"\r\n"],
        &[431],
    )
    .await;
    let long = format!(
        "POST /v1/metrics HTTP/1.1\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    f("a long header", &[long.as_bytes()], &[431]).await;
    let path = format!("POST /{} HTTP/1.1\r\n\r\n", "y".repeat(1 << 20));
    f("a long path", &[path.as_bytes()], &[431]).await;
    f(
        "no HTTP",
        &[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
        &[400],
    )
    .await;
    f("HTTP/2 on the port of HTTP/1", &[frames::PREFACE], &[]).await;
    for length in [
        "content-length: -1",
        "content-length: x",
        "content-length: 99999999999999999999",
    ] {
        f(length, &[&head(length), &body], &[400]).await;
    }
    let two = "content-length: 5\r\ncontent-length: 6";
    f(two, &[&head(two), &body], &[400]).await;
    let huge = "content-length: 999999999999";
    f(huge, &[&head(huge), &body], &[413]).await;
    // If the length is too small, the rest of the body is read as a request and refused. If it is
    // too large, the body is incomplete when the time is over.
    let short = format!("content-length: {}", body.len() / 2);
    f(&short, &[&head(&short), &body], &[400, 400]).await;
    let much = format!("content-length: {}", body.len() + 1);
    f(&much, &[&head(&much), &body], &[408]).await;
    let chunked = head("transfer-encoding: chunked");
    f("a broken chunk", &[&chunked, b"zz\r\n"], &[400]).await;
    f(
        "a chunk without an end",
        &[&chunked, b"ffffff\r\nab"],
        &[408],
    )
    .await;
    let chunk = [b"100000\r\n".to_vec(), vec![0; 1 << 20], b"\r\n".to_vec()].concat();
    let endless: Vec<&[u8]> = std::iter::once(&chunked[..])
        .chain(std::iter::repeat_n(&chunk[..], 64))
        .collect();
    // The socket is closed with unread data, so the system may discard the answer.
    let statuses = statuses(&scene, &endless).await;
    assert!([&[][..], &[413]].contains(&&statuses[..]), "{statuses:?}");
    scene.survived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_are_told_or_left() {
    let scene = Scene::new("1s").await;
    // A body that comes a byte at a time: over HTTP/1, and as a call with a neighbour.
    let mut socket = scene.raw().await;
    let head = "POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 999\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = socket.into_split();
    let trickle = tokio::spawn(async move {
        while writer.write_all(&[10]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = [0; 12];
    reader.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    trickle.abort();

    let mut connection = Connection::open(&scene.grpc, &[]).await;
    let headers = frame(HEADERS, END_HEADERS, 1, &frames::call(grpc_path("metrics")));
    connection.send(&headers).await;
    connection.send(&frame(DATA, 0, 1, &[0, 0, 0])).await;
    let neighbour = [
        frame(HEADERS, END_HEADERS, 3, &frames::call(grpc_path("metrics"))),
        frame(DATA, END_STREAM, 3, &framed(&good(), false)),
    ];
    connection.send(&neighbour.concat()).await;
    let first = connection.until(HEADERS).await.unwrap();
    assert_eq!(first.stream, 3, "the neighbour doesn't wait");
    loop {
        let late = connection.until(HEADERS).await.unwrap();
        if late.stream == 1 {
            let status = b"grpc-status";
            assert!(late.flags & END_STREAM != 0 || late.payload.windows(11).any(|w| w == status));
            break;
        }
    }
    // Headers that arrive a byte at a time are cut off after a time.
    let mut slow = scene.raw().await;
    let drip = tokio::spawn(async move {
        let line = b"POST /v1/metrics HTTP/1.1\r\nx: "
            .iter()
            .chain(std::iter::repeat(&b'y'));
        for byte in line {
            if slow.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });

    // The agent closes the connection of a client that doesn't complete the preface, and of one
    // that stops sending and doesn't answer pings.
    let mut silent = Connection::open(&scene.grpc, &[]).await;
    let half = frame(HEADERS, 0, 1, &frames::call(grpc_path("metrics")));
    silent.send(&half).await;
    for said in [&b""[..], &frames::PREFACE[..23]] {
        let mut socket = TcpStream::connect(&scene.grpc).await.unwrap();
        socket.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(30), socket.read_to_end(&mut answer));
        assert!(
            ended.await.is_ok(),
            "a connection that never began was kept"
        );
    }
    let ended = timeout(Duration::from_secs(20), async {
        while silent.next().await.is_some() {}
    });
    assert!(ended.await.is_ok(), "a connection that is dead was kept");
    let dripped = timeout(Duration::from_secs(60), drip).await;
    dripped
        .expect("headers that never end were waited for")
        .unwrap();
    scene.survived().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_that_breaks_the_rules_loses_its_connection_and_no_other() {
    let scene = Scene::new("1s").await;
    let block = frames::call(grpc_path("metrics"));
    let open = |stream: u32| frame(HEADERS, END_HEADERS, stream, &block);

    // Rapid reset: calls that are cancelled as soon as they are made.
    let mut connection = Connection::open(&scene.grpc, &[]).await;
    let cancel = |stream: u32| [open(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat();
    let storm: Vec<u8> = (0..20_000).flat_map(|n| cancel(2 * n + 1)).collect();
    connection.send(&storm).await;
    let goaway = connection.until(GOAWAY).await;
    assert!(
        goaway.is_none_or(|frame| frame.payload[7] == 11),
        "calm down, it says"
    );

    // More calls than one connection may have: only those above the limit are refused.
    let mut connection = Connection::open(&scene.grpc, &[]).await;
    let calls: Vec<u8> = (0..200).flat_map(|n| open(2 * n + 1)).collect();
    connection.send(&calls).await;
    let refused = connection.until(RST_STREAM).await.unwrap();
    assert_eq!(
        (refused.stream, &refused.payload[..]),
        (2 * 128 + 1, &[0, 0, 0, 7][..])
    );
    connection
        .send(&frame(DATA, END_STREAM, 1, &framed(&good(), false)))
        .await;
    loop {
        if connection.until(HEADERS).await.unwrap().stream == 1 {
            break;
        }
    }

    // Headers that never end, and too many of them.
    let mut connection = Connection::open(&scene.grpc, &[]).await;
    connection.send(&frame(HEADERS, 0, 1, &block)).await;
    let more: Vec<u8> = (0..1000)
        .flat_map(|n| frames::header(&format!("x-{n}"), "y"))
        .collect();
    let mut frames_sent = 0;
    while frames_sent < 10_000 && connection.send(&frame(CONTINUATION, 0, 1, &more)).await {
        frames_sent += 1;
    }
    assert!(frames_sent < 10_000, "it took all of them");
    let mut client = Client::grpc(&scene.grpc).await;
    // Each counts 32 bytes more than it is long.
    let names: Vec<String> = (0..500).map(|n| format!("x-{n}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
    let answer = call(&mut client, &framed(&good(), false), &headers).await;
    assert_eq!(answer.status, 431, "{answer:?}");
    assert_eq!(
        call(&mut client, &framed(&good(), false), &[])
            .await
            .grpc_status(),
        Some(0)
    );

    // A client that takes no answers: its calls wait, and go on when it does.
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let mut connection = Connection::open(&scene.grpc, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let calls: Vec<u8> = (0..100)
        .flat_map(|n| {
            let body = frame(DATA, END_STREAM, 2 * n + 1, &framed(&good(), false));
            [open(2 * n + 1), body].concat()
        })
        .collect();
    connection.send(&calls).await;
    for _ in 0..100 {
        let answer = connection.until(HEADERS).await.unwrap();
        assert_eq!(answer.flags & END_STREAM, 0);
    }
    scene.serves_others().await;
    connection
        .send(&frame(WINDOW_UPDATE, 0, 1, &5_u32.to_be_bytes()))
        .await;
    assert_eq!(connection.until(DATA).await.unwrap().stream, 1);

    // Frames that break the protocol.
    for nonsense in [
        frame(WINDOW_UPDATE, 0, 0, &0_u32.to_be_bytes()),
        frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
        frame(DATA, 0, 1, b"for nobody"),
        frame(frames::SETTINGS, 0, 0, &[0; 5]),
        frame(frames::PING, 0, 0, &[0; 7]),
        frame(CONTINUATION, END_HEADERS, 1, &block),
        frame(HEADERS, END_HEADERS, 2, &block),
        frame(HEADERS, END_HEADERS, 1, &[0xff; 20]),
        vec![0xff; 9],
    ] {
        let mut connection = Connection::open(&scene.grpc, &[]).await;
        connection.send(&nonsense).await;
        assert!(connection.until(GOAWAY).await.is_some(), "{nonsense:x?}");
    }
    scene.survived().await;
}
