//! Reads the host's files and filesystems.
//!
//! A read may block for ever, so each is a [`HostRead`], which a thread of [`super::threads`] does.
//! What a reading means is up to the receivers.

mod files;
mod filesystems;
mod processes;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use self::files::text_file;
pub(crate) use self::processes::{
    PROCESS_CGROUPS, PROCESS_EXECUTABLES, PROCESS_IO, PROCESS_NAMES, ProcessParts,
};
use super::failure::{UnreadPart, UnreadReason};
use super::proc::{
    self, CpuInfo, Cpus, Memory, Mount, MountInfo, PagingCounters, ProcessStat, Root, SocketCounts,
};
use super::reading::{Filesystem, FilesystemSize, HostReading};
use super::threads::{BlockingRead, ReadKind};

/// The most disks, interfaces and filesystems that are read, each. More are left out, and the
/// part fails with the reason `limit`.
pub(super) const MAX_PARTS: usize = 512;

/// The most processors whose siblings are looked for.
const MAX_CPUS: usize = 8192;

/// What is read of the host, and where its files are.
#[derive(Clone)]
pub(crate) struct HostReader {
    root: Root,
    selection: HostSelection,
    ask_room: Arc<QueryFilesystem>,
}

/// What is read. The functions say which mounts, disks, interfaces and processes, the last three
/// by name.
#[derive(Clone)]
pub(crate) struct HostSelection {
    pub(crate) parts: HostParts,
    pub(crate) filesystems: Arc<dyn Fn(&MountInfo) -> bool + Send + Sync>,
    pub(crate) disks: Arc<NameSelection>,
    pub(crate) networks: Arc<NameSelection>,
    pub(crate) processes: Arc<NameSelection>,
}

/// Whether the part of this name is read.
pub(crate) type NameSelection = dyn Fn(&str) -> bool + Send + Sync;

/// The parts of the host that are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HostParts {
    pub(crate) cpus: bool,
    pub(crate) cpu_info: bool,
    /// How many physical cores there are.
    pub(crate) cores: bool,
    pub(crate) memory: bool,
    pub(crate) load: bool,
    pub(crate) uptime: bool,
    pub(crate) disks: bool,
    /// Also the disks that have never done anything.
    pub(crate) unused_disks: bool,
    pub(crate) networks: bool,
    /// The sockets of TCP.
    pub(crate) connections: bool,
    /// The sockets of UDP beside them.
    pub(crate) datagrams: bool,
    /// The firewall's table of connections.
    pub(crate) tracked: bool,
    pub(crate) filesystems: Option<MountFile>,
    /// Also the filesystems that have no blocks.
    pub(crate) empty_filesystems: bool,
    pub(crate) swaps: bool,
    pub(crate) paging: bool,
    pub(crate) processes: Option<ProcessParts>,
    /// The agent's own process.
    pub(crate) own_process: bool,
}

/// The file that lists what is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountFile {
    /// `/proc/mounts`.
    Mounts,
    /// `/proc/self/mountinfo`, which tells what is mounted a second time.
    MountInfo,
}

impl HostParts {
    /// How many parts fail on their own, not counting filesystems and processes.
    fn count(&self) -> usize {
        let parts = [
            self.cpus,
            self.cpu_info,
            self.cores,
            self.memory,
            self.load,
            self.uptime,
            self.disks,
            self.networks,
            self.connections,
            self.tracked,
            self.filesystems.is_some(),
            self.swaps,
            self.paging,
            self.processes.is_some(),
            self.own_process,
        ];
        parts.into_iter().filter(|part| *part).count()
    }
}

/// Queries the size of the filesystem at a path.
pub(super) type QueryFilesystem = dyn Fn(&Path) -> Result<FilesystemSize, Errno> + Send + Sync;

/// One read of a file or filesystem, which may never end.
pub(super) type HostRead = BlockingRead<ReadingUpdate>;

/// Puts what was read into the reading.
pub(super) type ReadingUpdate = Box<dyn FnOnce(&mut ReadingBuilder) + Send>;

/// A reading that is being put together.
#[derive(Debug, Default)]
pub(super) struct ReadingBuilder {
    pub(super) reading: HostReading,
    pub(super) failures: Vec<UnreadPart>,
    /// The names of the parts that failed.
    failed: BTreeSet<String>,
    /// How many filesystems are queried for their size.
    pub(super) queried: usize,
    /// The filesystems that the agent has no permission to query.
    pub(super) denied: Vec<Mount>,
    /// What the files of sockets that could be read say together.
    connections: Option<SocketCounts>,
}

impl ReadingBuilder {
    /// Records that a part failed; only the first failure of a part counts.
    pub(super) fn fail(&mut self, failure: UnreadPart) {
        if self.failed.insert(failure.part.clone()) {
            self.failures.push(failure);
        }
    }

