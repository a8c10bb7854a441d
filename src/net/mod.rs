//! What everything that talks over sockets is made of, whether it connects or listens.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate but `yaml`.

pub mod descriptors;
mod dialer;
mod names;
mod renewal;
mod resolver;
mod streams;
mod tls;

pub use dialer::{DialError, Tried, dial};
pub use names::{Names, share_for_connecting};
pub use renewal::Renewable;
pub use resolver::{LookupError, Resolver};
pub use streams::{Multiplexed, Streams};
#[cfg(test)]
pub(crate) use tls::pki;
pub use tls::{ClientTls, Identity, Pem, ServerTls};
