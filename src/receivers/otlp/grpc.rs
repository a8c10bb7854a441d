//! OTLP over gRPC: one unary call per request.
//!
//! gRPC's framing is five bytes before the message and a status in the trailers. It is
//! implemented here on top of HTTP/2, so that the message is never decoded into owned structs and
//! each refusal has exactly the status that the protocol asks for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Body as HttpBody;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, http};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::body::{self, BodyLimits, ContentEncoding, ReceivedBody};
use super::door::ListenerContext;
use super::ingest::{Encoding, IngestOutcome};
use super::rejection::RequestRejection;
use super::warning;
use crate::component::{Body, full_body};
use crate::pdata::Signal;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// What gRPC encodes in a status message, beside all that isn't ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Bytes before each message: a flag for compression, and the length.
const PREFIX: usize = 5;

/// Answers one call. Cancel safe: dropping the future releases what was admitted.
pub(super) async fn answer<B>(request: Request<B>, door: &ListenerContext) -> Response<Body>
where
    B: HttpBody<Data = Bytes>,
{
    if request.method() != Method::POST || !is_grpc(request.headers()) {
        // The sender doesn't speak gRPC, so it wouldn't understand a gRPC status.
        return status_only(http::StatusCode::UNSUPPORTED_MEDIA_TYPE, HeaderMap::new());
    }
    let signal = signal_of(request.uri().path());
    let admitted = door.admits(request.headers()).await;
    let outcome = match signal {
        _ if !admitted => Err(RequestRejection::Unauthenticated),
        Some(signal) => take(request, signal, door).await,
        None => Err(RequestRejection::UnknownMethod),
    };
    door.ingest.count(signal, &outcome);
    match outcome {
        // The frame of an empty message, which is an export response without rejections.
        Ok(IngestOutcome::All) => respond(Bytes::from_static(&[0; PREFIX])),
        Ok(IngestOutcome::Unrecognised) => respond(framed(&warning::protobuf())),
        Err(rejection) => reject(&rejection),
    }
}

async fn take<B>(
    request: Request<B>,
    signal: Signal,
    door: &ListenerContext,
) -> Result<IngestOutcome, RequestRejection>
where
    B: HttpBody<Data = Bytes>,
{
    let limit = door.limits.size;
    let intake = door.ingest.intake(signal)?;
    let (head, body) = request.into_parts();
    let encoding = head.headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes);
    let compression = ContentEncoding::from_header(encoding)?;
    let framed = BodyLimits {
        size: limit + PREFIX as u64,
        ..door.limits
    };
    let patience = timeout_of(&head.headers).unwrap_or(body::LONGEST_WAIT);
    let framed = match body::receive(body, framed, announced, intake, patience).await {
        Err(RequestRejection::TooLarge { .. }) => return Err(RequestRejection::TooLarge { limit }),
        other => other?,
    };
    let (compressed, bytes) = unframe(framed.bytes)?;
    let compression = if compressed {
        compression
    } else {
        ContentEncoding::None
    };
    let message = ReceivedBody {
        bytes,
        admission: framed.admission,
    };
    let inflated = body::inflate(message, compression, limit, &door.ingest.lane).await?;
    door.ingest.take(signal, Encoding::Protobuf, inflated).await
}

/// The length of the whole frame, read from its prefix.
fn announced(framed: &[u8]) -> Option<usize> {
    let [_, length @ ..] = framed.first_chunk::<PREFIX>()?;
    let length = u32::from_be_bytes(*length);
    usize::try_from(length).ok()?.checked_add(PREFIX)
}

/// Takes the message of a unary call out of its frame, with whether it is compressed.
fn unframe(mut framed: Bytes) -> Result<(bool, Bytes), RequestRejection> {
    if framed.len() < PREFIX {
        return Err(RequestRejection::Malformed(
            "the call carries no message".to_owned(),
        ));
    }
    let compressed = match framed.get_u8() {
        0 => false,
        1 => true,
        flag => {
            return Err(RequestRejection::Malformed(format!(
                "the frame has the unknown flag {flag}"
            )));
        }
    };
    let announced = framed.get_u32() as usize;
    if announced != framed.len() {
        let length = framed.len();
        return Err(RequestRejection::Malformed(format!(
            "the frame announces {announced} bytes and carries {length}"
        )));
    }
    Ok((compressed, framed))
}

/// Puts a message into its frame. Messages of answers are short.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

fn signal_of(path: &str) -> Option<Signal> {
    Some(match path {
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Signal::Metrics,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Signal::Traces,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        _ => return None,
    })
}

/// Accepts `application/grpc`, alone or followed by `+proto` or parameters.
fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    match value.strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest, b"" | b"+proto") || rest.starts_with(b";"),
        None => false,
    }
}

/// Reads `grpc-timeout` (up to eight digits and a unit); `None` if it is absent or invalid.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let valid = digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| valid)?;
    Some(match unit {
        "H" => Duration::from_hours(count),
        "M" => Duration::from_mins(count),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// An answer with this message and status OK.
fn respond(message: Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let body = Full::new(message).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed());
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// An answer without a message, with the status in the headers.
fn reject(rejection: &RequestRejection) -> Response<Body> {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(rejection.grpc_code()));
    let message = rejection.to_string();
    if let Ok(message) = HeaderValue::try_from(utf8_percent_encode(&message, ENCODED).to_string()) {
        headers.insert(GRPC_MESSAGE, message);
    }
    if let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(rejection.status())) {
        headers.insert(GRPC_DETAILS, details);
    }
    if *rejection == RequestRejection::UnsupportedCompression {
        headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("gzip,zstd"));
    }
    status_only(http::StatusCode::OK, headers)
}

fn status_only(status: http::StatusCode, headers: HeaderMap) -> Response<Body> {
    let mut response = Response::new(full_body(Bytes::new()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
