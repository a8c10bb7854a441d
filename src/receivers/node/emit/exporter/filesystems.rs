//! Filesystems: their size, and which of them don't answer.

use std::collections::{BTreeMap, BTreeSet};

use rustix::io::Errno;

use super::ExporterPage;
use crate::host::proc::Mount;
use crate::host::{FilesystemSize, HostReading};
use crate::pdata::writer::MetricKind::Gauge;
use crate::pdata::writer::{Attribute, PointNumber};

/// One of a filesystem's numbers.
type SizeNumber = fn(&FilesystemSize) -> u64;

/// Name, description, and the number, of a filesystem that answers.
const SIZES: [(&str, &str, SizeNumber); 5] = [
    (
        "node_filesystem_size_bytes",
        "Filesystem size in bytes.",
        |size| size.total,
    ),
    (
        "node_filesystem_free_bytes",
        "Filesystem free space in bytes.",
        |size| size.available.saturating_add(size.reserved),
    ),
    (
        "node_filesystem_avail_bytes",
        "Filesystem space available to non-root users in bytes.",
        |size| size.available,
    ),
    (
        "node_filesystem_files",
        "Filesystem total file nodes.",
        |size| size.files,
    ),
    (
        "node_filesystem_files_free",
        "Filesystem total free file nodes.",
        |size| size.free_files,
    ),
];

impl ExporterPage<'_> {
    /// Writes the filesystems of a reading, and those that don't answer; the series of those in
    /// `gone` end.
    pub(super) fn write_filesystems(
        &mut self,
        reading: &HostReading,
        gone: &[Mount],
        failing: &FailingMounts,
    ) {
        let answered = reading.filesystems.iter();
        let answered = answered.map(|filesystem| (&filesystem.mount, Some(&filesystem.room)));
        let gone = gone.iter().map(|mount| (mount, None));
        let sized: Vec<(&Mount, Option<&FilesystemSize>)> = answered.chain(gone).collect();
        if !sized.is_empty() {
            for (metric, description, number) in SIZES {
                self.begin(Gauge, metric, description);
                for (mount, size) in &sized {
                    self.filesystem(mount, "", size.map(number));
                }
            }
        }
        // With the error, and whether it has one; `None` for series that end.
        let sized = sized
            .iter()
            .map(|(mount, size)| (*mount, "", size.map(|_| false)));
        let failing = failing.iter();
        let failing = failing.map(|(mount, error, fails)| (mount, error, fails.then_some(true)));
        let all: Vec<(&Mount, &str, Option<bool>)> = sized.chain(failing).collect();
        if all.is_empty() {
            return;
        }
        let description = "Filesystem read-only status.";
        self.begin(Gauge, "node_filesystem_readonly", description);
        for (mount, error, fails) in &all {
            let read_only = fails.map(|_| u64::from(mount.read_only));
            self.filesystem(mount, error, read_only);
        }
        let description =
            "Whether an error occurred while getting statistics for the given device.";
        self.begin(Gauge, "node_filesystem_device_error", description);
        for (mount, error, fails) in &all {
            self.filesystem(mount, error, fails.map(u64::from));
        }
    }

    fn filesystem(&mut self, mount: &Mount, error: &str, number: Option<u64>) {
        let attributes: [Attribute<'_>; 4] = [
            ("device", mount.device.as_str().into()),
            ("device_error", error.into()),
            ("fstype", mount.kind.as_str().into()),
            ("mountpoint", mount.mount_point.as_str().into()),
        ];
        self.point(&attributes, None, number.map(PointNumber::count));
    }
}

/// The filesystems that don't answer, with the error: node_exporter shows that they have one.
#[derive(Debug, Default)]
pub(in super::super) struct FailingMounts {
    shown: BTreeSet<(Mount, String)>,
    /// Those that had series of an error before, and have none any more.
    ended: Vec<(Mount, String)>,
}

impl FailingMounts {
    /// Takes a reading. If the list of mounts couldn't be read, nothing changes.
    pub(in super::super) fn take(&mut self, reading: &HostReading) {
        let Some(mounts) = &reading.mounts else {
            self.ended.clear();
            return;
        };
        let answered = reading.filesystems.iter();
        let answered = answered.map(|filesystem| &filesystem.mount);
        let answered: BTreeSet<&Mount> = answered.chain(&reading.empty).collect();
        let errors: BTreeMap<&Mount, Errno> = reading
            .errors
            .iter()
            .map(|(mount, error)| (mount, *error))
            .collect();
        let failing = mounts.iter().filter(|mount| !answered.contains(mount));
        let failing = failing.map(|mount| {
            let words = errors.get(mount).map(|error| words_of_go(*error));
            let words = words.unwrap_or_else(|| "mountpoint timeout".to_owned());
            (mount.clone(), words)
        });
        let before = std::mem::replace(&mut self.shown, failing.collect());
        self.ended = before.difference(&self.shown).cloned().collect();
    }

    /// Each with its error, and whether it still fails so.
    fn iter(&self) -> impl Iterator<Item = (&Mount, &str, bool)> {
        let shown = self.shown.iter().map(|failing| (failing, true));
        let ended = self.ended.iter().map(|failing| (failing, false));
        let all = shown.chain(ended);
        all.map(|((mount, error), fails)| (mount, error.as_str(), fails))
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
