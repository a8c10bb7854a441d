//! Reads and parses one file.

use super::{HostRead, ReadingBuilder, ReadingUpdate};
use crate::host::failure::{UnreadPart, UnreadReason};
use crate::host::proc::{ReadError, Root};
use crate::host::threads::ReadKind;

/// Reads and parses a file, and then what `further` returns. A file that doesn't exist is no
/// failure, since containers lack some: its values are absent.
pub(super) fn file<T: Send + 'static>(
    root: &Root,
    name: &'static str,
    part: &'static str,
    read: fn(&Root, &str) -> Result<Vec<u8>, ReadError>,
    parse: impl FnOnce(Vec<u8>) -> Option<T> + Send + 'static,
    further: impl FnOnce(&T) -> Vec<HostRead> + Send + 'static,
    put: impl FnOnce(&mut ReadingBuilder, T) + Send + 'static,
) -> HostRead {
    let root = root.clone();
    let work = move || -> (ReadingUpdate, Vec<HostRead>) {
        let (reason, message) = match read(&root, name) {
            Ok(bytes) => match parse(bytes) {
                Some(value) => {
                    let further = further(&value);
                    let update = |to: &mut ReadingBuilder| put(to, value);
                    return (Box::new(update), further);
                }
                None => (UnreadReason::Parse, "not in the kernel's form".to_owned()),
            },
            Err(ReadError::Absent) => return (Box::new(|_| {}), Vec::new()),
            Err(error @ ReadError::TooLarge) => (UnreadReason::Limit, error.to_string()),
            Err(error @ (ReadError::Io(_) | ReadError::Hidden)) => {
                (UnreadReason::Refused, error.to_string())
            }
        };
        let failure = UnreadPart::new(part, reason, message);
        let update = |to: &mut ReadingBuilder| to.fail(failure);
        (Box::new(update), Vec::new())
    };
    HostRead {
        kind: ReadKind::File,
        what: name.to_owned(),
        part: part.to_owned(),
        read: Box::new(work),
    }
}

/// Reads and parses a text file. Bytes that aren't UTF-8 become U+FFFD.
pub(super) fn text_file<T: Send + 'static>(
    root: &Root,
    name: &'static str,
    part: &'static str,
    read: fn(&Root, &str) -> Result<Vec<u8>, ReadError>,
    parse: impl FnOnce(&str) -> Option<T> + Send + 'static,
    put: impl FnOnce(&mut ReadingBuilder, T) + Send + 'static,
) -> HostRead {
    let parse = |bytes: Vec<u8>| parse(&String::from_utf8_lossy(&bytes));
    file(root, name, part, read, parse, |_| Vec::new(), put)
}
