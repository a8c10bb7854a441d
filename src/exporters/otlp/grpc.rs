//! Sends a batch as a gRPC call. The calls of a signal share an HTTP/2 connection. It is made at
//! the first call; after a failure the next call resolves the name again and makes a new one.
//! Calls that begin while there is none make one each, and the last of these stays.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode;
use tokio::time::Instant;

use super::answer;
use super::body::{self, AnswerBody, BodyEnd};
use super::connection::Destination;
use super::floods::Floods;
use super::grpc_status::{GRPC_STATUS, GrpcAnswer};
use super::payload::{self, BodyChunks, Compression};
use super::secrets::Secrets;
use super::{USER_AGENT as AGENT, partial};
use crate::component::{Delivered, ExportError, Exporter};
use crate::net::{Quota, Streams, WatchedReads, share_for_connecting};
use crate::pdata::{Batch, Signal};
use crate::resilience::{Outcome, Transport};

/// HTTP/2 windows and frame size, large enough that a request of a thousand points is sent
/// without waiting.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const FRAME_SIZE: u32 = 256 * 1024;

/// The most bytes of an answer that are read. The gRPC status comes after the message, so an
/// answer is read to its end, although only the first bytes are kept.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// The largest headers or trailers of an answer. A peer may put a long message beside the status.
const LONGEST_HEADERS: u32 = 256 * 1024;

/// How many bytes of an answer may come before its body is read: headers, what fits into the
/// stream's window, trailers; and the window updates for a request of 64 MiB.
const ANSWER_QUOTA: usize = (STREAM_WINDOW + 2 * LONGEST_HEADERS) as usize + 128 * 1024;

/// The length of the header of an HTTP/2 frame.
const FRAME_HEADER: usize = 9;

/// How the exporter is set up; the keys are described in [`super`].
pub(super) struct GrpcSettings {
    pub(super) endpoint: Destination,
    pub(super) headers: HeaderMap,
    pub(super) compression: Compression,
    /// How long one attempt may take.
    pub(super) timeout: Duration,
    /// Pings that detect a peer that is gone.
    pub(super) keepalive: Option<ClientKeepalive>,
}

/// The value of `keepalive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientKeepalive {
    pub(super) time: Duration,
    pub(super) timeout: Duration,
    pub(super) permit_without_stream: bool,
}

/// Exports one signal over gRPC.
pub(super) struct Grpc {
    settings: GrpcSettings,
    uris: BTreeMap<Signal, Uri>,
    /// The headers of every request.
    headers: HeaderMap,
    /// The connection for the next call; `None` before the first and after a failure. A std
    /// mutex, since it is only locked to clone.
    connection: Mutex<Option<GrpcConnection>>,
    /// How many connections were made.
    made: AtomicU64,
    floods: Arc<Floods>,
    partial: partial::AnswerLog,
    secrets: Secrets,
}

/// A connection, and what the peer may send on it.
#[derive(Clone)]
struct GrpcConnection {
    /// No other connection of the exporter has it.
    number: u64,
    requests: SendRequest<BodyChunks>,
    quota: Quota,
}

