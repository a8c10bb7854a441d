//! What is read of the host for the scrapers that are configured.

use std::sync::Arc;

use super::config::ScraperConfigs;
use super::scrapers::{cpu, network, paging, process};
use super::spec::{MetricChoices, MetricSpec};
use crate::host::{HostParts, HostSelection, MountFile, ProcessParts};

/// The most processes that are counted by their states.
const MAX_COUNTED_PROCESSES: usize = 65_536;

impl ScraperConfigs {
    pub(super) fn names(&self) -> Vec<&'static str> {
        let all = [
            ("cpu", self.cpu.is_some()),
            ("disk", self.disk.is_some()),
            ("filesystem", self.filesystem.is_some()),
            ("load", self.load.is_some()),
            ("memory", self.memory.is_some()),
            ("network", self.network.is_some()),
            ("paging", self.paging.is_some()),
            ("process", self.process.is_some()),
            ("processes", self.processes.is_some()),
            ("system", self.system.is_some()),
        ];
        let there = all.into_iter().filter(|(_, there)| *there);
        there.map(|(name, _)| name).collect()
    }

    /// What has to be read for these scrapers.
    pub(super) fn selection(&self) -> HostSelection {
        let any =
            |choices: Option<&MetricChoices>, specs: &'static [MetricSpec], names: &[&str]| {
                choices.is_some_and(|choices| choices.any(specs, names))
            };
        let of_cpu = |names: &[&str]| any(self.cpu.as_ref(), cpu::METRICS, names);
        let network = self.network.as_ref().map(|network| &network.metrics);
        let of_network = |names: &[&str]| any(network, network::METRICS, names);
        let of_paging = |names: &[&str]| any(self.paging.as_ref(), paging::METRICS, names);
        let process = self.process.as_ref().map(|process| &process.metrics);
        let of_process = |names: &[&str]| any(process, process::METRICS, names);
        let parts = HostParts {
            // Always, since it says when the host started, which is when its counters began.
            cpus: true,
            uptime: true,
            cpu_info: of_cpu(&["system.cpu.frequency", "system.cpu.logical.count"])
                || of_cpu(&["system.cpu.physical.count"])
                || of_process(&["process.cpu.utilization"]),
            cores: of_cpu(&["system.cpu.physical.count"]),
            memory: self.memory.is_some() || of_process(&["process.memory.utilization"]),
            load: self.load.is_some(),
            disks: self.disk.is_some(),
            // Loop devices that aren't set up, which may be hundreds.
            unused_disks: false,
            networks: self.network.is_some(),
            connections: of_network(&["system.network.connections"]),
            datagrams: false,
            tracked: of_network(&[
                "system.network.conntrack.count",
                "system.network.conntrack.max",
            ]),
            filesystems: self.filesystem.as_ref().map(|_| MountFile::MountInfo),
            empty_filesystems: self
                .filesystem
                .as_ref()
                .is_some_and(|filesystem| filesystem.filter.with_virtual),
            swaps: of_paging(&["system.paging.usage", "system.paging.utilization"]),
            paging: of_paging(&["system.paging.faults", "system.paging.operations"]),
            processes: self.process_parts(),
            own_process: false,
        };
        let filesystems = self
            .filesystem
            .as_ref()
            .map(|scraper| scraper.filter.clone());
        let disks = self.disk.as_ref().map(|disk| disk.names.clone());
        let networks = self.network.as_ref().map(|network| network.names.clone());
        let processes = self.process.as_ref().map(|process| process.names.clone());
        HostSelection {
            parts,
            filesystems: Arc::new(move |info| {
                filesystems
                    .as_ref()
                    .is_some_and(|filter| filter.admits(info))
            }),
            disks: Arc::new(move |name| disks.as_ref().is_some_and(|disks| disks.admits(name))),
            networks: Arc::new(move |name| {
                networks
                    .as_ref()
                    .is_some_and(|networks| networks.admits(name))
            }),
            // Without details nobody asks: all are counted.
            processes: Arc::new(move |name| {
                processes
                    .as_ref()
                    .is_some_and(|processes| processes.admits(name))
            }),
        }
    }

    fn process_parts(&self) -> Option<ProcessParts> {
        let most_counted = match self.processes {
            Some(_) => MAX_COUNTED_PROCESSES,
            None => 0,
        };
        let Some(config) = &self.process else {
            return (most_counted > 0).then(|| ProcessParts {
                most_counted,
                ..ProcessParts::default()
            });
        };
        let attributes = config.attributes;
        let of = |names: &[&str]| config.metrics.any(process::METRICS, names);
        Some(ProcessParts {
            most_counted,
            most_detailed: config.most,
            most_of_command: config.most_of_command,
            executables: attributes.executable_path,
            status: attributes.owner
                || of(&["process.signals_pending", "process.context_switches"]),
            users: attributes.owner,
            memory: of(&[
                "process.memory.usage",
                "process.memory.virtual",
                "process.memory.utilization",
            ]),
            io: of(&["process.disk.io", "process.disk.operations"]),
            cgroups: attributes.cgroup,
            descriptors: of(&["process.open_file_descriptors"]),
            switches: of(&["process.context_switches"]),
        })
    }
}
