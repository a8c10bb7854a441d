//! The parts of `service` beside its pipelines and its telemetry.
//!
//! ```yaml
//! service:
//!   http:
//!     endpoint: 127.0.0.1:9200     # or `none`
//!     allow_insecure_bind: false
//!     query:                       # what requests to the query API may use
//!       max_concurrent: 2          # those answered at a time; others wait. 1 to 8
//!       timeout: 30s               # 1s to 10m
//!       max_samples: 50000000
//!       max_memory: 64MiB          # 1MiB to 16GiB
//!       max_text: 64KiB            # 1KiB to 1MiB
//!       max_depth: 256             # 8 to 256
//!   shutdown:
//!     grace: 5s
//!     abort: 2s
//!   max_endpoints: 10000         # remote endpoints that may be guarded
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{QueryConfig, ServiceHttpConfig, ShutdownConfig};
use crate::settings::ListenerConfig;
use crate::yaml::{ByteSize, PlacedNode};

/// Where the agent's own HTTP server listens unless told otherwise.
const HTTP_ENDPOINT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9200);

pub(super) fn http(value: Option<PlacedNode<'_>>) -> ServiceHttpConfig {
    let default = ServiceHttpConfig {
        listener: Some(ListenerConfig::plain(HTTP_ENDPOINT)),
        query: QueryConfig::default(),
    };
    let Some(value) = value else { return default };
    let Some(mut fields) = value.fields() else {
        return default;
    };
    let query = query(fields.value("query"));
    let off = fields
        .value("endpoint")
        .is_some_and(|endpoint| endpoint.text() == Some("none"));
    if off {
        return ServiceHttpConfig {
            listener: None,
            query,
        };
    }
    let listener = ListenerConfig::from_fields(&mut fields, Some(HTTP_ENDPOINT));
    fields.finish();
    ServiceHttpConfig { listener, query }
}

fn query(value: Option<PlacedNode<'_>>) -> QueryConfig {
    let mut query = QueryConfig::default();
    let value = value.filter(|value| !value.is_null());
    if let Some(mut fields) = value.and_then(|value| value.fields()) {
        // Each takes a thread of those that pages and files are made on.
        query.max_concurrent = fields.within("max_concurrent", query.max_concurrent, 1..=8);
        let timeouts = Duration::from_secs(1)..=Duration::from_secs(600);
        query.timeout = fields.within("timeout", query.timeout, timeouts);
        query.max_samples = fields.within("max_samples", query.max_samples, 1_000..=usize::MAX);
        let memory = ByteSize(1 << 20)..=ByteSize(16 << 30);
        query.max_memory = fields.within("max_memory", query.max_memory, memory);
        let texts = ByteSize(1 << 10)..=ByteSize(1 << 20);
        query.max_text = fields.within("max_text", query.max_text, texts);
        // Deeper ones would take more of a thread's stack than it has.
        query.max_depth = fields.within("max_depth", query.max_depth, 8..=256);
        fields.finish();
    }
    query
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
