//! One reading of the host: everything that its files and filesystems say at a moment.
//!
//! Reading blocks, so it runs where it may; the interpretation is in [`super::emit`].

use std::collections::HashSet;

use super::config::{Config, Filter};
use super::proc::{
    self, Connections, Cpus, Disk, Interface, Memory, Mount, Process, ReadError, Root,
};
use crate::receivers::scrape::{Failure, Reason};

/// Disks, interfaces and filesystems that are read, each; more are left out and counted
/// as a failure with the reason `limit`.
pub(super) const MAX_PARTS: usize = 512;

/// What was read. What can't be read is none, and what isn't there none or empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) cpus: Option<Cpus>,
    pub(super) memory: Option<Memory>,
    pub(super) load: Option<[f64; 3]>,
    pub(super) uptime: Option<f64>,
    pub(super) disks: Option<Vec<Disk>>,
    pub(super) interfaces: Option<Vec<Interface>>,
    pub(super) connections: Option<Connections>,
    /// The filesystems that are mounted and counted.
    pub(super) mounts: Option<Vec<Mount>>,
    /// Those of them that answered.
    pub(super) filesystems: Vec<Filesystem>,
    pub(super) process: Option<Process>,
    /// File descriptors that the agent holds.
    pub(super) descriptors: Option<u64>,
}

impl Reading {
    /// Whether nothing was found in it. Lists that could be read and are empty say nothing
    /// about the host.
    pub(super) fn is_empty(&self) -> bool {
        let mut rest = self.clone();
        rest.disks = rest.disks.filter(|disks| !disks.is_empty());
        rest.interfaces = rest.interfaces.filter(|interfaces| !interfaces.is_empty());
        rest.mounts = None;
        rest == Self::default()
    }
}

/// A mounted filesystem and its room in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filesystem {
    pub(super) mount: Mount,
    pub(super) room: Room,
}

/// The room of a filesystem in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) total: u64,
    /// Free for everybody.
    pub(super) available: u64,
    /// Free for the superuser alone.
    pub(super) reserved: u64,
}

impl Room {
    pub(super) fn used(&self) -> u64 {
        self.total
            .saturating_sub(self.available)
            .saturating_sub(self.reserved)
    }
}

/// What is read, and from where.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) root: Root,
    pub(super) filesystems: Filter,
    pub(super) disks: Filter,
    pub(super) networks: Filter,
}

/// What a reading asks for: the parts that may fail on their own.
pub(super) const PARTS: usize = 9;

impl Reader {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            root: Root::new(&config.root_path),
            filesystems: config.filesystems.clone(),
            disks: config.disks.clone(),
            networks: config.networks.clone(),
        }
    }

    /// Reads only the counters that differences are made from.
    pub(super) fn counters(&self) -> Reading {
        let mut failures = Failures::default();
        let mut reading = Reading::default();
        self.read_counters(&mut reading, &mut failures);
        reading
    }

    /// Reads everything but filesystems that may hang: those come back as mounts that are
    /// still to be asked with [`Reader::room`].
    pub(super) fn all(&self) -> (Reading, Vec<Mount>, Vec<Failure>) {
        let mut failures = Failures::default();
        let mut reading = Reading::default();
        self.read_counters(&mut reading, &mut failures);
        let root = &self.root;
        reading.memory = failures.parse("memory", root.read("meminfo"), Memory::parse);
        reading.load = failures.parse("load", root.read("loadavg"), proc::load);
        reading.uptime = failures.parse("uptime", root.read("uptime"), proc::uptime);
        reading.connections = self.connections(&mut failures);
        let mounts = failures.parse("filesystems", self.mounts_file(), |text| {
            Some(proc::mounts(text))
        });
        reading.mounts = mounts.map(|mounts| self.choose(mounts, &mut failures));
        let mut to_ask = Vec::new();
        for mount in reading.mounts.clone().unwrap_or_default() {
            if mount.may_hang() {
                to_ask.push(mount);
            } else if let Some(filesystem) = self.room(mount) {
                reading.filesystems.push(filesystem);
            }
        }
        if reading.is_empty() && to_ask.is_empty() {
            failures.0.push(Failure::new(
                "proc",
                Reason::Refused,
                "nothing of the host can be read",
            ));
            return (reading, to_ask, failures.0);
        }
        // Always its own, also where the host's files are elsewhere.
        let own = Root::new("/");
        reading.process = failures.parse("process", own.read("self/stat"), Process::parse);
        // The directory that is being read is one of them.
        reading.descriptors = std::fs::read_dir("/proc/self/fd")
            .ok()
            .map(|entries| (entries.count() as u64).saturating_sub(1));
        (reading, to_ask, failures.0)
    }

    fn read_counters(&self, reading: &mut Reading, failures: &mut Failures) {
        reading.cpus = failures.parse("cpu", self.root.read("stat"), Cpus::parse);
        let disks = failures.parse("disks", self.root.read("diskstats"), |text| {
            Some(proc::disks(text))
        });
        reading.disks = disks.map(|mut disks| {
            disks.retain(|disk| self.disks.admits(&disk.name, is_whole_disk(&disk.name)));
            failures.limit("disks", &mut disks);
            disks
        });
        let interfaces = failures.parse("networks", self.root.read_namespaced("net/dev"), |text| {
            Some(proc::interfaces(text))
        });
        reading.interfaces = interfaces.map(|mut interfaces| {
            interfaces.retain(|interface| {
                self.networks
                    .admits(&interface.name, interface.name != "lo")
            });
            failures.limit("networks", &mut interfaces);
            interfaces
        });
    }

    fn connections(&self, failures: &mut Failures) -> Option<Connections> {
        let mut connections = Connections::default();
        let mut known = false;
        for file in ["net/tcp", "net/tcp6", "net/udp", "net/udp6"] {
            let text = self.root.read_namespaced(file);
            known |= failures
                .parse("connections", text, |text| {
                    if file.starts_with("net/tcp") {
                        connections.add_tcp(text);
                    } else {
                        connections.add_udp(text);
                    }
                    Some(())
                })
                .is_some();
        }
        known.then_some(connections)
    }

    fn mounts_file(&self) -> Result<String, ReadError> {
        self.root.read_namespaced("mounts")
    }

    fn choose(&self, mut mounts: Vec<Mount>, failures: &mut Failures) -> Vec<Mount> {
        mounts.retain(|mount| {
            let by_default = !mount.is_virtual() && !mount.may_hang();
            self.filesystems.admits(&mount.mount_point, by_default)
        });
        failures.limit("filesystems", &mut mounts);
        mounts
    }

    /// Asks a filesystem for its room; none where it is not for us to ask, or has none.
    pub(super) fn room(&self, mount: Mount) -> Option<Filesystem> {
        let stat = rustix::fs::statvfs(self.root.host_path(&mount.mount_point)).ok()?;
        let block = if stat.f_frsize > 0 {
            stat.f_frsize
        } else {
            stat.f_bsize
        };
        let bytes = |blocks: u64| blocks.saturating_mul(block);
        let room = Room {
            total: bytes(stat.f_blocks),
            available: bytes(stat.f_bavail.min(stat.f_bfree)),
            reserved: bytes(stat.f_bfree.saturating_sub(stat.f_bavail)),
        };
        (room.total > 0).then_some(Filesystem { mount, room })
    }
}

