//! `memory`: what the memory is used for.

use super::super::page::{HostPoint, MetricPage};
use super::super::spec::MetricSpec;
use crate::host::proc::Memory;
use crate::host::{CountedReading, HostReading};
use crate::pdata::writer::MetricKind::{Gauge, UpDownCounter};
use crate::pdata::writer::PointNumber;

const HUGEPAGES: &[&str] = &["system.memory.linux.hugepages.state"];

pub(in super::super) const METRICS: &[MetricSpec] = &[
    level(
        "system.linux.memory.available",
        "By",
        "An estimate of how much memory is available for starting new applications, without \
         swapping. This is a more accurate alternative than system.memory.usage with state=free. \
         (Linux only)",
    ),
    level(
        "system.linux.memory.dirty",
        "By",
        "The amount of dirty memory according to `/proc/meminfo`.",
    ),
    level(
        "system.memory.limit",
        "By",
        "Total bytes of memory available.",
    ),
    level(
        "system.memory.linux.hugepages.limit",
        "{page}",
        "Total number of hugepages available.",
    ),
    level(
        "system.memory.linux.hugepages.page_size",
        "By",
        "System hugepage size in bytes.",
    ),
    level(
        "system.memory.linux.hugepages.reserved",
        "{page}",
        "Number of reserved hugepages (hugepages for which a commitment to allocate has been made, \
         but no allocation has yet been made). This is reported as a separate metric rather than a \
         usage state because reserved pages are already counted in free pages - they represent a \
         subset of free pages that cannot be used for non-reserved allocations.",
    ),
    level(
        "system.memory.linux.hugepages.surplus",
        "{page}",
        "Number of surplus hugepages (overcommitted hugepages beyond the persistent pool). This is \
         reported as a separate metric rather than a usage state because surplus pages can be in \
         either used or free state, and including them would break the semantic convention that \
         usage states must sum to the limit.",
    ),
    MetricSpec::new(
        UpDownCounter,
        "system.memory.linux.hugepages.usage",
        "{page}",
        HUGEPAGES,
        "Number of hugepages in use by state.",
    )
    .optional(),
    MetricSpec::new(
        Gauge,
        "system.memory.linux.hugepages.utilization",
        "1",
        HUGEPAGES,
        "Percentage of hugepages in use by state.",
    )
    .optional(),
    level(
        "system.memory.linux.shared",
        "By",
        "Shared memory usage, including tmpfs filesystems and System V/POSIX shared memory. Only \
         supported on Linux.",
    ),
    MetricSpec::new(
        Gauge,
        "system.memory.page_size",
        "By",
        &[],
        "A constant value for the system's configured page size.",
    )
    .optional(),
    MetricSpec::new(
        UpDownCounter,
        "system.memory.usage",
        "By",
        &["state"],
        "Bytes of memory in use.",
    ),
    MetricSpec::new(
        Gauge,
        "system.memory.utilization",
        "1",
        &["state"],
        "Percentage of memory bytes in use.",
    )
    .optional(),
];

const fn level(name: &'static str, unit: &'static str, description: &'static str) -> MetricSpec {
    MetricSpec::new(UpDownCounter, name, unit, &[], description).optional()
}

/// `page_size` is in bytes.
pub(in super::super) fn write(
    reading: &HostReading,
    counted: &CountedReading,
    page_size: u64,
    page: &mut MetricPage<'_>,
) {
    let Some(memory) = &reading.memory else {
        return;
    };
    let booted = counted.booted;
    for (name, line) in [
        ("system.linux.memory.available", "MemAvailable"),
        ("system.linux.memory.dirty", "Dirty"),
        ("system.memory.limit", "MemTotal"),
        ("system.memory.linux.hugepages.limit", "HugePages_Total"),
        ("system.memory.linux.hugepages.page_size", "Hugepagesize"),
        ("system.memory.linux.hugepages.reserved", "HugePages_Rsvd"),
        ("system.memory.linux.hugepages.surplus", "HugePages_Surp"),
        ("system.memory.linux.shared", "Shmem"),
    ] {
        page.single(name, booted, memory.get(line).map(PointNumber::count));
    }
    write_hugepages(memory, counted, page);
    page.single(
        "system.memory.page_size",
        booted,
        Some(PointNumber::count(page_size)),
    );

    let reclaimable = memory.get("SReclaimable");
    // The page cache and what can be reclaimed of the kernel's own caches, as `free` has it.
    let cached = memory.get("Cached");
    let cached = cached.map(|cached| cached.saturating_add(reclaimable.unwrap_or(0)));
    let states = [
        ("used", memory.used()),
        ("free", memory.get("MemFree")),
        ("buffered", memory.get("Buffers")),
        ("cached", cached),
        ("slab_reclaimable", reclaimable),
        ("slab_unreclaimable", memory.get("SUnreclaim")),
    ];
    let known = || {
        states
            .iter()
            .filter_map(|(state, bytes)| Some((*state, (*bytes)?)))
    };
    let point = |state, value| HostPoint {
        attributes: vec![("state", state)],
        start: Some(booted),
        value: Some(value),
    };
    page.metric(
        "system.memory.usage",
        known().map(|(state, bytes)| point(state, PointNumber::count(bytes))),
    );
    if let Some(total) = memory.total().filter(|total| *total > 0) {
        let parts = known()
            .map(|(state, bytes)| point(state, PointNumber::Double(bytes as f64 / total as f64)));
        page.metric("system.memory.utilization", parts);
    }
}

fn write_hugepages(memory: &Memory, counted: &CountedReading, page: &mut MetricPage<'_>) {
    let (Some(total), Some(free)) = (memory.get("HugePages_Total"), memory.get("HugePages_Free"))
    else {
        return;
    };
    let states = [("free", free), ("used", total.saturating_sub(free))];
    let point = |state, value| HostPoint {
        attributes: vec![("system.memory.linux.hugepages.state", state)],
        start: Some(counted.booted),
        value: Some(value),
    };
    page.metric(
        "system.memory.linux.hugepages.usage",
        states.map(|(state, pages)| point(state, PointNumber::count(pages))),
    );
    if total > 0 {
        let part = |pages| PointNumber::Double(pages as f64 / total as f64);
        page.metric(
            "system.memory.linux.hugepages.utilization",
            states.map(|(state, pages)| point(state, part(pages))),
        );
    }
}
