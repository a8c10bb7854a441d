//! Configuration text as a tree that remembers where everything stands.
//!
//! A user who mends a configuration wants every problem at once, each with its place, and
//! wants `010` to stay `010` where a string is due. Deserialisers stop at the first error
//! and decide a scalar's type from its looks, so here a document becomes [`Node`]s
//! (span, raw text, style), and components decode those with [`Fields`] and [`PlacedNode`],
//! which read each scalar by the type that is asked for and collect [`Problem`]s instead
//! of stopping.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate.

mod field;
mod parse;
mod print;
mod quantity;
mod scalar;
mod seal;
mod secret;
mod shown;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

pub use field::{Fields, FromValue, PlacedNode, Ranged, nearest};
pub use parse::{MAX_BYTES, MAX_DEPTH, MAX_NODES, parse};
pub use print::{print, without_credentials};
pub use quantity::{ByteSize, GoDuration};
pub use scalar::{is_empty, is_false, is_true, is_zero};
pub(crate) use seal::is_secret;
pub use seal::seal;
pub use secret::Secret;

/// Where a node stands: the source's name, and line and column counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceSpan {
    /// The file as the user named it, or `--set`, `env:NAME`, `yaml:`, `default`.
    pub source: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for SourceSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.line, self.column)
    }
}

/// One value of the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it begins.
    pub span: SourceSpan,
}

/// The kinds of value that YAML has.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// Nothing after the key, `null` or `~`.
    Null,
    /// A scalar: its text after expansion, not yet of any type.
    Scalar {
        /// The text, without quotes.
        text: String,
        /// Whether it stood in quotes or in a block: then it is a string and nothing else.
        quoted: bool,
    },
    /// A scalar that must not be shown: what [`seal()`] makes of one by its key.
    Secret {
        /// The text after expansion, without quotes.
        text: Secret,
        /// Whether it stood in quotes or in a block.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the document, keys unique.
    Map(Vec<Entry>),
}

impl Node {
    /// Where the value begins to which a path of keys and list positions leads, such as
    /// `exporters::otlp_grpc::tls`; `None` if nothing is written there.
    pub fn place(&self, path: &str) -> Option<&SourceSpan> {
        let found = path
            .split("::")
            .try_fold(self, |node, step| match &node.kind {
                NodeKind::Map(entries) => entries
                    .iter()
                    .find(|entry| entry.key == step)
                    .map(|entry| &entry.value),
                NodeKind::List(items) => items.get(step.parse::<usize>().ok()?),
                _ => None,
            })?;
        Some(&found.span)
    }
}

/// One key of a map and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub span: SourceSpan,
    /// The value.
    pub value: Node,
}

/// One thing that is wrong with a configuration, or only doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub span: SourceSpan,
    /// The path of keys, such as `receivers::betanet::timeout`; empty for the document.
    pub path: String,
    /// What is wrong and what would be right; lower case, no full stop.
    pub message: String,
    /// Whether start-up can go on.
    pub severity: Severity,
}

/// What a [`Problem`] means for start-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration can't be used.
    Error,
    /// It can, and the user should know.
    Warning,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.span)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Collects what reading a configuration finds out, across all its parts.
///
/// A handle: clones share what they collect.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    found: Rc<RefCell<Found>>,
}

#[derive(Debug, Default)]
struct Found {
    problems: Vec<Problem>,
    secrets: Vec<SourceSpan>,
    /// Places about which everything has been said.
    settled: Vec<SourceSpan>,
    /// Why nothing stands where something is written.
    emptied: HashMap<SourceSpan, String>,
    /// What is written where the environment gave the value.
    references: HashMap<SourceSpan, String>,
}

impl Diagnostics {
    /// Nothing found so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem, unless one that settles its place came before.
    pub fn push(&self, problem: Problem) {
        let mut found = self.found.borrow_mut();
        if !found.settled.contains(&problem.span) {
            found.problems.push(problem);
        }
    }

    /// Adds a problem which leaves a value that means nothing, so that what is said about
    /// its place later would only confuse.
    pub fn settle(&self, problem: Problem) {
        let mut found = self.found.borrow_mut();
        found.settled.push(problem.span.clone());
        found.problems.push(problem);
    }

    /// Notes that what is written at a place comes to nothing, and why. What is then said
    /// about the place names the cause.
    pub fn emptied(&self, span: &SourceSpan, why: String) {
        self.found.borrow_mut().emptied.insert(span.clone(), why);
    }

    /// Notes that a value came from the environment, and what is written in its place. What
    /// is wrong with it is said without showing it: nobody knows what a variable holds.
    pub fn refers(&self, span: &SourceSpan, written: String) {
        self.found
            .borrow_mut()
            .references
            .insert(span.clone(), written);
    }

    fn reference(&self, span: &SourceSpan) -> Option<String> {
        self.found.borrow().references.get(span).cloned()
    }

    /// Notes that the scalar at a place must not be shown in a dump.
    pub fn mark_secret(&self, span: &SourceSpan) {
        self.found.borrow_mut().secrets.push(span.clone());
    }

    fn why_empty(&self, span: &SourceSpan) -> Option<String> {
        self.found.borrow().emptied.get(span).cloned()
    }

    /// Whether any problem is an error.
    pub fn has_errors(&self) -> bool {
        self.found
            .borrow()
            .problems
            .iter()
            .any(|p| p.severity == Severity::Error)
    }

    /// Everything found, by source and place, each problem once.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.found.borrow().problems.clone();
        problems.sort_by_cached_key(|p| (p.span.clone(), p.path.clone(), p.message.clone()));
        problems.dedup();
        problems
    }

    /// Where scalars stand that were read as secrets, for a dump that must not show them.
    pub fn secrets(&self) -> Vec<SourceSpan> {
        self.found.borrow().secrets.clone()
    }
}
