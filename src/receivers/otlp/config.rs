//! What the user may choose about the OTLP receiver.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::body::Limits;
use crate::component::ListenerConfig;
use crate::yaml::{ByteSize, Fields, FromValue, Value};

/// A valid `otlp`: at least one protocol.
#[derive(Debug)]
pub(super) struct OtlpConfig {
    pub(super) grpc: Option<GrpcConfig>,
    pub(super) http: Option<HttpConfig>,
}

/// `protocols.grpc`.
#[derive(Debug, Clone)]
pub(super) struct GrpcConfig {
    pub(super) listener: ListenerConfig,
    pub(super) limits: Limits,
    pub(super) max_concurrent_streams: u32,
    pub(super) max_connections: usize,
    pub(super) keepalive: Keepalive,
    pub(super) if_taken: IfTaken,
}

/// `protocols.http`.
#[derive(Debug, Clone)]
pub(super) struct HttpConfig {
    pub(super) listener: ListenerConfig,
    pub(super) limits: Limits,
    pub(super) max_connections: usize,
    pub(super) if_taken: IfTaken,
}

/// Pings that find out whether a silent client is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keepalive {
    /// After so much silence.
    pub(super) time: Duration,
    /// How long the client may take to answer.
    pub(super) timeout: Duration,
}

/// What a port that is taken means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfTaken {
    /// The agent doesn't start.
    Fail,
    /// It warns and does without the protocol.
    Skip,
}

impl FromValue for OtlpConfig {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let protocols = fields.value("protocols");
        fields.finish();
        let missing = "`protocols` is missing: list grpc, http or both";
        let Some(protocols) = protocols.filter(|protocols| !protocols.is_null()) else {
            return value.error(missing);
        };
        let mut fields = protocols.fields()?;
        // A protocol without keys is served with the defaults, so null is not absent here.
        let grpc = fields.value("grpc").map(|value| value.read::<GrpcConfig>());
        let http = fields.value("http").map(|value| value.read::<HttpConfig>());
        fields.finish();
        if grpc.is_none() && http.is_none() {
            return protocols.error("no protocol is listed: use grpc, http or both");
        }
        // A protocol that is written and wrong makes the whole wrong.
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

impl FromValue for GrpcConfig {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let listener = ListenerConfig::from_fields(&mut fields, Some(loopback(4317)));
        let mebibytes: u64 = fields.within("max_recv_msg_size_mib", 4, 1..=1024);
        let max_concurrent_streams: u64 = fields.within("max_concurrent_streams", 128, 1..=10_000);
        let max_connections = max_connections(&mut fields);
        let body_timeout = body_timeout(&mut fields);
        let keepalive = fields.optional("keepalive").unwrap_or_default();
        let if_taken = fields.or("if_taken", IfTaken::Fail);
        if let Some(transport) = fields.value("transport")
            && transport.text() != Some("tcp")
        {
            transport.error::<()>("only tcp is served");
        }
        fields.finish();
        Some(Self {
            listener: listener?,
            limits: Limits {
                size: mebibytes << 20,
                time: body_timeout,
            },
            max_concurrent_streams: u32::try_from(max_concurrent_streams).unwrap_or(u32::MAX),
            max_connections,
            keepalive,
            if_taken,
        })
    }
}

impl FromValue for HttpConfig {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let listener = ListenerConfig::from_fields(&mut fields, Some(loopback(4318)));
        let size = fields.or("max_request_body_size", ByteSize(20 << 20)).0;
        let max_connections = max_connections(&mut fields);
        let body_timeout = body_timeout(&mut fields);
        let if_taken = fields.or("if_taken", IfTaken::Fail);
        fields.finish();
        if size == 0 {
            return value.error("max_request_body_size is 0: nothing could be taken");
        }
        Some(Self {
            listener: listener?,
            limits: Limits {
                size,
                time: body_timeout,
            },
            max_connections,
            if_taken,
        })
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn max_connections(fields: &mut Fields<'_>) -> usize {
    fields.within("max_connections", 256, 1..=65_536)
}

fn body_timeout(fields: &mut Fields<'_>) -> Duration {
    let timeout = fields.or("body_timeout", Duration::from_secs(30));
    if timeout.is_zero() {
        fields
            .map()
            .error::<()>("body_timeout is 0: no body could arrive");
    }
    timeout
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(2 * 3600),
            timeout: Duration::from_secs(20),
        }
    }
}

impl FromValue for Keepalive {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let parameters = fields.value("server_parameters");
        fields.finish();
        let Some(parameters) = parameters.filter(|parameters| !parameters.is_null()) else {
            return Some(Self::default());
        };
        let mut fields = parameters.fields()?;
        let default = Self::default();
        let keepalive = Self {
            time: fields.or("time", default.time),
            timeout: fields.or("timeout", default.timeout),
        };
        fields.finish();
        if keepalive.time.is_zero() || keepalive.timeout.is_zero() {
            return parameters.error("time and timeout can't be 0");
        }
        Some(keepalive)
    }
}

impl FromValue for IfTaken {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        value.choice(&[("fail", Self::Fail), ("skip", Self::Skip)])
    }
}
