//! How components are named, configured and built.
//!
//! A factory turns the configuration's text into a value that can build the component.
//! That value exists only if the text is valid, so `validate` and start-up run the same
//! code and a component can't be built from anything else.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{
    ComponentId, Exporter, Extension, Health, Intake, Processor, ProgramInputs, Receiver,
    ResourceClaim, Routes, Sink,
};
use crate::pdata::Signal;
use crate::recording::OwnMetrics;
use crate::resilience::{self, Endpoints, PollConfig};
use crate::settings::{DeliverySettings, GuardConfig};
use crate::telemetry::Telemetry;
use crate::translation::Translation;
use crate::window::Shelf;
use crate::yaml::PlacedNode;

/// The tables of everything that is built in. There is one, in `components.rs`.
#[derive(Debug, Clone, Copy)]
pub struct Factories {
    /// Where data enters.
    pub receivers: &'static [ReceiverFactory],
    /// What changes it on its way.
    pub processors: &'static [ProcessorFactory],
    /// What stands among the processors but rules the edges.
    pub policies: &'static [PolicyFactory],
    /// Where data leaves.
    pub exporters: &'static [ExporterFactory],
    /// What runs beside the pipelines.
    pub extensions: &'static [ExtensionFactory],
}

/// Names a receiver and reads its configuration.
#[derive(Debug)]
pub struct ReceiverFactory {
    /// The type name.
    pub kind: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// One line for `foghorn components`.
    pub summary: &'static str,
    /// What it can produce.
    pub signals: &'static [Signal],
    /// Parses and validates; problems go to the value's diagnostics.
    pub configure: fn(&PlacedNode<'_>) -> Option<Box<dyn ReceiverConfig>>,
}

/// Names a processor and reads its configuration.
#[derive(Debug)]
pub struct ProcessorFactory {
    /// The type name.
    pub kind: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// One line for `foghorn components`.
    pub summary: &'static str,
    /// What it can process.
    pub signals: &'static [Signal],
    /// Parses and validates; problems go to the value's diagnostics.
    pub configure: fn(&PlacedNode<'_>) -> Option<Box<dyn ProcessorConfig>>,
}

/// Names a policy and reads its configuration.
#[derive(Debug)]
pub struct PolicyFactory {
    /// The type name.
    pub kind: &'static str,
    /// One line for `foghorn components`.
    pub summary: &'static str,
    /// Parses and validates; problems go to the value's diagnostics.
    pub configure: fn(&PlacedNode<'_>) -> Option<Policy>,
}

/// Names an exporter and reads its configuration.
#[derive(Debug)]
pub struct ExporterFactory {
    /// The type name.
    pub kind: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// One line for `foghorn components`.
    pub summary: &'static str,
    /// What it can deliver.
    pub signals: &'static [Signal],
    /// Parses and validates; problems go to the value's diagnostics.
    pub configure: fn(&PlacedNode<'_>) -> Option<Box<dyn ExporterConfig>>,
}

/// Names an extension and reads its configuration.
#[derive(Debug)]
pub struct ExtensionFactory {
    /// The type name.
    pub kind: &'static str,
    /// One line for `foghorn components`.
    pub summary: &'static str,
    /// Parses and validates; problems go to the value's diagnostics.
    pub configure: fn(&PlacedNode<'_>) -> Option<Box<dyn ExtensionConfig>>,
}

/// A receiver's valid configuration.
pub trait ReceiverConfig: fmt::Debug + Send + Sync {
    /// Builds the receiver, which feeds the pipelines through `intakes`: one for each
    /// signal in which the receiver stands in a pipeline.
    ///
    /// # Errors
    ///
    /// When something outside the configuration is missing, such as a certificate file.
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>>;

    /// What is written about its polls, if it pulls: `resilience` means something to such a
    /// receiver, and must fit.
    fn polls(&self) -> Option<PollConfig> {
        None
    }

    /// How many remote endpoints it asks at most; none for one that is sent to.
    fn endpoints(&self) -> usize {
        0
    }

    /// The ports, pages and files that it uses. Two components that use the same are refused
    /// before anything is opened.
    fn claims(&self) -> Vec<ResourceClaim> {
        Vec::new()
    }

    /// What it collects and from where, for the first lines that the agent prints, such as
    /// `http://localhost:9000 every 15s`.
    fn describe(&self) -> String;
}

/// A processor's valid configuration.
pub trait ProcessorConfig: fmt::Debug + Send + Sync {
    /// Builds the processor for one pipeline.
    ///
    /// # Errors
    ///
    /// When something outside the configuration is missing.
    fn build(&self, context: &BuildContext, signal: Signal) -> anyhow::Result<Box<dyn Processor>>;

    /// The most items of a batch that leaves it, where it bounds them. An exporter behind
    /// it joins no requests beyond that.
    fn max_items(&self) -> Option<u64> {
        None
    }