    /// The reading, and the parts that failed.
    pub(super) fn finish(mut self) -> (HostReading, Vec<UnreadPart>) {
        // If one of the socket files failed, the sum over them is unknown.
        let known = !self.failed.contains(CONNECTIONS);
        self.reading.connections = self.connections.filter(|_| known);
        if let Some(mounts) = &self.reading.mounts {
            let places: HashMap<&Mount, usize> = mounts.iter().zip(0..).collect();
            let place = |filesystem: &Filesystem| places.get(&filesystem.mount).copied();
            self.reading.filesystems.sort_by_key(place);
        }
        self.reading.processes.sort();
        if self.reading.is_empty() && self.failures.is_empty() {
            let message = "nothing of the host can be read";
            self.failures
                .push(UnreadPart::new("proc", UnreadReason::Refused, message));
        }
        (self.reading, self.failures)
    }
}

const CONNECTIONS: &str = "connections";

impl HostReader {
    /// Reads the host whose files are below `root`.
    pub(crate) fn new(root: &Path, selection: HostSelection) -> Self {
        Self {
            root: Root::new(root),
            selection,
            ask_room: Arc::new(filesystems::room),
        }
    }

    /// The same reader with another function to query filesystems.
    #[cfg(test)]
    pub(crate) fn asking(self, ask_room: Arc<QueryFilesystem>) -> Self {
        Self { ask_room, ..self }
    }

    /// How many parts there are, not counting filesystems and processes.
    pub(super) fn parts(&self) -> usize {
        self.selection.parts.count()
    }

    /// Reads the counters that differences are made from.
    pub(super) fn counters(&self) -> Vec<HostRead> {
        let Self {
            root, selection, ..
        } = self;
        let mut reads = Vec::new();
        if selection.parts.cpus {
            let parse = Cpus::parse;
            reads.push(text_file(
                root,
                "stat",
                "cpu",
                Root::read,
                parse,
                |to, cpus| {
                    to.reading.cpus = Some(cpus);
                },
            ));
        }
        if selection.parts.disks {
            let is_selected = Arc::clone(&selection.disks);
            let with_unused = selection.parts.unused_disks;
            let parse = move |text: &str| {
                let mut disks = proc::disks(text);
                disks.retain(|disk| is_selected(&disk.name) && (with_unused || !disk.is_unused()));
                Some(disks)
            };
            let put = |to: &mut ReadingBuilder, disks| {
                to.reading.disks = Some(limited("disks", disks, to));
            };
            reads.push(text_file(
                root,
                "diskstats",
                "disks",
                Root::read,
                parse,
                put,
            ));
        }
        if selection.parts.networks {
            let is_selected = Arc::clone(&selection.networks);
            let parse = move |text: &str| {
                let mut interfaces = proc::interfaces(text);
                interfaces.retain(|interface| is_selected(&interface.name));
                Some(interfaces)
            };
            let put = |to: &mut ReadingBuilder, interfaces| {
                to.reading.interfaces = Some(limited("networks", interfaces, to));
            };
            let read = Root::read_namespaced;
            reads.push(text_file(root, "net/dev", "networks", read, parse, put));
        }
        reads
    }

    /// Reads everything; the filesystems that the list of mounts names are read after it, and so
    /// are the processes that are listed.
    pub(super) fn all(&self) -> Vec<HostRead> {
        let parts = &self.selection.parts;
        let mut reads = Vec::new();
        // First, since the filesystems are queried after it.
        reads.extend(parts.filesystems.map(|list| self.filesystems(list)));
        reads.extend(self.counters());
        self.levels(&mut reads);
        self.connections(&mut reads);
        if parts.cores {
            reads.push(self.cores());
        }
        if let Some(parts) = parts.processes {
            reads.extend(self.processes(parts));
        }
        if parts.own_process {
            reads.extend(own_process());
        }
        reads
    }

    /// Reads the files of momentary values, and those of paging.
    fn levels(&self, reads: &mut Vec<HostRead>) {
        let Self {
            root, selection, ..
        } = self;
        let parts = &selection.parts;
        if parts.memory {
            let parse = Memory::parse;
            reads.push(text_file(
                root,
                "meminfo",
                "memory",
                Root::read,
                parse,
                |to, memory| {
                    to.reading.memory = Some(memory);
                },
            ));
        }
        if parts.load {
            let parse = proc::load;
            reads.push(text_file(
                root,
                "loadavg",
                "load",
                Root::read,
                parse,
                |to, load| {
                    to.reading.load = Some(load);
                },
            ));
        }
        if parts.uptime {
            let parse = proc::uptime;
            reads.push(text_file(
                root,
                "uptime",
                "uptime",
                Root::read,
                parse,
                |to, uptime| {
                    to.reading.uptime = Some(uptime);
                },
            ));
        }
        if parts.cpu_info {
            let parse = |text: &str| Some(CpuInfo::parse(text));
            reads.push(text_file(
                root,
                "cpuinfo",
                "cpu info",
                Root::read,
                parse,
                |to, info| {
                    to.reading.cpu_info = Some(info);
                },
            ));
        }
        if parts.swaps {
            let parse = proc::swaps;
            reads.push(text_file(
                root,
                "swaps",
                "swap",
                Root::read,
                parse,
                |to, swaps| {
                    to.reading.swaps = Some(swaps);
                },
            ));
        }
        if parts.paging {
            let parse = PagingCounters::parse;
            reads.push(text_file(
                root,
                "vmstat",
                "paging",
                Root::read,
                parse,
                |to, paging| {
                    to.reading.paging = Some(paging);
                },
            ));
        }
    }

