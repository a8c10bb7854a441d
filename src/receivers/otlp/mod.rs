//! `otlp`: accepts metrics, traces and logs from senders that speak OTLP.
//!
//! ```yaml
//! receivers:
//!   otlp:
//!     protocols:                       # those that are listed are served
//!       grpc:
//!         endpoint: 127.0.0.1:4317
//!         max_recv_msg_size_mib: 4     # of one request, decoded
//!         max_concurrent_streams: 128  # of one connection
//!         keepalive:
//!           server_parameters: {time: 2h, timeout: 20s, max_connection_age: 0s}
//!         max_connections: 4096        # more are refused
//!         body_timeout: 30s            # for a request to arrive
//!         if_taken: fail               # skip: warn and do without, if the port is taken
//!       http:
//!         endpoint: 127.0.0.1:4318
//!         max_request_body_size: 20MiB # decoded
//!         metrics_url_path: /v1/metrics    # also traces_url_path, logs_url_path
//!         cors: {allowed_origins: []}  # see below
//!         max_connections: 4096
//!         body_timeout: 30s
//!         if_taken: fail
//! ```
//!
//! Both protocols have the keys of a listener as well (`tls`, `auth`, `allow_insecure_bind`).
//! HTTP accepts protobuf and JSON on `/v1/metrics`, `/v1/traces` and `/v1/logs`; both accept gzip
//! and zstd. Room for a request is admitted before it is decoded; a sender for which there is
//! none is told when to come back (`Retry-After`, `RetryInfo`). Accepted data keeps its bytes,
//! unknown fields included. Web pages may send from the origins that `cors` allows.
//!
//! While connections beyond `max_connections` are refused, `/health` shows the listener as
//! degraded, and the log says so once a minute. A listener accepts at most a quarter of the file
//! descriptors that the process may open.
//!
//! Metrics: `foghorn_otlp_requests_total{receiver,transport,signal,outcome}`, those of every
//! listener, and `otelcol_receiver_*`. `outcome` is `accepted`, `unrecognised` (the request has
//! unknown fields and no item; logged once a minute), or why the request was refused.

mod body;
mod config;
mod cors;
mod door;
mod grpc;
mod http;
mod ingest;
mod port;
mod rejection;
mod warning;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use tokio_util::sync::CancellationToken;

use self::config::{IfTaken, OtlpConfig, PortConfig};
use self::ingest::Ingest;
use self::port::Port;
use crate::component::{
    BuildContext, Claimed, ComponentId, Intake, Receiver, ReceiverConfig, ReceiverFactory,
    ResourceClaim,
};
use crate::lane::Lane;
use crate::pdata::Signal;
use crate::server::BindError;

/// The factory of `otlp`.
pub const FACTORY: ReceiverFactory = ReceiverFactory {
    kind: "otlp",
    aliases: &[],
    summary: "takes OTLP over gRPC and HTTP",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(value.read::<OtlpConfig>()?)),
};

/// How many large bodies are inflated or decoded at a time, for both protocols together. More
/// would need more processors than the agent's workers have.
const THREADS: usize = 2;

impl ReceiverConfig for OtlpConfig {
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        let lane = Lane::new(THREADS);
        let ports = self.protocols().map(|protocol| {
            let (lane, intakes) = (lane.clone(), intakes.clone());
            Port {
                ingest: Arc::new(Ingest::new(context, lane, protocol.name(), intakes)),
                protocol,
                listening: None,
            }
        });
        Ok(Box::new(Otlp {
            context: context.clone(),
            ports: ports.collect(),
        }))
    }

    /// Includes ports with `if_taken: skip`: if two protocols of one configuration have one port,
    /// one of them can never be served.
    fn claims(&self) -> Vec<ResourceClaim> {
        let ports = self.protocols().map(|protocol| ResourceClaim {
            key: protocol.key(),
            claimed: Claimed::Port(protocol.port().listener.clone()),
        });
        ports.collect()
    }

    fn describe(&self) -> String {
        let ports: Vec<String> = self
            .protocols()
            .map(|protocol| {
                let (title, endpoint) = (protocol.title(), protocol.port().listener.endpoint);
                format!("{title} on {endpoint}")
            })
            .collect();
        let mut protocols = self.protocols();
        let skips = protocols.any(|protocol| protocol.port().if_taken == IfTaken::Skip);
        let where_free = if skips { ", where free" } else { "" };
        format!("{}{where_free}", ports.join(" and "))
    }
}

/// The running receiver, with up to two listeners.
struct Otlp {
    context: BuildContext,
    ports: Vec<Port>,
}

impl Receiver for Otlp {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async move {
            let mut taken = Vec::new();
            for port in &mut self.ports {
                let PortConfig {
                    listener, if_taken, ..
                } = port.protocol.port();
                let (may_skip, endpoint) = (*if_taken == IfTaken::Skip, listener.endpoint);
                match port.bind(&self.context).await {
                    Err(error) if may_skip && is_taken(&error) => {
                        taken.push((port.protocol.name(), endpoint));
                    }
                    bound => bound?,
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
            join_all(self.ports.into_iter().map(|port| port.serve(&stop))).await;
            // A receiver whose ports were all taken waits here, since a component must not end
            // before the agent does.
            stop.cancelled().await;
        })
    }
}

fn is_taken(error: &BindError) -> bool {
    matches!(error, BindError::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
}

/// One log line about the protocols whose ports were taken; `None` if there are none.
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

#[cfg(test)]
mod tests;
