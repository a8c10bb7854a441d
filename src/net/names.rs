//! Resolves the names for an HTTP client, within the time of one request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::resolver::Resolver;

/// The most hosts whose addresses are remembered; a client has one or two.
const MAX_REMEMBERED: usize = 16;

/// How long a name lookup or a connection may take for a request with this `timeout`: 0.9 of it.
/// Longer ones leave no time for an answer; and if they fail before the timeout, the error says
/// that it was the lookup or the connection that took too long.
pub fn share_for_connecting(timeout: Duration) -> Duration {
    timeout * 9 / 10
}

/// The resolver of one client. Clones share it.
#[derive(Debug, Clone)]
pub struct Names(Arc<NamesInner>);

#[derive(Debug)]
struct NamesInner {
    resolver: Resolver,
    limit: Duration,
    // A std mutex: it is only held to copy a few addresses.
    found: Mutex<BTreeMap<String, Arc<[IpAddr]>>>,
}

impl Names {
    /// For a client with this `timeout` per request.
    pub fn new(resolver: Resolver, timeout: Duration) -> Self {
        Self(Arc::new(NamesInner {
            resolver,
            limit: share_for_connecting(timeout),
            found: Mutex::default(),
        }))
    }

    /// The addresses that names were last resolved to, such as `collector is 10.0.0.1, 10.0.0.2`;
    /// `None` if none was resolved.
    pub fn tried(&self) -> Option<String> {
        let mut text = String::new();
        for (host, addresses) in &*self.0.lock() {
            let semicolon = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{semicolon}{host} is ");
            for (index, address) in addresses.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let _ = write!(text, "{comma}{address}");
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = inner.resolver.resolve(name.as_str(), inner.limit).await?;
            {
                let mut found = inner.lock();
                if found.len() >= MAX_REMEMBERED {
                    found.clear();
                }
                found.insert(name.as_str().to_owned(), Arc::clone(&addresses));
            }
            let sockets: Vec<_> = addresses
                .iter()
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            Ok(Box::new(sockets.into_iter()) as Addrs)
        })
    }
}

impl NamesInner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<[IpAddr]>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
