//! `process`: what each process uses, on a resource of its own.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::super::page::{HostPoint, MetricPage};
use super::super::spec::{MetricChoices, MetricSpec};
use crate::component::Now;
use crate::host::{CountedReading, HostReading, ProcessReading};
use crate::pdata::writer::MetricKind::{Counter, Gauge, UpDownCounter};
use crate::pdata::writer::{Attribute, AttributeValue, MetricsWriter, PointNumber};

pub(in super::super) const METRICS: &[MetricSpec] = &[
    MetricSpec::new(
        Counter,
        "process.context_switches",
        "{count}",
        &["type"],
        "Number of times the process has been context switched.",
    )
    .optional(),
    MetricSpec::new(
        Counter,
        "process.cpu.time",
        "s",
        &["state"],
        "Total CPU seconds broken down by different states.",
    ),
    MetricSpec::new(
        Gauge,
        "process.cpu.utilization",
        "1",
        &["state"],
        "Percentage of total CPU time used by the process since last scrape, expressed as a value \
         between 0 and 1. On the first scrape, no data point is emitted for this metric.",
    )
    .optional(),
    MetricSpec::new(
        Counter,
        "process.disk.io",
        "By",
        &["direction"],
        "Disk bytes transferred.",
    ),
    MetricSpec::new(
        Counter,
        "process.disk.operations",
        "{operations}",
        &["direction"],
        "Number of disk operations performed by the process.",
    )
    .optional(),
    MetricSpec::new(
        UpDownCounter,
        "process.handles",
        "{count}",
        &[],
        "Number of open handles held by the process.",
    )
    .optional(),
    MetricSpec::new(
        UpDownCounter,
        "process.memory.usage",
        "By",
        &[],
        "The amount of physical memory in use.",
    ),
    MetricSpec::new(
        Gauge,
        "process.memory.utilization",
        "1",
        &[],
        "Percentage of total physical memory that is used by the process.",
    )
    .optional(),
    MetricSpec::new(
        UpDownCounter,
        "process.memory.virtual",
        "By",
        &[],
        "Virtual memory size.",
    ),
    MetricSpec::new(
        UpDownCounter,
        "process.open_file_descriptors",
        "{count}",
        &[],
        "Number of file descriptors in use by the process.",
    )
    .optional(),
    MetricSpec::new(
        Counter,
        "process.paging.faults",
        "{faults}",
        &["type"],
        "Number of page faults the process has made.",
    )
    .optional(),
    MetricSpec::new(
        UpDownCounter,
        "process.signals_pending",
        "{signals}",
        &[],
        "Number of pending signals for the process.",
    )
    .optional(),
    MetricSpec::new(
        UpDownCounter,
        "process.threads",
        "{threads}",
        &[],
        "Process threads count.",
    )
    .optional(),
    MetricSpec::new(
        Gauge,
        "process.uptime",
        "s",
        &[],
        "The time the process has been running.",
    )
    .optional(),
];

/// The attributes of a process's resource that are written, by the names of their switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct ProcessAttributes {
    pub(in super::super) cgroup: bool,
    pub(in super::super) command: bool,
    pub(in super::super) command_line: bool,
    pub(in super::super) executable_name: bool,
    pub(in super::super) executable_path: bool,
    pub(in super::super) owner: bool,
    pub(in super::super) parent_pid: bool,
    pub(in super::super) pid: bool,
}

/// What is remembered of the processes from reading to reading.
#[derive(Debug, Default)]
pub(in super::super) struct ProcessState {
    /// The processes that have series, by their numbers.
    shown: BTreeMap<u32, ShownProcess>,
}

#[derive(Debug)]
struct ShownProcess {
    process: ProcessReading,
    /// When it was read.
    at: Instant,
    owner: Option<String>,
    /// Whether its utilization has series.
    utilized: bool,
}

/// How processes are written.
#[derive(Clone, Copy)]
pub(in super::super) struct ProcessView<'a> {
    pub(in super::super) choices: &'a MetricChoices,
    pub(in super::super) attributes: ProcessAttributes,
    /// Processes that have run for less are left out.
    pub(in super::super) delay: Duration,
    /// Ticks per second.
    pub(in super::super) ticks: u64,
    /// Bytes in a page of memory.
    pub(in super::super) page: u64,
    pub(in super::super) now: Now,
}

