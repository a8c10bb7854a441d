//! Finds components that want the same port, path or file.
//!
//! The loader of the configuration asks [`Claims`], since it knows the places of both, and the
//! server asks it again about the routes that were registered. So `validate` can't accept two
//! components that start-up refuses.
//!
//! The rules:
//!
//! - Port 0 is another port for each component.
//! - `0.0.0.0` stands for every address of IPv4, and `[::]` for every address of both families,
//!   since listeners bind it so. With one of them a port has no other address.
//! - Pages share an address if their paths differ and the settings of their listeners are equal.
//! - An address that isn't for pages, such as OTLP's, can't be shared.
//! - A component may replace those of the agent's own pages that give way; a second one can't.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::http::Listener;
use super::pages::AgentPage;
use crate::settings::ListenerConfig;

/// A port, page or file that a component uses, and the key that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceClaim {
    /// The key, below the component's own, such as `protocols::grpc::endpoint`.
    pub key: &'static str,
    /// What it uses.
    pub claimed: Claimed,
}

/// What a component can claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// An address that it doesn't share, with the settings of its listener.
    Port(ListenerConfig),
    /// A path of a listener for pages.
    Page(Listener, String),
    /// A file that it writes, by a path that is the same for all names of the file.
    File(PathBuf),
}

/// All claims so far. `W` identifies who claims.
#[derive(Debug)]
pub struct Claims<W> {
    sites: Vec<ClaimedSite<W>>,
    /// Whether the first site is the agent's own.
    has_agent: bool,
    /// The site of every address whose port isn't 0.
    addresses: HashMap<SocketAddr, usize>,
    /// The first site of each kind on such a port, including those that were refused.
    kinds: HashMap<(u16, AddressKind), usize>,
    /// The site of each claim to port 0 of an address.
    ephemeral: HashMap<(W, SocketAddr), usize>,
    files: HashMap<PathBuf, W>,
}

/// Two claims that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} {contested}")]
pub struct Clash<W: Debug + Display> {
    /// Who claimed it first.
    pub first: W,
    /// Who claimed it second and is refused.
    pub second: W,
    /// What both want.
    pub contested: Contested,
}

/// What two claims have in common. Its text follows the names of both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contested {
    /// One path of one listener.
    #[error("both want {path} on {endpoint}: give one another endpoint")]
    Path {
        /// The path.
        path: String,
        /// The listener.
        endpoint: SocketAddr,
    },
    /// Pages at one address, with different `tls`, `auth` or `allow_insecure_bind`.
    #[error(
        "share {0}, but their tls, auth or allow_insecure_bind differ: make them equal, or give \
         one another endpoint"
    )]
    Protection(SocketAddr),
    /// An address that can't be shared.
    #[error("both want {0}: give one another endpoint")]
    Address(SocketAddr),
    /// One port of two addresses of which one includes the other.
    #[error(
        "both want port {0}, and the address of one is part of the other's: give one another port"
    )]
    Port(u16),
    /// A file.
    #[error("both write {}: give one another path", .0.display())]
    File(PathBuf),
}

/// An address with a listener.
#[derive(Debug)]
struct ClaimedSite<W> {
    by: W,
    endpoint: SocketAddr,
    /// The settings of its listener; `None` if it isn't for pages.
    settings: Option<ListenerConfig>,
    paths: HashMap<String, PathHolder<W>>,
}

#[derive(Debug)]
struct PathHolder<W> {
    by: W,
    gives_way: bool,
}

/// Which of the machine's addresses an address stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AddressKind {
    One4,
    One6,
    Every4,
    Every,
}

impl<W: Clone + Eq + Hash + Debug + Display> Claims<W> {
    /// The agent's own claims: its server, if it has one, and its pages there.
    pub fn of_agent(server: Option<(W, &ListenerConfig)>) -> Self {
        let mut claims = Self {
            sites: Vec::new(),
            has_agent: server.is_some(),
            addresses: HashMap::new(),
            kinds: HashMap::new(),
            ephemeral: HashMap::new(),
            files: HashMap::new(),
        };
        if let Some((agent, settings)) = server {
            let number = claims.open(agent.clone(), settings.endpoint, Some(settings));
            claims.sites[number]
                .paths
                .extend(AgentPage::ALL.map(|page| {
                    let (by, gives_way) = (agent.clone(), page.gives_way());
                    (page.path().to_owned(), PathHolder { by, gives_way })
                }));
        }
        claims
    }

    /// Adds a claim.
    ///
    /// # Errors
    ///
    /// When another claim excludes it.
    pub fn claim(&mut self, by: W, claimed: &Claimed) -> Result<(), Clash<W>> {
        match claimed {
            Claimed::Port(listener) => self.port(by, listener.endpoint),
            Claimed::Page(listener, path) => self.page(by, listener, path).map(drop),
            Claimed::File(path) => self.file(by, path),
        }
    }

