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
//! Components register [`Route`]s; [`Server::bind`] groups them by address and binds, and
//! [`Server::run`] answers: GET and HEAD, where a route doesn't say otherwise. Bodies of
//! requests are never read.
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
//! A new connection is always taken, so that nobody can keep a probe out: of too many, the one
//! gives way that has waited longest for its client to send a request, else the one that
//! doesn't take its answer, else the one that has been answered for longest. Without file
//! descriptors one gives way, too. Listeners of receivers refuse instead, since a sender
//! that is pushed out in the middle of a request sends it again.
//!
//! Emits the `metrics` of every listener.
//!
//! **Architecture Invariant:** this module knows routes, never what is behind them.

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

/// The key that moves the agent's own server, for errors.
const AGENT: &str = "service::http::endpoint";

const LIMITS: AcceptLimits = AcceptLimits {
    connections: 256,
    beyond: Beyond::Displace,
    grace: Duration::from_secs(1),
};

/// Bound listeners and what they serve.
pub struct Server {
    sites: Vec<(Listening, Arc<Site>)>,
    /// What is worth a look on each of them, in that order.
    pages: Vec<Vec<String>>,
    /// The position of the agent's own among them.
    agent: Option<usize>,
}

/// Why a server could not start. Every message names the key to change.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The system refused the address.
    #[error("{owner}: can't listen on {endpoint}: {}", explain(.source, *.endpoint))]
    Bind {
        /// The key.
        owner: String,
        /// The address.
        endpoint: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// A certificate, key or token can't be used.
    #[error("{owner}::{reason}")]
    Unusable {
        /// The key.
        owner: String,
        /// What is wrong with which file.
        reason: String,
    },
    /// Two components want the same path of the same listener.
    #[error("{first} and {second} both want {path} on {listener}: give one another endpoint")]
    Path {
        /// Who came first.
        first: String,
        /// Who came second.
        second: String,
        /// What both want.
        path: String,
        /// Where.
        listener: String,
    },
    /// Two components share an address, but not its protection.
    #[error(
        "{first} and {second} share {endpoint}, but their tls, auth or allow_insecure_bind \
         differ: make them equal, or give one another endpoint"
    )]
    Protection {
        /// Who came first.
        first: String,
        /// Who came second.
        second: String,
        /// What both want.
        endpoint: SocketAddr,
    },
}

/// A listener to be: its settings, who asked first, and the routes on it.
struct ListenerGroup {
    config: ListenerConfig,
    owner: String,
    routes: Vec<Route>,
}

impl Server {
    /// Binds every listener that the routes name, and the agent's own with `/health`,
    /// `/livez`, `/readyz` and what else an agent answers, where `agent` gives an address.
    ///
    /// # Errors
    ///
    /// When two components are in each other's way, or a listener can't be bound.
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
                // The configuration turned the agent's server off, and its routes with it.
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

    /// The address of the agent's own server as it was bound.
    pub fn agent_address(&self) -> Option<SocketAddr> {
        Some(self.sites.get(self.agent?)?.0.address())
    }

    /// The addresses of all listeners as they were bound, the agent's own first.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sites
            .iter()
            .map(|(listening, _)| listening.address())
            .collect()
    }

    /// The URLs that are worth a look, `/metrics` and `/health` of the agent first, for the
    /// first lines that it prints. Probes are left out, and what has nothing to show yet.
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

    /// Answers until `stop`. When it returns, no connection is left.
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

/// Puts a route to the others of its address.
fn place(
    groups: &mut Vec<ListenerGroup>,
    route: Route,
    config: ListenerConfig,
) -> Result<(), BindError> {
    let agents = route.listener == Listener::Agent;
    let found = groups.iter_mut().find(|group| {
        (agents && group.owner == AGENT)
            || (group.config.endpoint == config.endpoint
                // Port 0 is another port each time, except for one who asks twice.
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

/// The paths that are for people: all that components serve, and of the agent's own those
/// that show something.
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
            // What the agent answers only until somebody knows better gives way.
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

/// The system's answer in the user's words.
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
