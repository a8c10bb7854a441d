//! What everything that talks over sockets is made of, whether it connects or listens.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate but `yaml`.

pub mod descriptors;
mod streams;
mod tls;

pub use streams::{Multiplexed, Streams};
#[cfg(test)]
pub(crate) use tls::pki;
pub use tls::{ClientTls, Identity, Pem, ServerTls};
