//! The parts of `service` beside its pipelines and its telemetry.
//!
//! ```yaml
//! service:
//!   http:
//!     endpoint: 127.0.0.1:9200     # or `none`
//!     allow_insecure_bind: false
//!   shutdown:
//!     grace: 5s
//!     abort: 2s
//!   max_endpoints: 10000         # remote endpoints that may be guarded
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{ServiceHttpConfig, ShutdownConfig};
use crate::settings::ListenerConfig;
use crate::yaml::PlacedNode;

/// Where the agent's own HTTP server listens unless told otherwise.
const HTTP_ENDPOINT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9200);

pub(super) fn http(value: Option<PlacedNode<'_>>) -> ServiceHttpConfig {
    let default = ServiceHttpConfig {
        listener: Some(ListenerConfig::plain(HTTP_ENDPOINT)),
    };
    let Some(value) = value else { return default };
    let Some(mut fields) = value.fields() else {
        return default;
    };
    let off = fields
        .value("endpoint")
        .is_some_and(|endpoint| endpoint.text() == Some("none"));
    if off {
        return ServiceHttpConfig { listener: None };
    }
    let listener = ListenerConfig::from_fields(&mut fields, Some(HTTP_ENDPOINT));
    fields.finish();
    ServiceHttpConfig { listener }
}

pub(super) fn shutdown(value: Option<PlacedNode<'_>>) -> ShutdownConfig {
    let mut shutdown = ShutdownConfig::default();
    if let Some(mut fields) = value.and_then(|value| value.fields()) {
        let range = Duration::ZERO..=Duration::from_secs(600);
        shutdown.grace = fields.within("grace", shutdown.grace, range.clone());
        shutdown.abort = fields.within("abort", shutdown.abort, range);
        fields.finish();
    }
    shutdown
}