    /// What it does with what is remembered, which all pipelines share.
    fn windows_use(&self) -> WindowsUse {
        WindowsUse::None
    }
}

/// What a processor does with the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowsUse {
    /// Nothing.
    None,
    /// It fills one.
    Fills,
    /// It reads them all. Without one that fills any, it is told to have no effect.
    Reads,
}

/// An exporter's valid configuration.
pub trait ExporterConfig: fmt::Debug + Send + Sync {
    /// Builds the exporter.
    ///
    /// # Errors
    ///
    /// When something outside the configuration is missing.
    fn build(&self, context: &BuildContext) -> anyhow::Result<BuiltExporter>;

    /// The ports, pages and files that it uses. Two components that use the same are refused
    /// before anything is opened.
    fn claims(&self) -> Vec<ResourceClaim> {
        Vec::new()
    }

    /// Where its output can be seen, for the first lines that the agent prints.
    fn describe(&self) -> String;

    /// How it translates metrics to Prometheus, if it does. What else shows the metrics of its
    /// pipelines in Prometheus's terms does it alike.
    fn translation(&self) -> Option<&Translation> {
        None
    }
}

/// The two kinds of exporter.
pub enum BuiltExporter {
    /// One whose destination can fail: one for each signal that is brought to it.
    Remote(Vec<RemoteExporter>),
    /// One that writes on this machine.
    Local(Box<dyn Sink>),
}

/// What delivers one signal to a destination that can fail. Each has a queue and a breaker
/// of its own, and so it has connections of its own where one signal could hold up another
/// on them.
pub struct RemoteExporter {
    /// Which signal.
    pub signal: Signal,
    /// What makes the attempts.
    pub exporter: Box<dyn Exporter>,
    /// The destination of the signal as it is configured: what names its breaker.
    pub endpoint: String,
    /// What the user chose about everything around the attempts.
    pub delivery: DeliverySettings,
}

/// An extension's valid configuration.
pub trait ExtensionConfig: fmt::Debug + Send + Sync {
    /// Builds the extension.
    ///
    /// # Errors
    ///
    /// When something outside the configuration is missing.
    fn build(&self, context: &BuildContext) -> anyhow::Result<Box<dyn Extension>>;

    /// The ports, pages and files that it uses. Two components that use the same are refused
    /// before anything is opened.
    fn claims(&self) -> Vec<ResourceClaim> {
        Vec::new()
    }
}

/// A rule that is written among the processors and applied at the edges of the pipeline.
#[derive(Debug, Clone)]
pub enum Policy {
    /// Bounds what is in flight; applied on admission.
    MemoryLimiter(MemoryLimit),
    /// Guards every fetch of the pull receivers.
    Resilience(Arc<GuardConfig>),
}

/// The bounds of `memory_limiter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Encoded bytes between admission and delivery.
    pub in_flight: u64,
    /// Memory in use by the process above which admission refuses, as a backstop.
    pub resident: Option<u64>,
    /// The memory in use is read at most this often.
    pub check_interval: std::time::Duration,
}

/// What a component is handed when it is built.
#[derive(Clone)]
pub struct BuildContext {
    /// The component's id in the configuration.
    pub id: ComponentId,
    /// Instruments for its own metrics.
    pub telemetry: Telemetry,
    /// Where it reports whether it works.
    pub health: Health,
    /// Where it registers what it serves by HTTP.
    pub routes: Routes,
    /// Where it registers the remote endpoints that it guards.
    pub endpoints: Arc<Endpoints>,
    /// What the pipelines bring to it, if it exports.
    pub signals: Vec<Signal>,
    /// How its fetches are guarded, if it pulls and a pipeline of its has `resilience`.
    pub guard: Option<Arc<resilience::Settings>>,
    /// Where it registers what the surrounding program calls, if it takes calls.
    pub inputs: ProgramInputs,
    /// Where it keeps history, if it does.
    pub windows: Shelf,
    /// The agent's own metrics, for whoever keeps history.
    pub own_metrics: OwnMetrics,
    /// How the pipeline's metrics are shown in Prometheus's terms: as by the first of its exporters
    /// that does so, or as by default.
    pub translation: Arc<Translation>,
}

impl BuildContext {
    /// The intake of a receiver that has metrics alone.
    ///
    /// # Errors
    ///
    /// If the receiver stands in no pipeline of metrics.
    pub fn metrics_intake(
        &self,
        mut intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Arc<dyn Intake>> {
        let intake = intakes.remove(&Signal::Metrics);
        intake.ok_or_else(|| anyhow::anyhow!("{}: stands in no metrics pipeline", self.id))
    }

    /// What a component is built with that runs outside a service, such as in a test:
    /// shared with nobody, and without a guard.
    pub fn standalone(id: ComponentId, telemetry: Telemetry) -> Self {
        let stop = tokio_util::sync::CancellationToken::new();
        Self {
            id,
            telemetry,
            health: Health::new(),
            routes: Routes::new(),
            endpoints: Arc::new(Endpoints::new(resilience::DEFAULT_MAX_ENDPOINTS, stop)),
            signals: Signal::ALL.to_vec(),
            guard: None,
            inputs: ProgramInputs::default(),
            windows: Shelf::default(),
            own_metrics: OwnMetrics::default(),
            translation: Arc::default(),
        }
    }
}
