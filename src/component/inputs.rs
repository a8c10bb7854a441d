//! How the program that the agent is embedded in hands over data by calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Admission, ComponentId, Intake, Origin, Refusal};
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
        let admission = admit(&**intake, &batch).await;
        let admission = admission.inspect_err(|_| intake.refused(batch.items()))?;
        admission.accept(batch).await;
        Ok(())
    }
}

async fn admit(intake: &dyn Intake, batch: &Batch) -> Result<Box<dyn Admission>, Refusal> {
    let deadline = Instant::now() + PATIENCE;
    let mut admission = intake.admit(Origin::Push, batch.size(), deadline).await?;
    // Reading an irregular batch will take more memory than its bytes, and no room in queues.
    match batch.weight() - batch.size() {
        0 => {}
        more => admission.grow_memory(more)?,
    }
    Ok(admission)
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

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;

    /// Bytes that were reserved in queues and memory, and in memory alone.
    type Reserved = Arc<Mutex<(u64, u64)>>;

    struct RecordingIntake(Reserved);

    struct RecordedAdmission(Reserved);

    impl Intake for RecordingIntake {
        fn try_admit(&self, _: Origin, bytes: u64) -> Result<Box<dyn Admission>, Refusal> {
            self.0.lock().unwrap().0 += bytes;
            Ok(Box::new(RecordedAdmission(Arc::clone(&self.0))))
        }
    }

    impl Admission for RecordedAdmission {
        fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
            self.0.lock().unwrap().0 += bytes;
            Ok(())
        }

        fn grow_memory(&mut self, bytes: u64) -> Result<(), Refusal> {
            self.0.lock().unwrap().1 += bytes;
            Ok(())
        }

        fn accept(self: Box<Self>, _: Batch) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test]
    async fn what_an_irregular_batch_takes_beyond_its_bytes_is_reserved_in_memory_alone() {
        let reserved = Reserved::default();
        let intake: Arc<dyn Intake> = Arc::new(RecordingIntake(Arc::clone(&reserved)));
        let input = ProgramInput::new(BTreeMap::from([(Signal::Metrics, intake)]));
        // A metric whose name stands twice.
        let metric = b"\x0a\x08\x12\x06\x12\x04\x0a\x00\x0a\x00";
        let batch = Batch::decode(Signal::Metrics, metric.as_slice().into()).unwrap();
        let (size, weight) = (batch.size(), batch.weight());
        assert!(size < weight, "it is irregular");
        input.push(batch).await.unwrap();
        assert_eq!(*reserved.lock().unwrap(), (size, weight - size));
    }
}
