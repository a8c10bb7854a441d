//! Components that behave as their script says.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::component::{
    BuildContext, BuiltExporter, Delivered, Discards, DropReason, ExportError, Exporter,
    ExporterConfig, Intake, Now, Output, Processor, ProcessorConfig, Receiver, ReceiverConfig,
    Remedy, RemoteExporter, Sink,
};
use crate::pdata::{Batch, Signal};
use crate::resilience::{BreakerConfig, Edge, Mode, Outcome, Transport};
use crate::settings::{DeliverySettings, LOCAL_QUEUE, RetryOnFailure};

pub(super) type Shared<T> = Arc<Mutex<T>>;

/// How a receiver behaves. It produces nothing: the tests push the data themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceKind {
    Obedient,
    Hanging,
    Panicking,
    Unbuildable,
}

pub(super) struct Source {
    pub(super) kind: SourceKind,
    pub(super) intakes: Shared<BTreeMap<String, Arc<dyn Intake>>>,
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

pub(super) struct Making<F>(pub(super) F);

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

/// A processor that calls a closure for every batch.
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

/// A processor that keeps all items until it is drained.
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

/// The reaction of a fake peer to an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    Take,
    /// Takes the request after this many seconds.
    TakeAfter(u64),
    Reject(u64),
    /// Asks to come back later, with or without a time in seconds.
    Retry(Option<u64>),
    /// Refuses the connection.
    Refuse,
    /// Answers that there are too many requests; come back after this many seconds.
    Throttle(u64),
    /// Fails on this machine, before the peer is asked.
    Local,
    Split,
    /// Asks to split the request, after this many seconds.
    SplitAfter(u64),
    Permanent,
    /// Refuses the request for good, and asks for no other within this many seconds.
    RefuseFor(u64),
    Hang,
    /// Asks to come back later, after this many seconds.
    RetryAfterThought(u64),
    Panic,
}

/// A remote exporter that follows a script, and records the attempts.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) delivery: DeliverySettings,
    script: Shared<VecDeque<Reply>>,
    rule: Arc<dyn Fn(&Batch) -> Reply + Send + Sync>,
    attempts: Shared<Vec<Attempt>>,
    under_way: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
struct Attempt {
    at: Instant,
    items: u64,
    /// How many attempts were running when it began, with itself.
    side_by_side: usize,
}

impl Remote {
    /// Follows the script, then takes every request.
    pub(super) fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            script: Arc::new(Mutex::new(replies.into_iter().collect())),
            ..Self::rule(|_| Reply::Take)
        }
    }

    pub(super) fn rule(rule: impl Fn(&Batch) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            delivery: DeliverySettings {
                retry: RetryOnFailure {
                    randomization_factor: 0.0,
                    ..RetryOnFailure::default()
                },
                ..DeliverySettings::default()
            },
            script: Arc::default(),
            rule: Arc::new(rule),
            attempts: Arc::default(),
            under_way: Arc::default(),
        }
    }

    /// Takes requests while `up` is true of the time since now, and else refuses the connection.
    pub(super) fn up_when(up: impl Fn(Duration) -> bool + Send + Sync + 'static) -> Self {
        let begun = Instant::now();
        Self::rule(move |_| match up(begun.elapsed()) {
            true => Reply::Take,
            false => Reply::Refuse,
        })
    }

    /// The same with this breaker.
    pub(super) fn breaker(self, config: BreakerConfig) -> Self {
        self.with(|delivery| {
            delivery.breaker = config.resolve(Edge::Destination, delivery.timeout).unwrap();
        })
    }

    /// The same without a breaker.
    pub(super) fn unguarded(self) -> Self {
        self.breaker(BreakerConfig {
            mode: Some(Mode::Off),
            ..BreakerConfig::default()
        })
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut DeliverySettings)) -> Self {
        change(&mut self.delivery);
        self
    }

    /// Sets the reply to the next attempt.
    pub(super) fn next(&self, reply: Reply) {
        self.script.lock().unwrap().push_back(reply);
    }

    /// The number of items of each attempt.
    pub(super) fn attempts(&self) -> Vec<u64> {
        self.each(|attempt| attempt.items)
    }

    /// The time of each attempt in seconds since the first.
    pub(super) fn times(&self) -> Vec<f64> {
        let first = self.attempts.lock().unwrap()[0].at;
        self.each(|attempt| attempt.at.duration_since(first).as_secs_f64())
    }

    /// The same in whole seconds.
    pub(super) fn seconds(&self) -> Vec<u64> {
        self.times().into_iter().map(|at| at as u64).collect()
    }

    /// How many attempts were running when each began, with itself.
    pub(super) fn side_by_side(&self) -> Vec<usize> {
        self.each(|attempt| attempt.side_by_side)
    }

    fn each<T>(&self, read: impl FnMut(&Attempt) -> T) -> Vec<T> {
        self.attempts.lock().unwrap().iter().map(read).collect()
    }
}

