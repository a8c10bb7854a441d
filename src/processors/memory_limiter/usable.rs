//! How much memory the process may use: the machine's, or less where a control group says so.
//!
//! Every group from the process's own upwards may have a limit, and the least one counts:
//! systemd's `MemoryMax=` stands at the group of the service, a container's at a group above.
//! `/proc/self/cgroup` names those groups; `/proc/self/mountinfo` tells where they are mounted,
//! and which group is the mount's root. Both versions of control groups are
//! read, since a machine may have them side by side.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// How many bytes the process may use; none where the machine's memory isn't known.
#[cfg(target_os = "linux")]
pub(super) fn memory() -> Option<u64> {
    let info = rustix::system::sysinfo();
    // The fields' types differ from platform to platform.
    #[allow(clippy::useless_conversion, reason = "u32 on 32-bit machines")]
    let machine = u64::try_from(info.totalram)
        .ok()?
        .checked_mul(u64::from(info.mem_unit))?;
    Some(group_limit(Path::new("/")).map_or(machine, |group| group.min(machine)))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn memory() -> Option<u64> {
    None
}

/// The least limit of the process's control groups, in bytes; none where no group has one.
/// Files are looked for under `root`.
fn group_limit(root: &Path) -> Option<u64> {
    let groups = read(&root.join("proc/self/cgroup"))?;
    let mounts = read(&root.join("proc/self/mountinfo"))?;
    let mut least: Option<u64> = None;
    let mut heard = |limit: Option<u64>| {
        if let Some(limit) = limit {
            least = Some(least.map_or(limit, |least| least.min(limit)));
        }
    };
    for mount in mounts.lines().filter_map(CgroupMount::parse) {
        for group in groups
            .lines()
            .filter_map(|line| own_group(line, mount.version))
        {
            let Some(below) = mount.below(Path::new(group)) else {
                continue;
            };
            let top = root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
            let own = top.join(below);
            for folder in own
                .ancestors()
                .take_while(|folder| folder.starts_with(&top))
            {
                heard(limit_in(&folder.join(mount.version.file())));
            }
            if mount.version == CgroupVersion::One {
                // Tells of the groups above the mount's root, too.
                heard(hierarchical_limit(&own.join("memory.stat")));
            }
        }
    }
    least
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CgroupVersion {
    One,
    Two,
}

impl CgroupVersion {
    fn file(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }
}

/// A place where the groups that bound memory are mounted.
struct CgroupMount {
    version: CgroupVersion,
    /// The group that is seen at the mount point.
    group: PathBuf,
    point: PathBuf,
}

impl CgroupMount {
    /// A line of `mountinfo`: `id parent device root point options [tags...] - type source
    /// super-options`.
    fn parse(line: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let version = match system.next()? {
            "cgroup2" => CgroupVersion::Two,
            "cgroup" if system.nth(1)?.split(',').any(|option| option == "memory") => {
                CgroupVersion::One
            }
            _ => return None,
        };
        let mut fields = mount.split(' ').skip(3);
        Some(Self {
            version,
            group: unescaped(fields.next()?).into(),
            point: unescaped(fields.next()?).into(),
        })
    }

    /// The way from the mount's root down to `group`; none where the mount doesn't lead to
    /// it, nor to a group above it.
    fn below<'a>(&self, group: &'a Path) -> Option<&'a Path> {
        let below = group.strip_prefix(&self.group).ok().or_else(|| {
            // Seen from within a namespace, `/..` is a group above its root. What lies
            // between has no name here, but the limit at the top still holds.
            let climbs = |path: &Path| {
                path.components()
                    .skip(1)
                    .all(|part| part == Component::ParentDir)
            };
            climbs(&self.group).then_some(Path::new(""))
        })?;
        let climbs = below.components().any(|part| part == Component::ParentDir);
        (!climbs).then_some(below)
    }
}

/// The process's group in the hierarchy of this version, from a line of `/proc/self/cgroup`:
/// `hierarchy:controllers:group`.
fn own_group(line: &str, version: CgroupVersion) -> Option<&str> {
    let mut fields = line.splitn(3, ':');
    let (hierarchy, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    let matches = match version {
        CgroupVersion::One => controllers.split(',').any(|name| name == "memory"),
        CgroupVersion::Two => hierarchy == "0" && controllers.is_empty(),
    };
    matches.then_some(group)
}

/// A file's lines. The kernel writes names as they are, and one mount point or group in another
/// encoding than UTF-8 must not hide the others.
fn read(file: &Path) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file with one number; `max` is no limit.
fn limit_in(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.trim().parse().ok().filter(|limit| *limit > 0)
}

fn hierarchical_limit(stat: &Path) -> Option<u64> {
    let text = fs::read_to_string(stat).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("hierarchical_memory_limit "))
        .and_then(|limit| limit.trim().parse().ok())
        .filter(|limit| *limit > 0)
}

