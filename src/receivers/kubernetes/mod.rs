//! The API of Kubernetes, as far as receivers need it: a collection is listed in pages, and then
//! watched, so that a change is known within a moment.
//!
//! - Pages are followed by their `continue` token until there is none. A list that isn't whole is a
//!   failure. So is a page that brings nothing new, or a token that comes again, both with the reason
//!   `limit`, since such a list would never end.
//! - A watch goes on from the `resourceVersion` of the list, and moves on with every event and
//!   bookmark. When it ends, it is resumed. When the server doesn't know the version any more (410),
//!   or says what can't be read, everything is listed anew.
//! - Objects that can't be read cost themselves and no others.
//! - After failures there are waits, and the breaker of the server's guard is asked before each
//!   request.
//!
//! **Architecture Invariant:** a room that receivers share. It imports no receiver.

mod cluster;
mod collection;
mod event;
mod follower;
mod lines;
mod listing;
mod object;
mod page;
#[cfg(test)]
mod tests;
mod transport;
mod watch;

pub use cluster::InCluster;
pub use collection::{Collection, CollectionChange};
pub use follower::{FollowError, FollowLimits, Follower};
pub use listing::Listed;
pub use object::{KubernetesObject, ObjectMeta};
pub use transport::{ApiTransport, BodyStream};
