//! Metrics from the host's counters: processors, disks, interfaces, and the agent's process.

use super::super::semconv::{HostMetric, HostWriter, Row, int};
use super::{Host, before};
use crate::component::Now;
use crate::host::proc::{CPU_MODES, Cpus, passed, total};
use crate::host::{CountedOwner, CountedReading, HostReading};
use crate::pdata::writer::MetricKind::{Counter, Gauge, UpDownCounter};
use crate::pdata::writer::{AttributeValue, PointNumber};

const DIRECTIONS: [&str; 2] = ["read", "write"];
const NETWORK_DIRECTIONS: [&str; 2] = ["receive", "transmit"];

impl Host {
    pub(super) fn write_cpus(
        &mut self,
        page: &mut HostWriter<'_>,
        reading: &HostReading,
        counted: &CountedReading,
    ) {
        let Some(cpus) = &reading.cpus else { return };
        let last = self.previous.as_ref().filter(|_| !self.restarted);
        let last = last.and_then(|(_, last)| last.cpus.as_ref());
        let mut all = Vec::new();
        for CountedOwner {
            owner: number,
            values,
            starts,
        } in &counted.cpus
        {
            let counted = values.map(|values| {
                let now = ticks_of(cpus, *number);
                let passed = last.and_then(|last| passed(ticks_of(last, *number)?, now?));
                // If a counter fell, there is no interval to compute the utilization of.
                let ended = passed.is_none() && self.utilized.remove(number);
                if passed.is_some() {
                    self.utilized.insert(*number);
                }
                (values, passed, ended)
            });
            if counted.is_none() {
                self.utilized.remove(number);
            }
            all.push((*number, format!("cpu{number}"), *starts, counted));
        }
        let mut times = Vec::new();
        let mut utilizations = Vec::new();
        for (number, name, starts, counted) in &all {
            for (mode, (v1, v0)) in CPU_MODES.into_iter().enumerate() {
                let row = |start, value| Row {
                    v1: vec![
                        (
                            "cpu.logical_number",
                            AttributeValue::Int(i64::from(*number)),
                        ),
                        ("cpu.mode", v1.into()),
                    ],
                    v0: vec![("cpu", name.as_str().into()), ("state", v0.into())],
                    start,
                    value,
                };
                let seconds = counted.map(|(ticks, ..)| self.scale.seconds(ticks[mode]));
                times.push(row(Some(starts[mode]), seconds.map(PointNumber::Double)));
                match counted {
                    Some((_, Some(passed), _)) => {
                        let part = passed[mode] as f64 / total(passed) as f64;
                        utilizations.push(row(None, Some(PointNumber::Double(part))));
                    }
                    Some((_, None, false)) => {}
                    Some((_, None, true)) | None => utilizations.push(row(None, None)),
                }
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
        let count = (!cpus.each.is_empty()).then(|| int(cpus.each.len() as u64));
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
            Some(int(process.resident_pages.saturating_mul(self.scale.page))),
        );
        page.single(
            &up_down(
                "process.memory.virtual",
                "process.memory.virtual",
                "By",
                "address space that the agent has claimed",
            ),
            None,
            Some(int(process.virtual_bytes)),
        );
        page.single(
            &up_down(
                "process.thread.count",
                "process.threads",
                "{thread}",
                "threads of the agent",
            ),
            None,
            Some(int(process.threads)),
        );
        page.single(
            &up_down(
                "process.unix.file_descriptor.count",
                "process.open_file_descriptors",
                "{file_descriptor}",
                "file descriptors that the agent holds",
            ),
            None,
            reading.descriptors.map(int),
        );
    }
}

pub(super) fn write_disks(page: &mut HostWriter<'_>, counted: &CountedReading) {
    /// Name, unit, description, index among a direction's counters, unit of the counter.
    const METRICS: [(&str, &str, &str, usize, In); 4] = [
        (
            "system.disk.io",
            "By",
            "bytes read and written",
            2,
            In::Units(512),
        ),
        (
            "system.disk.operations",
            "{operation}",
            "operations done",
            0,
            In::Units(1),
        ),
        (
            "system.disk.operation_time",
            "s",
            "time of all operations together",
            3,
            In::Millis,
        ),
        (
            "system.disk.merged",
            "{operation}",
            "operations merged into others",
            1,
            In::Units(1),
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
                let place = 4 * way + place;
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
            start: Some(disk.starts[8]),
            value: disk.values.map(|values| In::Millis.number(values[8])),
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
                let place = 4 * way + place;
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
                    value: values.map(|values| int(values[place])),
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

fn ticks_of(cpus: &Cpus, number: u32) -> Option<&[u64; CPU_MODES.len()]> {
    let found = cpus.each.iter().find(|(other, _)| *other == number);
    found.map(|(_, ticks)| ticks)
}

/// The unit of a kernel's counter.
#[derive(Clone, Copy)]
enum In {
    /// This many of the metric's units.
    Units(u64),
    /// Thousandths of a second.
    Millis,
}

impl In {
    fn number(self, count: u64) -> PointNumber {
        match self {
            Self::Units(units) => int(count.saturating_mul(units)),
            Self::Millis => PointNumber::Double(count as f64 / 1000.0),
        }
    }
}