impl Grpc {
    /// Fails if the endpoint can't be part of a URI.
    pub(super) fn new(
        settings: GrpcSettings,
        partial: partial::AnswerLog,
        floods: Floods,
    ) -> anyhow::Result<Self> {
        let uri = |signal| Ok((signal, settings.endpoint.uri(path(signal))?));
        let uris = Signal::ALL
            .into_iter()
            .map(uri)
            .collect::<anyhow::Result<_>>()?;
        let secrets = settings.endpoint.secrets(&settings.headers);
        let mut headers = settings.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(encoding) = settings.compression.header() {
            headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding));
        }
        Ok(Self {
            settings,
            uris,
            headers,
            connection: Mutex::new(None),
            made: AtomicU64::new(0),
            floods: Arc::new(floods),
            partial,
            secrets,
        })
    }

    async fn call(&self, batch: &Batch) -> Result<Delivered, ExportError> {
        let request = self.request(batch)?;
        let begun = Instant::now();
        let connection = self.connection().await?;
        let hung_up = DisconnectOnDrop(self, connection.number);
        let outcome = self.exchange(connection, request, begun).await;
        std::mem::forget(hung_up);
        outcome
    }

    /// Sends the request, and reads the answer to its end.
    async fn exchange(
        &self,
        connection: GrpcConnection,
        request: Request<BodyChunks>,
        begun: Instant,
    ) -> Result<Delivered, ExportError> {
        let GrpcConnection {
            number,
            mut requests,
            quota,
        } = connection;
        quota.allow(ANSWER_QUOTA);
        let response = match requests.send_request(request).await {
            Ok(response) => response,
            Err(error) => {
                self.disconnect(number);
                return Err(answer::transport(&error));
            }
        };
        let (head, body) = response.into_parts();
        let body = body.map_frame(|frame| {
            quota.allow(frame.data_ref().map_or(0, Bytes::len) + FRAME_HEADER);
            frame
        });
        let deadline = body::deadline(begun, self.settings.timeout);
        let mut read = body::read(body, LONGEST_ANSWER, deadline).await;
        let whole = matches!(read.end, BodyEnd::Complete);
        if !whole {
            self.disconnect(number);
        }
        let answer = GrpcAnswer {
            status: head.status,
            headers: &head.headers,
            trailers: read.trailers.as_ref(),
            is_complete: whole,
        };
        if let Some(found) = answer.concluding() {
            let encoding = head.headers.get(GRPC_ENCODING);
            let encoding = encoding.map_or(&b""[..], HeaderValue::as_bytes);
            let message = std::mem::take(&mut read.bytes);
            let body = AnswerBody::of_grpc(message, PREFIX, encoding);
            return self.conclude(found, &body);
        }
        let text = AnswerBody::new(&head.headers, read.bytes, whole);
        if head.status != hyper::StatusCode::OK {
            // The answer comes from a proxy, or from a server that doesn't speak gRPC.
            let reason = text.reason(&self.secrets);
            return Err(answer::http_error(
                head.status.as_u16(),
                &head.headers,
                &reason,
            ));
        }
        if text.is_page() {
            return Err(answer::page(head.status.as_u16()));
        }
        Err(match read.end {
            BodyEnd::Complete => answer::unconfirmed(
                Outcome::Transport(Transport::Reset),
                "the answer ended without a status",
            ),
            BodyEnd::Broken(error) => answer::broken_off(&error),
            BodyEnd::Endless => answer::unconfirmed(
                Outcome::Timeout,
                "the answer began, but its status never came",
            ),
        })
    }

    /// Interprets the peer's gRPC status and the message before it.
    fn conclude(&self, headers: &HeaderMap, body: &AnswerBody) -> Result<Delivered, ExportError> {
        let status = headers.get(GRPC_STATUS).and_then(|code| code.to_str().ok());
        let code = status.and_then(|code| code.parse().ok());
        let header = |name| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        match code {
            Some(0) => Ok(self.partial.note(body.acceptance(&self.secrets))),
            Some(code) => {
                let text = percent_decode(header(GRPC_MESSAGE)).decode_utf8_lossy();
                // gRPC pads binary headers or doesn't.
                let details = STANDARD_PAD_INDIFFERENT.decode(header(GRPC_DETAILS));
                let details = details.unwrap_or_default();
                Err(answer::grpc_error(code, &text, &details, &self.secrets))
            }
            None => Err(answer::unconfirmed(
                Outcome::ServerError,
                "the peer's status is no number",
            )),
        }
    }

    fn request(&self, batch: &Batch) -> Result<Request<BodyChunks>, ExportError> {
        let body = payload::grpc(batch, self.settings.compression).map_err(answer::unsendable)?;
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        // Cloned rather than built, since that costs more than a small request itself.
        let uri = self.uris.get(&batch.signal()).cloned();
        *request.uri_mut() = uri.unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

impl Grpc {
    /// The present connection, or a new one if that is closed.
    async fn connection(&self) -> Result<GrpcConnection, ExportError> {
        let present = self.slot().clone();
        if let Some(mut connection) = present
            && connection.requests.ready().await.is_ok()
        {
            return Ok(connection);
        }
        let deadline = Instant::now() + share_for_connecting(self.settings.timeout);
        let stream = self.settings.endpoint.connect(deadline, &self.secrets);
        let stream = stream.await?;
        let streams = Streams::default();
        let mut builder = http2::Builder::new(streams.clone());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_SIZE)
            .max_header_list_size(LONGEST_HEADERS);
        if let Some(keepalive) = self.settings.keepalive {
            builder
                .keep_alive_interval(keepalive.time)
                .keep_alive_timeout(keepalive.timeout)
                .keep_alive_while_idle(keepalive.permit_without_stream);
        }
        let quota = Quota::new(Instant::now());
        let metered = WatchedReads::new(stream, quota.clone());
        let (requests, driver) = builder
            .handshake(TokioIo::new(metered))
            .await
            .map_err(|error| answer::transport(&error))?;
        let connection = GrpcConnection {
            number: self.made.fetch_add(1, Ordering::Relaxed),
            requests,
            quota,
        };
        let (driver, quota) = (streams.of(driver), connection.quota.clone());
        let floods = Arc::clone(&self.floods);
        // The task ends when the last handle of the connection is dropped, or with the
        // connection. Calls on it get its error.
        tokio::spawn(async move {
            driver.await;
            if quota.is_exceeded() {
                floods.note(Instant::now());
            }
        });
        *self.slot() = Some(connection.clone());
        Ok(connection)
    }

    /// Lets no later call use the connection with this number. Another that has been made since
    /// stays.
    fn disconnect(&self, number: u64) {
        self.slot().take_if(|present| present.number == number);
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<GrpcConnection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the connection with this number from the slot when a call is cancelled before its answer, so that the
/// next call makes a new one: this peer may hang. Other calls that run on it go on.
struct DisconnectOnDrop<'a>(&'a Grpc, u64);

impl Drop for DisconnectOnDrop<'_> {
    fn drop(&mut self) {
        self.0.disconnect(self.1);
    }
}

impl Exporter for Grpc {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async move {
            let outcome = self.call(batch).await;
            // Some errors quote the peer, such as that of a connection which HTTP/2 ends.
            outcome.map_err(|error| self.secrets.redacted(error))
        })
    }

    fn shutdown(&mut self) -> BoxFuture<'_, ()> {
        *self.slot() = None;
        Box::pin(std::future::ready(()))
    }
}

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The length of the frame header before a message.
const PREFIX: usize = 5;

fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

#[cfg(test)]
mod tests;
