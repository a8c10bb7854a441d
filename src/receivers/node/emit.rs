//! What a reading means: metrics in the semantic conventions, and the summary.
//!
//! Pure: readings and times come in, metrics go out.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::epochs::Epochs;
pub(super) use super::page::Semconv;
use super::page::{Metric, Page, Row, int};
use super::proc::{CPU_MODES, Cpus, Interface, TCP_STATES, busy, passed, total};
use super::reading::{Reading, each_device_once};
use super::summary::{Summary, percent};
use crate::component::Now;
use crate::pdata::writer::MetricKind::{Counter, Gauge, UpDownCounter};
use crate::pdata::writer::{AttributeValue, MetricsWriter, Number};

/// What the kernel counts in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Ticks in a second.
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

/// The host as its readings show it over time.
#[derive(Debug)]
pub(super) struct Host {
    semconv: Semconv,
    scale: Scale,
    /// The counters of the last reading, and when that was.
    previous: Option<(Now, Reading)>,
    /// When the host and the agent started, by the first reading: the host's own idea of
    /// it moves with its clock.
    booted: Option<SystemTime>,
    started: Option<SystemTime>,
    cpus: Epochs<{ CPU_MODES.len() }>,
    disks: Epochs<9>,
    interfaces: Epochs<8>,
    /// Whether metrics were written before.
    written: bool,
}

const DIRECTIONS: [&str; 2] = ["read", "write"];
const NETWORK_DIRECTIONS: [&str; 2] = ["receive", "transmit"];

impl Host {
    pub(super) fn new(semconv: Semconv, scale: Scale) -> Self {
        Self {
            semconv,
            scale,
            previous: None,
            booted: None,
            started: None,
            cpus: Epochs::new(),
            disks: Epochs::new(),
            interfaces: Epochs::new(),
            written: false,
        }
    }

    /// Takes the counters from which the first differences are made.
    pub(super) fn baseline(&mut self, reading: Reading, now: Now) {
        self.previous = Some((now, reading));
    }

    /// Writes a reading's metrics in the semantic conventions, and returns the summary.
    pub(super) fn write(&mut self, reading: Reading, now: Now, out: &mut MetricsWriter) -> Summary {
        let booted = *self.booted.get_or_insert_with(|| boot_time(&reading, now));
        let since = match &self.previous {
            Some((before, _)) if self.written => before.wall,
            _ => booted,
        };
        let mut page = Page {
            out,
            time: now.wall,
            semconv: self.semconv,
        };
        self.write_cpus(&mut page, &reading, since);
        write_memory(&mut page, &reading);
        self.write_disks(&mut page, &reading, since);
        write_filesystems(&mut page, &reading);
        self.write_interfaces(&mut page, &reading, since);
        write_connections(&mut page, &reading);
        write_load(&mut page, &reading);
        self.write_process(&mut page, &reading, now);

        let summary = self.summary(&reading, now.monotonic);
        self.cpus.forget_the_gone();
        self.disks.forget_the_gone();
        self.interfaces.forget_the_gone();
        self.written = true;
        self.previous = Some((now, reading));
        summary
    }

    fn summary(&self, reading: &Reading, now: Instant) -> Summary {
        let previous = self.previous.as_ref();
        let cpu = previous.and_then(|(_, before)| {
            let before = before.cpus.as_ref()?.total.as_ref()?;
            let after = reading.cpus.as_ref()?.total.as_ref()?;
            Some(100.0 * busy(&passed(before, after)?))
        });
        let memory = reading
            .memory
            .as_ref()
            .and_then(|memory| percent(memory.used()? as f64, memory.total? as f64));
        let (mut used, mut room) = (0.0, 0.0);
        for filesystem in each_device_once(&reading.filesystems) {
            // As `df` has it: what is reserved for the superuser is nobody's room.
            used += filesystem.room.used() as f64;
            room += (filesystem.room.used() + filesystem.room.available) as f64;
        }
        let network = previous.and_then(|(before, last)| {
            let seconds = now.duration_since(before.monotonic).as_secs_f64();
            let bytes = received_and_transmitted(&last.interfaces, &reading.interfaces)?;
            (seconds > 0.0).then(|| bytes.map(|bytes| bytes as f64 / seconds))
        });
        Summary {
            cpu,
            memory,
            disk: percent(used, room),
            network,
            uptime: reading.uptime,
            nodes: None,
        }
    }