/// Each device once, at its first mount: bind mounts show the same room again.
pub(super) fn each_device_once(filesystems: &[Filesystem]) -> impl Iterator<Item = &Filesystem> {
    let mut seen = HashSet::new();
    filesystems.iter().filter(move |filesystem| {
        let mount = &filesystem.mount;
        // Only a path names a device; `overlay` and its like name a kind.
        let key = if mount.device.starts_with('/') {
            &mount.device
        } else {
            &mount.mount_point
        };
        seen.insert(key.as_str())
    })
}

/// Whether a disk's counters are its own and not those of a partition, which its disk
/// counts too, nor of a file or memory that stands in for a disk.
fn is_whole_disk(name: &str) -> bool {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if letters == name {
        return true;
    }
    let numbered_partition = letters
        .strip_suffix('p')
        .is_some_and(|disk| disk.ends_with(|c: char| c.is_ascii_digit()));
    let lettered_partition = ["sd", "hd", "vd", "xvd"].iter().any(|prefix| {
        letters
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase()))
    });
    !numbered_partition
        && !lettered_partition
        && !matches!(letters, "loop" | "ram" | "zram" | "fd" | "sr")
}

/// Collects what failed. What simply isn't there is no failure: a container has no
/// counters of disks, and is well all the same.
#[derive(Debug, Default)]
struct Failures(Vec<Failure>);

impl Failures {
    fn parse<T>(
        &mut self,
        part: &'static str,
        text: Result<String, ReadError>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (reason, message) = match text {
            Ok(text) => match parse(&text) {
                Some(value) => return Some(value),
                None => (Reason::Parse, "not in the kernel's form".to_owned()),
            },
            Err(ReadError::Absent) => return None,
            Err(error @ ReadError::TooLarge) => (Reason::Limit, error.to_string()),
            Err(error @ ReadError::Io(_)) => (Reason::Refused, error.to_string()),
        };
        self.0.push(Failure::new(part, reason, message));
        None
    }

    fn limit<T>(&mut self, part: &'static str, items: &mut Vec<T>) {
        if items.len() > MAX_PARTS {
            let message = format!("{} found, {MAX_PARTS} read", items.len());
            self.0.push(Failure::new(part, Reason::Limit, message));
            items.truncate(MAX_PARTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_stand_ins_are_no_whole_disks() {
        let f = |names: &[&str], expected: bool| {
            for name in names {
                assert_eq!(is_whole_disk(name), expected, "{name}");
            }
        };
        f(
            &[
                "sda", "vda", "xvda", "nvme0n1", "mmcblk0", "md0", "dm-3", "sdaa",
            ],
            true,
        );
        f(
            &["sda1", "vda15", "xvda2", "nvme0n1p1", "mmcblk0p2", "sdaa1"],
            false,
        );
        f(&["loop0", "ram1", "zram0", "sr0", "fd0"], false);
    }
}