/// The kernel writes spaces, tabs, line ends and backslashes in `mountinfo` as `\040`.
fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let code = after
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(code) => {
                text.push(char::from(code));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these files.
    fn limit(
        groups: impl AsRef<[u8]>,
        mounts: impl AsRef<[u8]>,
        files: &[(&str, &str)],
    ) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let all = [
            ("proc/self/cgroup", groups.as_ref()),
            ("proc/self/mountinfo", mounts.as_ref()),
        ];
        let files = files.iter().map(|(path, text)| (*path, text.as_bytes()));
        for (path, text) in all.into_iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        group_limit(root.path())
    }

    const TWO: &str = "29 22 0:25 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    const ONE: &str = "36 32 0:31 / /sys/fs/cgroup/memory rw shared:12 - cgroup cgroup rw,memory\n\
                       37 32 0:32 / /sys/fs/cgroup/cpu rw shared:13 - cgroup cgroup rw,cpu\n";

    #[test]
    fn the_least_limit_from_the_own_group_upwards_counts() {
        let service = "sys/fs/cgroup/system.slice/foghorn.service/memory.max";
        let slice = "sys/fs/cgroup/system.slice/memory.max";
        let other = ("sys/fs/cgroup/system.slice/other.service/memory.max", "1\n");
        let group = "0::/system.slice/foghorn.service\n";
        let f = |files: &[(&str, &str)], expected: Option<u64>| {
            assert_eq!(limit(group, TWO, files), expected, "{files:?}");
        };
        f(&[(service, "1000\n"), (slice, "max\n"), other], Some(1000));
        f(&[(service, "1000\n"), (slice, "500\n")], Some(500));
        f(&[(service, "max\n"), (slice, "2000\n")], Some(2000));
        f(
            &[(service, "max\n"), ("sys/fs/cgroup/memory.max", "70")],
            Some(70),
        );
        f(&[(service, "max\n"), other], None);
        f(&[], None);
    }

    #[test]
    fn the_first_version_counts_as_the_second_does() {
        let groups = "5:cpu:/a\n4:hugetlb,memory:/a/b\n0::/a/b\n";
        let f = |files: &[(&str, &str)], expected: Option<u64>| {
            assert_eq!(limit(groups, ONE, files), expected, "{files:?}");
        };
        let own = "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes";
        let above = "sys/fs/cgroup/memory/a/memory.limit_in_bytes";
        f(
            &[(own, "9223372036854771712\n"), (above, "400\n")],
            Some(400),
        );
        f(&[(own, "300\n"), (above, "400\n")], Some(300));
        let stat = "sys/fs/cgroup/memory/a/b/memory.stat";
        let text = "cache 1\nhierarchical_memory_limit 250\ntotal_cache 3\n";
        f(&[(own, "300\n"), (stat, text)], Some(250));
        // A machine may have both; each version is looked for at its own mount.
        let both = format!(
            "{ONE}{}",
            TWO.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
        );
        let unified = ("sys/fs/cgroup/unified/a/b/memory.max", "200");
        assert_eq!(limit(groups, &both, &[(own, "300\n"), unified]), Some(200));
    }

    #[test]
    fn groups_are_found_through_containers_and_namespaces() {
        // A container that shares the host's namespace sees its own group at the mount point.
        let mounts = ONE.replace("0:31 / ", "0:31 /docker/c1 ");
        let top = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        let inner = "sys/fs/cgroup/memory/inner/memory.limit_in_bytes";
        let files = [(top, "100\n"), (inner, "200\n")];
        assert_eq!(
            limit("4:memory:/docker/c1/inner\n", &mounts, &files),
            Some(100)
        );
        assert_eq!(
            limit("4:memory:/docker/c2\n", &mounts, &files),
            None,
            "another container's limit isn't ours"
        );
        // In a namespace of its own the group is its root.
        let top = [("sys/fs/cgroup/memory.max", "64\n")];
        assert_eq!(limit("0::/\n", TWO, &top), Some(64));
        // The host's tree, mounted into a namespace: its root is a group above ours.
        let above = TWO.replace("0:25 / ", "0:25 /../.. ");
        assert_eq!(limit("0::/\n", &above, &top), Some(64));
        // A group outside of the namespace can't be reached through it.
        assert_eq!(limit("0::/../other\n", TWO, &top), None);
    }

    #[test]
    fn a_name_that_is_no_utf_8_hides_no_limit() {
        let files = [("sys/fs/cgroup/a/memory.max", "5\n")];
        let stick = b"90 22 8:17 / /media/Gr\xfc\xdfe rw - vfat /dev/sdb1 rw\n".as_slice();
        let mounts = [stick, TWO.as_bytes()].concat();
        assert_eq!(limit("0::/a\n", mounts, &files), Some(5));
        let groups = b"1:name=caf\xe9:/caf\xe9\n0::/a\n";
        assert_eq!(limit(groups, TWO, &files), Some(5));
    }

    #[test]
    fn mount_points_may_have_spaces() {
        let mounts = TWO.replace("/sys/fs/cgroup", "/mnt/my\\040groups");
        let files = [("mnt/my groups/a/memory.max", "5\n")];
        assert_eq!(limit("0::/a\n", &mounts, &files), Some(5));
        assert_eq!(unescaped("a\\134b\\"), "a\\b\\");
    }
}
