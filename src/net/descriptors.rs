//! The limit of open file descriptors.
//!
//! Linux gives a program a soft limit of 1,024, for the sake of programs that use `select`, and a
//! hard limit that is usually far higher. This program doesn't use `select`.

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
