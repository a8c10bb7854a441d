//! One reading of the host: the values of its files and filesystems at one moment.

use super::proc::{Cpus, Disk, Interface, Memory, Mount, Process, SocketCounts};

/// What was read. A value is `None` if its file couldn't be read or doesn't exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HostReading {
    pub(crate) cpus: Option<Cpus>,
    pub(crate) memory: Option<Memory>,
    pub(crate) load: Option<[f64; 3]>,
    pub(crate) uptime: Option<f64>,
    pub(crate) disks: Option<Vec<Disk>>,
    pub(crate) interfaces: Option<Vec<Interface>>,
    pub(crate) connections: Option<SocketCounts>,
    /// The mounted filesystems that the configuration selects.
    pub(crate) mounts: Option<Vec<Mount>>,
    /// Those of them that answered.
    pub(crate) filesystems: Vec<Filesystem>,
    pub(crate) process: Option<Process>,
    /// The agent's open file descriptors.
    pub(crate) descriptors: Option<u64>,
}

impl HostReading {
    /// Whether no value of the host is in it. Lists that could be read and are empty, and values
    /// of the agent's own process, don't count.
    pub(crate) fn is_empty(&self) -> bool {
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
pub(crate) struct Filesystem {
    pub(crate) mount: Mount,
    pub(crate) room: FilesystemSize,
}

/// The size of a filesystem in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilesystemSize {
    pub(crate) total: u64,
    /// Free for every user.
    pub(crate) available: u64,
    /// Free for the superuser only.
    pub(crate) reserved: u64,
}

impl FilesystemSize {
    pub(crate) fn used(&self) -> u64 {
        self.total
            .saturating_sub(self.available)
            .saturating_sub(self.reserved)
    }
}
