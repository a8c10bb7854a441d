//! What a request pays for passing through a pipeline: admission, channel, ledger, fan-out,
//! queue, exporter, beside the bare channel hop that any design with a task of its own for
//! each pipeline pays. One thread runs it all, so that time is CPU time.
//!
//! ```text
//! cargo bench --bench pipeline
//! ```
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foghorn::component::{
    BuildContext, BuiltExporter, ComponentId, Delivered, Discards, ExportError, Exporter,
    ExporterConfig, Intake, Now, Origin, Receiver, ReceiverConfig, RemoteExporter, Sink,
};
use foghorn::config::{Config, PipelineConfig, PipelineId};
use foghorn::pdata::writer::{
    MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use foghorn::pdata::{Batch, Signal};
use foghorn::pipeline::{GraceControl, Graph, Surroundings};
use foghorn::settings::DeliverySettings;
use foghorn::telemetry::Telemetry;
use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn hops(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let batch = points(10);
    let mut group = c.benchmark_group("request");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare channel", |b| {
        b.iter_custom(|requests| runtime.block_on(bare_channel(&batch, requests)));
    });
    for (name, exporters) in [
        ("one sink", &[Kind::Sink][..]),
        ("one exporter", &[Kind::Exporter]),
        ("two sinks", &[Kind::Sink, Kind::Sink]),
    ] {
        let pipeline = Pipeline::start(&runtime, exporters);
        group.bench_function(BenchmarkId::new("pipeline", name), |b| {
            b.iter_custom(|requests| runtime.block_on(pipeline.pass(&batch, requests)));
        });
    }
    group.finish();
}

async fn bare_channel(batch: &Batch, requests: u64) -> Duration {
    let (sender, mut receiver) = mpsc::channel::<Batch>(32);
    let consumer = tokio::spawn(async move {
        while let Some(batch) = receiver.recv().await {
            black_box(batch);
        }
    });
    let begun = tokio::time::Instant::now();
    for _ in 0..requests {
        sender.send(batch.clone()).await.unwrap();
    }
    drop(sender);
    consumer.await.unwrap();
    begun.elapsed()
}

/// A running pipeline whose exporters count and forget.
struct Pipeline {
    intake: Arc<dyn Intake>,
    items: Vec<Arc<AtomicU64>>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Sink,
    Exporter,
}

impl Pipeline {
    fn start(runtime: &Runtime, kinds: &[Kind]) -> Self {
        let _context = runtime.enter();
        let intakes = Intakes::default();
        let items: Vec<_> = kinds.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
        let ids: Vec<ComponentId> = (0..kinds.len())
            .map(|i| format!("null/{i}").parse().unwrap())
            .collect();
        let source: ComponentId = "source".parse().unwrap();
        let mut config = Config::default();
        config
            .receivers
            .insert(source.clone(), Box::new(Source(intakes.clone())));
        for ((id, kind), items) in ids.iter().zip(kinds).zip(&items) {
            let null = Null(*kind, Arc::clone(items));
            config.exporters.insert(id.clone(), Box::new(null));
        }
        config.service.pipelines.push(PipelineConfig {
            id: PipelineId {
                signal: Signal::Metrics,
                name: None,
            },
            receivers: vec![source],
            processors: Vec::new(),
            exporters: ids,
        });
        let graph = Graph::build(&config, &Telemetry::off(), &Surroundings::new(1)).unwrap();
        let grace = GraceControl::new();
        for exporter in graph.exporters {
            runtime.spawn(exporter.run(grace.grace()));
        }
        for pipeline in graph.pipelines {
            runtime.spawn(pipeline.run());
        }
        let intake = intakes.0.lock().unwrap()[&Signal::Metrics].clone();
        Self { intake, items }
    }

    async fn pass(&self, batch: &Batch, requests: u64) -> Duration {
        let goal: Vec<u64> = self
            .items
            .iter()
            .map(|items| items.load(Ordering::Relaxed) + requests * batch.items())
            .collect();
        let begun = tokio::time::Instant::now();
        for _ in 0..requests {
            let admission = loop {
                match self.intake.try_admit(Origin::Push, batch.size()) {
                    Ok(admission) => break admission,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            admission.accept(batch.clone()).await;
        }
        while self
            .items
            .iter()
            .zip(&goal)
            .any(|(items, goal)| items.load(Ordering::Relaxed) < *goal)
        {
            tokio::task::yield_now().await;
        }
        begun.elapsed()
    }
}

#[derive(Clone, Default)]
struct Intakes(Arc<Mutex<BTreeMap<Signal, Arc<dyn Intake>>>>);

struct Source(Intakes);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl ReceiverConfig for Source {
    fn build(
        &self,
        _: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        *self.0.0.lock().unwrap() = intakes;
        Ok(Box::new(Idle))
    }

    fn describe(&self) -> String {
        "bench".to_owned()
    }
}

struct Idle;

impl Receiver for Idle {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn run(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move { stop.cancelled().await })
    }
}

#[derive(Debug, Clone)]
struct Null(Kind, Arc<AtomicU64>);

impl ExporterConfig for Null {
    fn build(&self, context: &BuildContext) -> anyhow::Result<BuiltExporter> {
        let remote = |signal: &Signal| RemoteExporter {
            signal: *signal,
            exporter: Box::new(self.clone()),
            endpoint: "bench".to_owned(),
            delivery: DeliverySettings::default(),
        };
        Ok(match self.0 {
            Kind::Sink => BuiltExporter::Local(Box::new(self.clone())),
            Kind::Exporter => BuiltExporter::Remote(context.signals.iter().map(remote).collect()),
        })
    }

    fn describe(&self) -> String {
        "bench".to_owned()
    }
}

impl Sink for Null {
    fn start(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn consume(&mut self, batch: Batch, _: Now, _: &mut dyn Discards) {
        self.1.fetch_add(batch.items(), Ordering::Relaxed);
    }
}

impl Exporter for Null {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        self.1.fetch_add(batch.items(), Ordering::Relaxed);
        Box::pin(async { Ok(Delivered::default()) })
    }

    fn shutdown(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

fn points(items: i64) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[]);
    writer.scope("bench", "");
    let descriptor = MetricDescriptor {
        name: "m",
        unit: "",
        description: "",
    };
    writer.metric(MetricKind::Gauge, descriptor);
    for i in 0..items {
        writer.number(NumberPointData {
            attributes: &[],
            start: None,
            time: SystemTime::UNIX_EPOCH,
            value: Some(PointNumber::Int(i)),
        });
    }
    writer.finish()
}

criterion_group!(benches, hops);
criterion_main!(benches);
