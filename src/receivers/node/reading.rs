//! One reading of the host: the values of its files and filesystems at one moment.

use super::proc::{Cpus, Disk, Interface, Memory, Mount, Process, SocketCounts};

/// What was read. A value is `None` if its file couldn't be read or doesn't exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct HostReading {
    pub(super) cpus: Option<Cpus>,
    pub(super) memory: Option<Memory>,
    pub(super) load: Option<[f64; 3]>,
    pub(super) uptime: Option<f64>,
    pub(super) disks: Option<Vec<Disk>>,
    pub(super) interfaces: Option<Vec<Interface>>,
    pub(super) connections: Option<SocketCounts>,
    /// The mounted filesystems that the configuration selects.
    pub(super) mounts: Option<Vec<Mount>>,
    /// Those of them that answered.
    pub(super) filesystems: Vec<Filesystem>,
    pub(super) process: Option<Process>,
    /// The agent's open file descriptors.
    pub(super) descriptors: Option<u64>,
}

impl HostReading {
    /// Whether no value of the host is in it. Lists that could be read and are empty, and values
    /// of the agent's own process, don't count.
    pub(super) fn is_empty(&self) -> bool {
        let mut rest = self.clone();
        rest.disks = rest.disks.filter(|disks| !disks.is_empty());
        rest.interfaces = rest.interfaces.filter(|interfaces| !interfaces.is_empty());
        rest.mounts = None;
        (rest.process, rest.descriptors) = (None, None);
        rest == Self::default()
    }
}

/// A mounted filesystem and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filesystem {
    pub(super) mount: Mount,
    pub(super) room: FilesystemSize,
}

/// The size of a filesystem in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FilesystemSize {
    pub(super) total: u64,
    /// Free for every user.
    pub(super) available: u64,
    /// Free for the superuser only.
    pub(super) reserved: u64,
}

impl FilesystemSize {
    pub(super) fn used(&self) -> u64 {
        self.total
            .saturating_sub(self.available)
            .saturating_sub(self.reserved)
    }
}
