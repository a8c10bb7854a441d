//! The keys that several components share, each read in one place: those of listeners, deliveries
//! and guards, texts that match, and keys of the Collector's that change nothing here.
//!
//! **Architecture Invariant:** this module imports only `net`, `resilience` and `yaml`.

pub mod collector;
mod delivery;
mod guard;
mod listener;
mod pattern;

pub use delivery::{
    DeliverySettings, LOCAL_QUEUE, QueueSettings, RetryOnFailure, WhenFull, local_queue,
};
pub use guard::{GuardConfig, Places, destination};
pub use listener::{ListenerAuthConfig, ListenerConfig, address_of};
pub use pattern::{MatchType, Patterns, plain};
