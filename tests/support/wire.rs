//! OTLP on the wire, written down once more and without the code under test: a client that
//! sends bytes as they are, and a sink that keeps what it gets.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test needs another part of it"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// The path of a signal over HTTP.
pub fn http_path(signal: &str) -> String {
    format!("/v1/{signal}")
}

/// The path of a signal over gRPC.
pub fn grpc_path(signal: &str) -> &'static str {
    match signal {
        "metrics" => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        "traces" => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        _ => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The gRPC status, wherever it stands.
    pub fn grpc_status(&self) -> Option<u32> {
        let status = self
            .trailers
            .get("grpc-status")
            .or_else(|| self.headers.get("grpc-status"))?;
        status.to_str().ok()?.parse().ok()
    }
}

/// A message in its gRPC frame.
pub fn framed(message: &[u8], compressed: bool) -> Vec<u8> {
    let mut frame = vec![u8::from(compressed)];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

/// A connection to a server, kept for many requests.
pub enum Client {
    Http(http1::SendRequest<Full<Bytes>>),
    Grpc(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub async fn http(address: &str) -> Self {
        let io = TokioIo::new(connect(address).await);
        let (client, driver) = http1::handshake(io).await.unwrap();
        tokio::spawn(driver);
        Self::Http(client)
    }

    pub async fn grpc(address: &str) -> Self {
        let io = TokioIo::new(connect(address).await);
        let (client, driver) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(driver);
        Self::Grpc(client)
    }

    /// Posts these bytes as they are.
    pub async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = Request::post(match self {
            Self::Http(_) => path.to_owned(),
            Self::Grpc(_) => format!("http://localhost{path}"),
        });
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::from(body);
        let response = match self {
            Self::Http(client) => {
                client.ready().await.unwrap();
                let request = request.header("host", "localhost").body(body).unwrap();
                client.send_request(request).await
            }
            Self::Grpc(client) => {
                client.ready().await.unwrap();
                client.send_request(request.body(body).unwrap()).await
            }
        };
        let (head, body) = response.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            trailers,
            body: body.to_bytes(),
        }
    }
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A server that answers every export as its script says and keeps what it got.
#[derive(Clone)]
pub struct Sink {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    arrived: Arc<Notify>,
}

/// How a sink answers its n-th request.
pub type Script = Arc<dyn Fn(usize) -> Response<Full<Bytes>> + Send + Sync>;

/// The answer that takes everything, in either protocol.
pub fn accepted() -> Response<Full<Bytes>> {
    Response::new(Full::default())
}

/// What a sink does instead of answering well; stands among an answer's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Never answers.
    Silence,
    /// Breaks off before the answer begins.
    HangUp,
    /// Breaks off after the head of the answer and a part of its body.
    Cut,
    /// Stops after the head of the answer and a part of its body.
    Stall,
}

/// No answer, or half of one.
pub fn trouble(trouble: Trouble) -> Response<Full<Bytes>> {
    let mut response = accepted();
    response.extensions_mut().insert(trouble);
    response
}

impl Sink {
    /// A sink that takes everything.
    pub async fn accepting() -> Self {
        Self::scripted(Arc::new(|_| accepted())).await
    }

    /// A sink that answers by a script. It tells gRPC by its content type: answers to it
    /// get the status of their `grpc-status` header, or OK.
    pub async fn scripted(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::listening(listener, script)
    }

