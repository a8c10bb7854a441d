//! Renames full files, and removes the renamed ones that are too old or too many.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use crate::yaml::PlacedNode;

/// The value of `rotation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rotation {
    /// The largest size of a file, unless a single flush is larger.
    pub(super) max_bytes: u64,
    /// How many rotated files are kept; 0 keeps all.
    pub(super) max_backups: u64,
    /// How many days rotated files are kept; 0 keeps them for ever.
    pub(super) max_days: u64,
}

const DAY: Duration = Duration::from_hours(24);

impl Rotation {
    pub(super) fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let max_megabytes = fields.within("max_megabytes", 100, 1..=1 << 20);
        let max_backups = fields.within("max_backups", 100, 0..=10_000);
        let max_days = fields.within("max_days", 0, 0..=36_500);
        if let Some(localtime) = fields.value("localtime").filter(|v| !v.is_null())
            && localtime.read() == Some(true)
        {
            localtime.warn("localtime has no effect: rotated files are named by UTC");
        }
        fields.finish();
        Some(Self {
            max_bytes: max_megabytes << 20,
            max_backups,
            max_days,
        })
    }

    /// Renames the file to its name with the time in it.
    pub(super) fn move_aside(self, path: &Path, now: SystemTime) -> io::Result<()> {
        let mut time = now;
        let mut target = backup(path, time);
        // If a file of this millisecond exists already, take the next millisecond.
        while target.try_exists()? {
            time += Duration::from_millis(1);
            target = backup(path, time);
        }
        fs::rename(path, target)
    }

    /// Removes the rotated files that are too old or too many.
    pub(super) fn prune(self, path: &Path, now: SystemTime) -> io::Result<()> {
        if self.max_backups == 0 && self.max_days == 0 {
            return Ok(());
        }
        let mut backups = backups(path)?;
        // Newest first.
        backups.sort_by(|a, b| b.cmp(a));
        for (rank, (time, backup)) in backups.into_iter().enumerate() {
            let age = now.duration_since(time).unwrap_or_default();
            let too_many = self.max_backups > 0 && rank as u64 >= self.max_backups;
            let too_old = self.max_days > 0 && age.as_secs() > self.max_days * DAY.as_secs();
            if too_many || too_old {
                match fs::remove_file(&backup) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The path of a rotated file: `dir/name-2026-11-21T12-00-00.000.ext`.
fn backup(path: &Path, time: SystemTime) -> PathBuf {
    let (stem, extension) = parts(path);
    let time = humantime::format_rfc3339_millis(time).to_string();
    let time = time.trim_end_matches('Z').replace(':', "-");
    path.with_file_name(format!("{stem}-{time}{extension}"))
}

/// The rotated files in the directory of the file, with the times in their names.
fn backups(path: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let (stem, extension) = parts(path);
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let time = name
            .to_str()
            .and_then(|name| name.strip_prefix(&stem)?.strip_prefix('-'))
            .and_then(|rest| rest.strip_suffix(&extension))
            .and_then(time);
        if let Some(time) = time {
            found.push((time, entry.path()));
        }
    }
    Ok(found)
}

/// Splits the name before the dot of its extension.
fn parts(path: &Path) -> (String, String) {
    let stem = path.file_stem().unwrap_or_default();
    let extension = path
        .extension()
        .map(|extension| format!(".{}", extension.to_string_lossy()));
    (
        stem.to_string_lossy().into_owned(),
        extension.unwrap_or_default(),
    )
}

/// Parses `2026-11-21T12-00-00.000` and no other form: files with other names aren't the
/// exporter's.
fn time(text: &str) -> Option<SystemTime> {
    let (date, clock) = text.split_once('T')?;
    if text.len() != "2026-11-21T12-00-00.000".len() {
        return None;
    }
    humantime::parse_rfc3339(&format!("{date}T{}Z", clock.replace('-', ":"))).ok()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_rotated_file_is_named_by_its_time_in_utc() {
        let at = UNIX_EPOCH + Duration::from_millis(1_795_262_400_123);
        let f = |path: &str, expected: &str| {
            assert_eq!(backup(Path::new(path), at), Path::new(expected));
        };
        f("/a/b.jsonl", "/a/b-2026-11-21T12-00-00.123.jsonl");
        f("b", "b-2026-11-21T12-00-00.123");
        f("/a/b.c.d", "/a/b.c-2026-11-21T12-00-00.123.d");
        assert_eq!(time("2026-11-21T12-00-00.123"), Some(at));
    }

    #[test]
    fn only_rotated_files_of_this_file_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.jsonl");
        let kept = [
            "b.jsonl",
            "b-notes.jsonl",
            "b-2026-11-01T00-00-00.000.txt",
            "c-2026-11-01T00-00-00.000.jsonl",
            "b-2026-11-20T00-00-00.000.jsonl",
            "b-2026-11-20T00-00-00.001.jsonl",
        ];
        let gone = [
            "b-2026-11-10T00-00-00.000.jsonl",
            "b-2026-11-19T23-59-59.999.jsonl",
        ];
        for name in kept.iter().chain(&gone) {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        let rotation = Rotation {
            max_bytes: 1,
            max_backups: 2,
            max_days: 7,
        };
        let now = time("2026-11-21T00-00-00.000").unwrap();
        rotation.prune(&path, now).unwrap();
        let mut left: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = kept;
        expected.sort();
        assert_eq!(left, expected);

        rotation.prune(&path, now + 8 * DAY).unwrap();
        assert!(!directory.path().join(kept[4]).exists(), "a week is over");
    }
}
