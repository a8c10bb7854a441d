//! Reads the processes of the host.
//!
//! Each process is one read, since any of its files may hang: the command line of a process whose
//! memory is locked does.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::{HostRead, HostReader, ReadingBuilder, ReadingUpdate};
use crate::host::failure::{UnreadPart, UnreadReason};
use crate::host::proc::{ProcessIo, ProcessStat, ProcessStatus, memory_pages, users};
use crate::host::reading::{ProcessList, ProcessReading};
use crate::host::threads::ReadKind;

/// How many processes are read, and which files of each beside `stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProcessParts {
    /// The most processes that are counted by their states.
    pub(crate) most_counted: usize,
    /// The most processes that have details: a name, a command line and what is read of the files
    /// below, if they are selected.
    pub(crate) most_detailed: usize,
    /// The most bytes of a command line; the rest of a longer one is left out, and the part fails
    /// with the reason `limit`.
    pub(crate) most_of_command: usize,
    pub(crate) executables: bool,
    pub(crate) status: bool,
    /// The names of users too, from `/etc/passwd`.
    pub(crate) users: bool,
    pub(crate) memory: bool,
    pub(crate) io: bool,
    pub(crate) cgroups: bool,
    pub(crate) descriptors: bool,
    /// The context switches of all threads.
    pub(crate) switches: bool,
}

/// The parts that fail when something of a process can't be read.
pub(crate) const PROCESS_NAMES: &str = "process names";
pub(crate) const PROCESS_EXECUTABLES: &str = "process executables";
pub(crate) const PROCESS_IO: &str = "process io";
pub(crate) const PROCESS_CGROUPS: &str = "process cgroups";
const PROCESSES: &str = "processes";
const PROCESS_COMMANDS: &str = "process command lines";
const PROCESS_FILES: &str = "process files";

/// The most bytes of a file of a process, but for its command line.
const MAX_PROCESS_FILE: usize = 16 << 10;

/// The most threads of a process whose context switches are added up.
const MAX_THREADS: usize = 4096;

impl HostReader {
    /// Lists the processes; those that are listed are read after it. If there are more than are to
    /// be counted or to have details, the part fails with the reason `limit`.
    pub(super) fn processes(&self, parts: ProcessParts) -> Vec<HostRead> {
        let reader = self.clone();
        let list = move || -> (ReadingUpdate, Vec<HostRead>) {
            let proc = reader.root.host_path(b"/proc");
            let pids = match pids(&proc) {
                Ok(pids) => pids,
                Err(error) => {
                    let failure =
                        UnreadPart::new(PROCESSES, UnreadReason::Refused, error.to_string());
                    return (Box::new(|to| to.fail(failure)), Vec::new());
                }
            };
            let read = parts.most_counted.max(parts.most_detailed);
            let read = pids.iter().enumerate().take(read);
            let further = read.map(|(place, pid)| {
                let details = (place < parts.most_detailed).then_some(parts);
                reader.process(*pid, details)
            });
            let further = further.collect();
            let update = move |to: &mut ReadingBuilder| {
                let bounds = [parts.most_detailed, parts.most_counted];
                let passed = bounds.into_iter().filter(|most| *most > 0);
                if let Some(most) = passed.min().filter(|most| pids.len() > *most) {
                    let message = format!("{} found, {most} read", pids.len());
                    to.fail(UnreadPart::new(PROCESSES, UnreadReason::Limit, message));
                }
                to.reading.processes.detailed = parts.most_detailed.min(pids.len());
                to.reading.processes.pids = Some(pids);
            };
            (Box::new(update), further)
        };
        let mut reads = vec![HostRead {
            kind: ReadKind::File,
            what: "processes".to_owned(),
            part: PROCESSES.to_owned(),
            read: Box::new(list),
        }];
        if parts.users {
            let path = self.root.host_path(b"/etc/passwd");
            reads.push(HostRead {
                kind: ReadKind::File,
                what: "passwd".to_owned(),
                part: "users".to_owned(),
                read: Box::new(move || {
                    let text = read_at_most(&path, 4 << 20).unwrap_or_default();
                    let users = users(&String::from_utf8_lossy(&text));
                    (
                        Box::new(|to| to.reading.processes.users = users),
                        Vec::new(),
                    )
                }),
            });
        }
        reads
    }

    /// Reads one process; without `details` only its state.
    fn process(&self, pid: u32, details: Option<ProcessParts>) -> HostRead {
        let folder = self.root.host_path(format!("/proc/{pid}").as_bytes());
        let is_selected = Arc::clone(&self.selection.processes);
        let read = move || -> (ReadingUpdate, Vec<HostRead>) {
            let mut failures = Failures {
                pid,
                parts: Vec::new(),
            };
            let stat = read_stat(&folder, &mut failures);
            let state = stat.as_ref().map(|stat| stat.state);
            let process = stat.zip(details).map(|(stat, parts)| {
                read_process(&folder, stat, parts, &*is_selected, &mut failures)
            });
            let update = move |to: &mut ReadingBuilder| {
                if let Some(state) = state {
                    *to.reading.processes.states.entry(state).or_default() += 1;
                }
                match process {
                    Some(Some(process)) => to.reading.processes.each.push(process),
                    Some(None) => to.reading.processes.unselected.push(pid),
                    None => {}
                }
                failures
                    .parts
                    .into_iter()
                    .for_each(|failure| to.fail(failure));
            };
            (Box::new(update), Vec::new())
        };
        HostRead {
            kind: ReadKind::Process,
            what: format!("process {pid}"),
            part: format!("process {pid}"),
            read: Box::new(read),
        }
    }
}

