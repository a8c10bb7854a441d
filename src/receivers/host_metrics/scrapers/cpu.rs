//! `cpu`: the time of each processor, by what it did.

use super::super::page::{HostPoint, MetricPage};
use super::super::spec::MetricSpec;
use crate::host::proc::{CPU_MODES, Ticks};
use crate::host::{CountedReading, HostReading};
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

/// `ticks` is how many of the kernel's ticks a second has.
pub(in super::super) fn write(
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
    page.single(
        "system.cpu.logical.count",
        booted,
        logical.map(PointNumber::count),
    );
    let cores = reading.cpu_info.as_ref().map(|info| info.cores);
    let cores = reading.cores.or_else(|| cores.filter(|cores| *cores > 0));
    page.single(
        "system.cpu.physical.count",
        booted,
        cores.map(PointNumber::count),
    );

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

    let names: Vec<String> = counted
        .utilization
        .iter()
        .map(|(number, _)| name(*number))
        .collect();
    let utilizations = counted.utilization.iter().zip(&names);
    let utilizations = utilizations.flat_map(|((_, parts), name)| {
        CPU_MODES.iter().zip(0..).map(move |((_, state), mode)| {
            let part = parts.map(|parts| PointNumber::Double(parts[mode]));
            HostPoint {
                attributes: vec![("cpu", name), ("state", state)],
                start: None,
                value: part,
            }
        })
    });
    page.metric("system.cpu.utilization", utilizations);
}

fn name(number: u32) -> String {
    format!("cpu{number}")
}
