//! `otlp_grpc` and `otlp_http`: push metrics, traces and logs to a peer that takes OTLP.
//!
//! ```yaml
//! exporters:
//!   otlp_grpc:                       # or otlp
//!     endpoint: collector:4317       # http:// or https:// decide about TLS
//!     compression: gzip              # gzip | zstd | none
//!     headers: {authorization: "Bearer ${env:TOKEN}"}
//!     tls: {insecure: false, ca_file: ca.pem}
//!     timeout: 5s                    # of one attempt
//!     keepalive: {time: 10s, timeout: 10s, permit_without_stream: false}
//!     breaker: {}                    # see the component's delivery
//!     retry_on_failure: {}
//!     sending_queue: {}
//!   otlp_http:                       # or otlphttp
//!     endpoint: https://collector:4318        # /v1/metrics and so on are appended
//!     metrics_endpoint: https://other/v1/metrics   # instead, for one signal
//!     proxy_url: http://proxy:3128   # instead of what the environment says
//!     max_idle_conns_per_host: 10    # also idle_conn_timeout, disable_keep_alives
//! ```
//!
//! `headers` adds headers to each request, except those that describe its bytes, such as
//! `content-length` and `content-type`: these are the exporter's own, and an error in the
//! configuration.
//!
//! A batch is sent as it is kept, encoded: without compression nothing is copied. Items that the
//! peer rejects in a partial success are counted in the ledger and logged once a minute. A
//! request is sent again only if no answer to it had begun, or if the answer asks for that. An
//! HTTP status of 2xx is a success even if the body breaks off; but an HTML page, a passing
//! redirect or a 511 comes from something before the peer, and the request is retried. A gRPC
//! answer that ends without a status is dropped with the reason `unconfirmed`. At most 64 KiB of
//! an answer are kept; a gRPC answer is read up to 16 MiB, since its status comes last.
//!
//! The HTTP exporter uses the proxies of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`; the gRPC
//! exporter asks the proxy of `HTTPS_PROXY` for a tunnel, except to loopback and the hosts in
//! `NO_PROXY`.
//!
//! The addresses of a name are tried in parallel: each starts 250 ms after the one before, or at
//! once if that has failed. If lookup, connection and TLS together take longer than 0.9 of the
//! `timeout`, the attempt has failed, and the error says which of them it was.
//!
//! In HTTP the head of an answer is at most 64 KiB long, and at most 16 interim answers (1xx) come
//! before it; otherwise the attempt fails like one without an answer. In gRPC a peer may send
//! 1.6 MiB a call besides the body of its answer, and 1 KiB a second; the connection of a peer that
//! sends more (pings without end, say) is ended and counted.
//!
//! Each signal has its own queue, breaker and order, so that a signal that the peer doesn't take
//! delays no other; the size of the queues is bounded for all signals together. A breaker is
//! named by `endpoint`, or by the signal's own endpoint if that is written, and has the label
//! `signal`.
//!
//! Metrics: those of every exporter, `otelcol_exporter_*` and `foghorn_delivery_*`, and
//! those of every endpoint, `circuit_breaker_*`; and of `otlp_grpc`
//! `foghorn_otlp_connections_ended_total{reason="flood"}`.

mod answer;
mod body;
mod connection;
mod floods;
mod grpc;
mod grpc_status;
mod headers;
mod http;
mod partial;
mod payload;
mod secrets;
mod target;
mod url;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::url::Url;
use anyhow::Context as _;
use hyper::Uri;
use hyper::header::HeaderMap;
use hyper::http::uri::Authority;
use hyper_util::client::proxy::matcher::Matcher;

use self::connection::Destination;
use self::floods::Floods;
use self::grpc::ClientKeepalive;
use self::headers::Headers;
use self::payload::Compression;
use self::secrets::Secrets;
use self::target::GrpcEndpoint;
use self::url::PushUrl;
use crate::component::{
    BuildContext, BuiltExporter, ExporterConfig, ExporterFactory, RemoteExporter,
};
use crate::net::{
    ClientTls, HttpClient, HttpClientSettings, Proxy, Renewable, Resolver, share_for_connecting,
};
use crate::pdata::Signal;
use crate::settings::DeliverySettings;
use crate::settings::collector::client_keys;
use crate::yaml::{Fields, FromValue, PlacedNode, Secret};
use crate::yaml::{is_empty, is_false, is_zero};

