//! Reads the host itself, and gives the metrics of the Collector's `host_metrics`.
//!
//! ```yaml
//! receivers:
//!   host_metrics:                # or hostmetrics
//!     collection_interval: 1m    # and the other keys of `scrape`
//!     root_path: /               # where the host's files are, such as /hostfs in a container
//!     scrapers:                  # what is read; at least one
//!       cpu:
//!         metrics:               # each metric of a scraper can be switched
//!           system.cpu.utilization: {enabled: true}
//!       disk:
//!         exclude: {match_type: regexp, devices: ["^loop"]}
//!       filesystem:
//!         include_virtual_filesystems: false
//!         exclude_fs_types: {match_type: strict, fs_types: [squashfs]}
//!         # and include_/exclude_ of devices and mount_points
//!       load: {cpu_average: false}
//!       memory:
//!       network:
//!         include: {match_type: strict, interfaces: [eth0]}
//!       paging:
//!       process:
//!         include: {match_type: regexp, names: [".*"]}
//!         mute_process_exe_error: true        # also _all_errors, _name_, _io_, _user_, _cgroup_
//!         scrape_process_delay: 0s
//!         max_processes: 4096                 # 1 to 65,536
//!         max_command_line: 4096              # bytes, 64 to 65,536
//!         resource_attributes:
//!           process.command_line: {enabled: false}
//!       processes:
//!       system:
//! ```
//!
//! Keys, metrics, attributes, units, resources and scopes are those of the Collector's receiver,
//! release 0.155; `docs/host.md` lists what differs. Of a metric with attributes, `attributes`
//! says which its points keep, and `aggregation_strategy` (sum, avg, min, max) what becomes of
//! points that are the same then. The Collector's scraper `nfs` isn't there.
//!
//! The files are read as `node` reads them: on threads of their own, since any may hang; a value
//! that the host doesn't offer is absent; series end with a tombstone when what they are about is
//! gone. Each process is a read of its own, so that one that hangs delays no other. Processes beyond
//! `max_processes`, and the rest of a command line that is longer than `max_command_line`, are left
//! out, and the part fails with the reason `limit`. What the agent isn't permitted to read of a
//! process is absent, and the part fails with the reason `refused` unless its `mute_` key says
//! that it doesn't count.

mod config;
mod page;
mod scrapers;
mod selection;
mod spec;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use self::config::{Config, ProcessConfig, ScraperConfigs};
use self::page::MetricPage;
use self::scrapers::process::{ProcessState, ProcessView};
use self::scrapers::processes::{self, ProcessesState};
use self::scrapers::{cpu, disk, filesystem, load, memory, network, paging, system};
use crate::component::{BuildContext, Intake, Now, Receiver, ReceiverConfig, ReceiverFactory};
use crate::host::proc::{Mount, SwapArea};
use crate::host::{
    self, BlockingThreads, CountedReading, HostAnswer, HostCounters, HostPoller, HostReader,
    HostReading, PROCESS_CGROUPS, PROCESS_EXECUTABLES, PROCESS_IO, PROCESS_NAMES, ShownItems,
    UnreadPart, UnreadReason,
};
use crate::pdata::Signal;
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::{
    Controller, Nudge, PartFailure, Poll, Reach, Scrape, ScrapeSeries, Scraper, SetBack, Target,
    TargetIdentity,
};
use crate::resilience::PollConfig;
use crate::yaml::GoDuration;

/// The factory of `host_metrics`.
pub const FACTORY: ReceiverFactory = ReceiverFactory {
    kind: "host_metrics",
    aliases: &["hostmetrics"],
    summary: "reads this host and gives the metrics of the Collector's receiver of this name",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(Config::read(value)?)),
};

impl ReceiverConfig for Config {
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        let intake = context.metrics_intake(intakes)?;
        let settings = self.settings.guarded_by(context.guard.as_deref());
        host::check_root(&self.root_path)?;
        let identity = Arc::new(TargetIdentity::new(context.id.as_str(), host::name()));
        let threads = BlockingThreads::shared();
        let target = Target {
            endpoint: host::name().into(),
            identity: Arc::clone(&identity),
            reach: Reach::Local,
            pace: settings.pace(),
            series: ScrapeSeries::Own,
            advice: "`root_path` says where the host's /proc is".into(),
            nudge: Nudge::default(),
            scraper: Box::new(HostScraper::new(self, identity, threads)),
        };
        Ok(Box::new(Controller::new(context, intake, vec![target])))
    }

    fn polls(&self) -> Option<PollConfig> {
        Some(self.settings.written)
    }

    fn describe(&self) -> String {
        let names = self.scrapers.names().join(", ");
        let interval = GoDuration(self.settings.interval);
        format!("{names} of this host every {interval}")
    }
}

/// Reads this host for all scrapers at once.
struct HostScraper {
    /// What the series about the polls stand under; those of the scrapers have resources of their
    /// own.
    identity: Arc<TargetIdentity>,
    poller: HostPoller,
    scrapers: ScraperConfigs,
    counters: HostCounters,
    processes: ProcessesState,
    process: ProcessState,
    mounts: ShownItems<Mount>,
    swaps: ShownItems<String>,
    timeout: std::time::Duration,
    /// The kernel's ticks in a second.
    ticks: u64,
    /// Bytes in a page of memory.
    page_size: u64,
}

impl HostScraper {
    fn new(config: &Config, identity: Arc<TargetIdentity>, threads: Arc<BlockingThreads>) -> Self {
        let root: &Path = &config.root_path;
        let reader = HostReader::new(root, config.scrapers.selection());
        Self {
            identity,
            poller: HostPoller::new(reader, threads),
            scrapers: config.scrapers.clone(),
            counters: HostCounters::default(),
            processes: ProcessesState::default(),
            process: ProcessState::default(),
            mounts: ShownItems::default(),
            swaps: ShownItems::default(),
            timeout: config.settings.timeout,
            ticks: rustix::param::clock_ticks_per_second().max(1),
            page_size: rustix::param::page_size() as u64,
        }
    }

