//! A receiver.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::component::{BuildContext, Intake, Receiver, ReceiverConfig};
use crate::pdata::Signal;

/// How a receiver behaves. It produces nothing: the tests push the data themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service::tests) enum SourceKind {
    Obedient,
    Hanging,
    Panicking,
    Unbuildable,
}

pub(in crate::service::tests) struct Source {
    pub(in crate::service::tests) kind: SourceKind,
    pub(in crate::service::tests) intakes: Shared<BTreeMap<String, Arc<dyn Intake>>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl ReceiverConfig for Source {
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        anyhow::ensure!(self.kind != SourceKind::Unbuildable, "no certificate");
        let mut shared = self.intakes.lock().unwrap();
        for (signal, intake) in intakes {
            shared.insert(format!("{} {signal}", context.id), intake);
        }
        Ok(Box::new(SourceTask(self.kind)))
    }

    fn describe(&self) -> String {
        "rig".to_owned()
    }
}

struct SourceTask(SourceKind);

impl Receiver for SourceTask {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn run(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            match self.0 {
                SourceKind::Obedient => stop.cancelled().await,
                SourceKind::Hanging => pending().await,
                SourceKind::Panicking => panic!("the source broke"),
                SourceKind::Unbuildable => unreachable!(),
            }
        })
    }
}
