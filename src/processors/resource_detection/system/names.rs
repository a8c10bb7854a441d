//! The host's name, by the sources that the configuration lists.
//!
//! The system's resolver blocks for 10 s and more if the name server is silent. So each source
//! has a thread of its own, and a share of the time: a silent name server leaves time for the
//! sources after it.

use std::io;
use std::net::IpAddr;

use tokio::time::{Instant, timeout_at};

use super::super::found::on_a_thread;
use super::super::machine::ObservedMachine;
use super::text_of;
use crate::yaml::{FromValue, PlacedNode};

/// Where a host's name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum HostnameSource {
    /// The kernel.
    Os,
    /// `/etc/hosts`, or else what `Cname` or `Lookup` say.
    Dns,
    /// The canonical name of the kernel's name.
    Cname,
    /// The name of the address of the kernel's name.
    Lookup,
}

impl FromValue for HostnameSource {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        value.choice(&[
            ("os", Self::Os),
            ("dns", Self::Dns),
            ("cname", Self::Cname),
            ("lookup", Self::Lookup),
        ])
    }
}

/// The name by the first source that knows it, or why none does.
pub(super) async fn first(
    sources: &[HostnameSource],
    own: &str,
    machine: &ObservedMachine,
    deadline: Instant,
) -> Result<Option<String>, String> {
    let mut problems = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        if *source == HostnameSource::Os {
            if !own.is_empty() {
                return Ok(Some(own.to_owned()));
            }
            problems.push("os: the kernel has no name".to_owned());
            continue;
        }
        // A tenth is kept for what follows.
        let asking = sources[place..].iter();
        let asking = asking
            .filter(|source| **source != HostnameSource::Os)
            .count();
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) * 9 / 10;
        let share = share / u32::try_from(asking).unwrap_or(1).max(1);
        let (source, host, machine) = (*source, own.to_owned(), machine.clone());
        let looking = on_a_thread(move || source.look_up(&host, &machine));
        let word = source.word();
        match timeout_at(now + share, looking).await {
            Ok(Some(Ok(name))) => return Ok(Some(name)),
            Ok(Some(Err(error))) => problems.push(format!("{word}: {error}")),
            Ok(None) => problems.push(format!("{word}: no thread")),
            Err(_) => problems.push(format!("{word}: no answer within {share:?}")),
        }
    }
    Err(format!("host.name is absent: {}", problems.join("; ")))
}

impl HostnameSource {
    fn word(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Dns => "dns",
            Self::Cname => "cname",
            Self::Lookup => "lookup",
        }
    }

    /// May block.
    fn look_up(self, host: &str, machine: &ObservedMachine) -> io::Result<String> {
        match self {
            Self::Os => Ok(host.to_owned()),
            Self::Cname => canonical_name(host, machine),
            Self::Lookup => name_of_address(host, machine),
            Self::Dns => {
                let hosts = text_of(machine, "etc/hosts").unwrap_or_default();
                match of_hosts(host, &hosts) {
                    Some(name) => Ok(name),
                    None => {
                        canonical_name(host, machine).or_else(|_| name_of_address(host, machine))
                    }
                }
            }
        }
    }
}

fn canonical_name(host: &str, machine: &ObservedMachine) -> io::Result<String> {
    checked((machine.names.canonical)(host)?)
}

/// The name of the first of the host's addresses that has one.
fn name_of_address(host: &str, machine: &ObservedMachine) -> io::Result<String> {
    let mut failed = io::Error::other("the host has no address");
    for address in (machine.names.addresses)(host)? {
        match (machine.names.name)(address).and_then(checked) {
            Ok(name) => return Ok(name),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Without the dot that ends the whole name; an address is no name.
fn checked(name: String) -> io::Result<String> {
    let name = name.trim_end_matches('.');
    match name.is_empty() || name.parse::<IpAddr>().is_ok() {
        true => Err(io::Error::other("no name")),
        false => Ok(name.to_owned()),
    }
}

/// The first name of the line of `/etc/hosts` that has this host.
fn of_hosts(host: &str, text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut names = line.split_ascii_whitespace().skip(1);
        let first = names.next()?;
        let has = first == host || names.any(|name| name == host);
        has.then(|| first.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::lookups::NameLookups;
    use super::HostnameSource::{Cname, Dns, Lookup, Os};
    use super::*;

    /// A machine with this `/etc/hosts`, and a name server that knows `host` by another name, and
    /// its second address only.
    fn machine(hosts: &str) -> (tempfile::TempDir, ObservedMachine) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/hosts"), hosts).unwrap();
        let mut machine = ObservedMachine::real();
        machine.root = root.path().to_owned();
        machine.names = NameLookups {
            canonical: |host| match host {
                "host" => Ok("host.example.org.".to_owned()),
                _ => Err(io::Error::other("unknown")),
            },
            addresses: |_| Ok(vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]),
            name: |address| match address {
                IpAddr::V4(address) if address.octets()[3] == 2 => Ok("two.example.org".to_owned()),
                address => Ok(address.to_string()),
            },
        };
        (root, machine)
    }

    #[tokio::test]
    async fn the_first_source_that_knows_the_name_counts() {
        let deadline = Instant::now() + Duration::from_secs(60);
        let f = async |sources: &[HostnameSource], own: &str, hosts: &str, expected: &str| {
            let (_root, machine) = machine(hosts);
            let name = first(sources, own, &machine, deadline).await;
            assert_eq!(
                name,
                Ok(Some(expected.to_owned())),
                "{sources:?} {own} {hosts}"
            );
        };
        f(&[Os, Cname], "host", "", "host").await;
        f(&[Cname, Os], "host", "", "host.example.org").await;
        f(&[Cname, Os], "other", "", "other").await;
        f(&[Lookup], "host", "", "two.example.org").await;
        f(&[Dns, Os], "host", "", "host.example.org").await;
        f(&[Dns, Os], "other", "", "two.example.org").await;
        let hosts = "127.0.0.1 localhost\n# 1 no host\n127.0.1.1\twhole.name host # it\n";
        f(&[Dns, Os], "host", hosts, "whole.name").await;
        f(&[Dns, Os], "localhost", hosts, "localhost").await;
    }

    #[tokio::test]
    async fn a_name_that_no_source_knows_is_absent_with_each_reason() {
        let (_root, mut machine) = machine("");
        machine.names.addresses = |_| Ok(Vec::new());
        let deadline = Instant::now() + Duration::from_secs(60);
        let name = first(&[Cname, Lookup, Os], "", &machine, deadline).await;
        let expected = "host.name is absent: cname: unknown; lookup: the host has no address; os: \
                        the kernel has no name";
        assert_eq!(name, Err(expected.to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_name_server_leaves_time_for_the_next_source() {
        let (_root, mut machine) = machine("");
        machine.names.canonical = |_| loop {
            std::thread::park();
        };
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(10);
        let name = first(&[Dns, Cname, Os], "host", &machine, deadline).await;
        assert_eq!(name, Ok(Some("host".to_owned())));
        // Half of nine seconds, and then nine tenths of the rest.
        assert_eq!(begun.elapsed(), Duration::from_millis(4500 + 4950));
    }
}
