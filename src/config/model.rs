//! The shape of a valid configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::component::{
    ComponentId, ExporterConfig, ExtensionConfig, Policy, ProcessorConfig, ReceiverConfig,
};
use crate::pdata::Signal;
use crate::resilience::{self, DEFAULT_MAX_ENDPOINTS};
use crate::settings::ListenerConfig;
use crate::yaml::ByteSize;

/// A configuration that can be run: every component is valid, every reference resolves,
/// and every component that is listed here stands in a pipeline.
#[derive(Debug, Default)]
pub struct Config {
    /// Receivers by id.
    pub receivers: BTreeMap<ComponentId, Box<dyn ReceiverConfig>>,
    /// Processors and policies by id.
    pub processors: BTreeMap<ComponentId, Stage>,
    /// Exporters by id.
    pub exporters: BTreeMap<ComponentId, Box<dyn ExporterConfig>>,
    /// How pull receivers are guarded, by id: those that stand in a pipeline with
    /// `resilience`.
    pub guards: BTreeMap<ComponentId, Arc<resilience::Settings>>,
    /// Extensions by id.
    pub extensions: BTreeMap<ComponentId, Box<dyn ExtensionConfig>>,
    /// How it is all wired and run.
    pub service: ServiceConfig,
    /// Where it came from, for the first lines that the agent prints.
    pub sources: Vec<String>,
}

impl Config {
    /// What the agent's own metrics tell apart, but for endpoints: components, pipelines
    /// and the legs from pipelines to exporters.
    pub fn subjects(&self) -> usize {
        let legs = self.service.pipelines.iter().map(|p| p.exporters.len());
        legs.sum::<usize>()
            + self.service.pipelines.len()
            + self.receivers.len()
            + self.processors.len()
            + self.exporters.len()
            + self.extensions.len()
    }

    /// The endpoints that are guarded at most: sources are registered when they are first
    /// asked, so that they can't be counted before.
    pub fn endpoints(&self) -> usize {
        let asked: usize = self.receivers.values().map(|r| r.endpoints()).sum();
        let sent = self.exporters.keys().map(|id| self.signals_to(id).len());
        (asked + sent.sum::<usize>()).min(self.service.max_endpoints)
    }

    /// The signals that pipelines bring to an exporter.
    pub fn signals_to(&self, exporter: &ComponentId) -> Vec<Signal> {
        let pipelines = &self.service.pipelines;
        let brings = |signal: &Signal| {
            pipelines
                .iter()
                .any(|p| p.id.signal == *signal && p.exporters.contains(exporter))
        };
        Signal::ALL.into_iter().filter(brings).collect()
    }
}

/// What may stand in a pipeline's list of processors.
#[derive(Debug)]
pub enum Stage {
    /// Transforms data.
    Processor(Box<dyn ProcessorConfig>),
    /// Rules the pipeline's edges.
    Policy(Policy),
}

/// The `service` part.
#[derive(Debug)]
pub struct ServiceConfig {
    /// Pipelines in the order of the document.
    pub pipelines: Vec<PipelineConfig>,
    /// The agent's own HTTP server.
    pub http: ServiceHttpConfig,
    /// The agent's own telemetry.
    pub telemetry: TelemetryConfig,
    /// How long shutting down may take.
    pub shutdown: ShutdownConfig,
    /// How many remote endpoints may be guarded.
    pub max_endpoints: usize,
}

/// `signal[/name]`, which names a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineId {
    /// What it carries.
    pub signal: Signal,
    /// The part after the slash.
    pub name: Option<String>,
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.signal),
            None => self.signal.fmt(f),
        }
    }
}

/// One pipeline; every id resolves in [`Config`].
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// Its id.
    pub id: PipelineId,
    /// Where data enters; at least one.
    pub receivers: Vec<ComponentId>,
    /// What it passes, in order.
    pub processors: Vec<ComponentId>,
    /// Where data leaves; at least one.
    pub exporters: Vec<ComponentId>,
}

/// `service.http`.
#[derive(Debug, Clone, Default)]
pub struct ServiceHttpConfig {
    /// Where to listen; none for `endpoint: none`.
    pub listener: Option<ListenerConfig>,
    /// `query`: what requests to the query API may use.
    pub query: QueryConfig,
}

/// `service.http.query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryConfig {
    /// Requests that are answered at a time.
    pub max_concurrent: usize,
    /// How long one may wait and take, and then how long its answer may take to be sent.
    pub timeout: Duration,
    /// Points that a query may hold at once.
    pub max_samples: usize,
    /// What those and its results may take.
    pub max_memory: ByteSize,
    /// The longest posted form, and the longest text of a query.
    pub max_text: ByteSize,
    /// How deep expressions may stand inside of each other.
    pub max_depth: usize,
}

/// `service.telemetry`.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// `logs.level`: a filter as in `RUST_LOG`, which takes precedence.
    pub log_level: String,
    /// `logs.encoding`: how lines look.
    pub log_encoding: LogEncoding,
    /// `logs.queue_bytes`: what may wait for who reads the log.
    pub log_queue: ByteSize,
    /// Whether the agent's own metrics are on (`metrics.level` is not `none`).
    pub metrics: bool,
    /// Where they are shown beside the agent's own HTTP server.
    pub pages: Vec<MetricsPage>,
    /// Attributes that `resource` adds to the agent's own resource.
    pub resource: BTreeMap<String, String>,
}

/// How the lines of the agent's log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEncoding {
    /// As a terminal or a machine wants it, whichever reads.
    Auto,
    /// Text for people.
    Console,
    /// One JSON object a line.
    Json,
}

/// A page of the agent's own metrics, on a listener that the configuration asks for.
#[derive(Debug, Clone)]
pub struct MetricsPage {
    /// The configuration path of the key that asks for it.
    pub owner: String,
    /// Where it is served, as `/metrics`.
    pub listener: ListenerConfig,
}

/// `service.shutdown`.
#[derive(Debug, Clone, Copy)]
pub struct ShutdownConfig {
    /// How long pushes in flight and the last flush may take.
    pub grace: Duration,
    /// How long aborted tasks are waited for.
    pub abort: Duration,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            pipelines: Vec::new(),
            http: ServiceHttpConfig::default(),
            telemetry: TelemetryConfig::default(),
            shutdown: ShutdownConfig::default(),
            max_endpoints: DEFAULT_MAX_ENDPOINTS,
        }
    }
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            max_concurrent: 2,
            timeout: Duration::from_secs(30),
            max_samples: 50_000_000,
            max_memory: ByteSize(64 << 20),
            max_text: ByteSize(64 << 10),
            max_depth: 256,
        }
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            log_encoding: LogEncoding::Auto,
            log_queue: ByteSize(1 << 20),
            metrics: true,
            pages: Vec::new(),
            resource: BTreeMap::new(),
        }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(5),
            abort: Duration::from_secs(2),
        }
    }
}