    /// Adds a claim to a page, which `by` may repeat. Returns the number of its listener, which is
    /// 0 for the agent's own. Returns `None` if the page is for the agent's server and there is
    /// none: it isn't served then.
    ///
    /// # Errors
    ///
    /// When another claim excludes it: to the path, to the address with other settings, or to an
    /// address that includes this one.
    pub fn page(
        &mut self,
        by: W,
        listener: &Listener,
        path: &str,
    ) -> Result<Option<usize>, Clash<W>> {
        let number = match listener {
            Listener::Agent if !self.has_agent => return Ok(None),
            Listener::Agent => 0,
            Listener::At(settings) => self.shared(&by, settings)?,
        };
        let site = &mut self.sites[number];
        match site.paths.get(path) {
            Some(held) if held.by == by => {}
            Some(held) if !held.gives_way => {
                return Err(Clash {
                    first: held.by.clone(),
                    second: by,
                    contested: Contested::Path {
                        path: path.to_owned(),
                        endpoint: site.endpoint,
                    },
                });
            }
            _ => {
                let gives_way = false;
                let holder = PathHolder { by, gives_way };
                site.paths.insert(path.to_owned(), holder);
            }
        }
        Ok(Some(number))
    }

    fn port(&mut self, by: W, endpoint: SocketAddr) -> Result<(), Clash<W>> {
        if let Some(number) = self.overlapping(endpoint) {
            return Err(self.taken(number, by, endpoint));
        }
        self.open(by, endpoint, None);
        Ok(())
    }

    fn file(&mut self, by: W, path: &Path) -> Result<(), Clash<W>> {
        match self.files.get(path) {
            Some(first) if *first != by => Err(Clash {
                first: first.clone(),
                second: by,
                contested: Contested::File(path.to_owned()),
            }),
            _ => {
                self.files.insert(path.to_owned(), by);
                Ok(())
            }
        }
    }

    /// The site of a page with these settings; opens it if it is new.
    fn shared(&mut self, by: &W, settings: &ListenerConfig) -> Result<usize, Clash<W>> {
        let endpoint = settings.endpoint;
        let found = match endpoint.port() {
            0 => self.ephemeral.get(&(by.clone(), endpoint)).copied(),
            _ => self.overlapping(endpoint),
        };
        let Some(number) = found else {
            return Ok(self.open(by.clone(), endpoint, Some(settings)));
        };
        let site = &self.sites[number];
        match &site.settings {
            Some(known) if known == settings => Ok(number),
            Some(known) if known.endpoint == endpoint => Err(Clash {
                first: site.by.clone(),
                second: by.clone(),
                contested: Contested::Protection(endpoint),
            }),
            _ => Err(self.taken(number, by.clone(), endpoint)),
        }
    }

    fn open(&mut self, by: W, endpoint: SocketAddr, settings: Option<&ListenerConfig>) -> usize {
        let number = self.sites.len();
        if endpoint.port() == 0 {
            self.ephemeral.insert((by.clone(), endpoint), number);
        } else {
            self.addresses.insert(canonical(endpoint), number);
        }
        self.put(by, endpoint, settings);
        number
    }

    /// Adds a site that other addresses of its port may overlap.
    fn put(&mut self, by: W, endpoint: SocketAddr, settings: Option<&ListenerConfig>) {
        let kind = (endpoint.port(), AddressKind::of(endpoint));
        self.kinds.entry(kind).or_insert(self.sites.len());
        self.sites.push(ClaimedSite {
            by,
            endpoint,
            settings: settings.cloned(),
            paths: HashMap::new(),
        });
    }

    /// The site with this address, or else the first one that overlaps it.
    fn overlapping(&self, endpoint: SocketAddr) -> Option<usize> {
        if endpoint.port() == 0 {
            return None;
        }
        let same = self.addresses.get(&canonical(endpoint));
        let others = AddressKind::of(endpoint).overlapping().iter();
        let found = same.or_else(|| {
            others
                .filter_map(|kind| self.kinds.get(&(endpoint.port(), *kind)))
                .min()
        });
        found.copied()
    }

    /// The error for an address that a site has or overlaps.
    fn taken(&mut self, number: usize, by: W, endpoint: SocketAddr) -> Clash<W> {
        let site = &self.sites[number];
        let first = site.by.clone();
        let contested = if canonical(site.endpoint) == canonical(endpoint) {
            Contested::Address(endpoint)
        } else {
            // It may overlap addresses that the first doesn't; those are reported as well.
            self.put(by.clone(), endpoint, None);
            Contested::Port(endpoint.port())
        };
        Clash {
            first,
            second: by,
            contested,
        }
    }
}

impl AddressKind {
    fn of(endpoint: SocketAddr) -> Self {
        match endpoint.ip().to_canonical() {
            IpAddr::V4(ip) if ip.is_unspecified() => Self::Every4,
            IpAddr::V6(ip) if ip.is_unspecified() => Self::Every,
            IpAddr::V4(_) => Self::One4,
            IpAddr::V6(_) => Self::One6,
        }
    }

    /// The kinds whose addresses all overlap one of this kind.
    fn overlapping(self) -> &'static [Self] {
        match self {
            Self::One4 => &[Self::Every4, Self::Every],
            Self::One6 => &[Self::Every],
            Self::Every4 => &[Self::One4, Self::Every],
            Self::Every => &[Self::One4, Self::One6, Self::Every4],
        }
    }
}

/// The address that the system binds: `[::ffff:127.0.0.1]` is 127.0.0.1.
fn canonical(endpoint: SocketAddr) -> SocketAddr {
    match endpoint.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, endpoint.port()),
        IpAddr::V6(_) => endpoint,
    }
}

#[cfg(test)]
mod tests;
