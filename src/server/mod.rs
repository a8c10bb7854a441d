//! HTTP servers: the agent's own and those that components ask for.
//!
//! ```yaml
//! service:
//!   http:
//!     endpoint: 127.0.0.1:9200      # none turns it off
//!     allow_insecure_bind: false
//!     tls: {cert_file: ..., key_file: ..., client_ca_file: ...}
//!     auth: {bearer_token: ...}     # or bearer_token_file, or basic: {username, password}
//! ```
//!
//! Components register [`Route`]s. [`Server::bind`] groups them by address and binds those,
//! [`Server::run`] answers requests: GET and HEAD, unless a route allows other methods. A route
//! doesn't get the body of a request.
//!
//! | bound | value | beyond it |
//! |---|---|---|
//! | connections of a listener | 256 | another gives way, `displaced` |
//! | head of a request | 16 KiB, 100 headers | 431, `malformed` |
//! | time for the head | 10 s | closed, `slow_head` |
//! | time between two requests | 120 s | closed |
//! | time for the client to take the next part | 30 s | closed, `slow_read` |
//! | TLS handshake | 10 s | closed, `tls_handshake` |
//! | ending at shutdown | 1 s | aborted |
//!
//! A new connection is always accepted, so that open connections can't keep out a probe. If there
//! are too many, one is closed: the one that has waited longest for its client to send a request;
//! if there is none, the one whose client has not been reading its answer for longest; else the
//! one whose request has been processed for longest. One is closed, too, if file descriptors run
//! out. The listeners of receivers refuse new connections instead, since a sender whose
//! connection is closed during a request sends it again.
//!
//! Emits the `metrics` of every listener.
//!
//! **Architecture Invariant:** this module knows routes and handlers, and no component.

mod accept;
mod agent;
mod auth;
mod connection;
mod deadlines;
mod listening;
mod metrics;
mod opening;
mod refusals;
mod seats;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

pub use accept::{AcceptLimits, Beyond};
pub use agent::{OWNER, metrics_page};
pub use auth::Credentials;
pub use listening::{Listening, ServerStream};
pub use opening::Opening;

use crate::component::{Health, Listener, Route, Routes};
use crate::settings::ListenerConfig;
use crate::telemetry::Telemetry;
use connection::Site;

/// The key of the agent's own address, for errors.
const AGENT: &str = "service::http::endpoint";

const LIMITS: AcceptLimits = AcceptLimits {
    connections: 256,
    beyond: Beyond::Displace,
    grace: Duration::from_secs(1),
};

/// Bound listeners and the routes of each.
pub struct Server {
    sites: Vec<(Listening, Arc<Site>)>,
    /// For each listener, the paths that are shown to people, in order.
    pages: Vec<Vec<String>>,
    /// The index of the agent's own listener, if it has one.
    agent: Option<usize>,
}

/// Why a server could not start. The message names the key to change.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The system refused to bind the address.
    #[error("{owner}: can't listen on {endpoint}: {}", explain(.source, *.endpoint))]
    Bind {
        /// The key of the address.
        owner: String,
        /// The address.
        endpoint: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A certificate, a key or a token can't be used.
    #[error("{owner}::{reason}")]
    Unusable {
        /// The path of the listener's keys.
        owner: String,
        /// Which file it is, and what is wrong with it.
        reason: String,
    },
    /// Two components want the same path on one listener.
    #[error("{first} and {second} both want {path} on {listener}: give one another endpoint")]
    Path {
        /// The key of the first.
        first: String,
        /// The key of the second.
        second: String,
        /// The path.
        path: String,
        /// The address of the listener.
        listener: String,
    },
    /// Two components share an address, but with different `tls`, `auth` or
    /// `allow_insecure_bind`.
    #[error(
        "{first} and {second} share {endpoint}, but their tls, auth or allow_insecure_bind \
         differ: make them equal, or give one another endpoint"
    )]
    Protection {
        /// The key of the first.
        first: String,
        /// The key of the second.
        second: String,
        /// The address.
        endpoint: SocketAddr,
    },
}

/// A listener that is to be bound: its configuration, the owner of its first route, and its
/// routes.
struct ListenerGroup {
    config: ListenerConfig,
    owner: String,
    routes: Vec<Route>,
}

