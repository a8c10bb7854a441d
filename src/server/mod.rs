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
//! gets the body of a request if it says how long that may be; otherwise it isn't read.
//!
//! | bound | value | beyond it |
//! |---|---|---|
//! | connections of a listener | 256 | another gives way, `displaced` |
//! | head of a request | 16 KiB, 100 headers | 431, `malformed` |
//! | time for the head | 10 s | closed, `slow_head` |
//! | body of a request | the route's own bound | 413 |
//! | time for the body | 10 s | 408 |
//! | time between two requests | 120 s | closed |
//! | time for the client to take the next part | 30 s | closed, `slow_read` |
//! | time for the client to close after the last answer | 5 s, 64 MiB | closed |
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
mod body;
mod connection;
mod deadlines;
mod files;
mod listening;
mod metrics;
mod opening;
mod refusals;
mod seats;
mod texts;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

pub use accept::{AcceptLimits, OverLimit};
pub use agent::metrics_page;
pub use auth::Credentials;
pub use files::{check_files, listener_path};
pub use listening::{Listening, ServerStream};
pub use opening::TimedOpening;

use crate::component::{AGENT, Claims, Clash, Health, Route, Routes};
use crate::settings::ListenerConfig;
use crate::telemetry::Telemetry;
use connection::Site;

const LIMITS: AcceptLimits = AcceptLimits {
    connections: 256,
    beyond: OverLimit::Displace,
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
    /// Two components want the same path, or an address that they can't share.
    #[error(transparent)]
    Clash(#[from] Clash<String>),
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
        let groups = grouped(agent, routes, health, telemetry)?;
        let mut sites = Vec::with_capacity(groups.len());
        let mut pages = Vec::with_capacity(groups.len());
        for group in groups.into_values() {
            pages.push(worth_a_look(&group.routes));
            let listening =
                Listening::bind(&group.config, &group.owner, &[b"http/1.1"], telemetry).await?;
            // A component's route comes after the agent's of that path, and replaces it.
            let routes = group.routes.into_iter();
            let handlers = routes.map(|route| (route.path.into(), route.handler));
            let (credentials, metrics) = (listening.credentials(), listening.metrics());
            let site = Site::new(handlers.collect(), credentials, metrics);
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

/// Groups the routes by their listeners, the agent's own first.
fn grouped(
    agent: Option<&ListenerConfig>,
    routes: &Routes,
    health: &Health,
    telemetry: &Telemetry,
) -> Result<BTreeMap<usize, ListenerGroup>, BindError> {
    let mut claims = Claims::of_agent(agent.map(|config| (AGENT.to_owned(), config)));
    let mut groups: BTreeMap<usize, ListenerGroup> = BTreeMap::new();
    let own = agent.map(|_| agent::routes(health, telemetry));
    for route in own.into_iter().flatten().chain(routes.all()) {
        let claimed = claims.page(route.owner.clone(), &route.listener, &route.path)?;
        // If the agent's own listener is turned off, so are the routes on it.
        let (Some(number), Some(config)) = (claimed, route.listener.settings(agent)) else {
            continue;
        };
        let group = groups.entry(number).or_insert_with(|| ListenerGroup {
            config: config.clone(),
            owner: route.owner.clone(),
            routes: Vec::new(),
        });
        group.routes.push(route);
    }
    Ok(groups)
}

/// The paths shown to people: all routes of components, and the agent's own pages.
fn worth_a_look(routes: &[Route]) -> Vec<String> {
    let mut paths: Vec<&str> = routes
        .iter()
        .filter(|route| route.owner != AGENT || agent::PAGES.contains(&route.path.as_str()))
        .map(|route| route.path.as_str())
        .collect();
    let rank = |path: &str| agent::PAGES.iter().position(|page| *page == path);
    paths.sort_by_key(|path| (rank(path).unwrap_or(agent::PAGES.len()), *path));
    paths.dedup();
    paths.into_iter().map(str::to_owned).collect()
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