/// Counts an attempt as running while it lives.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

impl ExporterConfig for Remote {
    fn build(&self, context: &BuildContext) -> anyhow::Result<BuiltExporter> {
        let remotes = context.signals.iter().map(|signal| RemoteExporter {
            signal: *signal,
            exporter: Box::new(self.clone()),
            // Each exporter has another host.
            endpoint: format!("http://{}:4318", context.id.as_str().replace('/', ".")),
            delivery: self.delivery.clone(),
        });
        Ok(BuiltExporter::Remote(remotes.collect()))
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
            let side_by_side = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            let _under_way = UnderWay(Arc::clone(&self.under_way));
            self.attempts.lock().unwrap().push(Attempt {
                at: Instant::now(),
                items: batch.items(),
                side_by_side,
            });
            let scripted = self.script.lock().unwrap().pop_front();
            let fail = |remedy, outcome, after: Option<u64>| {
                let advice = after.map(Duration::from_secs);
                Err(ExportError::new(remedy, outcome, "as scripted").advised(advice))
            };
            match scripted.unwrap_or_else(|| (self.rule)(batch)) {
                Reply::Take => Ok(Delivered { rejected: 0 }),
                Reply::TakeAfter(seconds) => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    Ok(Delivered { rejected: 0 })
                }
                Reply::Reject(rejected) => Ok(Delivered { rejected }),
                Reply::Retry(after) => fail(Remedy::Retry, Outcome::Unavailable, after),
                Reply::Refuse => {
                    let refused = Outcome::Transport(Transport::Refused);
                    fail(Remedy::Retry, refused, None)
                }
                Reply::Throttle(after) => fail(Remedy::Retry, Outcome::Throttled, Some(after)),
                Reply::Local => fail(Remedy::Retry, Outcome::Local, None),
                Reply::Split => fail(Remedy::Split, Outcome::ClientError, None),
                Reply::SplitAfter(seconds) => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    fail(Remedy::Split, Outcome::ClientError, None)
                }
                Reply::Permanent => fail(Remedy::None, Outcome::ClientError, None),
                Reply::RefuseFor(after) => fail(Remedy::None, Outcome::ClientError, Some(after)),
                Reply::Hang => pending().await,
                Reply::RetryAfterThought(seconds) => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    fail(Remedy::Retry, Outcome::Unavailable, None)
                }
                Reply::Panic => panic!("the exporter broke"),
            }
        })
    }

    fn shutdown(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A sink that calls a closure for every batch, and discards as many items as that returns.
#[derive(Clone)]
pub(super) struct Local {
    consume: Arc<dyn Fn(&Batch) -> u64 + Send + Sync>,
    start: Arc<dyn Fn() -> anyhow::Result<()> + Send + Sync>,
    may_block: bool,
    queue_bytes: u64,
    taken: Shared<Vec<u64>>,
    /// How long it holds items before writing them; `None` writes at once.
    delay: Option<Duration>,
    held: u64,
    due: Option<Instant>,
    /// Whether writing held items fails.
    full: Arc<AtomicBool>,
}

impl Local {
    pub(super) fn new(consume: impl Fn(&Batch) -> u64 + Send + Sync + 'static) -> Self {
        Self {
            consume: Arc::new(consume),
            start: Arc::new(|| Ok(())),
            may_block: false,
            queue_bytes: LOCAL_QUEUE.0,
            taken: Arc::default(),
            delay: None,
            held: 0,
            due: None,
            full: Arc::default(),
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

    /// The same with this bound of its queue.
    pub(super) fn queue_bytes(mut self, bytes: u64) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// The same, holding items for `delay` before writing them.
    pub(super) fn buffering(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Sets whether writing held items fails.
    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// The number of items of each batch consumed.
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

    fn consume(&mut self, batch: Batch, now: Now, out: &mut dyn Discards) {
        let lost = (self.consume)(&batch);
        self.taken.lock().unwrap().push(batch.items());
        out.discard(lost, DropReason::WriteFailed);
        if let Some(delay) = self.delay {
            self.held += batch.items() - lost;
            self.due.get_or_insert(now.monotonic + delay);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn on_deadline(&mut self, _: Now, out: &mut dyn Discards) {
        self.due = None;
        let held = std::mem::take(&mut self.held);
        if self.full.load(Ordering::Relaxed) {
            out.discard(held, DropReason::WriteFailed);
        }
    }

    fn close(&mut self, now: Now, out: &mut dyn Discards) {
        self.on_deadline(now, out);
    }

    fn unsettled(&self) -> u64 {
        self.held
    }

    fn queue_bytes(&self) -> u64 {
        self.queue_bytes
    }

    fn may_block(&self) -> bool {
        self.may_block
    }
}

/// Blocks threads until it is opened, and reports when one has arrived.
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

    /// A sink that blocks until the gate is opened.
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
