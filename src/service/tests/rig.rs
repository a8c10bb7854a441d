//! Scripted components around a real service: the tests push by hand, and every fake does
//! exactly what its script says.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::component::{
    BuildContext, BuiltExporter, ComponentId, Delivered, DeliverySettings, Discards, DropReason,
    ExportError, Exporter, ExporterConfig, Health, Intake, Now, Origin, Output, Policy, Processor,
    ProcessorConfig, Receiver, ReceiverConfig, Refusal, RetrySettings, Sink,
};
use crate::config::{
    Config, HttpConfig, PipelineConfig, PipelineId, ServiceConfig, ShutdownConfig, Stage,
    TelemetryConfig,
};
use crate::pdata::writer::{Descriptor, MetricKind, MetricsWriter, Number, NumberPoint};
use crate::pdata::{Batch, Signal};
use crate::pipeline::{Ledger, LegEntry, PipelineEntry, Snapshot};
use crate::service::{Drained, Service};
use crate::telemetry::Telemetry;

/// A batch of so many points.
pub(super) fn points(items: usize) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[]);
    writer.scope("rig", "");
    let descriptor = Descriptor {
        name: "m",
        unit: "",
        description: "",
    };
    writer.metric(MetricKind::Gauge, descriptor);
    for i in 0..items {
        writer.number(NumberPoint {
            attributes: &[],
            start: None,
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
            value: Some(Number::Int(i as i64)),
        });
    }
    writer.finish()
}

/// A configuration under construction.
pub(super) struct Rig {
    config: Config,
    intakes: Shared<BTreeMap<String, Arc<dyn Intake>>>,
}

/// The service that runs it.
pub(super) struct Rigged {
    pub(super) ledger: Ledger,
    pub(super) health: Health,
    intakes: BTreeMap<String, Arc<dyn Intake>>,
    shutdown: oneshot::Sender<()>,
    abort: CancellationToken,
    running: JoinHandle<Drained>,
}

type Shared<T> = Arc<Mutex<T>>;

