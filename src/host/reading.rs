//! One reading of the host: the values of its files and filesystems at one moment.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::proc::{
    CpuInfo, Cpus, Disk, Interface, Memory, Mount, PagingCounters, ProcessIo, ProcessStat,
    ProcessStatus, SocketCounts, SwapArea,
};

/// What was read. A value is `None` if its file wasn't to be read, couldn't be, or doesn't exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HostReading {
    pub(crate) cpus: Option<Cpus>,
    pub(crate) cpu_info: Option<CpuInfo>,
    /// How many physical cores there are.
    pub(crate) cores: Option<u64>,
    pub(crate) memory: Option<Memory>,
    pub(crate) load: Option<[f64; 3]>,
    pub(crate) uptime: Option<f64>,
    pub(crate) disks: Option<Vec<Disk>>,
    pub(crate) interfaces: Option<Vec<Interface>>,
    pub(crate) connections: Option<SocketCounts>,
    /// Connections that the firewall tracks, and the most that it can.
    pub(crate) tracked: Option<u64>,
    pub(crate) most_tracked: Option<u64>,
    /// The mounted filesystems that the configuration selects.
    pub(crate) mounts: Option<Vec<Mount>>,
    /// Those of them that answered.
    pub(crate) filesystems: Vec<Filesystem>,
    /// Those that have no blocks, where such are left out.
    pub(crate) empty: Vec<Mount>,
    /// Those that answered with an error.
    pub(crate) errors: Vec<(Mount, Errno)>,
    pub(crate) swaps: Option<Vec<SwapArea>>,
    pub(crate) paging: Option<PagingCounters>,
    pub(crate) processes: ProcessList,
    /// The agent's own process.
    pub(crate) process: Option<ProcessStat>,
    /// The agent's open file descriptors.
    pub(crate) descriptors: Option<u64>,
}

impl HostReading {
    /// How many processors run: those that `/proc/cpuinfo` describes, or else those whose time is
    /// counted.
    pub(crate) fn logical_cpus(&self) -> Option<u64> {
        let described = self.cpu_info.as_ref().map(|info| info.logical);
        let counted = || Some(self.cpus.as_ref()?.each.len() as u64);
        let there = |count: &u64| *count > 0;
        described.filter(there).or_else(|| counted().filter(there))
    }

    /// Whether no value of the host is in it. Lists that could be read and are empty, and values
    /// of the agent's own process, don't count.
    pub(crate) fn is_empty(&self) -> bool {
        fn any<T>(list: Option<&Vec<T>>) -> bool {
            list.is_some_and(|list| !list.is_empty())
        }
        let there = [
            self.cpus.is_some(),
            self.cpu_info.is_some(),
            self.cores.is_some(),
            self.memory.is_some(),
            self.load.is_some(),
            self.uptime.is_some(),
            any(self.disks.as_ref()),
            any(self.interfaces.as_ref()),
            self.connections.is_some(),
            self.tracked.is_some(),
            self.most_tracked.is_some(),
            !self.filesystems.is_empty(),
            any(self.swaps.as_ref()),
            self.paging.is_some(),
            any(self.processes.pids.as_ref()),
        ];
        !there.contains(&true)
    }
}

/// A mounted filesystem and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filesystem {
    pub(crate) mount: Mount,
    pub(crate) room: FilesystemSize,
}

/// The size of a filesystem in bytes and files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FilesystemSize {
    pub(crate) total: u64,
    /// Free for every user.
    pub(crate) available: u64,
    /// Free for the superuser only.
    pub(crate) reserved: u64,
    /// How many files there can be.
    pub(crate) files: u64,
    pub(crate) free_files: u64,
}

impl FilesystemSize {
    pub(crate) fn used(&self) -> u64 {
        self.total
            .saturating_sub(self.available)
            .saturating_sub(self.reserved)
    }
}

/// The processes of the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ProcessList {
    /// The numbers of all that are listed, in ascending order; `None` if they weren't.
    pub(crate) pids: Option<Vec<u32>>,
    /// How many of them, from the first on, were to have details.
    pub(crate) detailed: usize,
    /// How many could be read, by the letters of their states.
    pub(crate) states: BTreeMap<char, u64>,
    /// Those of them that are selected, with their details, by their numbers.
    pub(crate) each: Vec<ProcessReading>,
    /// The numbers of those that were read and aren't selected, in ascending order.
    pub(crate) unselected: Vec<u32>,
    /// The names of users by their numbers.
    pub(crate) users: BTreeMap<u32, String>,
}

impl ProcessList {
    /// Whether a process that has no details here has some all the same: it is still there, and
    /// couldn't be read for once.
    pub(crate) fn is_unread(&self, pid: u32) -> bool {
        let pids = self.pids.as_deref().unwrap_or_default();
        pids.binary_search(&pid)
            .is_ok_and(|place| place < self.detailed)
            && self.unselected.binary_search(&pid).is_err()
    }
}

/// One process. What wasn't to be read, or couldn't be, is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ProcessReading {
    pub(crate) pid: u32,
    /// The kernel's name of it, or the whole name of the program if the kernel cut it off.
    pub(crate) name: String,
    pub(crate) stat: ProcessStat,
    pub(crate) status: ProcessStatus,
    /// The path of the program.
    pub(crate) executable: Option<String>,
    /// The first word of the command line.
    pub(crate) command: String,
    /// The words of the command line, with blanks between them.
    pub(crate) command_line: String,
    pub(crate) cgroup: Option<String>,
    /// Pages of address space, and of memory in use.
    pub(crate) memory_pages: Option<[u64; 2]>,
    pub(crate) io: Option<ProcessIo>,
    pub(crate) descriptors: Option<u64>,
    /// Context switches that its threads asked for, and that they didn't.
    pub(crate) switches: Option<[u64; 2]>,
}

impl ProcessReading {
    /// Takes the contents of `/proc/PID/cmdline`.
    pub(super) fn set_command(&mut self, line: &[u8]) {
        /// The kernel cuts names off here.
        const KEPT: usize = 15;

        let end = line.iter().rposition(|byte| *byte != 0);
        let line = &line[..end.map_or(0, |end| end + 1)];
        let line = String::from_utf8_lossy(line);
        self.command = line.split('\0').next().unwrap_or_default().to_owned();
        self.command_line = line.replace('\0', " ");
        if self.name.len() >= KEPT {
            let program = self.command.trim_end_matches('/');
            let program = program.rsplit('/').next().unwrap_or_default();
            if program.starts_with(&self.name) {
                self.name = program.to_owned();
            }
        }
    }
}
