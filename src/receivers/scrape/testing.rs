//! Stand-ins that the tests of all pull receivers share.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use super::{Controller, Target};
use crate::component::{Admission, BuildContext, Health, Intake, Origin, Refusal};
use crate::pdata::Batch;
use crate::telemetry::Telemetry;

#[path = "../../../tests/support/series.rs"]
mod samples;

pub(crate) use samples::Series;

/// An intake that keeps the batches it is given, or refuses them if the test says so.
#[derive(Debug, Default)]
pub(crate) struct RecordingIntake {
    batches: Arc<Mutex<Vec<Batch>>>,
    refuses: Mutex<Option<&'static str>>,
}

impl RecordingIntake {
    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.batches.lock().unwrap().clone()
    }

    pub(crate) fn refuse(&self, reason: Option<&'static str>) {
        *self.refuses.lock().unwrap() = reason;
    }

    /// The series of the last batch.
    pub(crate) fn last(&self) -> Series {
        series(self.batches().last().expect("a batch"))
    }
}

impl Intake for RecordingIntake {
    fn try_admit(&self, origin: Origin, _bytes: u64) -> Result<Box<dyn Admission>, Refusal> {
        assert_eq!(origin, Origin::Pull);
        match *self.refuses.lock().unwrap() {
            Some(reason) => Err(Refusal {
                reason,
                retry_after: Some(std::time::Duration::from_secs(1)),
            }),
            None => Ok(Box::new(RecordingRoom(Arc::clone(&self.batches)))),
        }
    }
}

struct RecordingRoom(Arc<Mutex<Vec<Batch>>>);

impl Admission for RecordingRoom {
    fn grow(&mut self, _bytes: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn accept(self: Box<Self>, batch: Batch) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(batch);
        Box::pin(std::future::ready(()))
    }
}

/// The context of a receiver without `resilience`.
pub(crate) fn context(id: &str) -> BuildContext {
    BuildContext::standalone(id.parse().unwrap(), Telemetry::off())
}

/// A controller with a context of its own.
pub(crate) fn controller(
    id: &str,
    intake: Arc<RecordingIntake>,
    health: Health,
    targets: Vec<Target>,
) -> Box<Controller> {
    let context = BuildContext {
        health,
        ..context(id)
    };
    Box::new(Controller::new(&context, intake, targets))
}

/// Decodes a batch with prost.
pub(crate) fn series(batch: &Batch) -> Series {
    samples::read(batch.parts().iter().map(|part| part.bytes().as_ref()))
}
