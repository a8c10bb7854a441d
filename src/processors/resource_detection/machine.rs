//! What detectors look at, so that a test can show them another machine.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
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

    /// The beginning of a file. Bytes that aren't UTF-8 become U+FFFD. May block.
    pub(super) fn text(&self, path: &str) -> io::Result<String> {
        /// The files of a machine of thousands of processors are longer; what is looked for stands
        /// at their beginning.
        const MOST: u64 = 1 << 20;

        let mut bytes = Vec::new();
        let file = File::open(self.root.join(path))?;
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
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
