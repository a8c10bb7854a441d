//! Metrics from the host's counters: processors, disks, interfaces, and the agent's process.

use std::collections::BTreeMap;

use super::super::semconv::{HostMetric, HostWriter, Row};
use super::{CountUnit, Host, SECTORS, before};
use crate::component::Now;
use crate::host::proc::CPU_MODES;
use crate::host::{CountedOwner, CountedReading, DISK_BUSY, HostReading, place_of};
use crate::pdata::writer::MetricKind::{Counter, Gauge, UpDownCounter};
use crate::pdata::writer::{AttributeValue, PointNumber};

const DIRECTIONS: [&str; 2] = ["read", "write"];
const NETWORK_DIRECTIONS: [&str; 2] = ["receive", "transmit"];

impl Host {
    pub(super) fn write_cpus(
        &self,
        page: &mut HostWriter<'_>,
        reading: &HostReading,
        counted: &CountedReading,
    ) {
        let Some(cpus) = &reading.cpus else { return };
        let timed = counted.cpus.iter().map(|cpu| cpu.owner);
        let utilized = counted.utilization.iter().map(|(number, _)| *number);
        let names: BTreeMap<u32, String> = timed
            .chain(utilized)
            .map(|number| (number, format!("cpu{number}")))
            .collect();
        let row = |number: u32, mode: usize, start, value: Option<f64>| {
            let (v1, v0) = CPU_MODES[mode];
            Row {
                v1: vec![
                    ("cpu.logical_number", AttributeValue::Int(number.into())),
                    ("cpu.mode", v1.into()),
                ],
                v0: vec![
                    ("cpu", names[&number].as_str().into()),
                    ("state", v0.into()),
                ],
                start,
                value: value.map(PointNumber::Double),
            }
        };
        let mut times = Vec::new();
        for cpu in &counted.cpus {
            for (mode, start) in cpu.starts.into_iter().enumerate() {
                let seconds = cpu.values.map(|values| self.scale.seconds(values[mode]));
                times.push(row(cpu.owner, mode, Some(start), seconds));
            }
        }
        let mut utilizations = Vec::new();
        for (number, parts) in &counted.utilization {
            for mode in 0..CPU_MODES.len() {
                let part = parts.map(|parts| parts[mode]);
                utilizations.push(row(*number, mode, None, part));
            }
        }
        page.write(
            &HostMetric {
                kind: Counter,
                v1: "system.cpu.time",
                v0: "system.cpu.time",
                unit: "s",
                description: "seconds that each processor spent in each mode",
            },
            &times,
        );
        page.write(
            &HostMetric {
                kind: Gauge,
                v1: "system.cpu.utilization",
                v0: "system.cpu.utilization",
                unit: "1",
                description: "part of the interval that each processor spent in each mode",
            },
            &utilizations,
        );
        let count = (!cpus.each.is_empty()).then(|| PointNumber::count(cpus.each.len() as u64));
        page.single(
            &HostMetric {
                kind: UpDownCounter,
                v1: "system.cpu.logical.count",
                v0: "system.cpu.logical.count",
                unit: "{cpu}",
                description: "processors as the scheduler sees them",
            },
            None,
            count,
        );
    }

    pub(super) fn write_process(
        &mut self,
        page: &mut HostWriter<'_>,
        reading: &HostReading,
        now: Now,
    ) {
        let Some(process) = &reading.process else {
            return;
        };
        if self.started.is_none()
            && let Some(uptime) = reading.uptime
        {
            let age = (uptime - self.scale.seconds(process.started)).max(0.0);
            self.started = before(now.wall, age);
        }
        let times: Vec<Row<'_>> = ["user", "system"]
            .into_iter()
            .zip(process.ticks)
            .map(|(mode, ticks)| Row {
                v1: vec![("cpu.mode", mode.into())],
                v0: vec![("state", mode.into())],
                start: self.started,
                value: Some(PointNumber::Double(self.scale.seconds(ticks))),
            })
            .collect();
        page.write(
            &HostMetric {
                kind: Counter,
                v1: "process.cpu.time",
                v0: "process.cpu.time",
                unit: "s",
                description: "processor time of the agent",
            },
            &times,
        );
        let up_down = |v1, v0, unit, description| HostMetric {
            kind: UpDownCounter,
            v1,
            v0,
            unit,
            description,
        };
        page.single(
            &up_down(
                "process.memory.usage",
                "process.memory.usage",
                "By",
                "memory that the agent occupies",
            ),
            None,
            Some(PointNumber::count(
                process.resident_pages.saturating_mul(self.scale.page),
            )),
        );
        page.single(
            &up_down(
                "process.memory.virtual",
                "process.memory.virtual",
                "By",
                "address space that the agent has claimed",
            ),
            None,
            Some(PointNumber::count(process.virtual_bytes)),
        );
        page.single(
            &up_down(
                "process.thread.count",
                "process.threads",
                "{thread}",
                "threads of the agent",
            ),
            None,
            Some(PointNumber::count(process.threads)),
        );
        page.single(
            &up_down(
                "process.unix.file_descriptor.count",
                "process.open_file_descriptors",
                "{file_descriptor}",
                "file descriptors that the agent holds",
            ),
            None,
            reading.descriptors.map(PointNumber::count),
        );
    }
}

