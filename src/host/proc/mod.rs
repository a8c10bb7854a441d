//! Parses the kernel's text files under `/proc`.
//!
//! Each file has its own parser, which takes what it can from any text and never panics. The
//! crate procfs was tried and rejected: it fails a whole file if one field is missing, and in
//! containers parts of `/proc` usually are.

mod connections;
mod counters;
mod cpuinfo;
mod memory;
mod mountinfo;
mod mounts;
mod paging;
mod process;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

pub(crate) use connections::{SocketCounts, TCP_STATES};
pub(crate) use counters::{
    CPU_MODES, Cpus, Disk, Interface, Ticks, busy, disks, interfaces, passed, total,
};
pub(crate) use cpuinfo::CpuInfo;
pub(crate) use memory::Memory;
pub(crate) use mountinfo::{MountInfo, mountinfo};
pub(crate) use mounts::{Mount, mounts};
pub(crate) use paging::{PagingCounters, SwapArea, swaps};
pub(crate) use process::{ProcessIo, ProcessStat, ProcessStatus, memory_pages, users};

/// The largest file that is read, in bytes: enough for some 100,000 sockets.
const MAX_FILE: u64 = 16 << 20;

/// The directory of the host's files: `/`, or where a container mounts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root(PathBuf);

/// Why a file couldn't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It doesn't exist, or permission is denied; both are normal in containers.
    #[error("not there")]
    Absent,
    /// `/proc/1` of the host can't be read. The agent's own file would show another namespace.
    #[error("/proc/1 of the host can't be looked into")]
    Hidden,
    /// It is larger than [`MAX_FILE`].
    #[error("larger than {} MiB", MAX_FILE >> 20)]
    TooLarge,
    /// Reading it failed otherwise.
    #[error("{0}")]
    Io(io::Error),
}

impl Root {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where a path of the host, such as a mount point, is found by the agent.
    pub(crate) fn host_path(&self, path: &[u8]) -> PathBuf {
        let start = path.iter().position(|byte| *byte != b'/');
        let relative = start.map_or(&[][..], |start| &path[start..]);
        self.0.join(OsStr::from_bytes(relative))
    }

    /// A path that the agent sees, as the host has it; `None` if it isn't below this root.
    pub(crate) fn of_host(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(&self.0).ok()?;
        Some(format!("/{}", below.display()))
    }

    /// Reads a file under `/proc`.
    pub(crate) fn read(&self, file: &str) -> Result<Vec<u8>, ReadError> {
        read(&self.0.join("proc").join(file)).map_err(|error| match error.kind() {
            kind if is_absent(kind) => ReadError::Absent,
            ErrorKind::FileTooLarge => ReadError::TooLarge,
            _ => ReadError::Io(error),
        })
    }

    /// Reads a file that depends on the namespace of the reader. If the host's `/proc` is mounted
    /// elsewhere, it reads that of the host's process 1, and never its own.
    pub(crate) fn read_namespaced(&self, file: &str) -> Result<Vec<u8>, ReadError> {
        if self.0 == Path::new("/") {
            return self.read(file);
        }
        self.read_of_first(file)
    }

    /// Reads a file of a process that depends on its namespace: the agent's own, or that of the
    /// host's process 1, as in [`Root::read_namespaced`].
    pub(crate) fn read_of_process(&self, file: &str) -> Result<Vec<u8>, ReadError> {
        if self.0 == Path::new("/") {
            return self.read(&format!("self/{file}"));
        }
        self.read_of_first(file)
    }

    fn read_of_first(&self, file: &str) -> Result<Vec<u8>, ReadError> {
        let path = self.0.join("proc/1").join(file);
        // With hidepid, the directory of process 1 doesn't exist or can't be read. If the
        // directory exists and only the file doesn't, this kernel has no such file.
        let missing = || path.parent().is_some_and(|folder| folder.is_dir());
        read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound if missing() => ReadError::Absent,
            kind if is_absent(kind) => ReadError::Hidden,
            ErrorKind::FileTooLarge => ReadError::TooLarge,
            _ => ReadError::Io(error),
        })
    }
}

fn is_absent(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
    )
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Parses `/proc/loadavg`: the load over 1, 5 and 15 minutes.
pub(crate) fn load(text: &str) -> Option<[f64; 3]> {
    let mut fields = text.split_ascii_whitespace().map(finite);
    Some([fields.next()??, fields.next()??, fields.next()??])
}

/// Parses `/proc/uptime`: seconds since the host started.
pub(crate) fn uptime(text: &str) -> Option<f64> {
    finite(text.split_ascii_whitespace().next()?)
}

fn finite(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// The next `N` fields as whole numbers.
fn numbers<'a, const N: usize>(fields: &mut impl Iterator<Item = &'a str>) -> Option<[u64; N]> {
    let mut values = [0; N];
    for value in &mut values {
        *value = fields.next()?.parse().ok()?;
    }
    Some(values)
}

#[cfg(test)]
mod tests;