impl ProcessState {
    /// Writes the processes of a reading, and ends the series of those that are gone or no longer
    /// selected. Returns how many users have no name.
    pub(in super::super) fn write(
        &mut self,
        processes: Vec<ProcessReading>,
        reading: &HostReading,
        counted: &CountedReading,
        view: ProcessView<'_>,
        out: &mut MetricsWriter,
    ) -> usize {
        let list = &reading.processes;
        if list.pids.is_none() {
            return 0;
        }
        let total = reading.memory.as_ref().and_then(|memory| memory.total());
        let mut unnamed = 0;
        let mut shown = BTreeMap::new();
        for process in processes {
            let started = view.started(&process, counted.booted);
            let age = view.now.wall.duration_since(started).unwrap_or_default();
            let number = process.status.user;
            let owner = number.and_then(|number| list.users.get(&number).cloned());
            // A number may be given again, and a process may become another program. What is new
            // has series of its own.
            let before = match self.shown.remove(&process.pid) {
                Some(before) if before.is(&process, &owner, view.attributes) => Some(before),
                Some(other) => {
                    other.end(view, counted.booted, out);
                    None
                }
                None => None,
            };
            if before.is_none() && age < view.delay {
                continue;
            }
            unnamed += usize::from(owner.is_none() && number.is_some());
            let process = ShownProcess {
                process,
                at: view.now.monotonic,
                owner,
                utilized: false,
            };
            let usage = before.as_ref().and_then(|before| {
                let cpus = reading.logical_cpus()?;
                process.utilization(before, cpus, view.ticks)
            });
            let process = ShownProcess {
                utilized: usage.is_some(),
                ..process
            };
            let ended = usage.is_none() && before.is_some_and(|before| before.utilized);
            process.write(view, started, (usage, ended), total, age, out);
            shown.insert(process.process.pid, process);
        }
        for (pid, process) in std::mem::take(&mut self.shown) {
            if list.is_unread(pid) {
                shown.insert(pid, process);
            } else {
                process.end(view, counted.booted, out);
            }
        }
        self.shown = shown;
        unnamed
    }
}

impl ProcessView<'_> {
    fn started(&self, process: &ProcessReading, booted: SystemTime) -> SystemTime {
        let seconds = process.stat.started as f64 / self.ticks as f64;
        let age = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        booted.checked_add(age).unwrap_or(booted)
    }
}

impl ShownProcess {
    /// Whether a reading is of the same process with the same attributes.
    fn is(
        &self,
        process: &ProcessReading,
        owner: &Option<String>,
        attributes: ProcessAttributes,
    ) -> bool {
        self.process.stat.started == process.stat.started
            && self.attributes(attributes) == resource(process, owner.as_deref(), attributes)
    }

