use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::super::*;
use super::*;
use crate::yaml::Secret;

mod targets;
mod tls;

/// Listens on loopback and hands each connection to `answer` once the head of the request has
/// been read. All tasks end when the set is dropped.
async fn server<F>(answer: fn(TcpStream, String) -> F) -> (Url, JoinSet<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/x", listener.local_addr().unwrap())).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
                    match stream.read_u8().await {
                        // The first byte of a TLS handshake.
                        Ok(0x16) if head.is_empty() => break,
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                answer(stream, String::from_utf8_lossy(&head).into_owned()).await;
            });
        }
    });
    (url, tasks)
}

async fn send(mut stream: TcpStream, head: &str, body: &[u8]) {
    // Some tests have a client that closes the connection early.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
}

async fn ask_as(config: HttpClientConfig, url: &Url) -> Result<Vec<u8>, FetchError> {
    let client = Client::new(&config, Duration::from_millis(500), [url]).unwrap();
    fetched(&client, url).await
}

async fn fetched(client: &Client, url: &Url) -> Result<Vec<u8>, FetchError> {
    let request = FetchRequest::new(url.clone(), "*/*");
    Ok(client.fetch(&request).await?.body.to_vec())
}

async fn ask(url: &Url) -> Result<Vec<u8>, FetchError> {
    ask_as(HttpClientConfig::default(), url).await
}

#[track_caller]
fn failed(outcome: Result<Vec<u8>, FetchError>, reason: FailureReason) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(FailureReason::of(&error), reason, "{error}");
    error.message
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    assert_eq!(
        failed(ask(&url).await, FailureReason::Refused),
        "connection refused"
    );
}

#[tokio::test]
async fn the_connection_is_reset() {
    let (url, _tasks) = server(|stream, _| async move {
        let socket = socket2::SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    failed(ask(&url).await, FailureReason::Reset);
}

#[tokio::test]
async fn the_answer_is_cut_short() {
    let (url, _tasks) = server(|stream, _| async move {
        send(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            b"half",
        )
        .await;
    })
    .await;
    failed(ask(&url).await, FailureReason::Reset);
}

#[tokio::test]
async fn the_name_has_no_address() {
    // A label of more than 63 characters is refused without a query.
    let url = Url::parse(&format!("http://{}.invalid/", "x".repeat(64))).unwrap();
    failed(ask(&url).await, FailureReason::Dns);
}

#[tokio::test]
async fn localhost_is_loopback_of_either_family() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address).await else {
            continue; // A machine without IPv6.
        };
        let port = listener.local_addr().unwrap().port();
        let url = Url::parse(&format!("http://localhost:{port}/")).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read_u8().await;
            send(stream, "HTTP/1.1 204 No Content\r\n\r\n", b"").await;
        };
        let (outcome, ()) = tokio::join!(ask(&url), serve);
        assert_eq!(outcome.unwrap(), b"", "{address}");
    }
}

#[tokio::test]
async fn the_peer_does_not_speak_tls() {
    let (url, _tasks) =
        server(|stream, _| send(stream, "HTTP/1.1 400 Bad Request\r\n\r\n", b"")).await;
    let mut url = url;
    url.set_scheme("https").unwrap();
    let message = failed(ask(&url).await, FailureReason::Tls);
    assert!(message.starts_with("TLS failed: "), "{message}");
}

