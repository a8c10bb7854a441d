//! `otlp`: takes metrics, traces and logs from whatever speaks OTLP.
//!
//! ```yaml
//! receivers:
//!   otlp:
//!     protocols:                       # those that are listed are served
//!       grpc:
//!         endpoint: 127.0.0.1:4317
//!         max_recv_msg_size_mib: 4     # of one request, decoded
//!         max_concurrent_streams: 128  # of one connection
//!         keepalive: {server_parameters: {time: 2h, timeout: 20s}}
//!         max_connections: 256
//!         body_timeout: 30s            # for a request to arrive
//!         if_taken: fail               # skip: warn and do without, if the port is taken
//!       http:
//!         endpoint: 127.0.0.1:4318
//!         max_request_body_size: 20MiB # decoded
//!         max_connections: 256
//!         body_timeout: 30s
//!         if_taken: fail
//! ```
//!
//! Both take the keys of a listener as well (`tls`, `auth`, `allow_insecure_bind`). HTTP
//! takes protobuf and JSON on `/v1/metrics`, `/v1/traces` and `/v1/logs`; both take gzip and
//! zstd. Admission comes before decoding, and a refused sender is told when to come back
//! (`Retry-After`, `RetryInfo`). What was taken keeps its bytes, unknown fields included.
//!
//! Metrics: `foghorn_otlp_requests_total{receiver,transport,signal,outcome}`, those of every
//! listener, and `otelcol_receiver_*`.

mod body;
mod config;
mod grpc;
mod http;
mod ingest;
mod rejection;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;

use self::config::{GrpcConfig, HttpConfig, IfTaken, OtlpConfig};
use self::ingest::Ingest;
use crate::component::{
    BuildContext, ComponentId, Intake, ListenerConfig, Receiver, ReceiverConfig, ReceiverFactory,
    Reporter, Subject,
};
use crate::pdata::Signal;
use crate::server::{BindError, Limits, Listening, Stream};

/// The factory of `otlp`.
pub const FACTORY: ReceiverFactory = ReceiverFactory {
    kind: "otlp",
    aliases: &[],
    summary: "takes OTLP over gRPC and HTTP",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(value.read::<OtlpConfig>()?)),
};

/// How long connections may take to end when the agent stops: bodies that are complete are
/// answered in it, and the others end.
const GRACE: Duration = Duration::from_millis(500);

/// Windows and frames that let a request of a thousand points travel without a pause, and
/// bound what one connection can make us hold before it is admitted.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const FRAME_SIZE: u32 = 256 * 1024;

/// The headers of one request, in bytes.
const HEADER_LIST: u32 = 16 * 1024;

impl ReceiverConfig for OtlpConfig {
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        let ingest = |transport| Arc::new(Ingest::new(context, transport, intakes.clone()));
        Ok(Box::new(Otlp {
            context: context.clone(),
            grpc: self
                .grpc
                .clone()
                .map(|config| Port::new(config, ingest("grpc"))),
            http: self
                .http
                .clone()
                .map(|config| Port::new(config, ingest("http"))),
        }))
    }

    fn describe(&self) -> String {
        let (grpc, http) = (self.grpc.as_ref(), self.http.as_ref());
        let ports: Vec<String> = [
            grpc.map(|c| format!("OTLP/gRPC on {}", c.listener.endpoint)),
            http.map(|c| format!("OTLP/HTTP on {}", c.listener.endpoint)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let skips = grpc.is_some_and(|c| c.if_taken == IfTaken::Skip)
            || http.is_some_and(|c| c.if_taken == IfTaken::Skip);
        let where_free = if skips { ", where free" } else { "" };
        format!("{}{where_free}", ports.join(" and "))
    }
}

/// The receiver: up to two listeners.
struct Otlp {
    context: BuildContext,
    grpc: Option<Port<GrpcConfig>>,
    http: Option<Port<HttpConfig>>,
}

/// One protocol's listener, and the way in behind it.
struct Port<C> {
    config: C,
    ingest: Arc<Ingest>,
    /// Once it is bound, with its line on the board of what works.
    listening: Option<(Listening, Reporter)>,
}

impl<C> Port<C> {
    fn new(config: C, ingest: Arc<Ingest>) -> Self {
        Self {
            config,
            ingest,
            listening: None,
        }
    }
}

impl Receiver for Otlp {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async move {
            let mut taken = Vec::new();
            if let Some(port) = &mut self.grpc {
                let GrpcConfig {
                    listener, if_taken, ..
                } = &port.config;
                match bind(&self.context, "grpc", listener, &[b"h2"]).await {
                    Err(error) if *if_taken == IfTaken::Skip && is_taken(&error) => {
                        taken.push(("grpc", listener.endpoint));
                    }
                    bound => port.listening = Some(bound?),
                }
            }
            if let Some(port) = &mut self.http {
                let HttpConfig {
                    listener, if_taken, ..
                } = &port.config;
                match bind(&self.context, "http", listener, &[b"http/1.1"]).await {
                    Err(error) if *if_taken == IfTaken::Skip && is_taken(&error) => {
                        taken.push(("http", listener.endpoint));
                    }
                    bound => port.listening = Some(bound?),
                }
            }
            if let Some(warning) = without(&self.context.id, &taken) {
                tracing::warn!("{warning}");
            }
            Ok(())
        })
    }

    fn run(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Self { grpc, http, .. } = *self;
            let grpc = async {
                if let Some(Port {
                    config,
                    ingest,
                    listening: Some((listening, _reporter)),
                }) = grpc
                {
                    serve_grpc(config, ingest, listening, &stop).await;
                }
            };
            let http = async {
                if let Some(Port {
                    config,
                    ingest,
                    listening: Some((listening, _reporter)),
                }) = http
                {
                    serve_http(config, ingest, listening, &stop).await;
                }
            };
            join(grpc, http).await;
        })
    }
}

