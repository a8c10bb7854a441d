//! The listener of one protocol, and how its connections are served.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::config::{GrpcServerConfig, HttpServerConfig, OtlpConfig, PortConfig, ServerKeepalive};
use super::door::ListenerContext;
use super::ingest::Ingest;
use super::{grpc, http};
use crate::component::{BuildContext, Reporter, Subject};
use crate::net::Streams;
use crate::server::{AcceptLimits, BindError, Listening, OverLimit, ServerStream, TimedOpening};

/// How long connections may take to end when the agent stops. Requests whose body is complete are
/// answered within it; others are cut off.
const GRACE: Duration = Duration::from_millis(500);

/// The length of the text with which an HTTP/2 client begins, in bytes.
const PREFACE: usize = 24;

/// HTTP/2 windows and frame size: large enough that a request of a thousand points arrives
/// without waiting, and small enough to bound what one connection can send before it is admitted.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const FRAME_SIZE: u32 = 256 * 1024;

/// The largest headers of one request, in bytes.
const HEADER_LIST: u32 = 16 * 1024;

/// The protocol of a port, with its configuration.
pub(super) enum Protocol {
    Grpc(GrpcServerConfig),
    Http(HttpServerConfig),
}

/// The listener of one protocol.
pub(super) struct Port {
    pub(super) protocol: Protocol,
    pub(super) ingest: Arc<Ingest>,
    /// The bound socket, and the reporter of its line in `/health`; `None` before binding, and if
    /// the port is taken.
    pub(super) listening: Option<(Listening, Reporter)>,
}

impl OtlpConfig {
    /// The configured protocols, gRPC first.
    pub(super) fn protocols(&self) -> impl Iterator<Item = Protocol> {
        let grpc = self.grpc.clone().map(Protocol::Grpc);
        let http = self.http.clone().map(Protocol::Http);
        grpc.into_iter().chain(http)
    }
}

impl Protocol {
    /// Its key below `protocols`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Grpc(_) => "grpc",
            Self::Http(_) => "http",
        }
    }

    /// The key of its address.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Grpc(_) => "protocols::grpc::endpoint",
            Self::Http(_) => "protocols::http::endpoint",
        }
    }

    /// Its name in messages.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Grpc(_) => "OTLP/gRPC",
            Self::Http(_) => "OTLP/HTTP",
        }
    }

    /// The keys that both protocols have.
    pub(super) fn port(&self) -> &PortConfig {
        match self {
            Self::Grpc(config) => &config.port,
            Self::Http(config) => &config.port,
        }
    }

    fn alpn(&self) -> &'static [u8] {
        match self {
            Self::Grpc(_) => b"h2",
            Self::Http(_) => b"http/1.1",
        }
    }
}

impl Port {
    /// Binds the listener, and adds its line to `/health`.
    pub(super) async fn bind(&mut self, context: &BuildContext) -> Result<(), BindError> {
        let protocol = self.protocol.name();
        let listener = &self.protocol.port().listener;
        let alpn = [self.protocol.alpn()];
        let listening =
            Listening::bind(listener, self.protocol.key(), &alpn, &context.telemetry).await?;
        let url = format!("{protocol}://{}", listening.address());
        let reporter = context
            .health
            .reporter(Subject::Endpoint, &context.id, &url);
        reporter.working();
        self.listening = Some((listening, reporter));
        Ok(())
    }

    /// Serves until `stop` is cancelled; returns at once if no port was bound.
    pub(super) async fn serve(self, stop: &CancellationToken) {
        let Some((listening, reporter)) = self.listening else {
            return;
        };
        let port = self.protocol.port();
        let limits = AcceptLimits {
            connections: port.max_connections,
            beyond: OverLimit::Refuse(Some(reporter)),
            grace: GRACE,
        };
        let door = ListenerContext {
            ingest: self.ingest,
            credentials: listening.credentials(),
            limits: port.limits,
        };
        match self.protocol {
            Protocol::Grpc(config) => serve_grpc(config, door, listening, limits, stop).await,
            Protocol::Http(config) => serve_http(config, door, listening, limits, stop).await,
        }
    }
}

async fn serve_grpc(
    config: GrpcServerConfig,
    door: ListenerContext,
    listening: Listening,
    limits: AcceptLimits,
    stop: &CancellationToken,
) {
    let keepalive = config.keepalive;
    let stopping = stop.clone();
    let serve = move |stream: TimedOpening<ServerStream>| {
        let (door, stop) = (door.clone(), stopping.clone());
        let streams = Streams::default();
        let builder = http2(&config, streams.clone());
        async move {
            let service = service_fn(move |request| {
                let door = door.clone();
                async move { Ok::<_, Infallible>(grpc::answer(request, &door).await) }
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            let mut connection = streams.of(connection);
            let grace = tokio::select! {
                // If the client broke the protocol, hyper has answered it.
                () = &mut connection => return,
                () = stop.cancelled() => None,
                () = come_of_age(keepalive) => keepalive.max_age_grace,
            };
            if let Some(connection) = connection.connection() {
                connection.graceful_shutdown();
            }
            // The client sees that its call was cut off, and sends it again.
            let _ = timeout(grace.unwrap_or(Duration::MAX), connection).await;
        }
    };
    listening.serve_opened(PREFACE, limits, stop, serve).await;
}

/// An HTTP/2 server with its limits.
fn http2(config: &GrpcServerConfig, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_SIZE)
        .max_header_list_size(HEADER_LIST)
        .max_concurrent_streams(config.max_concurrent_streams)
        .keep_alive_interval(config.keepalive.time)
        .keep_alive_timeout(config.keepalive.timeout);
    builder
}

/// Resolves when the connection has reached `max_age`; never if there is none.
async fn come_of_age(keepalive: ServerKeepalive) {
    match keepalive.max_age {
        Some(age) => sleep(age).await,
        None => std::future::pending().await,
    }
}

async fn serve_http(
    config: HttpServerConfig,
    door: ListenerContext,
    listening: Listening,
    limits: AcceptLimits,
    stop: &CancellationToken,
) {
    let site = Arc::new(http::HttpSite {
        door,
        paths: config.paths,
        cors: config.cors,
    });
    let answer = move |request| {
        let site = Arc::clone(&site);
        async move { http::answer(request, &site).await }
    };
    listening.serve_http1(limits, stop, answer).await;
}