#[tokio::test]
async fn no_answer_in_time() {
    let (url, _tasks) = server(|stream, _| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(
        failed(ask(&url).await, FailureReason::Timeout),
        "no answer within 500ms"
    );
}

#[tokio::test]
async fn another_status_is_an_error_before_its_endless_body_is_read() {
    let (url, _tasks) = server(|mut stream, _| async move {
        let head = "HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {}
    })
    .await;
    let error = ask(&url).await.unwrap_err();
    assert_eq!(error.status, Some(503));
    assert_eq!(
        failed(Err(error), FailureReason::Status),
        "answered 503 Service Unavailable"
    );
}

#[tokio::test]
async fn an_answer_that_is_no_http() {
    let (url, _tasks) = server(|stream, _| send(stream, "SSH-2.0-OpenSSH_9.9\r\n", b"")).await;
    failed(ask(&url).await, FailureReason::Parse);
}

#[tokio::test]
async fn a_body_over_the_limit_is_stopped_in_every_framing() {
    const MIB: usize = 1 << 20;
    let (stated, _a) = server(|stream, _| async move {
        send(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n",
            b"",
        )
        .await;
    })
    .await;
    let (until_close, _b) = server(|stream, _| async move {
        send(stream, "HTTP/1.1 200 OK\r\n\r\n", &vec![b'x'; 11 * MIB]).await;
    })
    .await;
    let (bomb, _c) = server(|stream, head| async move {
        assert!(head.to_ascii_lowercase().contains("accept-encoding: gzip"));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&vec![0; 50 * MIB]).unwrap();
        let body = encoder.finish().unwrap();
        assert!(body.len() < MIB, "small on the wire");
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
        );
        send(stream, &head, &body).await;
    })
    .await;
    for url in [stated, until_close, bomb] {
        let client = Client::new(
            &HttpClientConfig::default(),
            Duration::from_secs(30),
            [&url],
        )
        .unwrap();
        let outcome = fetched(&client, &url).await;
        assert_eq!(
            failed(outcome, FailureReason::Limit),
            "the body is larger than 10MiB"
        );
    }
}

#[tokio::test]
async fn of_a_chunked_body_the_stated_length_says_nothing() {
    let (url, _tasks) = server(|stream, _| async move {
        let head =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 52428800\r\n\r\n";
        send(stream, head, b"2\r\nok\r\n0\r\n\r\n").await;
    })
    .await;
    assert_eq!(ask(&url).await.unwrap(), b"ok");
}

#[tokio::test]
async fn a_compression_that_was_not_asked_for_is_named_and_other_words_are_none() {
    let (zstd, _a) = server(|stream, _| async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: ZSTD\r\nContent-Length: 2\r\n\r\n";
        send(stream, head, b"xx").await;
    })
    .await;
    assert_eq!(
        failed(ask(&zstd).await, FailureReason::Parse),
        "the answer is compressed as zstd, which wasn't asked for"
    );
    let (charset, _b) = server(|stream, _| async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: utf-8\r\nContent-Length: 2\r\n\r\n";
        send(stream, head, b"ok").await;
    })
    .await;
    assert_eq!(ask(&charset).await.unwrap(), b"ok");
}

#[tokio::test]
async fn a_source_that_continues_without_end_is_a_limit_that_was_hit() {
    let (url, _tasks) = server(|mut stream, _| async move {
        let many = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
        while stream.write_all(many.as_bytes()).await.is_ok() {}
    })
    .await;
    assert_eq!(
        failed(ask(&url).await, FailureReason::Limit),
        "more than 16 interim answers (1xx), and no final one"
    );
}

