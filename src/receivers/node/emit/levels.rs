//! Metrics of momentary values: memory, filesystems, sockets and load.

use super::super::semconv::{HostMetric, HostWriter, Row};
use crate::host::HostReading;
use crate::host::proc::{Mount, TCP_STATES};
use crate::pdata::writer::MetricKind::{Gauge, UpDownCounter};
use crate::pdata::writer::PointNumber;

pub(super) fn write_memory(page: &mut HostWriter<'_>, reading: &HostReading) {
    let Some(memory) = &reading.memory else {
        return;
    };
    // The state's name in v1 and in v0; empty where that version has none.
    let states = [
        ("used", "used", memory.used()),
        ("free", "free", memory.get("MemFree")),
        ("buffers", "buffered", memory.get("Buffers")),
        ("cached", "cached", memory.get("Cached")),
    ];
    let row = |v1: &'static str, v0: &'static str, value| Row {
        v1: vec![("system.memory.state", v1.into())],
        v0: vec![("state", v0.into())],
        start: None,
        value: Some(value),
    };
    let mut usage = Vec::new();
    let mut utilization = Vec::new();
    for (v1, v0, bytes) in states {
        let Some(bytes) = bytes else { continue };
        usage.push(row(v1, v0, PointNumber::count(bytes)));
        if let Some(total) = memory.total().filter(|total| *total > 0) {
            let part = bytes as f64 / total as f64;
            utilization.push(row(v1, v0, PointNumber::Double(part)));
        }
    }
    page.write(
        &HostMetric {
            kind: UpDownCounter,
            v1: "system.memory.usage",
            v0: "system.memory.usage",
            unit: "By",
            description: "memory in each state; used is what isn't available to new programs",
        },
        &usage,
    );
    page.write(
        &HostMetric {
            kind: Gauge,
            v1: "system.memory.utilization",
            v0: "system.memory.utilization",
            unit: "1",
            description: "part of the memory in each state",
        },
        &utilization,
    );
    page.single(
        &HostMetric {
            kind: UpDownCounter,
            v1: "system.memory.limit",
            v0: "system.memory.limit",
            unit: "By",
            description: "memory of the host",
        },
        None,
        memory.total().map(PointNumber::count),
    );
    page.single(
        &HostMetric {
            kind: UpDownCounter,
            v1: "system.memory.linux.available",
            v0: "system.linux.memory.available",
            unit: "By",
            description: "memory that new programs can have without swapping",
        },
        None,
        memory.get("MemAvailable").map(PointNumber::count),
    );
    let slab: Vec<Row<'_>> = [
        ("reclaimable", memory.get("SReclaimable")),
        ("unreclaimable", memory.get("SUnreclaim")),
    ]
    .into_iter()
    .filter_map(|(state, bytes)| {
        Some(Row {
            v1: vec![("system.memory.linux.slab.state", state.into())],
            v0: vec![("state", state.into())],
            start: None,
            value: Some(PointNumber::count(bytes?)),
        })
    })
    .collect();
    page.write(
        &HostMetric {
            kind: UpDownCounter,
            v1: "system.memory.linux.slab.usage",
            v0: "",
            unit: "By",
            description: "memory of the kernel's own caches",
        },
        &slab,
    );
}

/// Writes the filesystems of a reading, and ends the series of those in `gone`.
pub(super) fn write_filesystems(page: &mut HostWriter<'_>, reading: &HostReading, gone: &[Mount]) {
    let mut usage = Vec::new();
    let mut utilization = Vec::new();
    let answered = reading
        .filesystems
        .iter()
        .map(|filesystem| (&filesystem.mount, Some(filesystem.room)));
    for (mount, room) in answered.chain(gone.iter().map(|mount| (mount, None))) {
        let mode = if mount.read_only { "ro" } else { "rw" };
        let states = [
            ("used", room.map(|room| room.used())),
            ("free", room.map(|room| room.available)),
            ("reserved", room.map(|room| room.reserved)),
        ];
        for (state, bytes) in states {
            let row = |value| Row {
                v1: vec![
                    ("system.device", mount.device.as_str().into()),
                    ("system.filesystem.mode", mode.into()),
                    (
                        "system.filesystem.mountpoint",
                        mount.mount_point.as_str().into(),
                    ),
                    ("system.filesystem.type", mount.kind.as_str().into()),
                    ("system.filesystem.state", state.into()),
                ],
                v0: vec![
                    ("device", mount.device.as_str().into()),
                    ("mode", mode.into()),
                    ("mountpoint", mount.mount_point.as_str().into()),
                    ("type", mount.kind.as_str().into()),
                    ("state", state.into()),
                ],
                start: None,
                value,
            };
            usage.push(row(bytes.map(PointNumber::count)));
            let part = bytes.zip(room);
            let part =
                part.map(|(bytes, room)| PointNumber::Double(bytes as f64 / room.total as f64));
            utilization.push(row(part));
        }
    }
    page.write(
        &HostMetric {
            kind: UpDownCounter,
            v1: "system.filesystem.usage",
            v0: "system.filesystem.usage",
            unit: "By",
            description: "room of each filesystem in each state",
        },
        &usage,
    );
    page.write(
        &HostMetric {
            kind: Gauge,
            v1: "system.filesystem.utilization",
            v0: "system.filesystem.utilization",
            unit: "1",
            description: "part of each filesystem's room in each state",
        },
        &utilization,
    );
}

pub(super) fn write_connections(page: &mut HostWriter<'_>, reading: &HostReading) {
    let Some(connections) = &reading.connections else {
        return;
    };
    let mut rows: Vec<Row<'_>> = TCP_STATES
        .into_iter()
        .zip(connections.tcp)
        .map(|((v1, v0), count)| Row {
            v1: vec![
                ("network.transport", "tcp".into()),
                ("network.connection.state", v1.into()),
            ],
            v0: vec![("protocol", "tcp".into()), ("state", v0.into())],
            start: None,
            value: Some(PointNumber::count(count)),
        })
        .collect();
    rows.push(Row {
        v1: vec![("network.transport", "udp".into())],
        v0: vec![("protocol", "udp".into())],
        start: None,
        value: Some(PointNumber::count(connections.udp)),
    });
    page.write(
        &HostMetric {
            kind: UpDownCounter,
            v1: "system.network.connection.count",
            v0: "system.network.connections",
            unit: "{connection}",
            description: "sockets by transport and state",
        },
        &rows,
    );
}

pub(super) fn write_load(page: &mut HostWriter<'_>, reading: &HostReading) {
    const NAMES: [&str; 3] = [
        "system.cpu.load_average.1m",
        "system.cpu.load_average.5m",
        "system.cpu.load_average.15m",
    ];
    for (name, load) in NAMES.into_iter().zip(reading.load.into_iter().flatten()) {
        page.single(
            &HostMetric {
                kind: Gauge,
                v1: name,
                v0: name,
                unit: "{thread}",
                description: "threads that run or wait to run or for a disk, on average",
            },
            None,
            Some(PointNumber::Double(load)),
        );
    }
    page.single(
        &HostMetric {
            kind: Gauge,
            v1: "system.uptime",
            v0: "system.uptime",
            unit: "s",
            description: "time since the host started",
        },
        None,
        reading.uptime.map(PointNumber::Double),
    );
}