impl Rig {
    /// Nothing but one metrics pipeline, fed by the receiver `source`.
    pub(super) fn new() -> Self {
        let mut rig = Self {
            config: Config {
                receivers: BTreeMap::new(),
                processors: BTreeMap::new(),
                exporters: BTreeMap::new(),
                extensions: BTreeMap::new(),
                service: ServiceConfig {
                    pipelines: Vec::new(),
                    http: HttpConfig { listener: None },
                    telemetry: TelemetryConfig {
                        log_level: "info".to_owned(),
                        metrics: false,
                        resource: BTreeMap::new(),
                    },
                    shutdown: ShutdownConfig {
                        grace: Duration::from_secs(5),
                        abort: Duration::from_secs(2),
                    },
                },
                sources: Vec::new(),
            },
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

    /// Adds a pipeline; what is added from now on stands in it.
    pub(super) fn pipeline(&mut self, name: &str, receivers: &[&str]) {
        self.config.service.pipelines.push(PipelineConfig {
            id: PipelineId {
                signal: Signal::Metrics,
                name: name.split_once('/').map(|(_, name)| name.to_owned()),
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

    /// Adds another pipeline between the same receiver and an exporter that exists.
    pub(super) fn and_pipeline(mut self, name: &str, exporter: &str) -> Self {
        self.pipeline(name, &["source"]);
        self.last().exporters.push(id(exporter));
        self
    }

    pub(super) fn build(&self) -> Result<Service, crate::pipeline::BuildErrors> {
        Service::build(&self.config, &Telemetry::off())
    }

    pub(super) async fn start(self) -> Rigged {
        let service = self.build().unwrap();
        let running = service.start().await.unwrap();
        let (shutdown, told) = oneshot::channel();
        let abort = CancellationToken::new();
        let aborted = abort.clone().cancelled_owned();
        Rigged {
            ledger: running.ledger(),
            health: running.health(),
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
        &self.intakes["source"]
    }

    /// Pushes as a client would.
    pub(super) async fn push(&self, items: usize) -> Result<(), Refusal> {
        let batch = points(items);
        let admission = self.intake().admit(Origin::Push, batch.size()).await?;
        admission.accept(batch).await;
        Ok(())
    }

    /// Lets the exporter fail once with one item, so that what is pushed next waits for 5 s
    /// and is joined.
    pub(super) async fn pause_with(&self, remote: &Remote) {
        remote.next(Reply::Retry(None));
        self.push(1).await.unwrap();
        self.settle().await;
    }

    /// Hands over what a scrape found.
    pub(super) async fn pull(&self, items: usize) {
        let batch = points(items);
        let admission = self.intake().try_admit(Origin::Pull, batch.size()).unwrap();
        admission.accept(batch).await;
    }

    /// Waits until nothing moves any more; under a paused clock also past every timer that
    /// is due within a millisecond.
    pub(super) async fn settle(&self) {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_micros(50)).await;
            tokio::task::yield_now().await;
        }
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

    /// The books, which must balance.
    pub(super) fn books(&self) -> Snapshot {
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

/// How a receiver behaves. What it would produce the tests push themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceKind {
    Obedient,
    Hanging,
    Panicking,
    Unbuildable,
}

struct Source {
    kind: SourceKind,
    intakes: Shared<BTreeMap<String, Arc<dyn Intake>>>,
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
        for intake in intakes.into_values() {
            shared.insert(context.id.to_string(), intake);
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

struct Making<F>(F);

impl<F> fmt::Debug for Making<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Making")
    }
}

impl<F: Fn() -> Box<dyn Processor> + Send + Sync> ProcessorConfig for Making<F> {
    fn build(&self, _: &BuildContext, _: Signal) -> anyhow::Result<Box<dyn Processor>> {
        Ok((self.0)())
    }
}

/// A processor made of a closure that is called for every batch.
pub(super) fn each(
    call: impl FnMut(Batch, &mut dyn Output) + Send + 'static,
) -> Box<dyn Processor> {
    Box::new(Each(call))
}

struct Each<F>(F);

impl<F: FnMut(Batch, &mut dyn Output) + Send> Processor for Each<F> {
    fn process(&mut self, batch: Batch, _: Now, out: &mut dyn Output) {
        (self.0)(batch, out);
    }
}

/// A processor that keeps everything until it is drained.
#[derive(Default)]
pub(super) struct Hoard(Option<Batch>);

impl Processor for Hoard {
    fn process(&mut self, batch: Batch, _: Now, _: &mut dyn Output) {
        match &mut self.0 {
            Some(hoard) => hoard.append(batch),
            None => self.0 = Some(batch),
        }
    }

    fn drain(&mut self, _: Now, out: &mut dyn Output) {
        if let Some(hoard) = self.0.take() {
            out.emit(hoard);
        }
    }
}

/// What a fake peer does with an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    Take,
    Reject(u64),
    Retry(Option<u64>),
    Split,
    Permanent,
    Hang,
    Panic,
}

/// A scripted remote exporter, which keeps what it was asked.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) delivery: DeliverySettings,
    script: Shared<VecDeque<Reply>>,
    rule: Arc<dyn Fn(&Batch) -> Reply + Send + Sync>,
    attempts: Shared<Vec<(Instant, u64)>>,
}

impl Remote {
    /// Follows the script, then takes everything.
    pub(super) fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            script: Arc::new(Mutex::new(replies.into_iter().collect())),
            ..Self::rule(|_| Reply::Take)
        }
    }

    pub(super) fn rule(rule: impl Fn(&Batch) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            delivery: DeliverySettings {
                retry: RetrySettings {
                    randomization_factor: 0.0,
                    ..RetrySettings::default()
                },
                ..DeliverySettings::default()
            },
            script: Arc::default(),
            rule: Arc::new(rule),
            attempts: Arc::default(),
        }
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut DeliverySettings)) -> Self {
        change(&mut self.delivery);
        self
    }

    /// Replies so to the next attempt.
    fn next(&self, reply: Reply) {
        self.script.lock().unwrap().push_back(reply);
    }

    /// Items of every attempt.
    pub(super) fn attempts(&self) -> Vec<u64> {
        let attempts = self.attempts.lock().unwrap();
        attempts.iter().map(|(_, items)| *items).collect()
    }

    /// Whole seconds between the first attempt and each.
    pub(super) fn seconds(&self) -> Vec<u64> {
        let attempts = self.attempts.lock().unwrap();
        let first = attempts[0].0;
        attempts
            .iter()
            .map(|(at, _)| at.duration_since(first).as_secs())
            .collect()
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

impl ExporterConfig for Remote {
    fn build(&self, _: &BuildContext) -> anyhow::Result<BuiltExporter> {
        Ok(BuiltExporter::Remote {
            exporter: Box::new(self.clone()),
            delivery: self.delivery,
        })
    }

    fn describe(&self) -> String {
        "rig".to_owned()
    }
}

impl Exporter for Remote {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async move {
            let attempt = (Instant::now(), batch.items());
            self.attempts.lock().unwrap().push(attempt);
            let scripted = self.script.lock().unwrap().pop_front();
            let message = "as scripted".to_owned();
            match scripted.unwrap_or_else(|| (self.rule)(batch)) {
                Reply::Take => Ok(Delivered { rejected: 0 }),
                Reply::Reject(rejected) => Ok(Delivered { rejected }),
                Reply::Retry(after) => Err(ExportError::Retry {
                    message,
                    after: after.map(Duration::from_secs),
                }),
                Reply::Split => Err(ExportError::Split { message }),
                Reply::Permanent => Err(ExportError::Permanent { message }),
                Reply::Hang => pending().await,
                Reply::Panic => panic!("the exporter broke"),
            }
        })
    }

    fn shutdown(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A sink that calls a closure for every batch; what it returns is discarded.
#[derive(Clone)]
pub(super) struct Local {
    consume: Arc<dyn Fn(&Batch) -> u64 + Send + Sync>,
    start: Arc<dyn Fn() -> anyhow::Result<()> + Send + Sync>,
    may_block: bool,
    taken: Shared<Vec<u64>>,
}

impl Local {
    pub(super) fn new(consume: impl Fn(&Batch) -> u64 + Send + Sync + 'static) -> Self {
        Self {
            consume: Arc::new(consume),
            start: Arc::new(|| Ok(())),
            may_block: false,
            taken: Arc::default(),
        }
    }

    pub(super) fn on_start(
        mut self,
        start: impl Fn() -> anyhow::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.start = Arc::new(start);
        self
    }

    pub(super) fn blocking(mut self) -> Self {
        self.may_block = true;
        self
    }

    /// Items of every batch that was consumed.
    pub(super) fn taken(&self) -> Vec<u64> {
        self.taken.lock().unwrap().clone()
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

impl ExporterConfig for Local {
    fn build(&self, _: &BuildContext) -> anyhow::Result<BuiltExporter> {
        Ok(BuiltExporter::Local(Box::new(self.clone())))
    }

    fn describe(&self) -> String {
        "rig".to_owned()
    }
}

impl Sink for Local {
    fn start(&mut self) -> anyhow::Result<()> {
        (self.start)()
    }

    fn consume(&mut self, batch: Batch, _: Now, out: &mut dyn Discards) {
        let lost = (self.consume)(&batch);
        self.taken.lock().unwrap().push(batch.items());
        out.discard(lost, DropReason::WriteFailed);
    }

    fn may_block(&self) -> bool {
        self.may_block
    }
}

/// Holds up threads at its gate, and tells when one has come.
#[derive(Clone)]
pub(super) struct Gatekeeper {
    gate: Arc<(Mutex<bool>, Condvar)>,
    entered: mpsc::UnboundedSender<()>,
}

impl Gatekeeper {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<()>) {
        let (entered, came) = mpsc::unbounded_channel();
        let gate = Arc::default();
        (Self { gate, entered }, came)
    }

    /// A blocking sink behind the gate.
    pub(super) fn sink(&self) -> Local {
        let keeper = self.clone();
        Local::new(move |_| {
            keeper.pass();
            0
        })
        .blocking()
    }

    pub(super) fn pass(&self) {
        let _ = self.entered.send(());
        let (open, opened) = &*self.gate;
        let gate = opened.wait_while(open.lock().unwrap(), |open| !*open);
        drop(gate.unwrap());
    }

    pub(super) fn open(&self) {
        let (open, opened) = &*self.gate;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}