#[tokio::test]
async fn a_broken_compression_is_garbage() {
    let (url, _tasks) = server(|stream, _| async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n";
        send(stream, head, b"not gzip").await;
    })
    .await;
    failed(ask(&url).await, FailureReason::Parse);
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_without_saying_so_is_no_error() {
    let (url, _tasks) = server(|stream, _| {
        send(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            b"ok",
        )
    })
    .await;
    let client = Client::new(&HttpClientConfig::default(), Duration::from_secs(5), [&url]).unwrap();
    for _ in 0..50 {
        assert_eq!(fetched(&client, &url).await.unwrap(), b"ok");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_only_within_the_origin_and_only_when_asked() {
    let (url, _tasks) = server(|stream, head| async move {
        let port = stream.local_addr().unwrap().port();
        let to = if head.starts_with("GET /x ") {
            "Location: /y\r\n".to_owned()
        } else if head.starts_with("GET /away ") {
            format!("Location: http://localhost:{port}/y\r\n")
        } else {
            return send(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                b"ok",
            )
            .await;
        };
        let head = format!("HTTP/1.1 302 Found\r\n{to}Content-Length: 0\r\n\r\n");
        send(stream, &head, b"").await;
    })
    .await;
    assert_eq!(
        failed(ask(&url).await, FailureReason::Status),
        "answered 302 Found, a redirect that isn't followed"
    );
    let follow = HttpClientConfig {
        redirects: Redirects::SameOrigin,
        ..HttpClientConfig::default()
    };
    assert_eq!(ask_as(follow.clone(), &url).await.unwrap(), b"ok");
    let away = url.join("/away").unwrap();
    failed(ask_as(follow, &away).await, FailureReason::Status);
}

#[tokio::test]
async fn credentials_are_sent_and_a_rotated_token_is_read_again() {
    let (url, _tasks) = server(|stream, head| async move {
        let lower = head.to_ascii_lowercase();
        let sent = lower.lines().find(|line| line.starts_with("authorization"));
        let body = sent.unwrap_or("none").to_owned();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        send(stream, &head, body.as_bytes()).await;
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first\n").unwrap();
    let config = HttpClientConfig {
        auth: Some(ClientAuthConfig::Token {
            scheme: "Bearer".to_owned(),
            token: Credential::File("auth::bearer_token_file", file.path().to_owned()),
        }),
        ..HttpClientConfig::default()
    };
    let basic = HttpClientConfig {
        auth: Some(ClientAuthConfig::Basic {
            username: Credential::Inline(Secret::new("u")),
            password: Credential::File("auth::basic::password_file", file.path().to_owned()),
        }),
        ..HttpClientConfig::default()
    };
    assert_eq!(
        ask_as(basic, &url).await.unwrap(),
        format!(
            "authorization: basic {}",
            STANDARD.encode("u:first").to_lowercase()
        )
        .as_bytes()
    );
    let client = Client::new(&config, Duration::from_secs(5), [&url]).unwrap();
    let sent = async || String::from_utf8(fetched(&client, &url).await.unwrap()).unwrap();
    assert_eq!(sent().await, "authorization: bearer first");
    std::fs::write(file.path(), "second").unwrap();
    assert_eq!(sent().await, "authorization: bearer second");
    std::fs::remove_file(file.path()).unwrap();
    assert_eq!(
        sent().await,
        "authorization: bearer second",
        "the last known"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_name_server_is_a_failure_of_the_name_before_the_time_is_over() {
    let (told, hangs) = std::sync::mpsc::channel::<()>();
    let hangs = std::sync::Mutex::new(hangs);
    let resolver = Resolver::with(move |_| {
        let _ = hangs.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let url = Url::parse("http://source.example:9000/x").unwrap();
    let (config, timeout) = (HttpClientConfig::default(), Duration::from_secs(5));
    let client = Client::resolving_by(resolver, &config, timeout, [&url]).unwrap();
    let begun = tokio::time::Instant::now();
    let error = fetched(&client, &url).await.unwrap_err();
    assert_eq!(FailureReason::of(&error), FailureReason::Dns);
    assert_eq!(error.message, "the name server hasn't answered within 4.5s");
    assert!(
        begun.elapsed() < timeout,
        "the guard would call it a timeout"
    );
    drop(told);
}

#[tokio::test]
async fn the_next_address_of_a_name_is_asked_where_the_first_refuses() {
    let (mut url, _server) = server(|stream, _| send(stream, OK_HEAD, b"x")).await;
    let resolver = Resolver::with(|_| Ok(vec![[127, 0, 0, 9].into(), [127, 0, 0, 1].into()]));
    url.set_host(Some("source.example")).unwrap();
    let (config, timeout) = (HttpClientConfig::default(), Duration::from_secs(60));
    let client = Client::resolving_by(resolver, &config, timeout, [&url]).unwrap();
    assert_eq!(fetched(&client, &url).await.unwrap(), b"x");
}

const OK_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n";
