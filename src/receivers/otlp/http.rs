//! OTLP over HTTP: `POST /v1/metrics`, `/v1/traces` and `/v1/logs`, protobuf or JSON.

use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::body::{self, ContentEncoding};
use super::config::SignalPaths;
use super::cors::Cors;
use super::door::ListenerContext;
use super::ingest::{Encoding, IngestOutcome};
use super::rejection::RequestRejection;
use super::warning;
use crate::component::{Body, full_body};
use crate::pdata::Signal;

/// What one HTTP listener serves: its door, its paths, and which web pages may use it.
pub(super) struct HttpSite {
    pub(super) door: ListenerContext,
    pub(super) paths: SignalPaths,
    pub(super) cors: Option<Cors>,
}

/// Answers one request. Cancel safe: dropping the future releases what was admitted.
pub(super) async fn answer<B>(request: Request<B>, site: &HttpSite) -> Response<Body>
where
    B: HttpBody<Data = Bytes>,
{
    let Some(cors) = &site.cors else {
        return respond(request, site).await;
    };
    // Before the credentials are checked: browsers send preflight requests without them.
    if let Some(response) = cors.preflight(request.method(), request.headers()) {
        return response;
    }
    let asked = request.headers().clone();
    let mut response = respond(request, site).await;
    cors.mark(&asked, response.headers_mut());
    response
}

async fn respond<B>(request: Request<B>, site: &HttpSite) -> Response<Body>
where
    B: HttpBody<Data = Bytes>,
{
    let door = &site.door;
    let Some(signal) = site.paths.signal(request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND, format!("post to {}\n", site.paths));
    };
    if request.method() != Method::POST {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only POST is taken here\n");
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let encoding = encoding_of(request.headers().get(header::CONTENT_TYPE));
    let admitted = door.admits(request.headers()).await;
    let outcome = match encoding {
        _ if !admitted => Err(RequestRejection::Unauthenticated),
        Some(encoding) => take(request, signal, encoding, door).await,
        None => Err(RequestRejection::UnsupportedContentType),
    };
    door.ingest.count(Some(signal), &outcome);
    // A sender with an unknown content type is answered in protobuf.
    let encoding = encoding.unwrap_or(Encoding::Protobuf);
    match outcome {
        Ok(IngestOutcome::All) => accepted(encoding),
        Ok(IngestOutcome::Unrecognised) => unrecognised(encoding),
        Err(rejection) => door.reject(&rejection, encoding),
    }
}

impl ListenerContext {
    /// An answer with a status in the sender's encoding, and `Retry-After` if a retry can help.
    fn reject(&self, rejection: &RequestRejection, encoding: Encoding) -> Response<Body> {
        let body = match encoding {
            Encoding::Protobuf => rejection.status(),
            Encoding::Json => rejection.json_status(),
        };
        let mut response = with_type(rejection.http_status(), encoding, body.into());
        let headers = response.headers_mut();
        if let Some(delay) = rejection.retry_after() {
            // Rounded up to whole seconds, so that no sender comes back too early.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        match rejection {
            RequestRejection::UnsupportedCompression => {
                headers.insert(
                    header::ACCEPT_ENCODING,
                    HeaderValue::from_static("gzip, zstd"),
                );
            }
            RequestRejection::Unauthenticated => {
                if let Some(credentials) = &self.credentials {
                    let challenge = HeaderValue::from_static(credentials.challenge());
                    headers.insert(header::WWW_AUTHENTICATE, challenge);
                }
            }
            // The connection closes, since the rest of the body would be read as the next
            // request.
            RequestRejection::TooLarge { .. }
            | RequestRejection::TooSlow
            | RequestRejection::Interrupted => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

async fn take<B>(
    request: Request<B>,
    signal: Signal,
    encoding: Encoding,
    door: &ListenerContext,
) -> Result<IngestOutcome, RequestRejection>
where
    B: HttpBody<Data = Bytes>,
{
    let limit = door.limits.size;
    let intake = door.ingest.intake(signal)?;
    let (head, body) = request.into_parts();
    let content_encoding = head.headers.get(header::CONTENT_ENCODING);
    let compression = ContentEncoding::from_header(content_encoding.map(HeaderValue::as_bytes))?;
    let received = body::receive(body, door.limits, |_| None, intake, body::LONGEST_WAIT).await?;
    let inflated = body::inflate(received, compression, limit, &door.ingest.lane).await?;
    door.ingest.take(signal, encoding, inflated).await
}

/// The encoding that a content type names; its parameters are ignored.
fn encoding_of(content_type: Option<&HeaderValue>) -> Option<Encoding> {
    let essence = content_type?.to_str().ok()?.split(';').next()?.trim();
    if essence.eq_ignore_ascii_case("application/x-protobuf") {
        Some(Encoding::Protobuf)
    } else if essence.eq_ignore_ascii_case("application/json") {
        Some(Encoding::Json)
    } else {
        None
    }
}

/// An empty export response: nothing was rejected.
fn accepted(encoding: Encoding) -> Response<Body> {
    let empty = match encoding {
        Encoding::Protobuf => Bytes::new(),
        Encoding::Json => Bytes::from_static(b"{}"),
    };
    with_type(StatusCode::OK, encoding, empty)
}

/// A partial success that rejects nothing and warns.
fn unrecognised(encoding: Encoding) -> Response<Body> {
    let warning = match encoding {
        Encoding::Protobuf => warning::protobuf(),
        Encoding::Json => warning::json(),
    };
    with_type(StatusCode::OK, encoding, warning.into())
}

fn with_type(status: StatusCode, encoding: Encoding, body: Bytes) -> Response<Body> {
    let mut response = Response::new(full_body(body));
    *response.status_mut() = status;
    let content_type = match encoding {
        Encoding::Protobuf => HeaderValue::from_static("application/x-protobuf"),
        Encoding::Json => HeaderValue::from_static("application/json"),
    };
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full_body(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
