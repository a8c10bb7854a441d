//! The exporters of a graph: their queues, their breakers, and their tasks.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::GraphBuilder;
use crate::component::{BuiltExporter, ComponentId, RemoteExporter, Sink};
use crate::config::Stage;
use crate::pdata::Signal;
use crate::pipeline::Ending;
use crate::pipeline::capacity::Capacity;
use crate::pipeline::delivery::DeliveryTask;
use crate::pipeline::grace::Grace;
use crate::pipeline::ledger::LegAccount;
use crate::pipeline::outlet::ObservedOutlet;
use crate::pipeline::queue::Queue;
use crate::pipeline::sink::SinkTask;
use crate::pipeline::status::ExporterStatus;
use crate::resilience::{EndpointId, RegistrationError};
use crate::settings::WhenFull;

/// One exporter, or one signal of it, ready to start.
pub struct ExporterTask {
    id: ComponentId,
    /// Where there is a task for each of several.
    signal: Option<Signal>,
    kind: ExporterKind,
}

enum ExporterKind {
    Remote(Box<DeliveryTask>),
    Local(SinkTask),
}

impl ExporterTask {
    /// Its id in the configuration.
    pub fn id(&self) -> &ComponentId {
        &self.id
    }

    /// What it is called in logs.
    pub fn name(&self) -> String {
        match self.signal {
            Some(signal) => format!("exporter {} {signal}", self.id),
            None => format!("exporter {}", self.id),
        }
    }

    /// Opens what it needs, and fails early.
    ///
    /// # Errors
    ///
    /// Whatever the exporter can't open.
    pub fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        match &mut self.kind {
            ExporterKind::Remote(task) => Box::pin(task.start()),
            ExporterKind::Local(task) => Box::pin(task.start()),
        }
    }

    /// Runs until nothing more can come or the grace is over.
    pub async fn run(self, grace: Grace) -> Ending {
        match self.kind {
            ExporterKind::Remote(task) => task.run(grace).await,
            ExporterKind::Local(task) => task.run(grace).await,
        }
    }
}

/// Where data leaves: one signal of a remote exporter, or a local exporter.
pub(super) struct Outlet {
    pub(super) queue: Arc<Queue>,
    pub(super) status: Arc<ExporterStatus>,
    signal: Option<Signal>,
    /// How it votes; none for a local one.
    pub(super) vote: Option<(WhenFull, bool)>,
    pub(super) legs: Vec<Arc<LegAccount>>,
}

impl Outlet {
    pub(super) fn observed(self) -> ObservedOutlet {
        ObservedOutlet {
            status: self.status,
            queue: self.queue,
            signal: self.signal,
        }
    }
}

impl GraphBuilder<'_> {
    pub(super) fn exporters(&mut self) -> Vec<ExporterTask> {
        let config = self.config;
        let mut tasks = Vec::new();
        for (id, exporter) in &config.exporters {
            match exporter.build(&self.context(id)) {
                Ok(BuiltExporter::Remote(remotes)) => match self.remote(id, remotes) {
                    Ok(remotes) => tasks.extend(remotes),
                    Err(error) => self.fail("exporters", id, error.into()),
                },
                Ok(BuiltExporter::Local(sink)) => tasks.push(self.local(id, sink)),
                Err(error) => self.fail("exporters", id, error),
            }
        }
        tasks
    }

    /// One task for each signal, so that none waits for another. What may wait is bounded
    /// for all of them together.
    fn remote(
        &mut self,
        id: &ComponentId,
        remotes: Vec<RemoteExporter>,
    ) -> Result<Vec<ExporterTask>, RegistrationError> {
        let mut tasks = Vec::new();
        let Some(first) = remotes.first() else {
            return Ok(tasks);
        };
        let capacity = Capacity::new(DeliveryTask::bounds(&first.delivery));
        let alone = remotes.len() == 1;
        for remote in remotes {
            let RemoteExporter {
                signal,
                exporter,
                endpoint,
                mut delivery,
            } = remote;
            let status = ExporterStatus::new(id, &self.surroundings.health);
            let status = Arc::new(if alone { status } else { status.of(signal) });
            let endpoints = &self.surroundings.endpoints;
            let name = EndpointId::new(id.as_str(), &endpoint).carrying(signal.as_str());
            let endpoint = endpoints.breaker(name, delivery.breaker.clone())?;
            status.guarded_by(Arc::clone(&endpoint));
            let queue = Queue::new(&capacity);
            let vote = (delivery.queue.when_full, delivery.queue.block_on_overflow);
            delivery.queue.join_items = self.join_items(id, signal, delivery.queue.join_items);
            let task = DeliveryTask::new(
                exporter,
                delivery,
                Arc::clone(&queue),
                Arc::clone(&status),
                endpoint,
                endpoints.tasks().clone(),
            );
            tasks.push(ExporterTask {
                id: id.clone(),
                signal: (!alone).then_some(signal),
                kind: ExporterKind::Remote(Box::new(task)),
            });
            let outlet = Outlet {
                queue,
                status,
                signal: Some(signal),
                vote: Some(vote),
                legs: Vec::new(),
            };
            self.outlets.insert((id.clone(), Some(signal)), outlet);
        }
        Ok(tasks)
    }

    fn local(&mut self, id: &ComponentId, sink: Box<dyn Sink>) -> ExporterTask {
        let status = Arc::new(ExporterStatus::new(id, &self.surroundings.health));
        let queue = Queue::new(&Capacity::new(SinkTask::bounds(sink.as_ref())));
        let task = SinkTask::new(sink, Arc::clone(&queue), Arc::clone(&status));
        let outlet = Outlet {
            queue,
            status,
            signal: None,
            vote: None,
            legs: Vec::new(),
        };
        self.outlets.insert((id.clone(), None), outlet);
        ExporterTask {
            id: id.clone(),
            signal: None,
            kind: ExporterKind::Local(task),
        }
    }

    /// Up to how many items an exporter joins requests: no more than the batches have that
    /// its pipelines cut to a size.
    fn join_items(&self, exporter: &ComponentId, signal: Signal, max_items: u64) -> u64 {
        let pipelines = self.config.service.pipelines.iter();
        pipelines
            .filter(|pipeline| pipeline.id.signal == signal)
            .filter(|pipeline| pipeline.exporters.contains(exporter))
            .flat_map(|pipeline| &pipeline.processors)
            .filter_map(|id| match self.config.processors.get(id) {
                Some(Stage::Processor(processor)) => processor.max_items(),
                _ => None,
            })
            .fold(max_items, u64::min)
    }
}
