use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as BlockingListener};
use std::thread::JoinHandle;

use http_body_util::{BodyExt as _, Empty};
use hyper::StatusCode;
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::net::pki::Pki;
use crate::net::{ClientTls, DialError, LookupError, ServerTls};
use crate::yaml::{Diagnostics, FromValue, PlacedNode, parse};

const SOON: Duration = Duration::from_secs(60);

type TestClient = HttpClient<Empty<Bytes>>;

fn settings(proxy: Option<&str>) -> HttpClientSettings {
    let matcher = |proxy: &str| Arc::new(Matcher::builder().all(proxy).build());
    HttpClientSettings {
        resolver: Resolver::with(|_| Ok(vec![[127, 0, 0, 1].into()])),
        connect_timeout: SOON,
        proxies: proxy.map(matcher),
        max_idle: None,
        idle_timeout: None,
    }
}

async fn ask(client: &TestClient, uri: &str) -> Result<(StatusCode, Bytes), HttpError> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri.parse().unwrap();
    let answer = client.send(request).await?;
    let status = answer.status();
    Ok((
        status,
        answer.into_body().collect().await.unwrap().to_bytes(),
    ))
}

/// A peer on a thread of its own, so that it sends whatever the client does. It reads the head of
/// a request, sends `first` and then `again` until the client has closed or `times` are over, and
/// returns how many bytes it sent of that.
fn sender(first: &str, again: &str, times: usize) -> (SocketAddr, JoinHandle<usize>) {
    let listener = BlockingListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (first, again) = (first.to_owned(), again.to_owned());
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap_or(0) > 0 {
            head.push(byte[0]);
        }
        let mut sent = 0;
        let begun = socket.write_all(first.as_bytes()).is_ok();
        while begun
            && sent < again.len().saturating_mul(times)
            && socket.write_all(again.as_bytes()).is_ok()
        {
            sent += again.len();
        }
        sent
    });
    (address, thread)
}

/// Waits for a sender, while the connection of the client may close.
async fn ended(peer: JoinHandle<usize>) -> usize {
    let joined = tokio::task::spawn_blocking(|| peer.join().unwrap());
    joined.await.unwrap()
}

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

#[tokio::test]
async fn interim_answers_without_end_are_an_error_and_a_few_are_none() {
    let client = TestClient::new(&settings(None), None);
    let many = CONTINUE.repeat(1000);
    let (address, peer) = sender("", &many, usize::MAX);
    let error = ask(&client, &format!("http://{address}/")).await;
    let message = error.unwrap_err().to_string();
    assert_eq!(
        message,
        "more than 16 interim answers (1xx), and no final one"
    );
    ended(peer).await;

    let few = CONTINUE.repeat(MAX_INTERIM);
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (address, peer) = sender(&few, last, 1);
    let answer = ask(&client, &format!("http://{address}/")).await.unwrap();
    assert_eq!(answer, (StatusCode::OK, "ok".into()));
    ended(peer).await;
}

#[tokio::test]
async fn a_head_without_end_is_an_error_after_64_kib() {
    let client = TestClient::new(&settings(None), None);
    for line in ["X: y\r\n", "X", " "] {
        let (address, peer) = sender("HTTP/1.1 200 OK\r\nA: ", &line.repeat(1000), usize::MAX);
        let error = ask(&client, &format!("http://{address}/")).await;
        let error = error.unwrap_err();
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        let parse: &hyper::Error = cause.unwrap();
        assert!(parse.is_parse_too_large(), "{line:?}: {parse:?}");
        ended(peer).await;
    }
}

#[tokio::test]
async fn what_frames_a_body_has_an_end_too() {
    let client = TestClient::new(&settings(None), None);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let f = async |first: &str, again: &str| {
        let first = format!("{chunked}{first}");
        let (address, peer) = sender(&first, &again.repeat(1000), usize::MAX);
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = format!("http://{address}/").parse().unwrap();
        let body = client.send(request).await.unwrap().into_body();
        assert!(body.collect().await.is_err(), "{first}{again}");
        ended(peer).await;
    };
    // The extension of a chunk, white space behind its size, zeros before it, trailers.
    f("5;", "x").await;
    f("5", "0").await;
    f("0\r\n", "x: y\r\n").await;
    f("0\r\n", "x").await;
    f("5;x\r\nhello\r\n", "5;x\r\nhello\r\n").await;
}

fn read<T: FromValue>(yaml: &str, pki: &Pki) -> T {
    let yaml = yaml.replace("{dir}", &pki.dir().display().to_string());
    let diagnostics = Diagnostics::new();
    let node = parse(&yaml, &Arc::from("test"), &diagnostics).unwrap();
    let value = PlacedNode::root(&node, &diagnostics).read();
    value.unwrap_or_else(|| panic!("{yaml}: {:?}", diagnostics.problems()))
}

