//! `file_sd_configs`: targets that files list.
//!
//! The files are looked at each second, since the changes of a directory on another machine can't
//! be watched, and a look costs a few system calls. A file that can't be read keeps its last
//! targets until it can, or until it is gone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::groups::{read_json, read_yaml};
use super::{Findings, FoundGroups, LONGEST};
use crate::lane::Lane;
use crate::receivers::prometheus::config::{FileConfig, PathPattern};
use crate::receivers::prometheus::groups::TargetGroup;
use crate::receivers::prometheus::relabel::NameScheme;

/// How often the files are looked at.
const LOOKS: Duration = Duration::from_secs(1);

/// The most files that are read.
const MAX_FILES: usize = 1000;

/// The label that names a target's file.
const FILEPATH: &str = "__meta_filepath";

/// Reads the files of one element of `file_sd_configs`.
pub(in crate::receivers::prometheus) struct FileDiscovery {
    config: Arc<FileConfig>,
    names: NameScheme,
    /// A file system that hangs keeps this thread and nothing else.
    lane: Lane,
    known: BTreeMap<PathBuf, KnownFile>,
}

/// What is remembered of a file.
struct KnownFile {
    /// Of the content that was read last, also where it was wrong.
    stamp: Option<FileStamp>,
    /// Those of the last content that was right.
    groups: FoundGroups,
    /// What is wrong with the content.
    error: Option<String>,
}

/// By what a change of a file is noticed without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// A file that was found.
enum Look {
    Unchanged,
    Read(FileStamp, Vec<TargetGroup>),
    Wrong(Option<FileStamp>, String),
}

impl FileDiscovery {
    pub(in crate::receivers::prometheus) fn new(config: FileConfig, names: NameScheme) -> Self {
        Self {
            config: Arc::new(config),
            names,
            lane: Lane::new(1),
            known: BTreeMap::new(),
        }
    }

    /// Looks at the files until it is dropped.
    pub(in crate::receivers::prometheus) async fn run(mut self, mut findings: Findings) {
        let mut full = Instant::now();
        loop {
            let now = Instant::now();
            let is_full = now >= full;
            if is_full {
                full = now + self.config.refresh;
            }
            self.look(is_full, &mut findings).await;
            sleep_until(full.min(now + LOOKS)).await;
        }
    }

    /// Looks once. A full look reads every file, since a change may leave all that is compared as
    /// it was.
    async fn look(&mut self, is_full: bool, findings: &mut Findings) {
        let config = Arc::clone(&self.config);
        let names = self.names;
        let known: BTreeMap<PathBuf, FileStamp> = self
            .known
            .iter()
            .filter(|_| !is_full)
            .filter_map(|(path, file)| Some((path.clone(), file.stamp?)))
            .collect();
        let looks = self
            .lane
            .run(move || -> io::Result<Vec<(PathBuf, Look)>> {
                let paths = list(&config.files)?;
                let look = |path: PathBuf| {
                    let look = look_at(&path, known.get(&path), names);
                    (path, look)
                };
                Ok(paths.into_iter().map(look).collect())
            })
            .await;
        let looks = match looks {
            Ok(looks) => looks,
            Err(error) => return findings.failed(error),
        };
        let mut last = std::mem::take(&mut self.known);
        let mut has_failed = false;
        for (path, look) in looks {
            let before = last.remove(&path);
            let groups = before.as_ref().map_or(&[][..], |file| &file.groups);
            let file = match look {
                Look::Unchanged => before,
                Look::Read(stamp, read) => Some(KnownFile {
                    stamp: Some(stamp),
                    groups: Findings::unchanged(groups, read),
                    error: None,
                }),
                Look::Wrong(stamp, error) => {
                    has_failed = true;
                    Some(KnownFile {
                        stamp,
                        groups: groups.to_vec(),
                        error: Some(format!("{}: {error}", path.display())),
                    })
                }
            };
            self.known.extend(file.map(|file| (path, file)));
        }
        let files = self.known.values();
        findings.found(files.flat_map(|file| file.groups.iter().cloned()).collect());
        let errors: Vec<&str> = self
            .known
            .values()
            .filter_map(|file| file.error.as_deref())
            .collect();
        if errors.is_empty() {
            findings.works();
        } else if has_failed {
            findings.failed(errors.join("; "));
        }
    }
}

/// The paths of all files, each once.
fn list(patterns: &[PathPattern]) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for pattern in patterns {
        match pattern {
            PathPattern::File(path) => match fs::metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => paths.push(path.clone()),
            },
            PathPattern::Files { directory, names } => {
                let place = match directory.as_os_str().is_empty() {
                    true => Path::new("."),
                    false => directory,
                };
                let entries = match fs::read_dir(place) {
                    Ok(entries) => entries,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(at(place, &error)),
                };
                for entry in entries {
                    let name = entry.map_err(|error| at(place, &error))?.file_name();
                    if name.to_str().is_some_and(|name| names.is_match(name)) {
                        paths.push(directory.join(name));
                    }
                }
            }
        }
    }
    paths.sort();
    paths.dedup();
    match paths.len() > MAX_FILES {
        true => Err(io::Error::other(format!(
            "there are more than {MAX_FILES} files: {}",
            paths.len()
        ))),
        false => Ok(paths),
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn look_at(path: &Path, known: Option<&FileStamp>, names: NameScheme) -> Look {
    let stamp = match fs::metadata(path) {
        // A pipe would keep the thread that opens it.
        Ok(metadata) if !metadata.is_file() => {
            return Look::Wrong(None, "it is no file".to_owned());
        }
        Ok(metadata) => FileStamp {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        },
        Err(error) => return Look::Wrong(None, error.to_string()),
    };
    if known == Some(&stamp) {
        return Look::Unchanged;
    }
    match read(path, names) {
        Ok(groups) => Look::Read(stamp, groups),
        Err(error) => Look::Wrong(Some(stamp), error),
    }
}

fn read(path: &Path, names: NameScheme) -> Result<Vec<TargetGroup>, String> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("it is longer than {} MiB", LONGEST >> 20));
    }
    let name = path.to_string_lossy();
    let is_json = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let mut groups = if is_json {
        read_json(&text)?
    } else {
        let text = std::str::from_utf8(&text).map_err(|error| error.to_string())?;
        read_yaml(text, &name, names)?
    };
    for group in &mut groups {
        group.labels.insert(FILEPATH.to_owned(), name.to_string());
    }
    Ok(groups)
}

#[cfg(test)]
mod tests;
