//! The host under the names, labels and types of node_exporter.
//!
//! Everything that the files which are read tell has the name that node_exporter gives it. What
//! node_exporter reads elsewhere, such as `/sys` and `/proc/net/snmp`, isn't there.

mod devices;
mod filesystems;

use std::time::SystemTime;

pub(super) use self::filesystems::FailingMounts;
use super::Scale;
use crate::host::proc::{CPU_MODES, Mount};
use crate::host::{CountedOwner, CountedReading, HostReading, KernelCounter};
use crate::pdata::writer::MetricKind::{self, Counter, Gauge};
use crate::pdata::writer::{
    Attribute, MetricDescriptor, MetricsWriter, NumberPointData, PointNumber,
};

/// Its words for the modes of a processor, in the order of [`CPU_MODES`].
const MODES: [&str; CPU_MODES.len()] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];

/// Writes the metrics of one reading.
pub(super) struct ExporterPage<'w> {
    pub(super) out: &'w mut MetricsWriter,
    pub(super) time: SystemTime,
    pub(super) scale: Scale,
}

impl ExporterPage<'_> {
    /// Writes everything; the series of the filesystems in `gone` end.
    pub(super) fn write(
        &mut self,
        reading: &HostReading,
        counted: &CountedReading,
        gone: &[Mount],
        failing: &FailingMounts,
    ) {
        self.write_cpus(counted);
        self.write_kernel(reading, counted);
        self.write_memory(reading);
        self.write_filesystems(reading, gone, failing);
        self.write_disks(reading, counted);
        self.write_interfaces(counted);
        for (name, load, description) in [
            ("node_load1", 0, "1m load average."),
            ("node_load5", 1, "5m load average."),
            ("node_load15", 2, "15m load average."),
        ] {
            let load = reading.load.map(|loads| PointNumber::Double(loads[load]));
            self.single(Gauge, name, description, None, load);
        }
        let now = self.time.duration_since(SystemTime::UNIX_EPOCH);
        let now = now
            .ok()
            .map(|since| PointNumber::Double(since.as_secs_f64()));
        let description = "System time in seconds since epoch (1970).";
        self.single(Gauge, "node_time_seconds", description, None, now);
        self.write_uname();
    }

    fn write_cpus(&mut self, counted: &CountedReading) {
        if counted.cpus.is_empty() {
            return;
        }
        let description = "Seconds the CPUs spent in each mode.";
        self.begin(Counter, "node_cpu_seconds_total", description);
        self.ticks(&counted.cpus, &MODES);
        if !counted.guests.is_empty() {
            let description = "Seconds the CPUs spent in guests (VMs) for each mode.";
            self.begin(Counter, "node_cpu_guest_seconds_total", description);
            self.ticks(&counted.guests, &["user", "nice"]);
        }
    }

    fn ticks<const N: usize>(&mut self, cpus: &[CountedOwner<u32, N>], modes: &[&str; N]) {
        for cpu in cpus {
            let number = cpu.owner.to_string();
            for (place, mode) in modes.iter().enumerate() {
                let attributes: [Attribute<'_>; 2] =
                    [("cpu", number.as_str().into()), ("mode", (*mode).into())];
                let seconds = cpu.values.map(|values| self.scale.seconds(values[place]));
                let start = Some(cpu.starts[place]);
                self.point(&attributes, start, seconds.map(PointNumber::Double));
            }
        }
    }

    fn write_kernel(&mut self, reading: &HostReading, counted: &CountedReading) {
        for (counter, name, description) in [
            (
                KernelCounter::Interrupts,
                "node_intr_total",
                "Total number of interrupts serviced.",
            ),
            (
                KernelCounter::ContextSwitches,
                "node_context_switches_total",
                "Total number of context switches.",
            ),
            (
                KernelCounter::Forks,
                "node_forks_total",
                "Total number of forks.",
            ),
        ] {
            if let Some((value, start)) = counted.kernel.get(&counter) {
                self.single(
                    Counter,
                    name,
                    description,
                    Some(*start),
                    Some(PointNumber::count(*value)),
                );
            }
        }
        let cpus = reading.cpus.as_ref();
        for (name, value, description) in [
            (
                "node_boot_time_seconds",
                cpus.and_then(|cpus| cpus.boot),
                "Node boot time, in unixtime.",
            ),
            (
                "node_procs_running",
                cpus.and_then(|cpus| cpus.running),
                "Number of processes in runnable state.",
            ),
            (
                "node_procs_blocked",
                cpus.and_then(|cpus| cpus.blocked),
                "Number of processes blocked waiting for I/O to complete.",
            ),
        ] {
            self.single(
                Gauge,
                name,
                description,
                None,
                value.map(PointNumber::count),
            );
        }
    }

    fn write_memory(&mut self, reading: &HostReading) {
        for line in reading.memory.iter().flat_map(|memory| &memory.lines) {
            // `Active(anon)` is `Active_anon`.
            let field = line.key.trim_end_matches(')').replace('(', "_");
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !field.chars().all(is_word) {
                continue;
            }
            let field = if line.is_bytes {
                field + "_bytes"
            } else {
                field
            };
            let description = format!("Memory information field {field}.");
            let name = format!("node_memory_{field}");
            self.single(
                Gauge,
                &name,
                &description,
                None,
                Some(PointNumber::count(line.value)),
            );
        }
    }

    fn write_uname(&mut self) {
        let names = rustix::system::uname();
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        let labels = [
            ("sysname", text(names.sysname())),
            ("release", text(names.release())),
            ("version", text(names.version())),
            ("machine", text(names.machine())),
            ("nodename", text(names.nodename())),
            #[cfg(target_os = "linux")]
            ("domainname", text(names.domainname())),
        ];
        let attributes: Vec<Attribute<'_>> = labels
            .iter()
            .map(|(key, value)| (*key, value.as_str().into()))
            .collect();
        let description = "Labeled system information as provided by the uname system call.";
        self.begin(Gauge, "node_uname_info", description);
        self.point(&attributes, None, Some(PointNumber::Int(1)));
    }

    /// A metric with one series that has no attributes, if it has a value.
    fn single(
        &mut self,
        kind: MetricKind,
        name: &str,
        description: &str,
        start: Option<SystemTime>,
        value: Option<PointNumber>,
    ) {
        if value.is_some() {
            self.begin(kind, name, description);
            self.point(&[], start, value);
        }
    }

    /// Begins a metric. It has no unit, because the prometheus exporter would append it to the
    /// name, which says it already.
    fn begin(&mut self, kind: MetricKind, name: &str, description: &str) {
        let descriptor = MetricDescriptor {
            name,
            unit: "",
            description,
        };
        self.out.metric(kind, descriptor);
    }

    fn point(
        &mut self,
        attributes: &[Attribute<'_>],
        start: Option<SystemTime>,
        value: Option<PointNumber>,
    ) {
        self.out.number(NumberPointData {
            attributes,
            start,
            time: self.time,
            value,
        });
    }
}
