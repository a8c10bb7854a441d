//! What detectors look at, so that a test can show them another machine.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::lookups::NameLookups;
use super::netlink::{self, NetworkInterface};

/// The value of an environment variable.
type ReadVariable = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The machine and the environment of the agent.
#[derive(Clone)]
pub(super) struct ObservedMachine {
    /// Where the files of the machine are.
    pub(super) root: PathBuf,
    /// The value of an environment variable; `None` also if it isn't UTF-8.
    pub(super) variable: Arc<ReadVariable>,
    pub(super) names: NameLookups,
    pub(super) interfaces: fn() -> io::Result<Vec<NetworkInterface>>,
}

impl ObservedMachine {
    pub(super) fn real() -> Self {
        Self {
            root: PathBuf::from("/"),
            variable: Arc::new(|name| std::env::var(name).ok()),
            names: NameLookups::system(),
            interfaces: netlink::interfaces,
        }
    }

    /// The value of a variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for ObservedMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObservedMachine({})", self.root.display())
    }
}