async fn head(stream: &mut (impl ClientStream + ?Sized)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A proxy with or without TLS that behaves as the server behind it, which has TLS where it is
/// asked for a tunnel. Returns the heads that each got.
async fn proxied(pki: &Pki, proxy_tls: bool, uri: &str) -> (Vec<String>, StatusCode) {
    let keys = "{cert_file: '{dir}/server.pem', key_file: '{dir}/server.key'}";
    let server = read::<ServerTls>(keys, pki).server_config(&[]).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream: Box<dyn ClientStream> = Box::new(socket);
        if proxy_tls {
            stream = Box::new(acceptor.accept(stream).await.unwrap());
        }
        let mut heads = vec![head(&mut stream).await];
        if heads[0].starts_with("CONNECT ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            stream = Box::new(acceptor.accept(stream).await.unwrap());
            heads.push(head(&mut stream).await);
        }
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        heads
    };
    let scheme = if proxy_tls { "https" } else { "http" };
    let proxy = format!("{scheme}://we:hunter2@localhost:{port}");
    let tls = read::<ClientTls>("{ca_file: '{dir}/ca.pem'}", pki);
    let tls = tls.client_config().unwrap();
    let client = TestClient::new(&settings(Some(&proxy)), Some(tls));
    let (heads, answer) = tokio::join!(server, ask(&client, uri));
    (heads, answer.unwrap().0)
}

#[tokio::test]
async fn a_proxy_gets_plain_requests_themselves_and_others_through_a_tunnel() {
    let pki = Pki::new();
    let authorization = "proxy-authorization: basic d2u6ahvudgvymg==\r\n";
    for proxy_tls in [false, true] {
        let (heads, status) = proxied(&pki, proxy_tls, "http://fog.example/x?y=z").await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert_eq!(heads.len(), 1);
        assert!(heads[0].starts_with("GET http://fog.example/x?y=z HTTP/1.1\r\n"));
        assert!(heads[0].to_lowercase().contains(authorization), "{heads:?}");

        let (heads, status) = proxied(&pki, proxy_tls, "https://localhost/x").await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert!(heads[0].starts_with("CONNECT localhost:443 HTTP/1.1\r\n"));
        assert!(heads[0].to_lowercase().contains(authorization), "{heads:?}");
        assert!(heads[1].starts_with("GET /x HTTP/1.1\r\n"), "{heads:?}");
        assert!(!heads[1].to_lowercase().contains("authorization"));
    }
}

/// The error of connecting to a peer that takes the connection and never says a word.
async fn silent(scheme: &str, through: bool) -> ConnectError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = format!("http://{address}");
    let pki = Pki::new();
    let tls = read::<ClientTls>("{ca_file: '{dir}/ca.pem'}", &pki);
    let client = TestClient::new(
        &settings(through.then_some(&proxy)),
        Some(tls.client_config().unwrap()),
    );
    let error = ask(&client, &format!("{scheme}://{address}/")).await;
    let HttpError::Exchange(error) = error.unwrap_err() else {
        panic!("nothing was answered");
    };
    let source = error.source().unwrap();
    let error: &ConnectError = source.downcast_ref().unwrap();
    match error {
        ConnectError::Late { stage } => ConnectError::Late { stage },
        error => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_connecting_names_the_stage_that_took_too_long() {
    let tls = silent("https", false).await.to_string();
    assert_eq!(tls, "the TLS handshake isn't done in time");
    let tunnel = silent("https", true).await.to_string();
    assert_eq!(tunnel, "the tunnel of the proxy isn't done in time");

    // A lookup is one, whatever the scheme.
    let (told, hangs) = std::sync::mpsc::channel::<()>();
    let hangs = std::sync::Mutex::new(hangs);
    let resolver = Resolver::with(move |_| {
        let _ = hangs.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let settings = HttpClientSettings {
        resolver,
        ..settings(None)
    };
    let client = TestClient::new(&settings, None);
    let error = ask(&client, "http://fog.example/").await.unwrap_err();
    let lookup = ConnectError::Dial(DialError::Lookup(LookupError::Silent(SOON)));
    assert_eq!(error.connecting().unwrap().to_string(), lookup.to_string());
    drop(told);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let server = async {
        let (mut socket, _): (TcpStream, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            head(&mut socket).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            socket.write_all(answer).await.unwrap();
        }
    };
    let client = TestClient::new(&settings(None), None);
    let asked = async {
        for _ in 0..2 {
            assert_eq!(ask(&client, &uri).await.unwrap().1, "ok");
        }
    };
    tokio::join!(server, asked);
}
