//! The configuration of the OTLP receiver.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::body::BodyLimits;
use super::cors::{Cors, CorsKey};
use crate::pdata::Signal;
use crate::settings::ListenerConfig;
use crate::settings::collector;
use crate::yaml::{ByteSize, Fields, FromValue, PlacedNode};
use crate::yaml::{is_empty, is_zero};

/// Connections at a time. The Collector has no limit.
const MAX_CONNECTIONS: usize = 4096;

/// A valid `otlp`, with at least one protocol.
#[derive(Debug)]
pub(super) struct OtlpConfig {
    pub(super) grpc: Option<GrpcServerConfig>,
    pub(super) http: Option<HttpServerConfig>,
}

/// The keys that both protocols have.
#[derive(Debug, Clone)]
pub(super) struct PortConfig {
    pub(super) listener: ListenerConfig,
    pub(super) limits: BodyLimits,
    pub(super) max_connections: usize,
    pub(super) if_taken: IfTaken,
}

/// `protocols.grpc`.
#[derive(Debug, Clone)]
pub(super) struct GrpcServerConfig {
    pub(super) port: PortConfig,
    pub(super) max_concurrent_streams: u32,
    pub(super) keepalive: ServerKeepalive,
}

/// `protocols.http`.
#[derive(Debug, Clone)]
pub(super) struct HttpServerConfig {
    pub(super) port: PortConfig,
    pub(super) paths: SignalPaths,
    pub(super) cors: Option<Cors>,
}

/// The path of each signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignalPaths([(Signal, String); 3]);

/// Pings that detect a client that is gone, and the largest age of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerKeepalive {
    /// A ping is sent after this much silence.
    pub(super) time: Duration,
    /// How long the client may take to answer the ping.
    pub(super) timeout: Duration,
    /// An older connection is closed gracefully, so that clients spread over servers again.
    pub(super) max_age: Option<Duration>,
    /// How long such a connection may take to finish its calls.
    pub(super) max_age_grace: Option<Duration>,
}

/// What to do if another program uses the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfTaken {
    /// The agent doesn't start.
    Fail,
    /// The agent warns, and starts without this protocol.
    Skip,
}

impl FromValue for OtlpConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let protocols = fields.value("protocols");
        fields.finish();
        let missing = "`protocols` is missing: list grpc, http or both";
        let Some(protocols) = protocols.filter(|protocols| !protocols.is_null()) else {
            return value.error(missing);
        };
        let mut fields = protocols.fields()?;
        // A protocol that is written without keys is served with the defaults, so null doesn't
        // mean absent.
        let grpc = fields
            .value("grpc")
            .map(|value| value.read::<GrpcServerConfig>());
        let http = fields
            .value("http")
            .map(|value| value.read::<HttpServerConfig>());
        fields.finish();
        if grpc.is_none() && http.is_none() {
            return protocols.error("no protocol is listed: use grpc, http or both");
        }
        // An invalid protocol makes the whole receiver invalid.
        let (grpc, http) = (
            grpc.map_or(Some(None), |c| c.map(Some)),
            http.map_or(Some(None), |c| c.map(Some)),
        );
        Some(Self {
            grpc: grpc?,
            http: http?,
        })
    }
}

impl PortConfig {
    /// Reads the keys that both protocols have; `size` is the limit of a body in bytes.
    fn from_fields(fields: &mut Fields<'_>, port: u16, size: u64) -> Option<Self> {
        let listener = ListenerConfig::from_fields(fields, Some(loopback(port)));
        let max_connections = fields.within("max_connections", MAX_CONNECTIONS, 1..=65_536);
        let time = fields.or("body_timeout", Duration::from_secs(30));
        if time.is_zero() {
            fields
                .map()
                .error::<()>("body_timeout is 0: no body could arrive");
        }
        let if_taken = fields.or("if_taken", IfTaken::Fail);
        collector::server_keys(fields);
        if let Some(transport) = fields.value("transport")
            && transport.text() != Some("tcp")
        {
            transport.error::<()>("only tcp is served");
        }
        Some(Self {
            listener: listener?,
            limits: BodyLimits { size, time },
            max_connections,
            if_taken,
        })
    }
}

