//! `cpu`: the time of each processor, by what it did.

use std::collections::{BTreeMap, BTreeSet};

use super::super::page::{HostPoint, MetricPage};
use super::super::spec::MetricSpec;
use super::integer;
use crate::host::proc::{CPU_MODES, Ticks, passed, total};
use crate::host::{CountedOwner, CountedReading, HostReading};
use crate::pdata::writer::MetricKind::{Counter, Gauge, UpDownCounter};
use crate::pdata::writer::PointNumber;

pub(in super::super) const METRICS: &[MetricSpec] = &[
    MetricSpec::new(
        Gauge,
        "system.cpu.frequency",
        "Hz",
        &["cpu"],
        "Current frequency of the CPU core in Hz.",
    )
    .optional(),
    MetricSpec::new(
        UpDownCounter,
        "system.cpu.logical.count",
        "{cpu}",
        &[],
        "Number of available logical CPUs.",
    )
    .optional(),
    MetricSpec::new(
        UpDownCounter,
        "system.cpu.physical.count",
        "{cpu}",
        &[],
        "Number of available physical CPUs.",
    )
    .optional(),
    MetricSpec::new(
        Counter,
        "system.cpu.time",
        "s",
        &["cpu", "state"],
        "Total seconds each logical CPU spent on each mode.",
    ),
    MetricSpec::new(
        Gauge,
        "system.cpu.utilization",
        "1",
        &["cpu", "state"],
        "Difference in system.cpu.time since the last measurement per logical CPU, divided by the \
         elapsed time (value in interval [0,1]).",
    )
    .optional(),
];

/// What is remembered of the processors from reading to reading.
#[derive(Debug, Default)]
pub(in super::super) struct CpuState {
    last: BTreeMap<u32, Ticks>,
    /// The processors whose utilization has a series.
    utilized: BTreeSet<u32>,
}

impl CpuState {
    /// `ticks` is how many of the kernel's ticks a second has.
    pub(in super::super) fn write(
        &mut self,
        reading: &HostReading,
        counted: &CountedReading,
        ticks: u64,
        page: &mut MetricPage<'_>,
    ) {
        let frequencies = reading.cpu_info.iter().flat_map(|info| &info.frequencies);
        let frequencies: Vec<(String, f64)> = frequencies
            .map(|(number, mhz)| (name(*number), mhz * 1e6))
            .collect();
        page.metric(
            "system.cpu.frequency",
            frequencies.iter().map(|(name, hertz)| HostPoint {
                attributes: vec![("cpu", name)],
                start: None,
                value: Some(PointNumber::Double(*hertz)),
            }),
        );
        let logical = reading.logical_cpus();
        let booted = counted.booted;
        page.single("system.cpu.logical.count", booted, logical.map(integer));
        let cores = reading.cpu_info.as_ref().map(|info| info.cores);
        let cores = reading.cores.or_else(|| cores.filter(|cores| *cores > 0));
        page.single("system.cpu.physical.count", booted, cores.map(integer));

        let names: Vec<String> = counted.cpus.iter().map(|cpu| name(cpu.owner)).collect();
        let times = counted.cpus.iter().zip(&names).flat_map(|(cpu, name)| {
            CPU_MODES.iter().zip(0..).map(move |((_, state), mode)| {
                let seconds = cpu
                    .values
                    .map(|values: Ticks| values[mode] as f64 / ticks as f64);
                HostPoint {
                    attributes: vec![("cpu", name), ("state", state)],
                    start: Some(cpu.starts[mode]),
                    value: seconds.map(PointNumber::Double),
                }
            })
        });
        page.metric("system.cpu.time", times);

        let mut utilizations = Vec::new();
        for (cpu, name) in counted.cpus.iter().zip(&names) {
            utilizations.extend(self.utilization(cpu, name, reading, counted.restarted));
        }
        page.metric("system.cpu.utilization", utilizations);
        if let Some(cpus) = &reading.cpus {
            self.last = cpus.each.iter().copied().collect();
        }
    }

    /// The parts of the time since the last reading; none if there is no such time, because a
    /// counter fell or there was no reading yet, and then a series that there was ends.
    fn utilization<'a>(
        &mut self,
        cpu: &CountedOwner<u32, { CPU_MODES.len() }>,
        name: &'a str,
        reading: &HostReading,
        restarted: bool,
    ) -> Vec<HostPoint<'a>> {
        let read = reading.cpus.iter().flat_map(|cpus| &cpus.each);
        let mut read = read.filter(|(number, _)| *number == cpu.owner);
        let now = read.next().map(|(_, ticks)| ticks);
        let last = self.last.get(&cpu.owner).filter(|_| !restarted);
        let passed = last.zip(now).and_then(|(last, now)| passed(last, now));
        let ended = passed.is_none() && self.utilized.remove(&cpu.owner);
        if passed.is_some() {
            self.utilized.insert(cpu.owner);
        } else if !ended {
            return Vec::new();
        }
        let points = CPU_MODES.iter().zip(0..).map(|((_, state), mode)| {
            let part = passed.map(|passed: Ticks| passed[mode] as f64 / total(&passed) as f64);
            HostPoint {
                attributes: vec![("cpu", name), ("state", state)],
                start: None,
                value: part.map(PointNumber::Double),
            }
        });
        points.collect()
    }
}

fn name(number: u32) -> String {
    format!("cpu{number}")
}
