//! `/proc/mounts`.

/// A mounted filesystem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Mount {
    /// What is mounted, such as `/dev/vda`.
    pub(in super::super) device: String,
    pub(in super::super) mount_point: String,
    /// Its type, such as `ext4`.
    pub(in super::super) kind: String,
    pub(in super::super) read_only: bool,
}

/// Filesystems without blocks of their own, or whose blocks are memory or belong to
/// another filesystem.
const VIRTUAL: [&str; 34] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "erofs",
    "none",
    "aufs",
];

/// Filesystems whose server may hang, and a statvfs with it.
const NETWORK: [&str; 17] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
    "virtiofs",
];

impl Mount {
    /// Whether it has no disk room of its own. The root of a container is an overlay, and
    /// the only room that the container sees.
    pub(in super::super) fn is_virtual(&self) -> bool {
        VIRTUAL.contains(&self.kind.as_str())
            && !(self.kind == "overlay" && self.mount_point == "/")
    }

    /// Whether asking it may take for ever. A program stands behind FUSE (but not behind
    /// `fuseblk`, which is a disk).
    pub(in super::super) fn may_hang(&self) -> bool {
        NETWORK.contains(&self.kind.as_str())
            || self.kind == "fuse"
            || self.kind.starts_with("fuse.")
    }
}

/// `/proc/mounts`; lines that can't be read are left out. Of several mounts on one point
/// the last is the one that is seen.
pub(in super::super) fn mounts(text: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(device), Some(point), Some(kind), Some(options)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let mount = Mount {
            device: unescape(device),
            mount_point: unescape(point),
            kind: kind.to_owned(),
            read_only: options.split(',').any(|option| option == "ro"),
        };
        match places.entry(mount.mount_point.clone()) {
            std::collections::hash_map::Entry::Occupied(place) => {
                if let Some(covered) = mounts.get_mut(*place.get()) {
                    *covered = mount;
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(mounts.len());
                mounts.push(mount);
            }
        }
    }
    mounts
}

/// Blanks and backslashes stand as `\040` and the like.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'\\'
            && let Some((digits, after)) = tail.split_at_checked(3)
            && let Some(value) = octal(digits)
        {
            bytes.push(value);
            rest = after;
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn octal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, &digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(digit)
    })
}
