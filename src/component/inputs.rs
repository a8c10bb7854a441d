//! How the program that the agent is embedded in hands over data by calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{ComponentId, Intake, Origin, Refusal};
use crate::pdata::{Batch, Signal};

/// The longest that a call waits for room, as for any other sender.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pipelines behind one receiver of calls. A handle: clones feed the same pipelines.
#[derive(Clone)]
pub struct ProgramInput {
    intakes: Arc<BTreeMap<Signal, Arc<dyn Intake>>>,
}

/// Why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The pipelines have no room, or the agent ends. The batch may be pushed again later.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The receiver stands in no pipeline of this signal.
    #[error("the receiver is in no pipeline of {0}")]
    NoPipeline(Signal),
}

impl ProgramInput {
    pub(crate) fn new(intakes: BTreeMap<Signal, Arc<dyn Intake>>) -> Self {
        Self {
            intakes: Arc::new(intakes),
        }
    }

    /// Hands a batch to every pipeline of its signal, and waits while they are busy, and up to 30 s
    /// for room where a destination has `block_on_overflow`. Data in encoded form becomes a batch by [`Batch::decode`]; points are written with
    /// [`MetricsWriter`](crate::pdata::writer::MetricsWriter).
    ///
    /// Not cancel safe: once it was polled, dropping the future may count the batch as dropped with
    /// the reason `aborted`.
    ///
    /// # Errors
    ///
    /// When the batch was not taken. Nothing of it is in a pipeline then.
    pub async fn push(&self, batch: Batch) -> Result<(), PushError> {
        let signal = batch.signal();
        let intake = self.intakes.get(&signal);
        let intake = intake.ok_or(PushError::NoPipeline(signal))?;
        let deadline = Instant::now() + PATIENCE;
        let admission = intake.admit(Origin::Push, batch.weight(), deadline).await;
        let admission = admission.inspect_err(|_| intake.refused(batch.items()))?;
        admission.accept(batch).await;
        Ok(())
    }
}

/// The inputs of one agent, by the receiver's id. A handle: clones share the list.
#[derive(Clone, Default)]
pub struct ProgramInputs {
    inputs: Arc<Mutex<BTreeMap<ComponentId, ProgramInput>>>,
}

impl ProgramInputs {
    pub(crate) fn register(&self, id: ComponentId, input: ProgramInput) {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.insert(id, input);
    }

    /// The input of a receiver; `None` if there is no receiver of calls with this id.
    pub fn get(&self, id: &ComponentId) -> Option<ProgramInput> {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.get(id).cloned()
    }
}