    fn attributes(&self, wanted: ProcessAttributes) -> Vec<Attribute<'_>> {
        resource(&self.process, self.owner.as_deref(), wanted)
    }

    /// The parts of the processors' time that it spent in user and system mode and waiting for
    /// disks since it was read `before`; `None` if a counter fell or no time has passed.
    fn utilization(&self, before: &Self, cpus: u64, ticks: u64) -> Option<[f64; 3]> {
        let elapsed = self.at.duration_since(before.at).as_secs_f64();
        let whole = elapsed * cpus as f64 * ticks as f64;
        let mut parts = [0.0; 3];
        let counters = before.process.counters().into_iter();
        let counters = counters.zip(self.process.counters());
        for (part, (before, after)) in parts.iter_mut().zip(counters) {
            *part = after.checked_sub(before)? as f64 / whole;
        }
        (whole > 0.0).then_some(parts)
    }

    fn end(&self, view: ProcessView<'_>, booted: SystemTime, out: &mut MetricsWriter) {
        let started = view.started(&self.process, booted);
        let usage = self.utilized.then_some([0.0; 3]);
        out.ending(true);
        self.write(view, started, (usage, false), Some(1), Duration::ZERO, out);
        out.ending(false);
    }

    /// `usage` is the part of the interval's processor time in user and system mode and waiting
    /// for disks, and whether its series end; `total` is the bytes of the host's memory.
    fn write(
        &self,
        view: ProcessView<'_>,
        started: SystemTime,
        (usage, usage_ended): (Option<[f64; 3]>, bool),
        total: Option<u64>,
        age: Duration,
        out: &mut MetricsWriter,
    ) {
        const STATES: [&str; 3] = ["user", "system", "wait"];

        let process = &self.process;
        let resource = self.attributes(view.attributes);
        let time = view.now.wall;
        let mut page = MetricPage::new(out, "process", METRICS, view.choices, time, &resource);
        let point = |attributes, value| HostPoint {
            attributes,
            start: Some(started),
            value: Some(value),
        };
        let times = STATES
            .into_iter()
            .zip(process.counters())
            .map(|(state, ticks)| {
                let seconds = PointNumber::Double(ticks as f64 / view.ticks as f64);
                point(vec![("state", state)], seconds)
            });
        page.metric("process.cpu.time", times);
        if usage.is_some() || usage_ended {
            let parts = STATES.into_iter().zip(0..).map(|(state, place)| HostPoint {
                attributes: vec![("state", state)],
                start: None,
                value: usage.map(|parts| PointNumber::Double(parts[place])),
            });
            page.metric("process.cpu.utilization", parts);
        }
        let directed = |counts: [u64; 2]| {
            let both = ["read", "write"].into_iter().zip(counts);
            both.map(|(direction, count)| {
                point(vec![("direction", direction)], PointNumber::count(count))
            })
        };
        let io = process.io.as_ref();
        page.metric(
            "process.disk.io",
            io.into_iter().flat_map(|io| directed(io.bytes)),
        );
        page.metric(
            "process.disk.operations",
            io.into_iter().flat_map(|io| directed(io.calls)),
        );
        let bytes = process.memory_pages;
        let bytes = bytes.map(|pages| pages.map(|pages| pages.saturating_mul(view.page)));
        let resident = bytes.map(|[_, resident]| resident);
        page.single(
            "process.memory.usage",
            started,
            resident.map(PointNumber::count),
        );
        let part = resident.zip(total.filter(|total| *total > 0));
        // In percent, as the Collector has it, in spite of the unit.
        let part = part.map(|(resident, total)| 100.0 * resident as f64 / total as f64);
        page.single(
            "process.memory.utilization",
            started,
            part.map(PointNumber::Double),
        );
        let virtual_bytes = bytes.map(|[virtual_bytes, _]| PointNumber::count(virtual_bytes));
        page.single("process.memory.virtual", started, virtual_bytes);
        let descriptors = process.descriptors.map(PointNumber::count);
        page.single("process.open_file_descriptors", started, descriptors);
        let [minor, major] = process.stat.faults;
        let faults = [("major", major), ("minor", minor)];
        page.metric(
            "process.paging.faults",
            faults.map(|(kind, count)| point(vec![("type", kind)], PointNumber::count(count))),
        );
        let switches = process
            .switches
            .into_iter()
            .flat_map(|[asked, forced]| [("involuntary", forced), ("voluntary", asked)]);
        page.metric(
            "process.context_switches",
            switches.map(|(kind, count)| point(vec![("type", kind)], PointNumber::count(count))),
        );
        let signals = process.status.pending_signals.map(PointNumber::count);
        page.single("process.signals_pending", started, signals);
        page.single(
            "process.threads",
            started,
            Some(PointNumber::count(process.stat.threads)),
        );
        let age = PointNumber::Double(age.as_secs_f64());
        page.single("process.uptime", started, Some(age));
    }
}

impl ProcessReading {
    /// Ticks in user and in system mode, and waiting for disks.
    fn counters(&self) -> [u64; 3] {
        let [user, system] = self.stat.ticks;
        [user, system, self.stat.disk_ticks]
    }
}

/// A kernel's thread has no program and no command line; the Collector writes empty texts.
fn resource<'a>(
    process: &'a ProcessReading,
    owner: Option<&'a str>,
    wanted: ProcessAttributes,
) -> Vec<Attribute<'a>> {
    let text = |key, wanted: bool, value: &'a str| -> Option<Attribute<'a>> {
        wanted.then_some((key, AttributeValue::Str(value)))
    };
    let number = |key, wanted: bool, value: u32| -> Option<Attribute<'a>> {
        wanted.then_some((key, AttributeValue::Int(i64::from(value))))
    };
    let path = process.executable.as_deref().unwrap_or_default();
    let cgroup = process.cgroup.as_deref().unwrap_or_default();
    let attributes = [
        number("process.pid", wanted.pid, process.pid),
        number("process.parent_pid", wanted.parent_pid, process.stat.parent),
        text(
            "process.executable.name",
            wanted.executable_name,
            &process.name,
        ),
        text("process.executable.path", wanted.executable_path, path),
        text("process.cgroup", wanted.cgroup, cgroup),
        text("process.command", wanted.command, &process.command),
        text(
            "process.command_line",
            wanted.command_line,
            &process.command_line,
        ),
        owner.and_then(|owner| text("process.owner", wanted.owner, owner)),
    ];
    attributes.into_iter().flatten().collect()
}