impl FromValue for GrpcServerConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let mebibytes: u64 = fields.within("max_recv_msg_size_mib", 4, 1..=1024);
        let max_concurrent_streams: u64 = fields.within("max_concurrent_streams", 128, 1..=10_000);
        let keepalive = fields.optional("keepalive").unwrap_or_default();
        let port = PortConfig::from_fields(&mut fields, 4317, mebibytes << 20);
        fields.without_effect("dialer", is_empty, "a listener dials nobody");
        fields.finish();
        Some(Self {
            port: port?,
            max_concurrent_streams: u32::try_from(max_concurrent_streams).unwrap_or(u32::MAX),
            keepalive,
        })
    }
}

impl FromValue for HttpServerConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let size = fields.or("max_request_body_size", ByteSize(20 << 20)).0;
        let port = PortConfig::from_fields(&mut fields, 4318, size);
        let paths = SignalPaths::from_fields(&mut fields);
        let CorsKey(cors) = fields.or("cors", CorsKey(None));
        collector::http_server_keys(&mut fields);
        fields.finish();
        if size == 0 {
            return value.error("max_request_body_size is 0: nothing could be taken");
        }
        Some(Self {
            port: port?,
            paths: paths?,
            cors,
        })
    }
}

impl SignalPaths {
    /// The signal that is posted to this path.
    pub(super) fn signal(&self, path: &str) -> Option<Signal> {
        let found = self.0.iter().find(|(_, known)| known == path);
        found.map(|(signal, _)| *signal)
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let mut path = |key, default: &str| -> Option<String> {
            let Some(value) = fields.value(key).filter(|value| !value.is_null()) else {
                return Some(default.to_owned());
            };
            let text: String = value.read()?;
            match text.starts_with('/') {
                true => Some(text),
                false => value.error("a path begins with `/`"),
            }
        };
        let metrics = path("metrics_url_path", "/v1/metrics");
        let traces = path("traces_url_path", "/v1/traces");
        let logs = path("logs_url_path", "/v1/logs");
        let (metrics, traces, logs) = (metrics?, traces?, logs?);
        if metrics == traces || traces == logs || logs == metrics {
            return fields.map().error("two signals have the same path");
        }
        Some(Self([
            (Signal::Metrics, metrics),
            (Signal::Traces, traces),
            (Signal::Logs, logs),
        ]))
    }
}

impl fmt::Display for SignalPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(_, metrics), (_, traces), (_, logs)] = &self.0;
        write!(f, "{metrics}, {traces} or {logs}")
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Default for ServerKeepalive {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(2 * 3600),
            timeout: Duration::from_secs(20),
            max_age: None,
            max_age_grace: None,
        }
    }
}

impl FromValue for ServerKeepalive {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let parameters = fields.value("server_parameters");
        let lenient = "clients may ping as often as HTTP/2 bears";
        fields.without_effect("enforcement_policy", is_empty, lenient);
        fields.finish();
        let Some(parameters) = parameters.filter(|parameters| !parameters.is_null()) else {
            return Some(Self::default());
        };
        let mut fields = parameters.fields()?;
        let default = Self::default();
        let keepalive = Self {
            time: fields.or("time", default.time),
            timeout: fields.or("timeout", default.timeout),
            max_age: age(&mut fields, "max_connection_age"),
            max_age_grace: age(&mut fields, "max_connection_age_grace"),
        };
        let found = "`time` and `timeout` find the connections whose clients have gone";
        fields.without_effect("max_connection_idle", is_zero, found);
        fields.finish();
        if keepalive.time.is_zero() || keepalive.timeout.is_zero() {
            return parameters.error("time and timeout can't be 0");
        }
        Some(keepalive)
    }
}

/// A duration; `None` if it is 0 or not written.
fn age(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    let age: Option<Duration> = fields.optional(key);
    age.filter(|age| !age.is_zero())
}

impl FromValue for IfTaken {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        value.choice(&[("fail", Self::Fail), ("skip", Self::Skip)])
    }
}
