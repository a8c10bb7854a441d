//! How full filesystems are together, each room counted once.

use std::collections::{BTreeMap, BTreeSet};

use super::proc::Mount;
use super::summary::percent;

/// Adds up the room of filesystems. Bind mounts show the same room again, and the datasets of
/// a ZFS pool share what is free: there, what they use adds up, and the free room counts
/// once.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Used and free room, by what the room belongs to.
    rooms: BTreeMap<String, [f64; 2]>,
    datasets: BTreeSet<String>,
}

impl Usage {
    /// Adds a filesystem: what is used, and what is free for everybody. What is reserved
    /// for the superuser is nobody's room, as `df` has it.
    pub(super) fn add(&mut self, mount: &Mount, used: f64, available: f64) {
        if mount.kind == "zfs" {
            if self.datasets.insert(mount.device.clone()) {
                let pool = mount.device.split('/').next().unwrap_or_default();
                let room = self.rooms.entry(format!("zfs {pool}")).or_default();
                room[0] += used;
                // A dataset with a quota has less free than its pool.
                room[1] = room[1].max(available);
            }
            return;
        }
        // Only a path or a share names a device; `overlay` and its like name a kind.
        let device = match mount.device.contains(['/', ':']) {
            true => &mount.device,
            false => &mount.mount_point,
        };
        let room = self.rooms.entry(device.clone());
        room.or_insert([used, available]);
    }

    /// Percent in use; none where there is no room.
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