    /// Writes what each scraper has to say. Returns how many users of processes have no name.
    fn write(
        &mut self,
        reading: &mut HostReading,
        counted: &CountedReading,
        now: Now,
        out: &mut MetricsWriter,
    ) -> usize {
        // The processes are remembered; what else is read is only written.
        let processes = std::mem::take(&mut reading.processes.each);
        let reading = &*reading;
        let Self { scrapers, .. } = self;
        let time = now.wall;
        if let Some(choices) = &scrapers.cpu {
            let mut page = MetricPage::new(out, "cpu", cpu::METRICS, choices, time, &[]);
            cpu::write(reading, counted, self.ticks, &mut page);
        }
        if let Some(disk) = &scrapers.disk {
            let mut page = MetricPage::new(out, "disk", disk::METRICS, &disk.metrics, time, &[]);
            disk::write(reading, counted, &mut page);
        }
        if let Some(config) = &scrapers.filesystem {
            let (specs, choices) = (filesystem::METRICS, &config.metrics);
            let mut page = MetricPage::new(out, "filesystem", specs, choices, time, &[]);
            let shown = reading.filesystems.iter().map(|shown| shown.mount.clone());
            let gone = self.mounts.ended(reading.mounts.is_some(), shown);
            filesystem::write(reading, counted, &gone, &mut page);
        }
        if let Some(config) = &scrapers.load {
            let mut page = MetricPage::new(out, "load", load::METRICS, &config.metrics, time, &[]);
            load::write(reading, counted, config.per_cpu, &mut page);
        }
        if let Some(choices) = &scrapers.memory {
            let mut page = MetricPage::new(out, "memory", memory::METRICS, choices, time, &[]);
            memory::write(reading, counted, self.page_size, &mut page);
        }
        if let Some(config) = &scrapers.network {
            let (specs, choices) = (network::METRICS, &config.metrics);
            let mut page = MetricPage::new(out, "network", specs, choices, time, &[]);
            network::write(reading, counted, &mut page);
        }
        if let Some(choices) = &scrapers.paging {
            let mut page = MetricPage::new(out, "paging", paging::METRICS, choices, time, &[]);
            let shown = reading.swaps.iter().flatten().map(|area| area.name.clone());
            let gone = self.swaps.ended(reading.swaps.is_some(), shown).into_iter();
            // What a series that ends says doesn't matter.
            let gone = gone.map(|name| SwapArea {
                name,
                total: 1,
                used: 0,
            });
            paging::write(reading, counted, &gone.collect::<Vec<_>>(), &mut page);
        }
        if let Some(choices) = &scrapers.processes {
            let (specs, name) = (processes::METRICS, "processes");
            let mut page = MetricPage::new(out, name, specs, choices, time, &[]);
            self.processes.write(reading, counted, &mut page);
        }
        if let Some(choices) = &scrapers.system {
            let mut page = MetricPage::new(out, "system", system::METRICS, choices, time, &[]);
            system::write(reading, counted, &mut page);
        }
        let Some(config) = &scrapers.process else {
            return 0;
        };
        let view = ProcessView {
            choices: &config.metrics,
            attributes: config.attributes,
            delay: config.delay,
            ticks: self.ticks,
            page: self.page_size,
            now,
        };
        self.process.write(processes, reading, counted, view, out)
    }
}

impl ProcessConfig {
    /// Whether a part of the processes that couldn't be read is no failure.
    fn mutes(&self, failure: &UnreadPart) -> bool {
        let muted = &self.muted;
        match failure.part.as_str() {
            PROCESS_NAMES => muted.name || muted.all,
            PROCESS_EXECUTABLES => muted.exe || muted.all,
            PROCESS_IO => muted.io || muted.all,
            PROCESS_CGROUPS => muted.cgroup || muted.all,
            PROCESS_USERS => muted.user || muted.all,
            part => muted.all && part.starts_with("process "),
        }
    }
}

/// The part that fails when a process's user has no name.
const PROCESS_USERS: &str = "process users";

impl Scraper for HostScraper {
    fn clock_set_back(&mut self, by: &SetBack) {
        self.counters.correct_starts(|start| by.correct(start));
    }

    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        let now = poll.now;
        Box::pin(async move {
            let HostAnswer {
                mut reading,
                mut failures,
                parts,
            } = self.poller.poll(now.monotonic + self.timeout).await;
            if !reading.is_empty() {
                let counted = self.counters.take(&reading, now.monotonic, now.wall);
                let unnamed = self.write(&mut reading, &counted, now, out);
                if unnamed > 0 {
                    let message = format!("the users of {unnamed} processes have no name");
                    failures.push(UnreadPart::new(
                        PROCESS_USERS,
                        UnreadReason::Refused,
                        message,
                    ));
                }
            }
            if let Some(process) = &self.scrapers.process {
                failures.retain(|failure| !process.mutes(failure));
            }
            let failures: Vec<PartFailure> = failures.into_iter().map(Into::into).collect();
            if reading.is_empty() {
                return Scrape::parts(failures.len(), failures);
            }
            // The controller goes on with the series about the poll.
            out.resource(&self.identity.attributes());
            out.scope(
                &format!("foghorn/{}", FACTORY.kind),
                env!("CARGO_PKG_VERSION"),
            );
            // What fails of single processes is beside the parts.
            Scrape::parts(parts.max(failures.len() + 1), failures)
        })
    }
}

#[cfg(test)]
mod tests;
