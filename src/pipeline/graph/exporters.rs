//! The exporters of a graph: their queues, their breakers, and their tasks.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Builder;
use crate::component::{BuiltExporter, ComponentId, RemoteExporter};
use crate::config::Stage;
use crate::pipeline::Ending;
use crate::pipeline::delivery::DeliveryTask;
use crate::pipeline::grace::Grace;
use crate::pipeline::ledger::LegAccount;
use crate::pipeline::queue::Queue;
use crate::pipeline::sink::SinkTask;
use crate::pipeline::status::ExporterStatus;
use crate::resilience::{EndpointId, RegistrationError};
use crate::settings::WhenFull;

/// One exporter, ready to start.
pub struct ExporterTask {
    id: ComponentId,
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

/// An outlet as the rest of the agent observes it.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct ObservedOutlet {
    pub(in crate::pipeline) status: Arc<ExporterStatus>,
    pub(in crate::pipeline) queue: Arc<Queue>,
    pub(in crate::pipeline) remote: bool,
}

/// What stands behind an exporter's id.
pub(super) struct Outlet {
    pub(super) queue: Arc<Queue>,
    status: Arc<ExporterStatus>,
    /// How it votes; none for a local one.
    pub(super) vote: Option<(WhenFull, bool)>,
    pub(super) legs: Vec<Arc<LegAccount>>,
}

impl Outlet {
    pub(super) fn observed(self) -> ObservedOutlet {
        ObservedOutlet {
            status: self.status,
            queue: self.queue,
            remote: self.vote.is_some(),
        }
    }
}

impl Builder<'_> {
    pub(super) fn exporters(&mut self) -> Vec<ExporterTask> {
        let config = self.config;
        let mut tasks = Vec::new();
        for (id, exporter) in &config.exporters {
            match exporter.build(&self.context(id)) {
                Ok(built) => match self.exporter(id, built) {
                    Ok(task) => tasks.push(task),
                    Err(error) => self.fail("exporters", id, error.into()),
                },
                Err(error) => self.fail("exporters", id, error),
            }
        }
        tasks
    }

    fn exporter(
        &mut self,
        id: &ComponentId,
        built: BuiltExporter,
    ) -> Result<ExporterTask, RegistrationError> {
        let status = Arc::new(ExporterStatus::new(id, &self.surroundings.health));
        let (queue, vote, kind) = match built {
            BuiltExporter::Remote(remote) => {
                let RemoteExporter {
                    exporter,
                    endpoint,
                    mut delivery,
                } = *remote;
                let endpoints = &self.surroundings.endpoints;
                let name = EndpointId::new(id.as_str(), &endpoint);
                let endpoint = endpoints.breaker(name, delivery.breaker.clone())?;
                status.guarded_by(Arc::clone(&endpoint));
                let queue = Queue::new(DeliveryTask::bounds(&delivery));
                let vote = (delivery.queue.when_full, delivery.queue.block_on_overflow);
                delivery.queue.join_items = self.join_items(id, delivery.queue.join_items);
                let task = DeliveryTask::new(
                    exporter,
                    delivery,
                    Arc::clone(&queue),
                    Arc::clone(&status),
                    endpoint,
                    endpoints.tasks().clone(),
                );
                (queue, Some(vote), ExporterKind::Remote(Box::new(task)))
            }
            BuiltExporter::Local(sink) => {
                let queue = Queue::new(SinkTask::bounds(sink.as_ref()));
                let task = SinkTask::new(sink, Arc::clone(&queue), Arc::clone(&status));
                (queue, None, ExporterKind::Local(task))
            }
        };
        self.outlets.insert(
            id.clone(),
            Outlet {
                queue,
                status,
                vote,
                legs: Vec::new(),
            },
        );
        Ok(ExporterTask {
            id: id.clone(),
            kind,
        })
    }

    /// Up to how many items an exporter joins requests: no more than the batches have that
    /// its pipelines cut to a size.
    fn join_items(&self, exporter: &ComponentId, max_items: u64) -> u64 {
        let pipelines = self.config.service.pipelines.iter();
        pipelines
            .filter(|pipeline| pipeline.exporters.contains(exporter))
            .flat_map(|pipeline| &pipeline.processors)
            .filter_map(|id| match self.config.processors.get(id) {
                Some(Stage::Processor(processor)) => processor.max_items(),
                _ => None,
            })
            .fold(max_items, u64::min)
    }
}