/// What couldn't be read of a process.
struct Failures {
    pid: u32,
    parts: Vec<UnreadPart>,
}

impl Failures {
    /// The value, if it could be read. A process that has ended, or that has no such file, has no
    /// value, which is no failure.
    fn checked<T>(&mut self, part: &'static str, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) if has_ended(&error) => None,
            Err(error) => {
                self.add(part, UnreadReason::Refused, &error.to_string());
                None
            }
        }
    }

    fn add(&mut self, part: &'static str, reason: UnreadReason, message: &str) {
        let message = format!("process {}: {message}", self.pid);
        self.parts.push(UnreadPart::new(part, reason, message));
    }
}

fn has_ended(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// The numbers of all processes, in ascending order.
fn pids(proc: &Path) -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir(proc)? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    pids.sort_unstable();
    Ok(pids)
}

/// `None` if the process has ended or can't be read.
fn read_stat(folder: &Path, failures: &mut Failures) -> Option<ProcessStat> {
    let stat = read_at_most(&folder.join("stat"), MAX_PROCESS_FILE);
    let stat = failures.checked(PROCESS_NAMES, stat)?;
    // An empty file is that of a process that ends while it is read.
    ProcessStat::parse(&String::from_utf8_lossy(&stat))
}

/// `None` if the process isn't selected.
fn read_process(
    folder: &Path,
    stat: ProcessStat,
    parts: ProcessParts,
    is_selected: &dyn Fn(&str) -> bool,
    failures: &mut Failures,
) -> Option<ProcessReading> {
    let text = |name: &str| {
        let bytes = read_at_most(&folder.join(name), MAX_PROCESS_FILE)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut process = ProcessReading {
        pid: failures.pid,
        name: stat.name.clone(),
        stat,
        ..ProcessReading::default()
    };
    let limit = parts.most_of_command;
    let line = read_at_most(&folder.join("cmdline"), limit.saturating_add(1));
    let mut line = failures.checked(PROCESS_COMMANDS, line).unwrap_or_default();
    if line.len() > limit {
        line.truncate(limit);
        let message = format!("the command line has more than {limit} bytes");
        failures.add(PROCESS_COMMANDS, UnreadReason::Limit, &message);
    }
    process.set_command(&line);
    if !is_selected(&process.name) {
        return None;
    }
    if parts.executables {
        let link = fs::read_link(folder.join("exe"));
        let link = failures.checked(PROCESS_EXECUTABLES, link);
        process.executable = link.map(|path| path.to_string_lossy().into_owned());
    }
    if parts.status {
        let status = failures.checked(PROCESS_FILES, text("status"));
        process.status = status
            .map(|text| ProcessStatus::parse(&text))
            .unwrap_or_default();
    }
    if parts.memory {
        let memory = failures.checked(PROCESS_FILES, text("statm"));
        process.memory_pages = memory.and_then(|text| memory_pages(&text));
    }
    if parts.io {
        let io = failures.checked(PROCESS_IO, text("io"));
        process.io = io.and_then(|text| ProcessIo::parse(&text));
    }
    if parts.cgroups {
        let cgroup = failures.checked(PROCESS_CGROUPS, text("cgroup"));
        process.cgroup = cgroup.map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned());
    }
    if parts.descriptors {
        let entries = fs::read_dir(folder.join("fd"));
        let entries = failures.checked(PROCESS_FILES, entries);
        process.descriptors = entries.map(|entries| entries.count() as u64);
    }
    if parts.switches {
        process.switches = match process.stat.threads {
            ..=1 => process.status.switches,
            _ => switches_of_threads(folder, failures),
        };
    }
    Some(process)
}

/// The context switches of all threads together.
fn switches_of_threads(folder: &Path, failures: &mut Failures) -> Option<[u64; 2]> {
    let tasks = failures.checked(PROCESS_FILES, fs::read_dir(folder.join("task")))?;
    let mut tasks: Vec<PathBuf> = tasks
        .take(MAX_THREADS + 1)
        .filter_map(|task| Some(task.ok()?.path()))
        .collect();
    if tasks.len() > MAX_THREADS {
        let message = format!("more than {MAX_THREADS} threads");
        failures.add(PROCESS_FILES, UnreadReason::Limit, &message);
        return None;
    }
    let mut sums = [0_u64; 2];
    for task in tasks.drain(..) {
        let status = read_at_most(&task.join("status"), MAX_PROCESS_FILE);
        let Some(status) = failures.checked(PROCESS_FILES, status) else {
            continue;
        };
        let status = ProcessStatus::parse(&String::from_utf8_lossy(&status));
        for (sum, more) in sums.iter_mut().zip(status.switches?) {
            *sum = sum.saturating_add(more);
        }
    }
    Some(sums)
}

/// The first bytes of a file.
fn read_at_most(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl ProcessList {
    /// In the order of their numbers.
    pub(super) fn sort(&mut self) {
        self.each.sort_unstable_by_key(|process| process.pid);
        self.unselected.sort_unstable();
    }
}