    /// A sink behind a listener that is there already.
    pub fn listening(listener: TcpListener, script: Script) -> Self {
        let sink = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            arrived: Arc::default(),
        };
        let serving = sink.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (sink, script) = (serving.clone(), Arc::clone(&script));
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (sink, script) = (sink.clone(), Arc::clone(&script));
                        async move { sink.answer(request, &script).await }
                    });
                    // The preface of HTTP/2 begins with `PRI`, which is no HTTP/1 method.
                    let mut first = [0; 3];
                    let _ = socket.peek(&mut first).await;
                    socket.set_nodelay(true).unwrap();
                    let io = TokioIo::new(socket);
                    if &first == b"PRI" {
                        let builder =
                            hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(io, service).await;
                    } else {
                        let builder = hyper::server::conn::http1::Builder::new();
                        let _ = builder.serve_connection(io, service).await;
                    }
                });
            }
        });
        sink
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        script: &Script,
    ) -> std::io::Result<Response<Boxed>> {
        let (head, body) = request.into_parts();
        let grpc = head
            .headers
            .get("content-type")
            .is_some_and(|t| t == "application/grpc");
        let Ok(body) = body.collect().await else {
            return Ok(accepted().map(whole));
        };
        let number = {
            let mut received = self.received.lock().unwrap();
            received.push(Received {
                path: head.uri.path().to_owned(),
                headers: head.headers,
                body: body.to_bytes(),
            });
            received.len() - 1
        };
        let answer = script(number);
        self.arrived.notify_waiters();
        match answer.extensions().get() {
            Some(Trouble::Silence) => return std::future::pending().await,
            Some(Trouble::HangUp) => return Err(std::io::Error::other("hung up")),
            Some(Trouble::Cut) => return Ok(cut(grpc, Some("cut"))),
            Some(Trouble::Stall) => return Ok(cut(grpc, None)),
            None => {}
        }
        if !grpc {
            return Ok(answer.map(whole));
        }
        if answer.headers().contains_key("grpc-status") {
            let (mut head, _) = answer.into_parts();
            head.headers
                .insert("content-type", "application/grpc".parse().unwrap());
            return Ok(Response::from_parts(head, whole(Full::default())));
        }
        let (_, message) = answer.into_parts();
        let Ok(message) = message.collect().await;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let body = Full::from(framed(&message.to_bytes(), false));
        let body = body
            .with_trailers(std::future::ready(Some(Ok(trailers))))
            .map_err(|never| match never {})
            .boxed();
        let mut response = Response::new(body);
        response
            .headers_mut()
            .insert("content-type", "application/grpc".parse().unwrap());
        Ok(response)
    }

    /// What has come so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub async fn wait_for(&self, requests: usize) -> Vec<Received> {
        loop {
            let arrived = self.arrived.notified();
            let mut arrived = std::pin::pin!(arrived);
            arrived.as_mut().enable();
            let received = self.received();
            if received.len() >= requests {
                return received;
            }
            arrived.await;
        }
    }
}

/// The body of an answer, which may break off.
type Boxed = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

fn whole(body: Full<Bytes>) -> Boxed {
    body.map_err(|never| match never {}).boxed()
}

/// The head of a good answer, three bytes of a body, and then the end of the connection, or
/// nothing any more.
fn cut(grpc: bool, error: Option<&'static str>) -> Response<Boxed> {
    let data = hyper::body::Frame::data(Bytes::from_static(&[0, 0, 0]));
    let end = async move {
        // Time for the head to leave, or there would be no answer at all.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        match error {
            Some(error) => Err(std::io::Error::other(error)),
            None => std::future::pending().await,
        }
    };
    let frames = futures_util::stream::iter([Ok(data)]);
    let frames = futures_util::StreamExt::chain(frames, futures_util::stream::once(end));
    // `BoxBody` has to be shared between threads, which no future here needs to be.
    let body = http_body_util::StreamBody::new(Box::pin(frames));
    let mut response = Response::new(BodyExt::boxed(body));
    let headers = response.headers_mut();
    match grpc {
        true => headers.insert("content-type", "application/grpc".parse().unwrap()),
        false => headers.insert("content-length", "100".parse().unwrap()),
    };
    response
}

/// The messages of what a sink got over gRPC or HTTP, uncompressed, joined.
pub fn messages(received: &[Received]) -> Vec<u8> {
    received.iter().flat_map(message).collect()
}

fn message(received: &Received) -> Vec<u8> {
    let grpc = received
        .headers
        .get("content-type")
        .is_some_and(|t| t == "application/grpc");
    let (compressed, body) = match grpc {
        true => (received.body[0] == 1, &received.body[5..]),
        false => (true, &received.body[..]),
    };
    let encoding = received
        .headers
        .get("grpc-encoding")
        .or(received.headers.get("content-encoding"));
    match encoding
        .and_then(|encoding| encoding.to_str().ok())
        .filter(|_| compressed)
    {
        Some("gzip") => {
            let mut out = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut out).unwrap();
            out
        }
        Some("zstd") => zstd::decode_all(body).unwrap(),
        _ => body.to_vec(),
    }
}

async fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}