/// Binds a protocol's listener, and puts it on the board of what works.
async fn bind(
    context: &BuildContext,
    protocol: &str,
    listener: &ListenerConfig,
    alpn: &[&[u8]],
) -> Result<(Listening, Reporter), BindError> {
    let owner = format!("protocols::{protocol}::endpoint");
    let listening = Listening::bind(listener, &owner, alpn, &context.telemetry).await?;
    let url = format!("{protocol}://{}", listening.address());
    let reporter = context
        .health
        .reporter(Subject::Endpoint, &context.id, &url);
    reporter.working();
    Ok((listening, reporter))
}

fn is_taken(error: &BindError) -> bool {
    matches!(error, BindError::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
}

/// The one line about the protocols that go without a port, if any do.
fn without(id: &ComponentId, taken: &[(&str, SocketAddr)]) -> Option<String> {
    let (protocol, _) = taken.first()?;
    let each: Vec<String> = taken
        .iter()
        .map(|(protocol, endpoint)| format!("{protocol} on {endpoint}"))
        .collect();
    let (verb, these) = match taken {
        [_] => ("is", "that port is"),
        _ => ("are", "those ports are"),
    };
    Some(format!(
        "OTLP by {} {verb} not served, since {these} taken, perhaps by a collector; \
         receivers::{id}::protocols::{protocol}::endpoint is where to choose another",
        each.join(" and ")
    ))
}

async fn serve_grpc(
    config: GrpcConfig,
    ingest: Arc<Ingest>,
    listening: Listening,
    stop: &CancellationToken,
) {
    let limits = Limits {
        connections: config.max_connections,
        grace: GRACE,
    };
    let door = grpc::Door {
        ingest,
        credentials: listening.credentials(),
        limits: config.limits,
    };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_SIZE)
        .max_header_list_size(HEADER_LIST)
        .max_concurrent_streams(config.max_concurrent_streams)
        .keep_alive_interval(config.keepalive.time)
        .keep_alive_timeout(config.keepalive.timeout);
    let stopping = stop.clone();
    let serve = move |stream: Stream| {
        let (builder, door, stop) = (builder.clone(), door.clone(), stopping.clone());
        async move {
            let service = service_fn(move |request| {
                let door = door.clone();
                async move { Ok::<_, std::convert::Infallible>(grpc::answer(request, &door).await) }
            });
            let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                // A client that breaks the protocol has been told so by HTTP/2 itself.
                _ = connection.as_mut() => return,
                () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        }
    };
    listening.serve(limits, stop, serve).await;
}

async fn serve_http(
    config: HttpConfig,
    ingest: Arc<Ingest>,
    listening: Listening,
    stop: &CancellationToken,
) {
    let limits = Limits {
        connections: config.max_connections,
        grace: GRACE,
    };
    let door = http::Door {
        ingest,
        credentials: listening.credentials(),
        limits: config.limits,
    };
    let answer = move |request| {
        let door = door.clone();
        async move { http::answer(request, &door).await }
    };
    listening.serve_http1(limits, stop, answer).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_ports_make_one_warning() {
        let id = "otlp".parse().unwrap();
        let grpc = ("grpc", SocketAddr::from(([127, 0, 0, 1], 4317)));
        let http = ("http", SocketAddr::from(([127, 0, 0, 1], 4318)));
        let f = |taken: &[(&str, SocketAddr)], expected: Option<&str>| {
            assert_eq!(without(&id, taken).as_deref(), expected);
        };
        f(&[], None);
        f(
            &[http],
            Some(
                "OTLP by http on 127.0.0.1:4318 is not served, since that port is taken, perhaps \
                 by a collector; receivers::otlp::protocols::http::endpoint is where to choose \
                 another",
            ),
        );
        f(
            &[grpc, http],
            Some(
                "OTLP by grpc on 127.0.0.1:4317 and http on 127.0.0.1:4318 are not served, since \
                 those ports are taken, perhaps by a collector; \
                 receivers::otlp::protocols::grpc::endpoint is where to choose another",
            ),
        );
    }
}