    fn write_cpus(&mut self, page: &mut Page<'_>, reading: &Reading, since: SystemTime) {
        let Some(cpus) = &reading.cpus else { return };
        let names: Vec<String> = cpus.each.iter().map(|(n, _)| format!("cpu{n}")).collect();
        let mut times = Vec::new();
        let mut utilizations = Vec::new();
        let last = self
            .previous
            .as_ref()
            .and_then(|(_, last)| last.cpus.as_ref());
        for ((number, ticks), name) in cpus.each.iter().zip(&names) {
            let starts = self.cpus.starts(name, *ticks, since);
            let passed = last.and_then(|last| passed(ticks_of(last, *number)?, ticks));
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
                    value: Number::Double(value),
                };
                times.push(row(Some(starts[mode]), self.scale.seconds(ticks[mode])));
                if let Some(passed) = passed {
                    let part = passed[mode] as f64 / total(&passed) as f64;
                    utilizations.push(row(None, part));
                }
            }
        }
        page.write(
            &Metric {
                kind: Counter,
                v1: "system.cpu.time",
                v0: "system.cpu.time",
                unit: "s",
                description: "seconds that each processor spent in each mode",
            },
            &times,
        );
        page.write(
            &Metric {
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
            &Metric {
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

    fn write_disks(&mut self, page: &mut Page<'_>, reading: &Reading, since: SystemTime) {
        /// Name, unit, description, place among a direction's counters, units of it.
        const METRICS: [(&str, &str, &str, usize, f64); 4] = [
            ("system.disk.io", "By", "bytes read and written", 2, 512.0),
            (
                "system.disk.operations",
                "{operation}",
                "operations done",
                0,
                1.0,
            ),
            (
                "system.disk.operation_time",
                "s",
                "time of all operations together",
                3,
                0.001,
            ),
            (
                "system.disk.merged",
                "{operation}",
                "operations merged into others",
                1,
                1.0,
            ),
        ];
        let mut starts = Vec::new();
        for disk in &reading.disks {
            let [read, write] = disk.directions;
            let mut all = [0; 9];
            all[..4].copy_from_slice(&read);
            all[4..8].copy_from_slice(&write);
            all[8] = disk.busy_ms;
            starts.push(self.disks.starts(&disk.name, all, since));
        }
        for (name, unit, description, place, scale) in METRICS {
            let mut rows = Vec::new();
            for (disk, starts) in reading.disks.iter().zip(&starts) {
                for (way, direction) in DIRECTIONS.into_iter().enumerate() {
                    let count = disk.directions[way][place];
                    rows.push(Row {
                        v1: vec![
                            ("system.device", disk.name.as_str().into()),
                            ("disk.io.direction", direction.into()),
                        ],
                        v0: vec![
                            ("device", disk.name.as_str().into()),
                            ("direction", direction.into()),
                        ],
                        start: Some(starts[4 * way + place]),
                        value: scaled(count, scale),
                    });
                }
            }
            let metric = Metric {
                kind: Counter,
                v1: name,
                v0: name,
                unit,
                description,
            };
            page.write(&metric, &rows);
        }
        let busy: Vec<Row<'_>> = reading
            .disks
            .iter()
            .zip(&starts)
            .map(|(disk, starts)| Row {
                v1: vec![("system.device", disk.name.as_str().into())],
                v0: vec![("device", disk.name.as_str().into())],
                start: Some(starts[8]),
                value: Number::Double(disk.busy_ms as f64 / 1000.0),
            })
            .collect();
        page.write(
            &Metric {
                kind: Counter,
                v1: "system.disk.io_time",
                v0: "system.disk.io_time",
                unit: "s",
                description: "time in which the disk was busy",
            },
            &busy,
        );
    }

    fn write_interfaces(&mut self, page: &mut Page<'_>, reading: &Reading, since: SystemTime) {
        /// The two names, unit, description, the interface's attribute in v1.
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
        let mut starts = Vec::new();
        for interface in &reading.interfaces {
            let [received, transmitted] = interface.directions;
            let mut all = [0; 8];
            all[..4].copy_from_slice(&received);
            all[4..].copy_from_slice(&transmitted);
            starts.push(self.interfaces.starts(&interface.name, all, since));
        }
        for (place, (v1, v0, unit, description, key)) in METRICS.into_iter().enumerate() {
            let mut rows = Vec::new();
            for (interface, starts) in reading.interfaces.iter().zip(&starts) {
                for (way, direction) in NETWORK_DIRECTIONS.into_iter().enumerate() {
                    rows.push(Row {
                        v1: vec![
                            (key, interface.name.as_str().into()),
                            ("network.io.direction", direction.into()),
                        ],
                        v0: vec![
                            ("device", interface.name.as_str().into()),
                            ("direction", direction.into()),
                        ],
                        start: Some(starts[4 * way + place]),
                        value: int(interface.directions[way][place]),
                    });
                }
            }
            let metric = Metric {
                kind: Counter,
                v1,
                v0,
                unit,
                description,
            };
            page.write(&metric, &rows);
        }
    }

    fn write_process(&mut self, page: &mut Page<'_>, reading: &Reading, now: Now) {
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
                value: Number::Double(self.scale.seconds(ticks)),
            })
            .collect();
        page.write(
            &Metric {
                kind: Counter,
                v1: "process.cpu.time",
                v0: "process.cpu.time",
                unit: "s",
                description: "processor time of the agent",
            },
            &times,
        );
        let up_down = |v1, v0, unit, description| Metric {
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

fn write_memory(page: &mut Page<'_>, reading: &Reading) {
    let Some(memory) = &reading.memory else {
        return;
    };
    // The state in v1 and in v0; an empty name where the version has none.
    let states = [
        ("used", "used", memory.used()),
        ("free", "free", memory.free),
        ("buffers", "buffered", memory.buffers),
        ("cached", "cached", memory.cached),
    ];
    let row = |v1: &'static str, v0: &'static str, value| Row {
        v1: vec![("system.memory.state", v1.into())],
        v0: vec![("state", v0.into())],
        start: None,
        value,
    };
    let mut usage = Vec::new();
    let mut utilization = Vec::new();
    for (v1, v0, bytes) in states {
        let Some(bytes) = bytes else { continue };
        usage.push(row(v1, v0, int(bytes)));
        if let Some(total) = memory.total.filter(|total| *total > 0) {
            let part = bytes as f64 / total as f64;
            utilization.push(row(v1, v0, Number::Double(part)));
        }
    }
    page.write(
        &Metric {
            kind: UpDownCounter,
            v1: "system.memory.usage",
            v0: "system.memory.usage",
            unit: "By",
            description: "memory in each state; used is what isn't available to new programs",
        },
        &usage,
    );
    page.write(
        &Metric {
            kind: Gauge,
            v1: "system.memory.utilization",
            v0: "system.memory.utilization",
            unit: "1",
            description: "part of the memory in each state",
        },
        &utilization,
    );
    page.single(
        &Metric {
            kind: UpDownCounter,
            v1: "system.memory.limit",
            v0: "system.memory.limit",
            unit: "By",
            description: "memory of the host",
        },
        None,
        memory.total.map(int),
    );
    page.single(
        &Metric {
            kind: UpDownCounter,
            v1: "system.memory.linux.available",
            v0: "system.linux.memory.available",
            unit: "By",
            description: "memory that new programs can have without swapping",
        },
        None,
        memory.available.map(int),
    );
    let slab: Vec<Row<'_>> = [
        ("reclaimable", memory.slab_reclaimable),
        ("unreclaimable", memory.slab_unreclaimable),
    ]
    .into_iter()
    .filter_map(|(state, bytes)| {
        Some(Row {
            v1: vec![("system.memory.linux.slab.state", state.into())],
            v0: vec![("state", state.into())],
            start: None,
            value: int(bytes?),
        })
    })
    .collect();
    page.write(
        &Metric {
            kind: UpDownCounter,
            v1: "system.memory.linux.slab.usage",
            v0: "",
            unit: "By",
            description: "memory of the kernel's own caches",
        },
        &slab,
    );
}

fn write_filesystems(page: &mut Page<'_>, reading: &Reading) {
    let mut usage = Vec::new();
    let mut utilization = Vec::new();
    for filesystem in &reading.filesystems {
        let (mount, room) = (&filesystem.mount, filesystem.room);
        let mode = if mount.read_only { "ro" } else { "rw" };
        let states = [
            ("used", room.used()),
            ("free", room.available),
            ("reserved", room.reserved),
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
            usage.push(row(int(bytes)));
            utilization.push(row(Number::Double(bytes as f64 / room.total as f64)));
        }
    }
    page.write(
        &Metric {
            kind: UpDownCounter,
            v1: "system.filesystem.usage",
            v0: "system.filesystem.usage",
            unit: "By",
            description: "room of each filesystem in each state",
        },
        &usage,
    );
    page.write(
        &Metric {
            kind: Gauge,
            v1: "system.filesystem.utilization",
            v0: "system.filesystem.utilization",
            unit: "1",
            description: "part of each filesystem's room in each state",
        },
        &utilization,
    );
}

fn write_connections(page: &mut Page<'_>, reading: &Reading) {
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
            value: int(count),
        })
        .collect();
    rows.push(Row {
        v1: vec![("network.transport", "udp".into())],
        v0: vec![("protocol", "udp".into())],
        start: None,
        value: int(connections.udp),
    });
    page.write(
        &Metric {
            kind: UpDownCounter,
            v1: "system.network.connection.count",
            v0: "system.network.connections",
            unit: "{connection}",
            description: "sockets by transport and state",
        },
        &rows,
    );
}

