//! Connecting and listening: name lookup, TLS, HTTP/2 streams.
//!
//! **Architecture Invariant:** this module imports only `descriptors`, `lane` and `yaml` of the
//! crate.

mod dialer;
mod names;
mod renewal;
mod resolver;
mod streams;
mod tls;

pub use dialer::{DialError, DialFailures, dial};
pub use names::{Names, share_for_connecting};
pub use renewal::{Renewable, RenewalCounts};
pub use resolver::{LookupError, Resolver};
pub use streams::{Multiplexed, Streams};
#[cfg(test)]
pub(crate) use tls::pki;
pub use tls::{ClientTls, Identity, Pem, ServerTls};
