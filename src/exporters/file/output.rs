//! The open file. Each write appends whole lines, or leaves the file so that the next one can.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Access, AtFlags};

use super::rotation::Rotation;

/// An open file to which whole lines are appended.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    /// Whether to create missing parent directories whenever the file is opened.
    create_directory: bool,
    file: File,
    rotation: Option<Rotation>,
    /// Whether the file may end with an incomplete line.
    torn: bool,
}

impl OutputFile {
    /// Opens or creates the file, and truncates it unless `append`.
    pub(super) fn open(
        path: PathBuf,
        create_directory: bool,
        append: bool,
        rotation: Option<Rotation>,
    ) -> io::Result<Self> {
        let file = open(&path, create_directory)?;
        let metadata = file.metadata()?;
        let mut torn = false;
        if metadata.is_file() {
            lock(&file)?;
            if append {
                torn = ends_within_a_line(&path, metadata.len())?;
            } else {
                file.set_len(0)?;
            }
        }
        Ok(Self {
            path,
            create_directory,
            file,
            rotation,
            torn,
        })
    }

    /// Appends whole lines; to a new file if the current one would exceed its size.
    ///
    /// # Errors
    ///
    /// As [`OutputFile::write_with`].
    pub(super) fn write(&mut self, lines: &[u8], now: SystemTime) -> io::Result<()> {
        self.write_with(lines.len() as u64, now, |file| file.write_all(lines))
    }

    /// Lets `fill` append whole lines of `length` bytes together; to a new file if the current
    /// one would exceed its size. Without a rotation the length doesn't matter.
    ///
    /// # Errors
    ///
    /// When any step fails. Then none of the lines is in the file, or the file ends with an
    /// incomplete one; the next write puts a line break before its own.
    pub(super) fn write_with(
        &mut self,
        length: u64,
        now: SystemTime,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut metadata = self.file.metadata()?;
        if self.moved_away(&metadata) {
            self.begin()?;
            metadata = self.file.metadata()?;
        }
        // Asked each time, since another program may have truncated the file.
        let mut size = metadata.len();
        if let Some(rotation) = self.rotation
            && metadata.is_file()
            && size > 0
            && size.saturating_add(length) > rotation.max_bytes
        {
            rotation.move_aside(&self.path, now)?;
            self.begin()?;
            self.prune(now);
            size = 0;
        }
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
            size += 1;
        }
        fill(&mut self.file).inspect_err(|_| {
            self.torn = self.file.set_len(size).is_err();
        })
    }

    /// Removes the rotated files that `rotation` no longer keeps. If that fails, they take space,
    /// but no data is lost.
    fn prune(&self, now: SystemTime) {
        if let Some(rotation) = self.rotation
            && let Err(error) = rotation.prune(&self.path, now)
        {
            tracing::warn!(path = %self.path.display(), %error, "can't remove rotated files");
        }
    }

    /// Whether the path no longer leads to the open file.
    fn moved_away(&self, open: &Metadata) -> bool {
        let at_path = std::fs::metadata(&self.path);
        open.is_file()
            && !at_path.is_ok_and(|found| found.ino() == open.ino() && found.dev() == open.dev())
    }

    fn begin(&mut self) -> io::Result<()> {
        let file = open(&self.path, self.create_directory)?;
        lock(&file)?;
        self.torn = ends_within_a_line(&self.path, file.metadata()?.len())?;
        self.file = file;
        Ok(())
    }
}

/// The same path for all names of a file: absolute, and without symbolic links if the file or its
/// folder exists. `None` for a terminal, a pipe or `/dev/null`, which several may write to.
pub(super) fn identity(path: &Path) -> Option<PathBuf> {
    if let Ok(metadata) = std::fs::metadata(path) {
        let found = metadata.is_file();
        return found.then(|| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().map(std::fs::canonicalize);
    match (folder, absolute.file_name()) {
        (Some(Ok(folder)), Some(name)) => Some(folder.join(name)),
        _ => Some(absolute),
    }
}

/// Finds out without opening it whether the file can be opened; otherwise says what is wrong.
pub(super) fn check(path: &Path, create_directory: bool) -> Result<(), String> {
    let writable = |path: &Path, access| {
        rustix::fs::accessat(rustix::fs::CWD, path, access, AtFlags::EACCESS)
            .map_err(|error| format!("{} can't be written: {error}", path.display()))
    };
    if let Ok(found) = std::fs::metadata(path) {
        if found.is_dir() {
            return Err(format!(
                "{} is a directory: name a file in it",
                path.display()
            ));
        }
        return writable(path, Access::WRITE_OK);
    }
    let mut missing = None;
    for folder in path.ancestors().skip(1) {
        // The directory that is shown is a part of the path as it was written.
        let place = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        match (std::fs::metadata(place), missing) {
            (Ok(found), _) if !found.is_dir() => {
                return Err(format!("{} is no directory", place.display()));
            }
            (Ok(_), Some(missing)) if !create_directory => {
                return Err(format!(
                    "the directory {} is missing: create it, or set create_directory: true",
                    Path::display(missing)
                ));
            }
            (Ok(_), _) => return writable(place, Access::WRITE_OK | Access::EXEC_OK),
            (Err(_), None) => missing = Some(place),
            (Err(_), Some(_)) => {}
        }
    }
    Ok(())
}

/// Opened for appending: each write goes to the current end of the file, also after another
/// program truncated it.
fn open(path: &Path, create_directory: bool) -> io::Result<File> {
    if create_directory && let Some(parent) = path.parent() {
        let created = std::fs::create_dir_all(parent);
        created.map_err(|error| {
            let place = parent.display();
            io::Error::new(
                error.kind(),
                format!("can't create the directory {place}: {error}"),
            )
        })?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}

/// Locks the file, since two writers would truncate each other's lines.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::Error::other(
            "another exporter or another agent writes to this file",
        )),
        // Some network filesystems have no locks; the file is then used without one.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn ends_within_a_line(path: &Path, size: u64) -> io::Result<bool> {
    if size == 0 {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(size - 1))?;
    let mut last = [0];
    Ok(file.read(&mut last)? == 1 && last != *b"\n")
}
