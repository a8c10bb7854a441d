//! The limit of open file descriptors, and the error when there are none left.
//!
//! Linux gives a program a soft limit of 1,024, for the sake of programs that use `select`, and a
//! hard limit that is usually far higher. This program doesn't use `select`.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate.

use std::io;

/// Whether an error means that this process or the machine has no file descriptor left, which is
/// a fault of this machine and not of the peer. [`io::ErrorKind`] has no kind for it.
#[cfg(unix)]
pub fn are_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let exhausted = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|number| exhausted.contains(&number))
}

/// Windows reports it for the process only, as WSAEMFILE.
#[cfg(not(unix))]
pub fn are_exhausted(error: &io::Error) -> bool {
    error.raw_os_error() == Some(10_024)
}

/// Raises the soft limit to the hard one. If that isn't allowed, the soft limit stays.
#[cfg(unix)]
pub fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of file descriptors stays as it is");
        }
    }
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn raise_limit() {}

/// The most connections of one listener: a quarter of the descriptors that the process may open,
/// so that two full listeners leave enough for files, exporters and probes.
#[cfg(unix)]
pub fn share() -> usize {
    use rustix::process::{Resource, getrlimit};

    let limit = getrlimit(Resource::Nofile).current;
    let quarter = limit.map(|limit| usize::try_from(limit / 4).unwrap_or(usize::MAX));
    quarter.unwrap_or(usize::MAX).max(1)
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn share() -> usize {
    usize::MAX
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn running_out_is_told_from_all_that_has_another_cause() {
        let f = |number: i32, expected: bool| {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(are_exhausted(&error), expected, "{error}");
        };
        // By number, as the kernel has them: ENFILE and EMFILE, beside ENOTTY and ENOMEM.
        f(23, true);
        f(24, true);
        f(25, false);
        f(12, false);
        assert!(!are_exhausted(&io::Error::other("out of everything")));
    }
}
