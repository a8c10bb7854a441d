//! Reads the host's files and filesystems.
//!
//! A read may block for ever, so each is a [`HostRead`], which a thread of [`super::threads`] does.
//! What a reading means is up to the receivers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::failure::{UnreadPart, UnreadReason};
use super::proc::{self, Cpus, Memory, Mount, Process, ReadError, Root, SocketCounts};
use super::reading::{Filesystem, FilesystemSize, HostReading};
use super::threads::{BlockingRead, ReadKind};

/// The most disks, interfaces and filesystems that are read, each. More are left out, and the
/// part fails with the reason `limit`.
pub(crate) const MAX_PARTS: usize = 512;

/// What is read of the host, and where its files are.
#[derive(Clone)]
pub(crate) struct HostReader {
    root: Root,
    selection: HostSelection,
    ask_room: Arc<QueryFilesystem>,
}

/// Which filesystems, disks and interfaces are read.
#[derive(Clone)]
pub(crate) struct HostSelection {
    pub(crate) filesystems: Arc<dyn Fn(&Mount) -> bool + Send + Sync>,
    /// By the disk's name.
    pub(crate) disks: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// By the interface's name.
    pub(crate) networks: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// Queries the size of the filesystem at a path; `None` if it has no blocks.
pub(crate) type QueryFilesystem =
    dyn Fn(&Path) -> Result<Option<FilesystemSize>, Errno> + Send + Sync;

/// How many parts of a reading fail on their own, not counting filesystems.
pub(crate) const PARTS: usize = 9;

/// One read of a file or filesystem, which may never end.
pub(crate) type HostRead = BlockingRead<ReadingUpdate>;

/// Puts what was read into the reading.
pub(crate) type ReadingUpdate = Box<dyn FnOnce(&mut ReadingBuilder) + Send>;

/// A reading that is being put together.
#[derive(Debug, Default)]
pub(crate) struct ReadingBuilder {
    pub(crate) reading: HostReading,
    pub(crate) failures: Vec<UnreadPart>,
    /// How many filesystems are queried for their size.
    pub(crate) queried: usize,
    /// The filesystems that the agent has no permission to query.
    pub(crate) denied: Vec<Mount>,
    connections: SocketCounts,
    connections_known: bool,
}

impl ReadingBuilder {
    /// Records that a part failed; only the first failure of a part counts.
    pub(crate) fn fail(&mut self, failure: UnreadPart) {
        if self.failures.iter().all(|other| other.part != failure.part) {
            self.failures.push(failure);
        }
    }

    /// The reading, and the parts that failed.
    pub(crate) fn finish(mut self) -> (HostReading, Vec<UnreadPart>) {
        // If one of the socket files failed, the sum over them is unknown.
        let failed = self
            .failures
            .iter()
            .any(|failure| failure.part == CONNECTIONS);
        if self.connections_known && !failed {
            self.reading.connections = Some(self.connections);
        }
        if let Some(mounts) = &self.reading.mounts {
            let places: HashMap<&Mount, usize> = mounts.iter().zip(0..).collect();
            let place = |filesystem: &Filesystem| places.get(&filesystem.mount).copied();
            self.reading.filesystems.sort_by_key(place);
        }
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
            ask_room: Arc::new(room),
        }
    }

    /// The same reader with another function to query filesystems.
    #[cfg(test)]
    pub(crate) fn asking(self, ask_room: Arc<QueryFilesystem>) -> Self {
        Self { ask_room, ..self }
    }

    /// Reads the counters that differences are made from.
    pub(crate) fn counters(&self) -> Vec<HostRead> {
        let Self {
            root, selection, ..
        } = self;
        let cpus = text_file(root, "stat", "cpu", Root::read, Cpus::parse, |to, cpus| {
            to.reading.cpus = Some(cpus);
        });
        let is_selected = Arc::clone(&selection.disks);
        let parse = move |text: &str| {
            let mut disks = proc::disks(text);
            disks.retain(|disk| is_selected(&disk.name));
            Some(disks)
        };
        let disks = text_file(
            root,
            "diskstats",
            "disks",
            Root::read,
            parse,
            |to, disks| {
                to.reading.disks = Some(limited("disks", disks, to));
            },
        );
        let is_selected = Arc::clone(&selection.networks);
        let parse = move |text: &str| {
            let mut interfaces = proc::interfaces(text);
            interfaces.retain(|interface| is_selected(&interface.name));
            Some(interfaces)
        };
        let read = Root::read_namespaced;
        let networks = text_file(
            root,
            "net/dev",
            "networks",
            read,
            parse,
            |to, interfaces| {
                to.reading.interfaces = Some(limited("networks", interfaces, to));
            },
        );
        vec![cpus, disks, networks]
    }

