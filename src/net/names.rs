//! Host names for an HTTP client: the process's resolver, for as long as one request may wait.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::resolver::Resolver;

/// Hosts whose addresses are remembered; a client asks one or two.
const MAX_REMEMBERED: usize = 16;

/// How long what comes before a request may take where the request has `timeout`: a name or a
/// connection that takes longer leaves no time for an answer, and failing a moment before the
/// timeout says what it was that didn't answer.
pub fn share_for_connecting(timeout: Duration) -> Duration {
    timeout * 9 / 10
}

/// Looks up the names of one client. Clones are the same.
#[derive(Debug, Clone)]
pub struct Names(Arc<NamesInner>);

#[derive(Debug)]
struct NamesInner {
    resolver: Resolver,
    limit: Duration,
    // Std mutex: held to copy a few addresses.
    found: Mutex<BTreeMap<String, Arc<[IpAddr]>>>,
}

impl Names {
    /// For a client whose requests take at most `timeout`.
    pub fn new(resolver: Resolver, timeout: Duration) -> Self {
        Self(Arc::new(NamesInner {
            resolver,
            limit: share_for_connecting(timeout),
            found: Mutex::default(),
        }))
    }

    /// What names were last found to mean, such as `collector is 10.0.0.1, 10.0.0.2`; `None`
    /// where nothing was looked up.
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
