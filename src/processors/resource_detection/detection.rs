//! Runs the detectors, once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::join_all;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::docker::DockerDetector;
use super::env;
use super::found::{Detected, FoundAttributes};
use super::kubernetes::KubernetesDetector;
use super::machine::ObservedMachine;
use super::system::SystemDetector;
use crate::component::BuildContext;

/// One of `detectors`, with its settings.
#[derive(Debug, Clone)]
pub(super) enum Detector {
    Env,
    System(SystemDetector),
    Docker(DockerDetector),
    Kubernetes(KubernetesDetector),
}

/// The one detection of a processor, which its pipelines share.
#[derive(Debug)]
pub(super) struct Detection {
    detectors: Vec<Detector>,
    timeout: Duration,
    machine: ObservedMachine,
    begun: AtomicBool,
    found: OnceLock<FoundAttributes>,
}

impl Detection {
    pub(super) fn new(
        detectors: Vec<Detector>,
        timeout: Duration,
        machine: ObservedMachine,
    ) -> Self {
        Self {
            detectors,
            timeout,
            machine,
            begun: AtomicBool::new(false),
            found: OnceLock::new(),
        }
    }

    /// Begins to detect, within a runtime, unless that has begun before.
    pub(super) fn begin(self: &Arc<Self>, counts: &DetectionCounts) {
        if self.begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let (this, counts) = (Arc::clone(self), counts.clone());
        tokio::spawn(async move {
            let detecting = Arc::clone(&this);
            let detecting = tokio::spawn(async move { detecting.run(&counts).await });
            // A panic has been reported; nobody may wait for ever because of it.
            let found = detecting.await.unwrap_or_default();
            let _ = this.found.set(found);
        });
    }

    /// What was found, once all detectors have ended or the time is over.
    pub(super) fn found(&self) -> Option<&FoundAttributes> {
        self.found.get()
    }

    async fn run(&self, counts: &DetectionCounts) -> FoundAttributes {
        let deadline = Instant::now() + self.timeout;
        let detecting = self.detectors.iter().map(|detector| async move {
            let detected = detector.detect(&self.machine, deadline);
            (detector.name(), timeout_at(deadline, detected).await)
        });
        let mut found = FoundAttributes::default();
        for (name, detected) in join_all(detecting).await {
            let Ok(detected) = detected else {
                counts.ended(name, "timeout");
                let limit = self.timeout;
                warn!("{counts}: {name} hasn't ended within {limit:?}: its attributes are absent");
                continue;
            };
            let complete = detected.problems.is_empty();
            counts.ended(name, if complete { "detected" } else { "failed" });
            for problem in &detected.problems {
                warn!("{counts}: {name}: {problem}");
            }
            found.merge(detected.attributes);
        }
        // Their values are nobody's business in a log.
        let keys: Vec<&str> = found.values().iter().map(|(key, _)| key.as_str()).collect();
        match keys.is_empty() {
            true => info!("{counts}: nothing was found for resources"),
            false => info!("{counts}: resources get {}", keys.join(", ")),
        }
        found
    }
}

impl Detector {
    fn name(&self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::System(_) => "system",
            Self::Docker(_) => "docker",
            Self::Kubernetes(_) => "k8s_api",
        }
    }

    async fn detect(&self, machine: &ObservedMachine, deadline: Instant) -> Detected {
        match self {
            Self::Env => env::detect(machine),
            Self::System(system) => system.detect(machine, deadline).await,
            Self::Docker(docker) => docker.detect(machine, deadline).await,
            Self::Kubernetes(kubernetes) => kubernetes.detect(machine),
        }
    }
}

/// The processor's own metrics.
#[derive(Clone)]
pub(super) struct DetectionCounts {
    processor: String,
    results: Counter<u64>,
    early: Counter<u64>,
}

impl DetectionCounts {
    pub(super) fn new(context: &BuildContext) -> Self {
        let meter = context
            .telemetry
            .meter("foghorn.processors.resource_detection");
        Self {
            processor: context.id.to_string(),
            results: meter
                .u64_counter("foghorn_resource_detection_results_total")
                .with_description("Detectors that ended, by how")
                .build(),
            early: meter
                .u64_counter("foghorn_resource_detection_early_items_total")
                .with_description("Items that were passed on before detection had ended")
                .build(),
        }
    }

    fn ended(&self, detector: &'static str, outcome: &'static str) {
        let labels = [
            self.processor(),
            KeyValue::new("detector", detector),
            KeyValue::new("outcome", outcome),
        ];
        self.results.add(1, &labels);
    }

    pub(super) fn early(&self, items: u64, reason: &'static str) {
        let labels = [self.processor(), KeyValue::new("reason", reason)];
        self.early.add(items, &labels);
    }

    fn processor(&self) -> KeyValue {
        KeyValue::new("processor", self.processor.clone())
    }
}

impl std::fmt::Display for DetectionCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.processor)
    }
}
