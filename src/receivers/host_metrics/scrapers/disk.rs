//! `disk`: what disks and partitions read and wrote.

use std::collections::BTreeMap;

use super::super::page::{HostPoint, MetricPage};
use super::super::spec::MetricSpec;
use super::seconds;
use crate::host::{CountedReading, DISK_BUSY, DISK_WEIGHTED, HostReading, place_of};
use crate::pdata::writer::MetricKind::{Counter, UpDownCounter};
use crate::pdata::writer::PointNumber;

const DIRECTED: &[&str] = &["device", "direction"];

pub(in super::super) const METRICS: &[MetricSpec] = &[
    MetricSpec::new(
        Counter,
        "system.disk.io",
        "By",
        DIRECTED,
        "Disk bytes transferred.",
    ),
    MetricSpec::new(
        Counter,
        "system.disk.io_time",
        "s",
        &["device"],
        "Time disk spent activated. On Windows, this is calculated as the inverse of disk idle \
         time.",
    ),
    MetricSpec::new(
        Counter,
        "system.disk.merged",
        "{operations}",
        DIRECTED,
        "The number of disk reads/writes merged into single physical disk access operations.",
    ),
    MetricSpec::new(
        Counter,
        "system.disk.operation_time",
        "s",
        DIRECTED,
        "Time spent in disk operations.",
    ),
    MetricSpec::new(
        Counter,
        "system.disk.operations",
        "{operations}",
        DIRECTED,
        "Disk operations count.",
    ),
    MetricSpec::new(
        UpDownCounter,
        "system.disk.pending_operations",
        "{operations}",
        &["device"],
        "The queue size of pending I/O operations.",
    ),
    MetricSpec::new(
        Counter,
        "system.disk.weighted_io_time",
        "s",
        &["device"],
        "Time disk spent activated multiplied by the queue length.",
    ),
];

/// A count of the kernel's in the metric's unit.
type CountAsNumber = fn(u64) -> PointNumber;

/// Bytes in a sector, whatever the disk.
const SECTOR: u64 = 512;

pub(in super::super) fn write(
    reading: &HostReading,
    counted: &CountedReading,
    page: &mut MetricPage<'_>,
) {
    /// Name, index among a direction's counters, and what a count is.
    const METRICS: [(&str, usize, CountAsNumber); 4] = [
        ("system.disk.io", 2, |sectors| {
            PointNumber::count(sectors.saturating_mul(SECTOR))
        }),
        ("system.disk.operations", 0, PointNumber::count),
        ("system.disk.operation_time", 3, seconds),
        ("system.disk.merged", 1, PointNumber::count),
    ];
    for (name, place, number) in METRICS {
        let points = counted.disks.iter().flat_map(|disk| {
            ["read", "write"]
                .into_iter()
                .zip(0..)
                .map(move |(direction, way)| {
                    let place = place_of(way, place);
                    HostPoint {
                        attributes: vec![("device", disk.owner.as_str()), ("direction", direction)],
                        start: Some(disk.starts[place]),
                        value: disk.values.map(|values| number(values[place])),
                    }
                })
        });
        page.metric(name, points);
    }
    for (name, place) in [
        ("system.disk.io_time", DISK_BUSY),
        ("system.disk.weighted_io_time", DISK_WEIGHTED),
    ] {
        let points = counted.disks.iter().map(|disk| HostPoint {
            attributes: vec![("device", disk.owner.as_str())],
            start: Some(disk.starts[place]),
            value: disk.values.map(|values| seconds(values[place])),
        });
        page.metric(name, points);
    }
    let in_progress = reading.disks.iter().flatten();
    let in_progress: BTreeMap<&str, u64> = in_progress
        .map(|disk| (disk.name.as_str(), disk.in_progress))
        .collect();
    let pending = counted.disks.iter().map(|disk| {
        let number = in_progress.get(disk.owner.as_str()).copied();
        HostPoint {
            attributes: vec![("device", disk.owner.as_str())],
            start: Some(counted.booted),
            value: number.map(PointNumber::count),
        }
    });
    page.metric("system.disk.pending_operations", pending);
}
