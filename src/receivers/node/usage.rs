//! How full filesystems are together, counting shared space once.

use std::collections::{BTreeMap, BTreeSet};

use super::summary::percent;
use crate::host::proc::Mount;

/// Adds up the sizes of filesystems. Bind mounts report the same filesystem again. The datasets
/// of a ZFS pool share the pool's free space: their used space is added up, and the free space
/// counts once.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Used and free bytes, by device (by pool for ZFS).
    rooms: BTreeMap<String, [f64; 2]>,
    datasets: BTreeSet<String>,
}

impl Usage {
    /// Adds a filesystem: the bytes in use, and those free for every user. As in `df`, space that
    /// is reserved for the superuser counts as neither.
    pub(super) fn add(&mut self, mount: &Mount, used: f64, available: f64) {
        if mount.kind == "zfs" {
            if self.datasets.insert(mount.device.clone()) {
                let pool = mount.device.split('/').next().unwrap_or_default();
                let room = self.rooms.entry(format!("zfs {pool}")).or_default();
                room[0] += used;
                // A dataset with a quota reports less free space than its pool has.
                room[1] = room[1].max(available);
            }
            return;
        }
        // Only a path (`/dev/vda`) or a share (`host:/x`) identifies a device. Names such as
        // `overlay` don't, so there the mount point does.
        let device = match mount.device.contains(['/', ':']) {
            true => &mount.device,
            false => &mount.mount_point,
        };
        let room = self.rooms.entry(device.clone());
        room.or_insert([used, available]);
    }

    /// Percent in use; `None` if the filesystems have no space at all.
    pub(super) fn percent(&self) -> Option<f64> {
        let sum = |part: usize| self.rooms.values().map(|room| room[part]).sum::<f64>();
        let (used, available) = (sum(0), sum(1));
        percent(used, used + available)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_shared_counts_once() {
        let f = |mounts: &[(&str, &str, &str, f64, f64)], expected: f64| {
            let mut usage = Usage::default();
            for (device, mount_point, kind, used, available) in mounts {
                let mount = Mount {
                    device: (*device).to_owned(),
                    mount_point: (*mount_point).to_owned(),
                    path: mount_point.as_bytes().to_vec(),
                    kind: (*kind).to_owned(),
                    read_only: false,
                };
                usage.add(&mount, *used, *available);
            }
            assert_eq!(usage.percent(), Some(expected), "{mounts:?}");
        };
        let names: Vec<String> = (0..10).map(|number| format!("tank/{number}")).collect();
        let datasets: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), name.as_str(), "zfs", 90.0, 100.0))
            .collect();
        f(&datasets, 90.0);
        // A second mount of a dataset, and one with a quota.
        f(
            &[
                ("tank", "/tank", "zfs", 30.0, 60.0),
                ("tank", "/again", "zfs", 30.0, 60.0),
                ("tank/a", "/a", "zfs", 10.0, 5.0),
            ],
            40.0,
        );
        f(
            &[
                ("a", "/a", "zfs", 10.0, 90.0),
                ("b", "/b", "zfs", 90.0, 10.0),
            ],
            50.0,
        );
        f(
            &[
                ("/dev/sda2", "/", "btrfs", 50.0, 50.0),
                ("/dev/sda2", "/home", "btrfs", 50.0, 50.0),
                ("/dev/sdb", "/data", "ext4", 0.0, 100.0),
            ],
            25.0,
        );
        f(
            &[
                ("server:/x", "/x", "nfs4", 50.0, 50.0),
                ("server:/x", "/y", "nfs4", 50.0, 50.0),
                ("overlay", "/", "overlay", 10.0, 90.0),
                ("overlay", "/o", "overlay", 0.0, 100.0),
            ],
            20.0,
        );
    }
}
