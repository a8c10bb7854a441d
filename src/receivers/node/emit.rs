//! Turns readings of the host into metrics of the semantic conventions and the summary.
//!
//! Pure: readings and times come in, metrics go out.

mod counters;
mod levels;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::semconv::{HostWriter, Semconv};
use super::summary::{NodeSummary, percent};
use super::usage::Usage;
use crate::component::Now;
use crate::host::proc::{CPU_MODES, Interface, Mount, busy, passed};
use crate::host::{Boot, Epochs, HostReading};
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::SetBack;

/// The units in which the kernel counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Ticks per second.
    pub(super) ticks: u64,
    /// Bytes in a page of memory.
    pub(super) page: u64,
}

impl Scale {
    pub(super) fn of_this_machine() -> Self {
        Self {
            ticks: rustix::param::clock_ticks_per_second().max(1),
            page: rustix::param::page_size() as u64,
        }
    }

    fn seconds(self, ticks: u64) -> f64 {
        ticks as f64 / self.ticks as f64
    }
}

/// What is remembered of the host from reading to reading.
#[derive(Debug)]
pub(super) struct Host {
    semconv: Semconv,
    scale: Scale,
    /// The last reading, and when it was made.
    previous: Option<(Now, HostReading)>,
    /// Whether the host restarted after the last reading. Then no difference between the two is
    /// meaningful.
    restarted: bool,
    /// When the host and the agent started, taken from the first reading: the host's boot time
    /// moves with its clock.
    booted: Option<SystemTime>,
    started: Option<SystemTime>,
    /// By the processor's number.
    cpus: Epochs<u32, { CPU_MODES.len() }>,
    /// The processors whose utilization has a series.
    utilized: BTreeSet<u32>,
    /// Of disks and interfaces, by name.
    disks: Epochs<String, 9>,
    interfaces: Epochs<String, 8>,
    /// The filesystems that have series.
    mounts: BTreeSet<Mount>,
    /// Whether metrics were written before.
    written: bool,
}

impl Host {
    pub(super) fn new(semconv: Semconv, scale: Scale) -> Self {
        Self {
            semconv,
            scale,
            previous: None,
            restarted: false,
            booted: None,
            started: None,
            cpus: Epochs::new(),
            utilized: BTreeSet::new(),
            disks: Epochs::new(),
            interfaces: Epochs::new(),
            mounts: BTreeSet::new(),
            written: false,
        }
    }

    pub(super) fn clock_set_back(&mut self, by: &SetBack) {
        let previous = self.previous.as_mut().map(|(before, _)| &mut before.wall);
        let starts = [self.booted.as_mut(), self.started.as_mut(), previous];
        starts
            .into_iter()
            .flatten()
            .for_each(|start| by.correct(start));
        self.cpus.correct_starts(|start| by.correct(start));
        self.disks.correct_starts(|start| by.correct(start));
        self.interfaces.correct_starts(|start| by.correct(start));
    }

    /// Takes the counters that the first reading's differences are made from.
    pub(super) fn baseline(&mut self, reading: HostReading, now: Now) {
        self.previous = Some((now, reading));
    }

    /// Writes a reading's metrics in the semantic conventions, and returns the summary.
    pub(super) fn write(
        &mut self,
        reading: HostReading,
        now: Now,
        out: &mut MetricsWriter,
    ) -> NodeSummary {
        let booted = *self.booted.get_or_insert_with(|| boot_time(&reading, now));
        let since = match &self.previous {
            Some((before, _)) if self.written => before.wall,
            _ => booted,
        };
        self.restarted = self.previous.as_ref().is_some_and(|(before, last)| {
            let between = now.monotonic.duration_since(before.monotonic);
            last_start(&reading).is_after(&last_start(last), between)
        });
        if self.restarted {
            self.cpus.restart(since);
            self.disks.restart(since);
            self.interfaces.restart(since);
        }
        let mut page = HostWriter {
            out,
            time: now.wall,
            semconv: self.semconv,
        };
        self.write_cpus(&mut page, &reading, since);
        levels::write_memory(&mut page, &reading);
        self.write_disks(&mut page, &reading, since);
        let ended = self.ended(&reading);
        levels::write_filesystems(&mut page, &reading, &ended);
        self.write_interfaces(&mut page, &reading, since);
        levels::write_connections(&mut page, &reading);
        levels::write_load(&mut page, &reading);
        self.write_process(&mut page, &reading, now);

        let summary = self.summary(&reading, now.monotonic);
        self.written = true;
        self.previous = Some((now, reading));
        summary
    }

