//! Turns readings of the host into metrics of the semantic conventions, those of node_exporter,
//! and the summary.
//!
//! Pure: readings and times come in, metrics go out.

mod counters;
mod exporter;
mod levels;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use self::exporter::{ExporterPage, FailingMounts};
use super::config::Exposition;
use super::semconv::{HostWriter, Semconv};
use super::summary::{NodeSummary, percent};
use super::usage::Usage;
use crate::component::Now;
use crate::host::proc::{Interface, Mount, busy, passed};
use crate::host::{CountedReading, HostCounters, HostReading, ShownItems};
use crate::pdata::writer::{MetricsWriter, PointNumber};
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

/// What a count of the kernel's is.
#[derive(Clone, Copy)]
enum CountUnit {
    /// This many of the metric's units.
    Units(u64),
    /// Thousandths of a second.
    Millis,
}

/// What is counted in sectors is of 512 bytes, whatever the disk.
const SECTORS: CountUnit = CountUnit::Units(512);

impl CountUnit {
    fn number(self, count: u64) -> PointNumber {
        match self {
            Self::Units(units) => PointNumber::count(count.saturating_mul(units)),
            Self::Millis => PointNumber::Double(count as f64 / 1000.0),
        }
    }
}

/// What is remembered of the host from reading to reading.
#[derive(Debug)]
pub(super) struct Host {
    exposition: Exposition,
    semconv: Semconv,
    scale: Scale,
    counters: HostCounters,
    /// The last reading, and when it was made.
    previous: Option<(Now, HostReading)>,
    /// Whether the host restarted after the last reading. Then no difference between the two is
    /// meaningful.
    restarted: bool,
    /// When the agent started, taken from the first reading: the host's boot time moves with its
    /// clock.
    started: Option<SystemTime>,
    /// The filesystems that have series.
    mounts: ShownItems<Mount>,
    /// The filesystems that don't answer.
    failing: FailingMounts,
}

impl Host {
    pub(super) fn new(exposition: Exposition, semconv: Semconv, scale: Scale) -> Self {
        Self {
            exposition,
            semconv,
            scale,
            counters: HostCounters::default(),
            previous: None,
            restarted: false,
            started: None,
            mounts: ShownItems::default(),
            failing: FailingMounts::default(),
        }
    }

    pub(super) fn clock_set_back(&mut self, by: &SetBack) {
        let previous = self.previous.as_mut().map(|(before, _)| &mut before.wall);
        let starts = [self.started.as_mut(), previous];
        starts
            .into_iter()
            .flatten()
            .for_each(|start| by.correct(start));
        self.counters.correct_starts(|start| by.correct(start));
    }

    /// Takes the counters that the first reading's differences are made from.
    pub(super) fn baseline(&mut self, reading: HostReading, now: Now) {
        self.counters.baseline(&reading, now.monotonic, now.wall);
        self.previous = Some((now, reading));
    }

    /// Writes a reading's metrics, but for the summary, which it returns.
    pub(super) fn write(
        &mut self,
        reading: HostReading,
        now: Now,
        out: &mut MetricsWriter,
    ) -> NodeSummary {
        let counted = self.counters.take(&reading, now.monotonic, now.wall);
        self.restarted = counted.restarted;
        let ended = self.ended(&reading);
        if self.exposition != Exposition::NodeExporter {
            self.write_conventions(&reading, &counted, &ended, now, out);
        }
        if self.exposition != Exposition::Semconv {
            self.failing.take(&reading);
            let mut page = ExporterPage {
                out,
                time: now.wall,
                scale: self.scale,
            };
            page.write(&reading, &counted, &ended, &self.failing);
        }

        let summary = self.summary(&reading, now.monotonic);
        self.previous = Some((now, reading));
        summary
    }

    fn write_conventions(
        &mut self,
        reading: &HostReading,
        counted: &CountedReading,
        ended: &[Mount],
        now: Now,
        out: &mut MetricsWriter,
    ) {
        let mut page = HostWriter {
            out,
            time: now.wall,
            semconv: self.semconv,
        };
        self.write_cpus(&mut page, reading, counted);
        levels::write_memory(&mut page, reading);
        counters::write_disks(&mut page, counted);
        levels::write_filesystems(&mut page, reading, ended);
        counters::write_interfaces(&mut page, counted);
        levels::write_connections(&mut page, reading);
        levels::write_load(&mut page, reading);
        self.write_process(&mut page, reading, now);
    }

    /// The filesystems whose series end here: those that the host no longer lists, and those that
    /// don't answer, since their last values say nothing about now.
    fn ended(&mut self, reading: &HostReading) -> Vec<Mount> {
        let shown = reading.filesystems.iter().map(|shown| shown.mount.clone());
        self.mounts.ended(reading.mounts.is_some(), shown)
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
            .and_then(|memory| percent(memory.used()? as f64, memory.total()? as f64));
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
    let before: BTreeMap<&str, &Interface> = before
        .iter()
        .map(|interface| (interface.name.as_str(), interface))
        .collect();
    let mut sums = [0_u64; 2];
    let mut any = false;
    for interface in after {
        let Some(last) = before.get(interface.name.as_str()) else {
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

fn before(time: SystemTime, seconds: f64) -> Option<SystemTime> {
    time.checked_sub(Duration::try_from_secs_f64(seconds).ok()?)
}
