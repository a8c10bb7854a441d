//! The contents of `/proc/mounts`.

use std::collections::BTreeMap;

/// A mounted filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Mount {
    /// What is mounted, such as `/dev/vda`.
    pub(crate) device: String,
    /// For display: bytes that aren't UTF-8 are replaced by U+FFFD.
    pub(crate) mount_point: String,
    /// The mount point's bytes.
    pub(crate) path: Vec<u8>,
    /// Its type, such as `ext4`.
    pub(crate) kind: String,
    pub(crate) read_only: bool,
}

/// Types of filesystems that have no blocks of their own, or whose blocks are memory or belong to
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

/// Types of filesystems whose server may hang, which lets a statvfs hang too.
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
    /// Whether it takes no space on a disk of its own. An overlay at `/` counts as a disk: it is
    /// the root of a container, and the only filesystem that the container sees.
    pub(crate) fn is_virtual(&self) -> bool {
        VIRTUAL.contains(&self.kind.as_str())
            && !(self.kind == "overlay" && self.mount_point == "/")
    }

    /// Whether querying it may block for ever. FUSE filesystems are served by a program;
    /// `fuseblk` is one too, but has a disk behind it, and counts as one.
    pub(crate) fn may_hang(&self) -> bool {
        NETWORK.contains(&self.kind.as_str())
            || self.kind == "fuse"
            || self.kind.starts_with("fuse.")
    }
}

/// Parses `/proc/mounts`. Lines that can't be parsed are left out, and so are mounts that a later
/// one hides, at the same point or above it. A later mount at `/` hides only the one at `/`: the
/// mounts of an initial root filesystem are moved into the root that follows it.
pub(crate) fn mounts(text: &[u8]) -> Vec<Mount> {
    let mounts = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty());
        let (device, point, kind, options) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        let path = unescape(point);
        Some(Mount {
            device: shown(&unescape(device)),
            mount_point: shown(&path),
            path,
            kind: shown(kind),
            read_only: options
                .split(|byte| *byte == b',')
                .any(|option| option == b"ro"),
        })
    });
    without_hidden(mounts, |mount| &mount.path)
}

/// The mounts that no later one hides, in their order.
pub(super) fn without_hidden<T>(
    mounts: impl Iterator<Item = T>,
    path_of: impl Fn(&T) -> &Vec<u8>,
) -> Vec<T> {
    let mut seen: BTreeMap<Vec<u8>, (usize, T)> = BTreeMap::new();
    for (number, mount) in mounts.enumerate() {
        let path = path_of(&mount).clone();
        if path != b"/" {
            // `0` is the byte after `/`.
            let below = [&path[..], b"/"].concat()..[&path[..], b"0"].concat();
            let hidden: Vec<Vec<u8>> = seen.range(below).map(|(path, _)| path.clone()).collect();
            for path in hidden {
                seen.remove(&path);
            }
        }
        seen.insert(path, (number, mount));
    }
    let mut mounts: Vec<(usize, T)> = seen.into_values().collect();
    mounts.sort_unstable_by_key(|(number, _)| *number);
    mounts.into_iter().map(|(_, mount)| mount).collect()
}

pub(super) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Decodes `\040` and the like, which stand for blanks and backslashes.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
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
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, &digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(digit)
    })
}