impl Server {
    /// Binds every listener that the routes name, and the agent's own listener at `agent` with
    /// its own routes (`/health`, `/livez`, `/readyz` and the fallbacks), unless that is `None`.
    ///
    /// # Errors
    ///
    /// When two components conflict, or a listener can't be bound.
    pub async fn bind(
        agent: Option<&ListenerConfig>,
        routes: &Routes,
        health: &Health,
        telemetry: &Telemetry,
    ) -> Result<Self, BindError> {
        let mut groups: Vec<ListenerGroup> = Vec::new();
        if let Some(config) = agent {
            groups.push(ListenerGroup {
                config: config.clone(),
                owner: AGENT.to_owned(),
                routes: agent::routes(health, telemetry),
            });
        }
        for route in routes.all() {
            let config = match (&route.listener, agent) {
                (Listener::At(config), _) | (Listener::Agent, Some(config)) => config.clone(),
                // The agent's own listener is turned off, and so are the routes on it.
                (Listener::Agent, None) => continue,
            };
            place(&mut groups, route, config)?;
        }
        let mut sites = Vec::with_capacity(groups.len());
        let mut pages = Vec::with_capacity(groups.len());
        for group in groups {
            pages.push(worth_a_look(&group.routes));
            let listening =
                Listening::bind(&group.config, &group.owner, &[b"http/1.1"], telemetry).await?;
            let paths = paths(group.routes, listening.address())?;
            let site = Site::new(paths, listening.credentials(), listening.metrics());
            sites.push((listening, Arc::new(site)));
        }
        Ok(Self {
            sites,
            pages,
            agent: agent.map(|_| 0),
        })
    }

    /// The bound address of the agent's own listener.
    pub fn agent_address(&self) -> Option<SocketAddr> {
        Some(self.sites.get(self.agent?)?.0.address())
    }

    /// The bound addresses of all listeners, the agent's own first.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sites
            .iter()
            .map(|(listening, _)| listening.address())
            .collect()
    }

    /// The URLs that the agent prints when it starts, its own `/metrics` and `/health` first.
    /// Probes and pages without content are left out.
    pub fn urls(&self) -> Vec<String> {
        let sites = self.sites.iter().zip(&self.pages);
        sites
            .flat_map(|((listening, _), pages)| {
                let scheme = if listening.is_encrypted() {
                    "https"
                } else {
                    "http"
                };
                let address = listening.address();
                pages
                    .iter()
                    .map(move |path| format!("{scheme}://{address}{path}"))
            })
            .collect()
    }

    /// Answers requests until `stop`. When it returns, no connection is left.
    pub async fn run(self, stop: CancellationToken) {
        join_all(self.sites.into_iter().map(|(listening, site)| {
            let token = stop.clone();
            let stop = &stop;
            async move {
                let serve =
                    move |stream, watch| Arc::clone(&site).serve(stream, watch, token.clone());
                listening.serve(LIMITS, stop, serve).await;
            }
        }))
        .await;
    }
}

/// Adds a route to the listener with its address.
fn place(
    groups: &mut Vec<ListenerGroup>,
    route: Route,
    config: ListenerConfig,
) -> Result<(), BindError> {
    let agents = route.listener == Listener::Agent;
    let found = groups.iter_mut().find(|group| {
        (agents && group.owner == AGENT)
            || (group.config.endpoint == config.endpoint
                // Port 0 stands for a new port each time, except for routes of the same owner.
                && (config.endpoint.port() != 0 || group.owner == route.owner))
    });
    match found {
        None => groups.push(ListenerGroup {
            config,
            owner: route.owner.clone(),
            routes: vec![route],
        }),
        Some(group) if agents || group.config == config => group.routes.push(route),
        Some(group) => {
            return Err(BindError::Protection {
                first: group.owner.clone(),
                second: route.owner,
                endpoint: config.endpoint,
            });
        }
    }
    Ok(())
}

/// The paths shown to people: all routes of components, and the agent's own pages.
fn worth_a_look(routes: &[Route]) -> Vec<String> {
    let mut paths: Vec<&str> = routes
        .iter()
        .filter(|route| {
            let is_agents = [agent::OWNER, agent::FALLBACK].contains(&route.owner.as_str());
            !is_agents || agent::PAGES.contains(&route.path.as_str())
        })
        .map(|route| route.path.as_str())
        .collect();
    let rank = |path: &str| agent::PAGES.iter().position(|page| *page == path);
    paths.sort_by_key(|path| (rank(path).unwrap_or(agent::PAGES.len()), *path));
    paths.dedup();
    paths.into_iter().map(str::to_owned).collect()
}

type ListenerPaths = BTreeMap<Arc<str>, Arc<dyn crate::component::Handler>>;

fn paths(routes: Vec<Route>, address: SocketAddr) -> Result<ListenerPaths, BindError> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut paths = ListenerPaths::new();
    for route in routes {
        if let Some(first) = owners.insert(route.path.clone(), route.owner.clone()) {
            // A route of a component replaces a fallback of the agent.
            if first != agent::FALLBACK {
                return Err(BindError::Path {
                    first,
                    second: route.owner,
                    path: route.path,
                    listener: address.to_string(),
                });
            }
        }
        paths.insert(route.path.into(), route.handler);
    }
    Ok(paths)
}

/// Explains the system's error to the user.
fn explain(error: &io::Error, endpoint: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "port {} is taken: choose another, or end what uses it",
                endpoint.port()
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this machine", endpoint.ip())
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "port {} needs privileges: choose one above 1023",
                endpoint.port()
            )
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