    /// The filesystems whose series end here: those that the host no longer lists, and those that
    /// don't answer, since their last values say nothing about now. If the list itself can't be
    /// read, no series ends.
    fn ended(&mut self, reading: &HostReading) -> Vec<Mount> {
        let shown = reading.filesystems.iter().map(|shown| shown.mount.clone());
        let shown: BTreeSet<Mount> = shown.collect();
        if reading.mounts.is_none() {
            self.mounts.extend(shown);
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.mounts, shown);
        before.difference(&self.mounts).cloned().collect()
    }

    /// The last reading, unless the host has restarted since.
    fn comparable(&self) -> Option<&(Now, HostReading)> {
        self.previous.as_ref().filter(|_| !self.restarted)
    }

    fn summary(&self, reading: &HostReading, now: Instant) -> NodeSummary {
        let previous = self.comparable();
        let cpu = previous.and_then(|(_, before)| {
            let before = before.cpus.as_ref()?.total.as_ref()?;
            let after = reading.cpus.as_ref()?.total.as_ref()?;
            Some(100.0 * busy(&passed(before, after)?))
        });
        let memory = reading
            .memory
            .as_ref()
            .and_then(|memory| percent(memory.used()? as f64, memory.total? as f64));
        let mut usage = Usage::default();
        for filesystem in &reading.filesystems {
            let room = &filesystem.room;
            usage.add(&filesystem.mount, room.used() as f64, room.available as f64);
        }
        let network = previous.and_then(|(before, last)| {
            let seconds = now.duration_since(before.monotonic).as_secs_f64();
            let bytes = received_and_transmitted(
                last.interfaces.as_deref()?,
                reading.interfaces.as_deref()?,
            )?;
            (seconds > 0.0).then(|| bytes.map(|bytes| bytes as f64 / seconds))
        });
        NodeSummary {
            cpu,
            memory,
            disk: usage.percent(),
            network,
            uptime: reading.uptime,
            nodes: None,
        }
    }
}

/// Bytes since the last reading, summed over the interfaces that are in both; `None` if a counter
/// of one of them fell.
fn received_and_transmitted(before: &[Interface], after: &[Interface]) -> Option<[u64; 2]> {
    let mut sums = [0_u64; 2];
    let mut any = false;
    for interface in after {
        let Some(last) = before.iter().find(|last| last.name == interface.name) else {
            continue;
        };
        any = true;
        for (way, sum) in sums.iter_mut().enumerate() {
            let more = interface.directions[way][0].checked_sub(last.directions[way][0])?;
            *sum = sum.saturating_add(more);
        }
    }
    any.then_some(sums)
}

fn last_start(reading: &HostReading) -> Boot {
    let stated = reading.cpus.as_ref().and_then(|cpus| cpus.boot);
    Boot {
        time: stated.map(|seconds| seconds as f64),
        uptime: reading.uptime,
    }
}

fn boot_time(reading: &HostReading, now: Now) -> SystemTime {
    let stated = reading.cpus.as_ref().and_then(|cpus| cpus.boot);
    stated
        .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .filter(|booted| *booted <= now.wall)
        .or_else(|| before(now.wall, reading.uptime?))
        .unwrap_or(now.wall)
}

fn before(time: SystemTime, seconds: f64) -> Option<SystemTime> {
    time.checked_sub(Duration::try_from_secs_f64(seconds).ok()?)
}
