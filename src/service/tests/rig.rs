//! A real service with scripted components, into which tests push by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fakes::{Local, Making, Remote, Reply, Shared, Source, SourceKind};
use crate::component::{ComponentId, Health, Intake, Origin, Policy, Processor, Refusal};
use crate::config::{Config, PipelineConfig, PipelineId, Stage};
use crate::pdata::{Batch, Signal};
use crate::pipeline::testing::points;
use crate::pipeline::{Ledger, LedgerSnapshot, LegEntry, PipelineEntry};
use crate::resilience::{BreakerState, Endpoint, Endpoints};
use crate::service::{Drained, Service};
use crate::telemetry::Telemetry;

/// The configuration of a test.
pub(super) struct Rig {
    pub(super) telemetry: Telemetry,
    config: Config,
    intakes: Shared<BTreeMap<String, Arc<dyn Intake>>>,
}

/// The running service.
pub(super) struct Rigged {
    pub(super) ledger: Ledger,
    pub(super) health: Health,
    pub(super) endpoints: Arc<Endpoints>,
    intakes: BTreeMap<String, Arc<dyn Intake>>,
    shutdown: oneshot::Sender<()>,
    abort: CancellationToken,
    running: JoinHandle<Drained>,
}

impl Rig {
    /// One metrics pipeline, fed by the receiver `source`.
    pub(super) fn new() -> Self {
        let mut rig = Self {
            telemetry: Telemetry::off(),
            config: Config::default(),
            intakes: Arc::default(),
        };
        rig.receiver("source", SourceKind::Obedient);
        rig.pipeline("metrics", &["source"]);
        rig
    }

    pub(super) fn receiver(&mut self, name: &str, kind: SourceKind) {
        let source = Source {
            kind,
            intakes: Arc::clone(&self.intakes),
        };
        self.config.receivers.insert(id(name), Box::new(source));
    }

    /// Adds a pipeline, to which components are added from now on.
    pub(super) fn pipeline(&mut self, name: &str, receivers: &[&str]) {
        let (signal, rest) = name
            .split_once('/')
            .map_or((name, None), |(s, n)| (s, Some(n)));
        let mut signals = Signal::ALL.into_iter();
        self.config.service.pipelines.push(PipelineConfig {
            id: PipelineId {
                signal: signals.find(|known| known.as_str() == signal).unwrap(),
                name: rest.map(str::to_owned),
            },
            receivers: receivers.iter().map(|name| id(name)).collect(),
            processors: Vec::new(),
            exporters: Vec::new(),
        });
    }

    pub(super) fn processor(
        mut self,
        name: &str,
        make: impl Fn() -> Box<dyn Processor> + Send + Sync + 'static,
    ) -> Self {
        let stage = Stage::Processor(Box::new(Making(make)));
        self.config.processors.insert(id(name), stage);
        self.last().processors.push(id(name));
        self
    }

    pub(super) fn policy(mut self, name: &str, policy: Policy) -> Self {
        let stage = Stage::Policy(policy);
        self.config.processors.insert(id(name), stage);
        self.last().processors.push(id(name));
        self
    }

    pub(super) fn exporter(mut self, name: &str, remote: &Remote) -> Self {
        self.config
            .exporters
            .insert(id(name), Box::new(remote.clone()));
        self.last().exporters.push(id(name));
        self
    }

    pub(super) fn sink(mut self, name: &str, local: &Local) -> Self {
        self.config
            .exporters
            .insert(id(name), Box::new(local.clone()));
        self.last().exporters.push(id(name));
        self
    }

    pub(super) fn max_endpoints(mut self, max: usize) -> Self {
        self.config.service.max_endpoints = max;
        self
    }

    /// Adds a pipeline from the same receiver to an existing exporter.
    pub(super) fn and_pipeline(mut self, name: &str, exporter: &str) -> Self {
        self.pipeline(name, &["source"]);
        self.last().exporters.push(id(exporter));
        self
    }