fn write_load(page: &mut Page<'_>, reading: &Reading) {
    const NAMES: [&str; 3] = [
        "system.cpu.load_average.1m",
        "system.cpu.load_average.5m",
        "system.cpu.load_average.15m",
    ];
    for (name, load) in NAMES.into_iter().zip(reading.load.into_iter().flatten()) {
        page.single(
            &Metric {
                kind: Gauge,
                v1: name,
                v0: name,
                unit: "{thread}",
                description: "threads that run or wait to run or for a disk, on average",
            },
            None,
            Some(Number::Double(load)),
        );
    }
    page.single(
        &Metric {
            kind: Gauge,
            v1: "system.uptime",
            v0: "system.uptime",
            unit: "s",
            description: "time since the host started",
        },
        None,
        reading.uptime.map(Number::Double),
    );
}

fn ticks_of(cpus: &Cpus, number: u32) -> Option<&[u64; CPU_MODES.len()]> {
    let found = cpus.each.iter().find(|(other, _)| *other == number);
    found.map(|(_, ticks)| ticks)
}

/// Bytes since the last reading, over the interfaces that both have. What went backwards
/// has counted from zero since.
fn received_and_transmitted(before: &[Interface], after: &[Interface]) -> Option<[u64; 2]> {
    let mut sums = [0_u64; 2];
    let mut any = false;
    for interface in after {
        let Some(last) = before.iter().find(|last| last.name == interface.name) else {
            continue;
        };
        any = true;
        for (way, sum) in sums.iter_mut().enumerate() {
            let now = interface.directions[way][0];
            let more = now.checked_sub(last.directions[way][0]).unwrap_or(now);
            *sum = sum.saturating_add(more);
        }
    }
    any.then_some(sums)
}

fn boot_time(reading: &Reading, now: Now) -> SystemTime {
    let stated = reading.cpus.as_ref().and_then(|cpus| cpus.boot);
    stated
        .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .filter(|booted| *booted <= now.wall)
        .or_else(|| before(now.wall, reading.uptime?))
        .unwrap_or(now.wall)
}

fn before(time: SystemTime, seconds: f64) -> Option<SystemTime> {
    time.checked_sub(Duration::try_from_secs_f64(seconds).ok()?)
}

/// A whole number stays one.
fn scaled(count: u64, scale: f64) -> Number {
    if scale >= 1.0 {
        int(count.saturating_mul(scale as u64))
    } else {
        Number::Double(count as f64 * scale)
    }
}