/// The factory of `otlp_grpc`.
pub const GRPC: ExporterFactory = ExporterFactory {
    kind: "otlp_grpc",
    aliases: &["otlp"],
    summary: "pushes OTLP over gRPC",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(value.read::<GrpcExporterConfig>()?)),
};

/// The factory of `otlp_http`.
pub const HTTP: ExporterFactory = ExporterFactory {
    kind: "otlp_http",
    aliases: &["otlphttp"],
    summary: "pushes OTLP over HTTP",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(value.read::<HttpExporterConfig>()?)),
};

/// The value of `User-Agent`.
const USER_AGENT: &str = concat!("foghorn/", env!("CARGO_PKG_VERSION"));

/// A valid configuration of `otlp_grpc`.
#[derive(Debug)]
struct GrpcExporterConfig {
    target: GrpcEndpoint,
    /// Replaces the host in requests and in the check of the certificate.
    authority: Option<Authority>,
    common: CommonKeys,
    keepalive: Option<ClientKeepalive>,
}

/// A valid configuration of `otlp_http`.
#[derive(Debug)]
struct HttpExporterConfig {
    /// The name of the destination: `endpoint`, or else that of the first signal with its own.
    endpoint: String,
    /// The endpoints of signals that have their own.
    own_endpoints: BTreeMap<Signal, String>,
    urls: BTreeMap<Signal, PushUrl>,
    connections: ConnectionKeys,
    common: CommonKeys,
}

/// The keys that both exporters have.
#[derive(Debug)]
struct CommonKeys {
    headers: HeaderMap,
    compression: Compression,
    tls: ClientTls,
    delivery: DeliverySettings,
}

impl CommonKeys {
    fn from_fields(fields: &mut Fields<'_>) -> Self {
        client_keys(fields);
        Self {
            headers: fields
                .optional("headers")
                .map_or_else(HeaderMap::new, |Headers(map)| map),
            compression: fields.or("compression", Compression::Gzip),
            tls: fields.optional("tls").unwrap_or_default(),
            delivery: DeliverySettings::from_fields(fields),
        }
    }
}

impl FromValue for GrpcExporterConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let target = fields.required("endpoint");
        let common = CommonKeys::from_fields(&mut fields);
        let keepalive = fields.optional("keepalive");
        let authority = fields.optional("authority").map(|AuthorityKey(name)| name);
        let waits = "an attempt waits for its connection until its timeout";
        fields.without_effect("wait_for_ready", is_false, waits);
        let is_first = |value: &PlacedNode<'_>| value.text() == Some("pick_first");
        let one = "one connection at a time, to the first address that answers";
        fields.without_effect("balancer_name", is_first, one);
        fields.finish();
        Some(Self {
            target: target?,
            authority,
            common,
            keepalive,
        })
    }
}

impl FromValue for HttpExporterConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let is_written = fields
            .value("endpoint")
            .is_some_and(|value| !value.is_null());
        let base = fields.optional::<PushUrl>("endpoint");
        let (mut urls, mut own_endpoints) = (BTreeMap::new(), BTreeMap::new());
        for (signal, key) in [
            (Signal::Metrics, "metrics_endpoint"),
            (Signal::Traces, "traces_endpoint"),
            (Signal::Logs, "logs_endpoint"),
        ] {
            let appended = base.as_ref().map(|base| base.append(signal));
            let own: Option<PushUrl> = fields.optional(key);
            if let Some(url) = &own {
                own_endpoints.insert(signal, url.name());
            }
            if let Some(url) = own.or(appended) {
                urls.insert(signal, url);
            }
        }
        let common = CommonKeys::from_fields(&mut fields);
        if let Some(encoding) = fields.value("encoding")
            && encoding.text() != Some("proto")
        {
            encoding.error::<()>("only proto is sent: leave it out");
        }
        let connections = ConnectionKeys::from_fields(&mut fields);
        fields.finish();
        if is_written && base.is_none() {
            return None;
        }
        let Some(first) = base.as_ref().or(urls.values().next()) else {
            return value.error("`endpoint` is missing: use a URL such as http://collector:4318");
        };
        Some(Self {
            endpoint: first.name(),
            own_endpoints,
            urls,
            connections,
            common,
        })
    }
}

