//! `load`: how many threads run or want to, on average.

use super::super::page::MetricPage;
use super::super::spec::MetricSpec;
use crate::host::{CountedReading, HostReading};
use crate::pdata::writer::MetricKind::Gauge;
use crate::pdata::writer::PointNumber;

pub(in super::super) const METRICS: &[MetricSpec] = &[
    load(
        "system.cpu.load_average.15m",
        "Average CPU Load over 15 minutes.",
    ),
    load(
        "system.cpu.load_average.1m",
        "Average CPU Load over 1 minute.",
    ),
    load(
        "system.cpu.load_average.5m",
        "Average CPU Load over 5 minutes.",
    ),
];

const fn load(name: &'static str, description: &'static str) -> MetricSpec {
    MetricSpec::new(Gauge, name, "{thread}", &[], description)
}

/// With `per_cpu`, divided by the number of processors.
pub(in super::super) fn write(
    reading: &HostReading,
    counted: &CountedReading,
    per_cpu: bool,
    page: &mut MetricPage<'_>,
) {
    const NAMES: [&str; 3] = [
        "system.cpu.load_average.1m",
        "system.cpu.load_average.5m",
        "system.cpu.load_average.15m",
    ];
    let cpus = reading.cpus.as_ref().map(|cpus| cpus.each.len());
    let divisor = match (per_cpu, cpus) {
        (false, _) => 1.0,
        (true, Some(cpus)) if cpus > 0 => cpus as f64,
        (true, _) => return,
    };
    for (name, load) in NAMES.into_iter().zip(reading.load.into_iter().flatten()) {
        page.single(
            name,
            counted.booted,
            Some(PointNumber::Double(load / divisor)),
        );
    }
}
