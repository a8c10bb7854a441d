//! Reads the list of mounts, and queries the size of each filesystem.

use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::files::file;
use super::{HostRead, HostReader, MAX_PARTS, MountFile, ReadingBuilder, limited};
use crate::host::failure::{UnreadPart, UnreadReason};
use crate::host::proc::{self, Mount, MountInfo, Root};
use crate::host::reading::{Filesystem, FilesystemSize};
use crate::host::threads::ReadKind;

/// Parses a list of mounts; devices may be looked for below the root.
type MountParser = fn(&Root, &[u8]) -> Vec<MountInfo>;

impl HostReader {
    /// Reads the list of mounts; the filesystems that it names are queried after it.
    pub(super) fn filesystems(&self, list: MountFile) -> HostRead {
        let is_selected = Arc::clone(&self.selection.filesystems);
        let asking = self.clone();
        let root = self.root.clone();
        let (name, parse): (_, MountParser) = match list {
            MountFile::Mounts => ("mounts", |_, text| {
                let mounts = proc::mounts(text).into_iter();
                mounts.map(MountInfo::from).collect()
            }),
            MountFile::MountInfo => ("mountinfo", |root, text| {
                let mut infos = proc::mountinfo(text);
                for info in &mut infos {
                    info.mount.device = real_device(root, info);
                }
                infos
            }),
        };
        // Read as `self/mountinfo` where the files of this namespace are asked for: there is no
        // `/proc/mountinfo`.
        let read = match list {
            MountFile::Mounts => Root::read_namespaced,
            MountFile::MountInfo => Root::read_of_process,
        };
        file(
            &self.root,
            name,
            "filesystems",
            read,
            move |bytes| {
                let mut infos = parse(&root, &bytes);
                infos.retain(|info| is_selected(info));
                let mounts: Vec<Mount> = infos.into_iter().map(|info| info.mount).collect();
                Some(mounts)
            },
            move |mounts| {
                let admitted = mounts.iter().take(MAX_PARTS).cloned();
                admitted.map(|mount| asking.room(mount)).collect()
            },
            |to, mounts| {
                let mounts = limited("filesystems", mounts, to);
                to.queried = mounts.len();
                to.reading.mounts = Some(mounts);
            },
        )
    }

    /// Queries the size of a filesystem. It is absent if its path doesn't exist here, permission
    /// is denied, or it has no blocks and such aren't wanted; a denial is recorded in
    /// [`ReadingBuilder::denied`].
    pub(super) fn room(&self, mount: Mount) -> HostRead {
        let path = self.root.host_path(&mount.path);
        let ask_room = Arc::clone(&self.ask_room);
        let part = format!("filesystem {}", mount.mount_point);
        let with_empty = self.selection.parts.empty_filesystems;
        HostRead {
            kind: match mount.may_hang() {
                true => ReadKind::Network,
                false => ReadKind::Disk,
            },
            what: format!("filesystem {}", mount.path.escape_ascii()),
            part: part.clone(),
            read: Box::new(move || {
                let answer = ask_room(&path);
                let update = move |to: &mut ReadingBuilder| {
                    let error = match answer {
                        Ok(room) if room.total > 0 || with_empty => {
                            to.reading.filesystems.push(Filesystem { mount, room });
                            return;
                        }
                        Ok(_) => return to.reading.empty.push(mount),
                        Err(error) => error,
                    };
                    to.reading.errors.push((mount.clone(), error));
                    match error {
                        Errno::NOENT | Errno::NOTDIR => {}
                        Errno::ACCESS | Errno::PERM => to.denied.push(mount),
                        error => to.fail(UnreadPart::new(
                            part,
                            UnreadReason::Refused,
                            error.to_string(),
                        )),
                    }
                };
                (Box::new(update), Vec::new())
            }),
        }
    }
}

/// What is mounted under its own name: `/dev/mapper/x` is a link, and `/dev/root` isn't there.
fn real_device(root: &Root, info: &MountInfo) -> String {
    let device = &info.mount.device;
    if device.starts_with("/dev/mapper/") {
        let target = std::fs::canonicalize(root.host_path(device.as_bytes()));
        let target = target.ok().and_then(|target| root.of_host(&target));
        return target.unwrap_or_else(|| device.clone());
    }
    if device == "/dev/root" {
        let link = format!("/sys/dev/block/{}", info.number);
        let target = std::fs::read_link(root.host_path(link.as_bytes()));
        let name = target.ok().and_then(|target| {
            let name = target.file_name()?;
            Some(format!("/dev/{}", name.to_string_lossy()))
        });
        return name.unwrap_or_else(|| device.clone());
    }
    device.clone()
}

pub(super) fn room(path: &Path) -> Result<FilesystemSize, Errno> {
    let stat = rustix::fs::statvfs(path)?;
    let block = if stat.f_frsize > 0 {
        stat.f_frsize
    } else {
        stat.f_bsize
    };
    let bytes = |blocks: u64| blocks.saturating_mul(block);
    Ok(FilesystemSize {
        total: bytes(stat.f_blocks),
        available: bytes(stat.f_bavail.min(stat.f_bfree)),
        reserved: bytes(stat.f_bfree.saturating_sub(stat.f_bavail)),
        files: stat.f_files,
        free_files: stat.f_ffree,
    })
}
