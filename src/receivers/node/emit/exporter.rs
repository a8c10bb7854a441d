//! The host under the names, labels and types of node_exporter.
//!
//! Everything that the files which are read tell has the name that node_exporter gives it. What
//! node_exporter reads elsewhere, such as `/sys` and `/proc/net/snmp`, isn't there.

use std::time::SystemTime;

use rustix::io::Errno;

use super::super::semconv::int;
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
                self.single(Counter, name, description, Some(*start), Some(int(*value)));
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
            self.single(Gauge, name, description, None, value.map(int));
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
            self.single(Gauge, &name, &description, None, Some(int(line.value)));
        }
    }

    fn write_filesystems(
        &mut self,
        reading: &HostReading,
        gone: &[Mount],
        failing: &FailingMounts,
    ) {
        /// Name, description, and which of a filesystem's numbers.
        const METRICS: [(&str, &str, usize); 7] = [
            ("node_filesystem_size_bytes", "Filesystem size in bytes.", 0),
            (
                "node_filesystem_free_bytes",
                "Filesystem free space in bytes.",
                1,
            ),
            (
                "node_filesystem_avail_bytes",
                "Filesystem space available to non-root users in bytes.",
                2,
            ),
            ("node_filesystem_files", "Filesystem total file nodes.", 3),
            (
                "node_filesystem_files_free",
                "Filesystem total free file nodes.",
                4,
            ),
            (
                "node_filesystem_readonly",
                "Filesystem read-only status.",
                5,
            ),
            (
                "node_filesystem_device_error",
                "Whether an error occurred while getting statistics for the given device.",
                6,
            ),
        ];
        /// The metrics that a filesystem has which doesn't answer.
        const OF_FAILING: [usize; 2] = [5, 6];

        let mut all: Vec<(&Mount, &str, [Option<u64>; 7])> = Vec::new();
        for filesystem in &reading.filesystems {
            let (mount, room) = (&filesystem.mount, &filesystem.room);
            let free = room.available.saturating_add(room.reserved);
            let numbers = [
                room.total,
                free,
                room.available,
                room.files,
                room.free_files,
                u64::from(mount.read_only),
                0,
            ];
            all.push((mount, "", numbers.map(Some)));
        }
        let ended = gone.iter().map(|mount| (mount, "", [None; 7]));
        all.extend(ended);
        for (metric, description, place) in METRICS {
            let failing = failing.iter().filter(|_| OF_FAILING.contains(&place));
            let failing: Vec<_> = failing.collect();
            if all.is_empty() && failing.is_empty() {
                continue;
            }
            self.begin(Gauge, metric, description);
            for (mount, error, numbers) in &all {
                self.filesystem(mount, error, numbers[place]);
            }
            for (mount, error, there) in failing {
                let number = match place {
                    5 => u64::from(mount.read_only),
                    _ => 1,
                };
                self.filesystem(mount, error, there.then_some(number));
            }
        }
    }

    fn filesystem(&mut self, mount: &Mount, error: &str, number: Option<u64>) {
        let attributes: [Attribute<'_>; 4] = [
            ("device", mount.device.as_str().into()),
            ("device_error", error.into()),
            ("fstype", mount.kind.as_str().into()),
            ("mountpoint", mount.mount_point.as_str().into()),
        ];
        self.point(&attributes, None, number.map(int));
    }

    fn write_disks(&mut self, reading: &HostReading, counted: &CountedReading) {
        const MAIN: [(&str, &str, Unit); 10] = [
            (
                "reads_completed_total",
                "The total number of reads completed successfully.",
                Unit::One,
            ),
            (
                "reads_merged_total",
                "The total number of reads merged.",
                Unit::One,
            ),
            (
                "read_bytes_total",
                "The total number of bytes read successfully.",
                Unit::Sector,
            ),
            (
                "read_time_seconds_total",
                "The total number of seconds spent by all reads.",
                Unit::Milli,
            ),
            (
                "writes_completed_total",
                "The total number of writes completed successfully.",
                Unit::One,
            ),
            (
                "writes_merged_total",
                "The number of writes merged.",
                Unit::One,
            ),
            (
                "written_bytes_total",
                "The total number of bytes written successfully.",
                Unit::Sector,
            ),
            (
                "write_time_seconds_total",
                "This is the total number of seconds spent by all writes.",
                Unit::Milli,
            ),
            (
                "io_time_seconds_total",
                "Total seconds spent doing I/Os.",
                Unit::Milli,
            ),
            (
                "io_time_weighted_seconds_total",
                "The weighted # of seconds spent doing I/Os.",
                Unit::Milli,
            ),
        ];
        const DISCARDS: [(&str, &str, Unit); 4] = [
            (
                "discards_completed_total",
                "The total number of discards completed successfully.",
                Unit::One,
            ),
            (
                "discards_merged_total",
                "The total number of discards merged.",
                Unit::One,
            ),
            (
                "discarded_sectors_total",
                "The total number of sectors discarded successfully.",
                Unit::One,
            ),
            (
                "discard_time_seconds_total",
                "This is the total number of seconds spent by all discards.",
                Unit::Milli,
            ),
        ];
        const FLUSHES: [(&str, &str, Unit); 2] = [
            (
                "flush_requests_total",
                "The total number of flush requests completed successfully",
                Unit::One,
            ),
            (
                "flush_requests_time_seconds_total",
                "This is the total number of seconds spent by all flush requests.",
                Unit::Milli,
            ),
        ];
        self.by_device("node_disk_", &counted.disks, &MAIN);
        self.by_device("node_disk_", &counted.discards, &DISCARDS);
        self.by_device("node_disk_", &counted.flushes, &FLUSHES);
        if !counted.disks.is_empty() {
            let description = "The number of I/Os currently in progress.";
            self.begin(Gauge, "node_disk_io_now", description);
            for disk in &counted.disks {
                let mut read = reading.disks.iter().flatten();
                let read = read.find(|read| read.name == disk.owner);
                let attributes = [("device", disk.owner.as_str().into())];
                self.point(&attributes, None, read.map(|read| int(read.in_progress)));
            }
        }
    }

    fn write_interfaces(&mut self, counted: &CountedReading) {
        const NAMES: [&str; 16] = [
            "receive_bytes",
            "receive_packets",
            "receive_errs",
            "receive_drop",
            "transmit_bytes",
            "transmit_packets",
            "transmit_errs",
            "transmit_drop",
            "receive_fifo",
            "receive_frame",
            "receive_compressed",
            "receive_multicast",
            "transmit_fifo",
            "transmit_colls",
            "transmit_carrier",
            "transmit_compressed",
        ];
        if counted.interfaces.is_empty() {
            return;
        }
        for (place, name) in NAMES.into_iter().enumerate() {
            let description = format!("Network device statistic {name}.");
            self.begin(Counter, &format!("node_network_{name}_total"), &description);
            for interface in &counted.interfaces {
                let attributes = [("device", interface.owner.as_str().into())];
                let value = interface.values.map(|values| int(values[place]));
                self.point(&attributes, Some(interface.starts[place]), value);
            }
        }
    }

    /// Writes a counter for each place of the counters of these owners.
    fn by_device<const N: usize>(
        &mut self,
        prefix: &str,
        owners: &[CountedOwner<String, N>],
        metrics: &[(&str, &str, Unit); N],
    ) {
        if owners.is_empty() {
            return;
        }
        for (place, (name, description, unit)) in metrics.iter().enumerate() {
            self.begin(Counter, &format!("{prefix}{name}"), description);
            for owner in owners {
                let attributes = [("device", owner.owner.as_str().into())];
                let value = owner.values.map(|values| unit.number(values[place]));
                self.point(&attributes, Some(owner.starts[place]), value);
            }
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

/// What a counter of a disk counts.
#[derive(Clone, Copy)]
enum Unit {
    One,
    /// Of 512 bytes.
    Sector,
    /// Of a second.
    Milli,
}

impl Unit {
    fn number(self, count: u64) -> PointNumber {
        match self {
            Self::One => int(count),
            Self::Sector => int(count.saturating_mul(512)),
            Self::Milli => PointNumber::Double(count as f64 / 1000.0),
        }
    }
}

/// The filesystems that don't answer, with the error: node_exporter shows that they have one.
#[derive(Debug, Default)]
pub(super) struct FailingMounts {
    shown: Vec<(Mount, String)>,
    /// Those that had series of an error before, and have none any more.
    ended: Vec<(Mount, String)>,
}

impl FailingMounts {
    /// Takes a reading. If the list of mounts couldn't be read, nothing changes.
    pub(super) fn take(&mut self, reading: &HostReading) {
        let Some(mounts) = &reading.mounts else {
            self.ended.clear();
            return;
        };
        let answered = |mount: &Mount| {
            let filesystems = &reading.filesystems;
            filesystems.iter().any(|other| other.mount == *mount) || reading.empty.contains(mount)
        };
        let failing = mounts.iter().filter(|mount| !answered(mount)).map(|mount| {
            let mut errors = reading.errors.iter();
            let error = errors.find(|(other, _)| other == mount);
            let words = error.map(|(_, error)| words_of_go(*error));
            let words = words.unwrap_or_else(|| "mountpoint timeout".to_owned());
            (mount.clone(), words)
        });
        let before = std::mem::replace(&mut self.shown, failing.collect());
        let ended = before
            .into_iter()
            .filter(|other| !self.shown.contains(other));
        self.ended = ended.collect();
    }

    /// Each with its error, and whether it still fails so.
    fn iter(&self) -> impl Iterator<Item = (&Mount, &str, bool)> {
        let shown = self
            .shown
            .iter()
            .map(|(mount, error)| (mount, error.as_str(), true));
        let ended = self
            .ended
            .iter()
            .map(|(mount, error)| (mount, error.as_str(), false));
        shown.chain(ended)
    }
}

/// An error in the words of Go, which node_exporter shows.
fn words_of_go(error: Errno) -> String {
    // They are the system's, but for the letter that they begin with.
    let words = error.to_string();
    let words = words.split(" (os error ").next().unwrap_or_default();
    let mut letters = words.chars();
    let first = letters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_the_words_of_go() {
        let f = |error: Errno, expected: &str| assert_eq!(words_of_go(error), expected);
        f(Errno::ACCESS, "permission denied");
        f(Errno::IO, "input/output error");
        f(Errno::NOENT, "no such file or directory");
        f(Errno::NOTCONN, "transport endpoint is not connected");
        f(Errno::STALE, "stale file handle");
        f(Errno::UCLEAN, "structure needs cleaning");
    }
}
