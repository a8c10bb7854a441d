//! `paging`: swap space, and how often pages come and go.

use super::super::page::{HostPoint, MetricPage};
use super::super::spec::MetricSpec;
use crate::host::proc::SwapArea;
use crate::host::{CountedReading, HostReading, KernelCounter};
use crate::pdata::writer::MetricKind::{Counter, Gauge, UpDownCounter};
use crate::pdata::writer::PointNumber;

pub(in super::super) const METRICS: &[MetricSpec] = &[
    MetricSpec::new(
        Counter,
        "system.paging.faults",
        "{faults}",
        &["type"],
        "The number of page faults.",
    ),
    MetricSpec::new(
        Counter,
        "system.paging.operations",
        "{operations}",
        &["direction", "type"],
        "The number of paging operations.",
    ),
    MetricSpec::new(
        UpDownCounter,
        "system.paging.usage",
        "By",
        &["device", "state"],
        "Swap (unix) or pagefile (windows) usage.",
    ),
    MetricSpec::new(
        Gauge,
        "system.paging.utilization",
        "1",
        &["device", "state"],
        "Swap (unix) or pagefile (windows) utilization.",
    )
    .optional(),
];

/// What the Collector multiplies every counter of paging by, whatever the metric's unit says.
const FACTOR: u64 = 4096;

/// Writes what was read, and ends the series of the swap areas in `gone`.
pub(in super::super) fn write(
    reading: &HostReading,
    counted: &CountedReading,
    gone: &[SwapArea],
    page: &mut MetricPage<'_>,
) {
    let counter = |attributes, counter| {
        let (value, start) = counted.kernel.get(&counter)?;
        Some(HostPoint {
            attributes,
            start: Some(*start),
            value: Some(PointNumber::count(value.saturating_mul(FACTOR))),
        })
    };
    let faults = [
        ("major", KernelCounter::MajorFaults),
        ("minor", KernelCounter::MinorFaults),
    ];
    let faults = faults.into_iter();
    page.metric(
        "system.paging.faults",
        faults.filter_map(|(kind, of)| counter(vec![("type", kind)], of)),
    );
    let operations = [
        ("page_in", "major", KernelCounter::SwappedIn),
        ("page_out", "major", KernelCounter::SwappedOut),
        ("page_in", "minor", KernelCounter::PagedIn),
        ("page_out", "minor", KernelCounter::PagedOut),
    ];
    page.metric(
        "system.paging.operations",
        operations.into_iter().filter_map(|(direction, kind, of)| {
            counter(vec![("direction", direction), ("type", kind)], of)
        }),
    );

    let there = reading.swaps.iter().flatten().map(|area| (area, true));
    let all: Vec<(&SwapArea, bool)> = there.chain(gone.iter().map(|area| (area, false))).collect();
    let states = |area: &SwapArea| {
        [
            ("used", area.used),
            ("free", area.total.saturating_sub(area.used)),
        ]
    };
    let usage = all.iter().flat_map(|(area, there)| {
        states(area).map(|(state, bytes)| HostPoint {
            attributes: vec![("device", area.name.as_str()), ("state", state)],
            start: Some(counted.booted),
            value: there.then(|| PointNumber::count(bytes)),
        })
    });
    page.metric("system.paging.usage", usage);
    let sized = all.iter().filter(|(area, _)| area.total > 0);
    let utilization = sized.flat_map(|(area, there)| {
        states(area).map(|(state, bytes)| HostPoint {
            attributes: vec![("device", area.name.as_str()), ("state", state)],
            start: None,
            value: there.then(|| PointNumber::Double(bytes as f64 / area.total as f64)),
        })
    });
    page.metric("system.paging.utilization", utilization);
}