pub(super) fn write_disks(page: &mut HostWriter<'_>, counted: &CountedReading) {
    /// Name, unit, description, index among a direction's counters, unit of the counter.
    const METRICS: [(&str, &str, &str, usize, CountUnit); 4] = [
        ("system.disk.io", "By", "bytes read and written", 2, SECTORS),
        (
            "system.disk.operations",
            "{operation}",
            "operations done",
            0,
            CountUnit::Units(1),
        ),
        (
            "system.disk.operation_time",
            "s",
            "time of all operations together",
            3,
            CountUnit::Millis,
        ),
        (
            "system.disk.merged",
            "{operation}",
            "operations merged into others",
            1,
            CountUnit::Units(1),
        ),
    ];
    for (name, unit, description, place, unit_of_counter) in METRICS {
        let mut rows = Vec::new();
        for CountedOwner {
            owner: disk,
            values,
            starts,
        } in &counted.disks
        {
            for (way, direction) in DIRECTIONS.into_iter().enumerate() {
                let place = place_of(way, place);
                rows.push(Row {
                    v1: vec![
                        ("system.device", disk.as_str().into()),
                        ("disk.io.direction", direction.into()),
                    ],
                    v0: vec![
                        ("device", disk.as_str().into()),
                        ("direction", direction.into()),
                    ],
                    start: Some(starts[place]),
                    value: values.map(|values| unit_of_counter.number(values[place])),
                });
            }
        }
        let metric = HostMetric {
            kind: Counter,
            v1: name,
            v0: name,
            unit,
            description,
        };
        page.write(&metric, &rows);
    }
    let busy: Vec<Row<'_>> = counted
        .disks
        .iter()
        .map(|disk| Row {
            v1: vec![("system.device", disk.owner.as_str().into())],
            v0: vec![("device", disk.owner.as_str().into())],
            start: Some(disk.starts[DISK_BUSY]),
            value: disk
                .values
                .map(|values| CountUnit::Millis.number(values[DISK_BUSY])),
        })
        .collect();
    page.write(
        &HostMetric {
            kind: Counter,
            v1: "system.disk.io_time",
            v0: "system.disk.io_time",
            unit: "s",
            description: "time in which the disk was busy",
        },
        &busy,
    );
}

pub(super) fn write_interfaces(page: &mut HostWriter<'_>, counted: &CountedReading) {
    /// The names in v1 and v0, unit, description, and the interface's attribute in v1.
    const METRICS: [(&str, &str, &str, &str, &str); 4] = [
        (
            "system.network.io",
            "system.network.io",
            "By",
            "bytes received and transmitted",
            "network.interface.name",
        ),
        (
            "system.network.packet.count",
            "system.network.packets",
            "{packet}",
            "packets received and transmitted",
            "system.device",
        ),
        (
            "system.network.errors",
            "system.network.errors",
            "{error}",
            "packets with errors",
            "network.interface.name",
        ),
        (
            "system.network.packet.dropped",
            "system.network.dropped",
            "{packet}",
            "packets dropped without being wrong",
            "network.interface.name",
        ),
    ];
    for (place, (v1, v0, unit, description, key)) in METRICS.into_iter().enumerate() {
        let mut rows = Vec::new();
        for CountedOwner {
            owner: interface,
            values,
            starts,
        } in &counted.interfaces
        {
            for (way, direction) in NETWORK_DIRECTIONS.into_iter().enumerate() {
                let place = place_of(way, place);
                rows.push(Row {
                    v1: vec![
                        (key, interface.as_str().into()),
                        ("network.io.direction", direction.into()),
                    ],
                    v0: vec![
                        ("device", interface.as_str().into()),
                        ("direction", direction.into()),
                    ],
                    start: Some(starts[place]),
                    value: values.map(|values| PointNumber::count(values[place])),
                });
            }
        }
        let metric = HostMetric {
            kind: Counter,
            v1,
            v0,
            unit,
            description,
        };
        page.write(&metric, &rows);
    }
}