    /// Adds a pipeline from a receiver of its own to an existing exporter.
    pub(super) fn and_source(mut self, receiver: &str, pipeline: &str, exporter: &str) -> Self {
        self.receiver(receiver, SourceKind::Obedient);
        self.pipeline(pipeline, &[receiver]);
        self.last().exporters.push(id(exporter));
        self
    }

    pub(super) fn build(&self) -> Result<Service, crate::pipeline::BuildErrors> {
        Service::build(&self.config, &self.telemetry)
    }

    pub(super) async fn start(self) -> Rigged {
        let service = self.build().unwrap();
        let endpoints = service.endpoints();
        let running = service.start().await.unwrap();
        let (shutdown, told) = oneshot::channel();
        let abort = CancellationToken::new();
        let aborted = abort.clone().cancelled_owned();
        Rigged {
            ledger: running.ledger(),
            health: running.health(),
            endpoints,
            intakes: self.intakes.lock().unwrap().clone(),
            shutdown,
            abort,
            running: tokio::spawn(running.run(
                async {
                    let _ = told.await;
                },
                aborted,
            )),
        }
    }

    fn last(&mut self) -> &mut PipelineConfig {
        self.config.service.pipelines.last_mut().unwrap()
    }
}

impl Rigged {
    pub(super) fn intake(&self) -> &Arc<dyn Intake> {
        &self.intakes["source metrics"]
    }

    /// Pushes as a sender does.
    pub(super) async fn push(&self, items: usize) -> Result<(), Refusal> {
        self.push_batch(points(items)).await
    }

    pub(super) async fn push_batch(&self, batch: Batch) -> Result<(), Refusal> {
        self.push_to("source", batch).await
    }

    /// Pushes to this receiver.
    pub(super) async fn push_to(&self, receiver: &str, batch: Batch) -> Result<(), Refusal> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let intake = &self.intakes[&format!("{receiver} {}", batch.signal())];
        let admission = intake.admit(Origin::Push, batch.size(), deadline);
        let admission = admission.await?;
        admission.accept(batch).await;
        Ok(())
    }

    /// Makes the exporter fail once with one item, so that requests pushed next wait for 5 s and
    /// are joined.
    pub(super) async fn pause_with(&self, remote: &Remote) {
        remote.next(Reply::Retry(None));
        self.push(1).await.unwrap();
        self.settle().await;
    }

    /// Hands over a batch as a pull receiver does.
    pub(super) async fn pull(&self, items: usize) {
        let batch = points(items);
        let admission = self.intake().try_admit(Origin::Pull, batch.size()).unwrap();
        admission.accept(batch).await;
    }

    /// Waits until every task waits; with a paused clock also for timers due within a
    /// millisecond.
    pub(super) async fn settle(&self) {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_micros(50)).await;
            tokio::task::yield_now().await;
        }
    }

    /// The guarded endpoint of an exporter.
    pub(super) fn endpoint(&self, exporter: &str) -> Arc<Endpoint> {
        let mut all = self.endpoints.all().into_iter();
        all.find(|endpoint| endpoint.id().component() == exporter)
            .unwrap()
    }

    pub(super) fn breaker(&self, exporter: &str) -> BreakerState {
        self.endpoint(exporter).breaker().state()
    }

    pub(super) fn abort(&self) {
        self.abort.cancel();
    }

    pub(super) async fn shutdown(self) -> Drained {
        let _ = self.shutdown.send(());
        let drained = self.running.await.unwrap();
        drained.ledger.snapshot().check().unwrap();
        drained
    }

    /// The ledger, after checking that it balances.
    pub(super) fn books(&self) -> LedgerSnapshot {
        let snapshot = self.ledger.snapshot();
        snapshot.check().unwrap();
        snapshot
    }

    pub(super) fn pipeline(&self) -> PipelineEntry {
        self.books().pipeline("metrics").unwrap().clone()
    }

    pub(super) fn leg(&self, exporter: &str) -> LegEntry {
        self.books().leg("metrics", exporter).unwrap().clone()
    }
}

pub(super) fn id(name: &str) -> ComponentId {
    name.parse().unwrap()
}