    /// Reads everything; the filesystems that the list of mounts names are read after it.
    pub(crate) fn all(&self) -> Vec<HostRead> {
        let root = &self.root;
        let own = Root::new("/");
        let mut reads = self.counters();
        let is_selected = Arc::clone(&self.selection.filesystems);
        // First, since the filesystems are queried after it.
        let asking = self.clone();
        reads.insert(
            0,
            file(
                root,
                "mounts",
                "filesystems",
                Root::read_namespaced,
                move |bytes| {
                    let mut mounts = proc::mounts(&bytes);
                    mounts.retain(|mount| is_selected(mount));
                    Some(mounts)
                },
                move |mounts| {
                    let admitted = mounts.iter().take(MAX_PARTS).cloned();
                    admitted.map(|mount| asking.room(mount)).collect()
                },
                |to, mounts| {
                    let mounts = limited("filesystems", mounts, to);
                    to.queried = mounts.len();
                    to.reading.mounts = Some(mounts);
                },
            ),
        );
        reads.push(text_file(
            root,
            "meminfo",
            "memory",
            Root::read,
            Memory::parse,
            |to, memory| {
                to.reading.memory = Some(memory);
            },
        ));
        reads.push(text_file(
            root,
            "loadavg",
            "load",
            Root::read,
            proc::load,
            |to, load| {
                to.reading.load = Some(load);
            },
        ));
        reads.push(text_file(
            root,
            "uptime",
            "uptime",
            Root::read,
            proc::uptime,
            |to, uptime| {
                to.reading.uptime = Some(uptime);
            },
        ));
        for name in ["net/tcp", "net/tcp6", "net/udp", "net/udp6"] {
            let parse = move |text: &str| {
                let mut connections = SocketCounts::default();
                if name.starts_with("net/tcp") {
                    connections.add_tcp(text);
                } else {
                    connections.add_udp(text);
                }
                Some(connections)
            };
            reads.push(text_file(
                root,
                name,
                CONNECTIONS,
                Root::read_namespaced,
                parse,
                |to, connections| {
                    to.connections_known = true;
                    to.connections.add(&connections);
                },
            ));
        }
        // Always the agent's own process, also if `root_path` is elsewhere.
        let parse = Process::parse;
        reads.push(text_file(
            &own,
            "self/stat",
            "process",
            Root::read,
            parse,
            |to, process| {
                to.reading.process = Some(process);
            },
        ));
        reads.push(HostRead {
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
        });
        reads
    }

    /// Queries the size of a filesystem. It is absent if its path doesn't exist here, it has no
    /// blocks, or permission is denied; the last is recorded in [`ReadingBuilder::denied`].
    pub(crate) fn room(&self, mount: Mount) -> HostRead {
        let path = self.root.host_path(&mount.path);
        let ask_room = Arc::clone(&self.ask_room);
        let part = format!("filesystem {}", mount.mount_point);
        HostRead {
            kind: match mount.may_hang() {
                true => ReadKind::Network,
                false => ReadKind::Disk,
            },
            what: format!("filesystem {}", mount.path.escape_ascii()),
            part: part.clone(),
            read: Box::new(move || {
                let answer = ask_room(&path);
                let update = move |to: &mut ReadingBuilder| match answer {
                    Ok(Some(room)) => to.reading.filesystems.push(Filesystem { mount, room }),
                    Ok(None) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                    Err(Errno::ACCESS | Errno::PERM) => to.denied.push(mount),
                    Err(error) => to.fail(UnreadPart::new(
                        part,
                        UnreadReason::Refused,
                        error.to_string(),
                    )),
                };
                (Box::new(update), Vec::new())
            }),
        }
    }
}

/// Reads and parses a file, and then what `further` returns. A file that doesn't exist is no
/// failure, since containers lack some: its values are absent.
fn file<T: Send + 'static>(
    root: &Root,
    name: &'static str,
    part: &'static str,
    read: fn(&Root, &str) -> Result<Vec<u8>, ReadError>,
    parse: impl FnOnce(Vec<u8>) -> Option<T> + Send + 'static,
    further: impl FnOnce(&T) -> Vec<HostRead> + Send + 'static,
    put: impl FnOnce(&mut ReadingBuilder, T) + Send + 'static,
) -> HostRead {
    let root = root.clone();
    let work = move || -> (ReadingUpdate, Vec<HostRead>) {
        let (reason, message) = match read(&root, name) {
            Ok(bytes) => match parse(bytes) {
                Some(value) => {
                    let further = further(&value);
                    let update = |to: &mut ReadingBuilder| put(to, value);
                    return (Box::new(update), further);
                }
                None => (UnreadReason::Parse, "not in the kernel's form".to_owned()),
            },
            Err(ReadError::Absent) => return (Box::new(|_| {}), Vec::new()),
            Err(error @ ReadError::TooLarge) => (UnreadReason::Limit, error.to_string()),
            Err(error @ (ReadError::Io(_) | ReadError::Hidden)) => {
                (UnreadReason::Refused, error.to_string())
            }
        };
        let failure = UnreadPart::new(part, reason, message);
        let update = |to: &mut ReadingBuilder| to.fail(failure);
        (Box::new(update), Vec::new())
    };
    HostRead {
        kind: ReadKind::File,
        what: name.to_owned(),
        part: part.to_owned(),
        read: Box::new(work),
    }
}

/// Reads and parses a text file. Bytes that aren't UTF-8 become U+FFFD.
fn text_file<T: Send + 'static>(
    root: &Root,
    name: &'static str,
    part: &'static str,
    read: fn(&Root, &str) -> Result<Vec<u8>, ReadError>,
    parse: impl FnOnce(&str) -> Option<T> + Send + 'static,
    put: impl FnOnce(&mut ReadingBuilder, T) + Send + 'static,
) -> HostRead {
    let parse = |bytes: Vec<u8>| parse(&String::from_utf8_lossy(&bytes));
    file(root, name, part, read, parse, |_| Vec::new(), put)
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

fn room(path: &Path) -> Result<Option<FilesystemSize>, Errno> {
    let stat = rustix::fs::statvfs(path)?;
    let block = if stat.f_frsize > 0 {
        stat.f_frsize
    } else {
        stat.f_bsize
    };
    let bytes = |blocks: u64| blocks.saturating_mul(block);
    let room = FilesystemSize {
        total: bytes(stat.f_blocks),
        available: bytes(stat.f_bavail.min(stat.f_bfree)),
        reserved: bytes(stat.f_bfree.saturating_sub(stat.f_bavail)),
    };
    Ok((room.total > 0).then_some(room))
}
