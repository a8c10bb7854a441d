//! Connecting and listening: name lookup, proxies, TLS, the HTTP client, HTTP/2 streams.
//!
//! **Architecture Invariant:** this module imports only `descriptors`, `lane` and `yaml` of the
//! crate.

mod client;
mod dialer;
mod fair;
mod quota;
mod renewal;
mod resolver;
mod streams;
mod tls;
mod watched_reads;

pub use client::{
    ClientStream, ConnectError, HttpClient, HttpClientSettings, HttpError, Proxy, ProxyError,
    UnknownProxy, UnknownVariable, Way, connect, is_usable_proxy, proxies_of_environment,
    share_for_connecting,
};
pub use dialer::{DialError, DialFailures, dial};
pub use fair::Fair;
pub use quota::Quota;
pub use renewal::{Renewable, RenewalCounts};
pub use resolver::{LookupError, Resolver};
pub use streams::{Multiplexed, Streams};
#[cfg(test)]
pub(crate) use tls::pki;
pub use tls::{ClientTls, Identity, Pem, ServerTls};
pub use watched_reads::{ReadWatch, WatchedReads};
