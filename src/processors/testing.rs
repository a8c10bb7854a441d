//! What the tests of several processors need.

use std::sync::Arc;

use bytes::Bytes;

use crate::component::{BuildContext, DropReason, Output};
use crate::pdata::samples::{self, Style};
use crate::pdata::{Batch, Signal};
use crate::telemetry::Telemetry;
use crate::yaml::{Diagnostics, FromValue, PlacedNode, parse};

/// Reads a configuration, or says what is wrong with it or doubtful.
pub(super) fn read<T: FromValue>(yaml: &str) -> Result<T, Vec<String>> {
    let diagnostics = Diagnostics::new();
    let node = parse(yaml, &Arc::from("test"), &diagnostics);
    let read = node.and_then(|node| T::from_value(&PlacedNode::root(&node, &diagnostics)));
    let problems = diagnostics.problems();
    match read {
        Some(read) if problems.is_empty() => Ok(read),
        _ => Err(problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect()),
    }
}

/// A random request with every field of the protocol.
pub(super) fn sample(signal: Signal, seed: u64, style: Style) -> Batch {
    let request = match signal {
        Signal::Metrics => samples::metrics(seed, style),
        Signal::Traces => samples::traces(seed, style),
        Signal::Logs => samples::logs(seed, style),
    };
    Batch::decode(signal, Bytes::from(request)).unwrap()
}

/// What a processor gave out.
#[derive(Debug, Default)]
pub(super) struct OutputRecorder {
    pub(super) emitted: Vec<Batch>,
    pub(super) created: Vec<Batch>,
    pub(super) discarded: Vec<(u64, DropReason)>,
}

impl Output for OutputRecorder {
    fn emit(&mut self, batch: Batch) {
        self.emitted.push(batch);
    }

    fn create(&mut self, batch: Batch) {
        self.created.push(batch);
    }

    fn discard(&mut self, items: u64, reason: DropReason) {
        self.discarded.push((items, reason));
    }
}

impl OutputRecorder {
    /// The items of each batch that was given out since the last call.
    pub(super) fn sizes(&mut self) -> Vec<u64> {
        self.emitted.drain(..).map(|batch| batch.items()).collect()
    }
}

/// What a processor of this id is built with.
pub(super) fn context(id: &str) -> BuildContext {
    BuildContext::standalone(id.parse().unwrap(), Telemetry::off())
}
