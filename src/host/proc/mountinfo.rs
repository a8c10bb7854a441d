//! The contents of `/proc/self/mountinfo`, which says more of a mount than `/proc/mounts`.

use std::collections::HashMap;

use super::mounts::{Mount, shown, unescape, without_hidden};

/// A mount, and what only this file says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountInfo {
    /// Its device is that of the first mount of the same filesystem.
    pub(crate) mount: Mount,
    /// Major and minor number of the filesystem's device, such as `254:0`.
    pub(crate) number: String,
    /// Whether a file or directory of a device is mounted, and not the whole filesystem.
    pub(crate) is_bound: bool,
    /// Whether what is mounted is a path, such as `/dev/vda`.
    pub(crate) has_path: bool,
}

impl From<Mount> for MountInfo {
    fn from(mount: Mount) -> Self {
        Self {
            number: String::new(),
            is_bound: false,
            has_path: mount.device.starts_with('/'),
            mount,
        }
    }
}

/// Parses the file. Lines that can't be parsed, and mounts that a later one hides, are left out
/// as in [`super::mounts()`].
pub(crate) fn mountinfo(text: &[u8]) -> Vec<MountInfo> {
    let mut devices: HashMap<String, String> = HashMap::new();
    let infos = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty());
        let number = shown(fields.by_ref().nth(2)?);
        let root = unescape(fields.next()?);
        let path = unescape(fields.next()?);
        let options = fields.next()?;
        // Any number of further fields, and then a hyphen.
        fields.by_ref().find(|field| *field == b"-")?;
        let kind = shown(fields.next()?);
        let source = shown(&unescape(fields.next()?));
        let super_options = fields.next().unwrap_or_default();
        let has_path = source.starts_with('/');
        // Some filesystems name what is mounted as their root, such as the namespaces of `nsfs`.
        let own = match has_path || root == b"/" {
            true => source,
            false => shown(&root),
        };
        let device = devices.entry(number.clone()).or_insert(own).clone();
        let read_only = |options: &[u8]| {
            options
                .split(|byte| *byte == b',')
                .any(|option| option == b"ro")
        };
        Some(MountInfo {
            mount: Mount {
                device,
                mount_point: shown(&path),
                path,
                kind,
                read_only: read_only(options) || read_only(super_options),
            },
            number,
            is_bound: has_path && root != b"/",
            has_path,
        })
    });
    without_hidden(infos, |info| &info.mount.path)
}
