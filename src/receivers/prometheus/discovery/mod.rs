//! Finds the targets of a job.
//!
//! Each discovery is a task of its own that says as a whole what it has found, again whenever that
//! changes. One that fails keeps what it found last: targets are lost only when a discovery says
//! so. Failures are counted and logged once, until it works again.
//!
//! | discovery | what is found | again |
//! |---|---|---|
//! | `static_configs` | what is written | never |
//! | `file_sd_configs` | groups in files, JSON or YAML | within 1 s of a change, and each `refresh_interval` |
//! | `http_sd_configs` | groups in the JSON answer of a server | each `refresh_interval` |
//! | `dns_sd_configs` | the records of names | each `refresh_interval` |
//! | `kubernetes_sd_configs` | objects of a cluster | within 2 s of a change |
//!
//! Bounds: of a job's discovery at most [`MAX_GROUPS`] groups and 1,000 files are read, each at most
//! 16 MiB long (YAML 1 MiB), as are the answers of servers; of a cluster as many objects of each
//! kind in each namespace.

mod dns;
mod file;
mod groups;
mod http;
mod kubernetes;
#[cfg(test)]
mod testing;

use std::fmt;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::receivers::prometheus::groups::TargetGroup;

pub(super) use dns::DnsDiscovery;
pub(super) use file::FileDiscovery;
pub(super) use http::HttpDiscovery;
pub(super) use kubernetes::KubernetesDiscovery;

/// The most groups that one discovery may find. What is beyond that is left out.
pub(super) const MAX_GROUPS: usize = 100_000;

/// The longest file or answer that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// What a discovery has found, as a whole. Groups that stay the same are the same allocation, so
/// that they needn't be compared.
pub(super) type FoundGroups = Vec<Arc<TargetGroup>>;

/// Where a discovery says what it has found, and whether it works.
pub(super) struct Findings {
    /// Those of all discoveries of the job.
    groups: watch::Sender<Vec<FoundGroups>>,
    /// Its own among them.
    place: usize,
    report: DiscoveryReport,
    /// Whether it has found more groups than it may.
    is_beyond: bool,
}

/// Counts and logs the failures of a discovery.
#[derive(Clone)]
pub(super) struct DiscoveryReport {
    /// The job, and which of its discoveries: `nodes/file`.
    pub(super) name: String,
    pub(super) failures: Counter<u64>,
    pub(super) attributes: Arc<[KeyValue]>,
    /// What fails, and was logged.
    failing: Option<String>,
}

impl Findings {
    pub(super) fn new(
        groups: watch::Sender<Vec<FoundGroups>>,
        place: usize,
        report: DiscoveryReport,
    ) -> Self {
        Self {
            groups,
            place,
            report,
            is_beyond: false,
        }
    }

    /// It has found these groups, and those of before no longer.
    pub(super) fn found(&mut self, mut groups: FoundGroups) {
        self.is_beyond = groups.len() > MAX_GROUPS;
        if self.is_beyond {
            let beyond = groups.len() - MAX_GROUPS;
            groups.truncate(MAX_GROUPS);
            self.failed(format_args!(
                "{beyond} groups of targets are left out, beyond {MAX_GROUPS}"
            ));
        }
        let place = self.place;
        self.groups.send_if_modified(|all| {
            let Some(last) = all.get_mut(place) else {
                return false;
            };
            let same = last.len() == groups.len()
                && last.iter().zip(&groups).all(|(a, b)| Arc::ptr_eq(a, b));
            if !same {
                *last = groups;
            }
            !same
        });
    }

    /// It works, unless it has found too much.
    pub(super) fn works(&mut self) {
        if !self.is_beyond && self.report.failing.take().is_some() {
            info!(discovery = self.report.name, "discovery works again");
        }
    }

    /// It failed, and what it found last stays. Logged once for each error.
    pub(super) fn failed(&mut self, error: impl fmt::Display) {
        let report = &mut self.report;
        report.failures.add(1, &report.attributes);
        let error = error.to_string();
        if report.failing.as_ref() != Some(&error) {
            warn!(
                discovery = report.name,
                "discovery fails: {error}; the targets that were found last stay"
            );
            report.failing = Some(error);
        }
    }

    /// The groups of the last time, where they are equal to these, and else these.
    fn unchanged(last: &[Arc<TargetGroup>], found: Vec<TargetGroup>) -> FoundGroups {
        let mut last = last.iter();
        found
            .into_iter()
            .map(|group| match last.next() {
                Some(same) if **same == group => Arc::clone(same),
                _ => Arc::new(group),
            })
            .collect()
    }
}

impl DiscoveryReport {
    pub(super) fn new(name: String, failures: Counter<u64>, attributes: Arc<[KeyValue]>) -> Self {
        Self {
            name,
            failures,
            attributes,
            failing: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::findings;
    use super::*;

    #[test]
    fn a_discovery_that_finds_too_much_fails_until_it_finds_less() {
        let (mut findings, found) = findings();
        let groups = |count: usize| vec![Arc::<TargetGroup>::default(); count];
        for _ in 0..2 {
            findings.found(groups(MAX_GROUPS + 3));
            findings.works();
            let failing = findings.failing().map(ToOwned::to_owned);
            let expected = format!("3 groups of targets are left out, beyond {MAX_GROUPS}");
            assert_eq!(failing, Some(expected));
            assert_eq!(found.borrow()[0].len(), MAX_GROUPS);
        }
        findings.found(groups(1));
        findings.works();
        assert_eq!(findings.failing(), None);
    }
}