    fn connections(&self, reads: &mut Vec<HostRead>) {
        let root = &self.root;
        let parts = &self.selection.parts;
        let tcp = ["net/tcp", "net/tcp6"]
            .into_iter()
            .filter(|_| parts.connections);
        let udp = ["net/udp", "net/udp6"]
            .into_iter()
            .filter(|_| parts.datagrams);
        for name in tcp.chain(udp) {
            let parse = move |text: &str| {
                let mut connections = SocketCounts::default();
                if name.starts_with("net/tcp") {
                    connections.add_tcp(text);
                } else {
                    connections.add_udp(text);
                }
                Some(connections)
            };
            let put = |to: &mut ReadingBuilder, connections: SocketCounts| {
                to.connections.get_or_insert_default().add(&connections);
            };
            let read = Root::read_namespaced;
            reads.push(text_file(root, name, CONNECTIONS, read, parse, put));
        }
        if parts.tracked {
            let number = |text: &str| text.trim().parse().ok();
            let count = "sys/net/netfilter/nf_conntrack_count";
            reads.push(text_file(
                root,
                count,
                "conntrack",
                Root::read,
                number,
                |to, count| {
                    to.reading.tracked = Some(count);
                },
            ));
            let most = "sys/net/netfilter/nf_conntrack_max";
            reads.push(text_file(
                root,
                most,
                "conntrack",
                Root::read,
                number,
                |to, most| {
                    to.reading.most_tracked = Some(most);
                },
            ));
        }
    }

    /// Counts the physical cores: the sets of processors that share one.
    fn cores(&self) -> HostRead {
        let folder = self.root.host_path(b"/sys/devices/system/cpu");
        HostRead {
            kind: ReadKind::File,
            what: "cores".to_owned(),
            part: "cores".to_owned(),
            read: Box::new(move || {
                let siblings = |name: &str| {
                    let cpus = std::fs::read_dir(&folder).into_iter().flatten();
                    let lists = cpus.take(MAX_CPUS).filter_map(|cpu| {
                        let cpu = cpu.ok()?;
                        let number = cpu
                            .file_name()
                            .to_str()?
                            .strip_prefix("cpu")?
                            .parse::<u32>();
                        number.ok()?;
                        std::fs::read_to_string(cpu.path().join("topology").join(name)).ok()
                    });
                    lists.collect::<BTreeSet<String>>().len() as u64
                };
                let cores = Some(siblings("core_cpus_list")).filter(|cores| *cores > 0);
                let cores = cores.or_else(|| Some(siblings("thread_siblings_list")));
                let cores = cores.filter(|cores| *cores > 0);
                let update = move |to: &mut ReadingBuilder| to.reading.cores = cores;
                (Box::new(update), Vec::new())
            }),
        }
    }
}

/// Reads the agent's own process, also if the root is elsewhere.
fn own_process() -> [HostRead; 2] {
    let own = Root::new("/");
    let parse = ProcessStat::parse;
    let stat = text_file(
        &own,
        "self/stat",
        "process",
        Root::read,
        parse,
        |to, process| {
            to.reading.process = Some(process);
        },
    );
    let descriptors = HostRead {
        kind: ReadKind::File,
        what: "self/fd".to_owned(),
        part: "process".to_owned(),
        read: Box::new(|| {
            let entries = std::fs::read_dir("/proc/self/fd").ok();
            // One of the entries is the descriptor of the directory that is being read.
            let count = entries.map(|entries| (entries.count() as u64).saturating_sub(1));
            let update = move |to: &mut ReadingBuilder| to.reading.descriptors = count;
            (Box::new(update), Vec::new())
        }),
    };
    [stat, descriptors]
}

/// The first [`MAX_PARTS`] items; if there are more, the part fails.
fn limited<T>(part: &'static str, mut items: Vec<T>, to: &mut ReadingBuilder) -> Vec<T> {
    if items.len() > MAX_PARTS {
        let message = format!("{} found, {MAX_PARTS} read", items.len());
        to.fail(UnreadPart::new(part, UnreadReason::Limit, message));
        items.truncate(MAX_PARTS);
    }
    items
}
