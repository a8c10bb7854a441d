//! What is read of the host without `include`, and with it.

use std::sync::Arc;

use super::config::{Config, Exposition};
use crate::host::{HostParts, HostSelection, MountFile};

impl Config {
    /// The filesystems, disks and interfaces that are read.
    pub(super) fn selection(&self) -> HostSelection {
        let (filesystems, disks, networks) = (
            self.filesystems.clone(),
            self.disks.clone(),
            self.networks.clone(),
        );
        // node_exporter's names have no place for these.
        let conventions = self.exposition != Exposition::NodeExporter;
        HostSelection {
            parts: HostParts {
                cpus: true,
                memory: true,
                load: true,
                uptime: true,
                disks: true,
                unused_disks: true,
                networks: true,
                connections: conventions,
                datagrams: conventions,
                filesystems: Some(MountFile::Mounts),
                own_process: conventions,
                ..HostParts::default()
            },
            filesystems: Arc::new(move |info| {
                let mount = &info.mount;
                let by_default = !mount.is_virtual() && !mount.may_hang();
                filesystems.admits(&mount.mount_point, by_default)
            }),
            disks: Arc::new(move |name| disks.admits(name, is_whole_disk(name))),
            networks: Arc::new(move |name| networks.admits(name, name != "lo")),
            processes: Arc::new(|_| false),
        }
    }
}

/// Whether it is a disk, and neither a partition (whose I/O its disk counts too) nor a loop
/// device, a RAM disk or a drive for removable media.
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