impl ExporterConfig for GrpcExporterConfig {
    fn build(&self, context: &BuildContext) -> anyhow::Result<BuiltExporter> {
        // Each signal has its own connection, since cancelling an attempt ends its connection.
        let remotes = context
            .signals
            .iter()
            .map(|signal| self.remote(context, *signal));
        Ok(BuiltExporter::Remote(remotes.collect::<Result<_, _>>()?))
    }

    fn describe(&self) -> String {
        format!("OTLP/gRPC to {}", self.target)
    }
}

impl GrpcExporterConfig {
    fn remote(&self, context: &BuildContext, signal: Signal) -> anyhow::Result<RemoteExporter> {
        let settings = grpc::GrpcSettings {
            endpoint: Destination::new(
                self.target.clone(),
                self.authority.clone(),
                &self.common.tls,
            )?,
            headers: self.common.headers.clone(),
            compression: self.common.compression,
            timeout: self.common.delivery.timeout,
            keepalive: self.keepalive,
        };
        let partial = partial::AnswerLog::new(context.id.clone());
        Ok(RemoteExporter {
            signal,
            exporter: Box::new(grpc::Grpc::new(settings, partial, Floods::new(context))?),
            endpoint: self.target.endpoint(),
            delivery: self.common.delivery.clone(),
        })
    }
}

impl ExporterConfig for HttpExporterConfig {
    fn build(&self, context: &BuildContext) -> anyhow::Result<BuiltExporter> {
        let proxies = self.connections.proxies();
        let mut secrets = Secrets::of(&self.common.headers);
        let mut secure = false;
        for url in self.urls.values() {
            let uri = url.expose().as_str().parse::<Uri>()?;
            let proxy = Proxy::of(&proxies, &uri).context("the proxy of the environment")?;
            secure |= url.expose().scheme() == "https" || proxy.is_some_and(|proxy| proxy.tls);
            secrets = secrets.and_of_url(&uri, &proxies);
        }
        let connections = self.connections.settings(proxies, &self.common.delivery);
        // After a change of certificates a new client is made, since the connections belong to
        // it.
        let client = if secure {
            let tls = &self.common.tls;
            tls.renewable(move |tls| Ok(HttpClient::new(&connections, Some(tls))))?
        } else {
            // Without `https`, don't load the system's authorities, which take memory.
            let client = HttpClient::new(&connections, None);
            Renewable::new(Vec::new(), None, move || Ok(client.clone()))?
        };
        let settings = http::HttpSettings {
            secrets: Arc::new(secrets),
            urls: self.urls.clone(),
            headers: self.common.headers.clone(),
            compression: self.common.compression,
            timeout: self.common.delivery.timeout,
        };
        let remotes = context.signals.iter().map(|signal| {
            let partial = partial::AnswerLog::new(context.id.clone());
            let own = self.own_endpoints.get(signal);
            RemoteExporter {
                signal: *signal,
                exporter: Box::new(http::Http::new(settings.clone(), client.clone(), partial)),
                endpoint: own.unwrap_or(&self.endpoint).clone(),
                delivery: self.common.delivery.clone(),
            }
        });
        Ok(BuiltExporter::Remote(remotes.collect()))
    }

    fn describe(&self) -> String {
        let hosts: Vec<String> = self.urls.values().map(PushUrl::to_string).collect();
        format!("OTLP/HTTP to {}", hosts.join(", "))
    }
}

