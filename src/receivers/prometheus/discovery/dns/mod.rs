//! `dns_sd_configs`: targets that are records of names.
//!
//! The records are asked for as Prometheus does it: directly at the name servers of
//! `/etc/resolv.conf`, with its search domains. A name that doesn't exist has no targets; one about
//! which no server gives a usable answer keeps those that it had.

mod servers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use simple_dns::rdata::RData;
use simple_dns::{Packet, TYPE};
use tokio::time::{Instant, sleep_until};

use self::servers::NameServers;
use super::{Findings, FoundGroups};
use crate::lane::Lane;
use crate::receivers::prometheus::config::{DnsConfig, DnsRecords};
use crate::receivers::prometheus::groups::{ADDRESS, TargetGroup, TargetLabelMap};

const NAME: &str = "__meta_dns_name";
const SRV_TARGET: &str = "__meta_dns_srv_record_target";
const SRV_PORT: &str = "__meta_dns_srv_record_port";
const MX_TARGET: &str = "__meta_dns_mx_record_target";
const NS_TARGET: &str = "__meta_dns_ns_record_target";

/// Where the name servers are listed.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Looks up the names of one element of `dns_sd_configs`.
pub(in crate::receivers::prometheus) struct DnsDiscovery {
    names: Vec<String>,
    records: DnsRecords,
    port: u16,
    refresh: Duration,
    resolv_conf: PathBuf,
    lane: Lane,
    /// What each name had when it was last known.
    known: BTreeMap<String, Arc<TargetGroup>>,
}

impl DnsDiscovery {
    pub(in crate::receivers::prometheus) fn new(config: DnsConfig) -> Self {
        Self {
            names: config.names,
            records: config.records,
            port: config.port,
            refresh: config.refresh,
            resolv_conf: RESOLV_CONF.into(),
            lane: Lane::new(1),
            known: BTreeMap::new(),
        }
    }

    /// Looks the names up each `refresh_interval` until it is dropped.
    pub(in crate::receivers::prometheus) async fn run(mut self, mut findings: Findings) {
        let mut next = Instant::now();
        loop {
            let path = self.resolv_conf.clone();
            match self.lane.run(move || NameServers::read(&path)).await {
                Ok(servers) => self.look_up(&servers, &mut findings).await,
                Err(error) => {
                    let path = self.resolv_conf.display();
                    findings.failed(format_args!("{path}: {error}"));
                }
            }
            // What was missed isn't made up for.
            next = (next + self.refresh).max(Instant::now());
            sleep_until(next).await;
        }
    }

    async fn look_up(&mut self, servers: &NameServers, findings: &mut Findings) {
        let kind = match self.records {
            DnsRecords::A => TYPE::A,
            DnsRecords::Aaaa => TYPE::AAAA,
            DnsRecords::Srv => TYPE::SRV,
            DnsRecords::Mx => TYPE::MX,
            DnsRecords::Ns => TYPE::NS,
        };
        let asked = self.names.iter().map(|name| servers.look_up(name, kind));
        let mut errors = Vec::new();
        for (name, answer) in self.names.iter().zip(join_all(asked).await) {
            let group = match answer {
                Ok(answer) => group(name, self.port, answer.as_deref()),
                Err(error) => Err(error),
            };
            match group {
                Ok(group) if self.known.get(name).is_some_and(|known| **known == group) => {}
                Ok(group) => drop(self.known.insert(name.clone(), Arc::new(group))),
                Err(error) => errors.push(error),
            }
        }
        findings.found(FoundGroups::from_iter(self.known.values().cloned()));
        match errors.is_empty() {
            true => findings.works(),
            false => findings.failed(errors.join("; ")),
        }
    }
}

/// The targets that an answer holds; none for a name that doesn't exist.
fn group(name: &str, port: u16, answer: Option<&[u8]>) -> Result<TargetGroup, String> {
    let mut group = TargetGroup::default();
    let Some(answer) = answer else {
        return Ok(group);
    };
    let answer = Packet::parse(answer).map_err(|error| format!("{name}: {error}"))?;
    for record in &answer.answers {
        let (host, port, label) = match &record.rdata {
            RData::A(a) => (std::net::Ipv4Addr::from(a.address).to_string(), port, None),
            RData::AAAA(aaaa) => {
                let address = std::net::Ipv6Addr::from(aaaa.address);
                (format!("[{address}]"), port, None)
            }
            RData::SRV(srv) => (srv.target.to_string(), srv.port, Some(SRV_TARGET)),
            RData::MX(mx) => (mx.exchange.to_string(), port, Some(MX_TARGET)),
            RData::NS(ns) => (ns.0.to_string(), port, Some(NS_TARGET)),
            // The way to the name's records, such as CNAME.
            _ => continue,
        };
        let mut labels = TargetLabelMap::from([
            (ADDRESS.to_owned(), format!("{host}:{port}")),
            (NAME.to_owned(), name.to_owned()),
        ]);
        if let Some(label) = label {
            // As a name that is complete, which ends with a dot.
            labels.insert(label.to_owned(), format!("{host}."));
        }
        if label == Some(SRV_TARGET) {
            labels.insert(SRV_PORT.to_owned(), port.to_string());
        }
        group.targets.push(labels);
    }
    // Servers give records in another order each time.
    group.targets.sort();
    Ok(group)
}

#[cfg(test)]
mod tests;
