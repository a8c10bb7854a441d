//! Peers that fail in every way and quote what they were sent.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a helper of tests may panic"
)]

use std::convert::Infallible;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{CANARY, frames, wire};

/// A server, and a proxy, that refuses everything and quotes what was sent.
pub async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut first = [0; 3];
                let _ = socket.peek(&mut first).await;
                let (io, service) = (TokioIo::new(socket), service_fn(answer));
                // The client may hang up.
                if &first == b"PRI" {
                    let server = http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(io, service).await;
                } else {
                    let _ = http1::Builder::new().serve_connection(io, service).await;
                }
            });
        }
    });
    address
}

/// Everything secret in the head of a request, also decoded.
fn quoted(head: &Parts) -> String {
    let mut said = Vec::new();
    for value in head
        .headers
        .values()
        .filter_map(|value| value.to_str().ok())
    {
        let encoded = value.strip_prefix("Basic ");
        let pair = encoded.map(|encoded| STANDARD.decode(encoded).unwrap());
        let pair = pair.map(|pair| String::from_utf8(pair).unwrap());
        if let Some((_, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            said.push(password.to_owned());
        }
        if value.contains(CANARY) || pair.is_some() {
            said.push(value.to_owned());
        }
        said.extend(pair);
    }
    if let Some(query) = head.uri.query() {
        said.push(query.to_owned());
        let values = query.split(['&', '=']);
        said.extend(values.map(|value| percent_decode_str(value).decode_utf8_lossy().into()));
    }
    said.join(" ")
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>) -> std::io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let _ = body.collect().await;
    let said = quoted(&head);
    let grpc = head
        .headers
        .get("x-mode")
        .map(|mode| mode.to_str().unwrap());
    let mode = match grpc {
        Some(mode) => mode,
        None if head.method == Method::CONNECT => "connect",
        None => head.uri.path().split('/').nth(1).unwrap(),
    };
    let plain = |status: u16, kind: &'static str, text: String| {
        let mut response = Response::new(Full::from(text).boxed());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    };
    let mut response = match mode {
        "status" => {
            let said = utf8_percent_encode(&said, NON_ALPHANUMERIC).to_string();
            let mut response = plain(200, "application/grpc", String::new());
            response
                .headers_mut()
                .insert("grpc-status", HeaderValue::from_static("16"));
            response
                .headers_mut()
                .insert("grpc-message", said.parse().unwrap());
            response
        }
        "partial" if grpc.is_some() => {
            let message = ExportMetricsServiceResponse {
                partial_success: Some(ExportMetricsPartialSuccess {
                    rejected_data_points: 1,
                    error_message: said,
                }),
            };
            let trailers = HeaderMap::from_iter([(
                "grpc-status".parse().unwrap(),
                HeaderValue::from_static("0"),
            )]);
            let framed = Full::from(wire::framed(&message.encode_to_vec(), false));
            let body = framed.with_trailers(std::future::ready(Some(Ok(trailers))));
            let mut response = Response::new(body.boxed());
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            response
        }
        "partial" => {
            let partial = serde_json::json!({"partialSuccess": {"rejectedDataPoints": "1", "errorMessage": said}});
            plain(200, "application/json", partial.to_string())
        }
        "html" => {
            let said = said.replace('"', "&quot;");
            plain(403, "text/html", format!("<p>no {said}</p>"))
        }
        "json" => plain(
            400,
            "application/json",
            serde_json::json!({"message": said}).to_string(),
        ),
        "raw" => plain(
            400,
            "application/json",
            serde_json::json!({"error": said}).to_string(),
        ),
        "close" => return Err(std::io::Error::other("as scripted")),
        "connect" => {
            let reason = ReasonPhrase::try_from(said.as_bytes()).unwrap();
            let mut response = plain(407, "text/plain", said);
            response.extensions_mut().insert(reason);
            response
        }
        "moved" => plain(302, "text/plain", said),
        "loops" => plain(302, "text/plain", said),
        _ => plain(401, "text/plain", said),
    };
    if response.status() == StatusCode::FOUND {
        let location = format!("{}?key=kan4ri!location", head.uri.path());
        response
            .headers_mut()
            .insert(LOCATION, location.parse().unwrap());
    }
    Ok(response)
}

/// A server that ends every connection of HTTP/2 at the first call, with what it was sent as
/// debug data.
pub async fn hangup() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut preface = [0; frames::PREFACE.len()];
            let _ = socket.read_exact(&mut preface).await;
            let _ = socket
                .write_all(&frames::frame(frames::SETTINGS, 0, 0, &[]))
                .await;
            let mut connection = frames::Connection(socket);
            connection.until(frames::HEADERS).await;
            // No stream was worked on, because of an internal error.
            let debug = [&[0, 0, 0, 0, 0, 0, 0, 2][..], b"bad kan4ri!hangup"].concat();
            connection
                .send(&frames::frame(frames::GOAWAY, 0, 0, &debug))
                .await;
        }
    });
    address
}