/// How `otlp_http` connects.
#[derive(Debug, Clone, Default)]
struct ConnectionKeys {
    /// A proxy that replaces those of the environment.
    proxy: Option<Secret>,
    /// How many idle connections to a peer are kept; `None` for no bound.
    max_idle: Option<usize>,
    /// How long an idle connection is kept.
    idle_timeout: Option<Duration>,
}

impl ConnectionKeys {
    fn from_fields(fields: &mut Fields<'_>) -> Self {
        let per_host: Option<usize> = fields.optional("max_idle_conns_per_host");
        let in_all: Option<usize> = fields.optional("max_idle_conns");
        // In both keys 0 means no bound.
        let bounds = [per_host, in_all].into_iter().flatten();
        let max_idle = bounds.filter(|bound| *bound > 0).min();
        let never_kept = fields.or("disable_keep_alives", false);
        let proxy = fields.value("proxy_url").filter(|value| {
            let is_written = value.text().is_some_and(|text| !text.is_empty());
            is_written || !value.is_null() && value.text().is_none()
        });
        let connections = Self {
            proxy: proxy.and_then(|value| proxy_url(&value)),
            max_idle: if never_kept { Some(0) } else { max_idle },
            idle_timeout: fields.optional("idle_conn_timeout"),
        };
        let consumers = "num_consumers of the queue bounds them";
        fields.without_effect("max_conns_per_host", is_zero, consumers);
        for key in ["http2_read_idle_timeout", "http2_ping_timeout"] {
            fields.without_effect(key, is_zero, HTTP_1);
        }
        fields.without_effect("force_attempt_http2", is_false, HTTP_1);
        let level = "each compression has one level, chosen for small processors";
        fields.without_effect("compression_params", is_empty, level);
        let forgotten = "cookies are not kept";
        fields.without_effect("cookies", is_empty, forgotten);
        let unknown = "profiles are not sent";
        fields.without_effect("profiles_endpoint", is_empty, unknown);
        connections
    }

    /// What decides about the proxy of a request.
    fn proxies(&self) -> Matcher {
        match &self.proxy {
            Some(proxy) => Matcher::builder().all(proxy.expose()).build(),
            None => Matcher::from_env(),
        }
    }

    fn settings(&self, proxies: Matcher, delivery: &DeliverySettings) -> HttpClientSettings {
        HttpClientSettings {
            resolver: Resolver::system(),
            connect_timeout: share_for_connecting(delivery.timeout),
            proxies: Some(Arc::new(proxies)),
            max_idle: self.max_idle,
            idle_timeout: self.idle_timeout,
        }
    }
}

/// Why the HTTP/2 keys change nothing.
const HTTP_1: &str = "HTTP/1.1 is spoken, one request at a time on each connection";

/// Reads the URL of a proxy, which may contain a password.
fn proxy_url(value: &PlacedNode<'_>) -> Option<Secret> {
    let secret = value.read::<Secret>()?;
    match Url::parse(secret.expose()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(secret),
        _ => value.error("expected the URL of a proxy, such as http://proxy:3128"),
    }
}

/// A host with or without a port.
struct AuthorityKey(Authority);

impl FromValue for AuthorityKey {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.read::<String>()?.parse::<Authority>() {
            Ok(name) if !name.as_str().contains('@') => Some(Self(name)),
            _ => value.error("expected a host, such as collector.example"),
        }
    }
}

impl FromValue for GrpcEndpoint {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match GrpcEndpoint::parse(&value.read::<String>()?) {
            Ok(target) => Some(target),
            Err(message) => value.error(message),
        }
    }
}

impl FromValue for ClientKeepalive {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let keepalive = Self {
            time: fields.or("time", Duration::from_secs(10)),
            timeout: fields.or("timeout", Duration::from_secs(10)),
            permit_without_stream: fields.or("permit_without_stream", false),
        };
        fields.finish();
        if keepalive.time.is_zero() || keepalive.timeout.is_zero() {
            return value.error("time and timeout can't be 0");
        }
        Some(keepalive)
    }
}
