//! Readings of the host, for the components that show them in one form or another.
//!
//! [`HostPoller`] reads the files under `/proc` and asks filesystems for their size, on threads of
//! their own, since any of these may hang. What it returns is a [`HostReading`]: numbers in the
//! kernel's units. [`HostCounters`] says when each of the host's counters began.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate.

mod counters;
mod epochs;
mod failure;
mod poller;
pub(crate) mod proc;
mod reader;
mod reading;
mod shown;
mod threads;

use std::path::Path;

pub(crate) use counters::{
    CountedOwner, CountedReading, DISK_BUSY, DISK_WEIGHTED, HostCounters, KernelCounter, place_of,
};
pub(crate) use epochs::Boot;
pub(crate) use failure::{UnreadPart, UnreadReason};
pub(crate) use poller::{HostAnswer, HostPoller};
pub(crate) use reader::{
    HostParts, HostReader, HostSelection, MountFile, PROCESS_CGROUPS, PROCESS_EXECUTABLES,
    PROCESS_IO, PROCESS_NAMES, ProcessParts,
};
pub(crate) use reading::{FilesystemSize, HostReading, ProcessReading};
pub(crate) use shown::ShownItems;
pub(crate) use threads::BlockingThreads;
#[cfg(test)]
pub(crate) use threads::PATIENCE;

/// The kernel's name of this host.
pub(crate) fn name() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

/// Checks that the host's files are somewhere.
///
/// # Errors
///
/// If `root` is no directory.
pub(crate) fn check_root(root: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        root.is_dir(),
        "root_path: {} is no directory: it says where the host's files are",
        root.display()
    );
    Ok(())
}
