//! Names of hosts and addresses by the system's resolver.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// How names are looked up; each may block.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameLookups {
    /// The canonical name of a host.
    pub(super) canonical: fn(&str) -> io::Result<String>,
    pub(super) addresses: fn(&str) -> io::Result<Vec<IpAddr>>,
    /// The name of an address.
    pub(super) name: fn(IpAddr) -> io::Result<String>,
}

impl NameLookups {
    /// By the system's resolver, which knows `/etc/hosts`, search domains and whatever else the
    /// machine is configured with.
    pub(super) fn system() -> Self {
        Self {
            canonical,
            addresses: |host| Ok(dns_lookup::lookup_host(host)?.collect()),
            name: |address| {
                let place = SocketAddr::new(address, 0);
                let (name, _) = dns_lookup::getnameinfo(&place, 0)?;
                Ok(name)
            },
        }
    }
}

fn canonical(host: &str) -> io::Result<String> {
    /// `AI_CANONNAME` of `netdb.h`, which is the same on every Linux.
    const CANONICAL: i32 = 2;

    let hints = dns_lookup::AddrInfoHints {
        flags: CANONICAL,
        ..Default::default()
    };
    // The first answer alone has the name.
    let mut answers = dns_lookup::getaddrinfo(Some(host), None, Some(hints))?;
    let first = answers.next().transpose()?;
    let name = first.and_then(|first| first.canonname);
    name.ok_or_else(|| io::Error::other("no canonical name"))
}
