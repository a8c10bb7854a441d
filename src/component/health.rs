//! Whether sources and destinations work, as they themselves report it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ComponentId;

/// The board on which components report and from which `/health` reads. A handle: clones
/// share the board.
#[derive(Debug, Clone, Default)]
pub struct Health {
    // Std mutexes: every section is a few loads and stores.
    reports: Arc<Mutex<Vec<Arc<Mutex<HealthReport>>>>>,
    pipelines: Arc<Mutex<Option<Arc<dyn PipelineProbe>>>>,
    dead_tasks: Arc<Mutex<Vec<String>>>,
}

/// Looks into the running pipelines.
pub trait PipelineProbe: fmt::Debug + Send + Sync {
    /// Every pipeline as it stands at `now`.
    fn pipelines(&self, now: Instant) -> Vec<PipelineReport>;
}

/// One pipeline as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineReport {
    /// `signal[/name]`.
    pub id: String,
    /// Its exporters, and whether each can deliver as far as is known: its task lives and
    /// its last attempt, if there was one, worked.
    pub exporters: Vec<(ComponentId, bool)>,
    /// Items that its processors hold or that wait before them.
    pub held_items: u64,
    /// Items that wait for its exporters.
    pub queued_items: u64,
    /// How long the oldest request has been waiting for any of its exporters.
    pub queue_age: Duration,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A source that a receiver asks or listens for.
    Endpoint,
    /// A destination.
    Exporter,
}

/// The last that is known of one source or destination.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthReport {
    /// What it is about.
    pub subject: Subject,
    /// The component that reports.
    pub component: ComponentId,
    /// The source or destination, without credentials; the component's id where it has one
    /// destination only.
    pub id: String,
    /// `unknown` before the first attempt, then `working` or `failing`.
    pub state: &'static str,
    /// Why the last failed attempt failed.
    pub last_error: Option<String>,
}

/// One source's or destination's line on the board. It leaves the board when dropped.
#[derive(Debug)]
pub struct Reporter {
    board: Health,
    report: Arc<Mutex<HealthReport>>,
}

impl Health {
    /// An empty board.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line.
    pub fn reporter(&self, subject: Subject, component: &ComponentId, id: &str) -> Reporter {
        let report = Arc::new(Mutex::new(HealthReport {
            subject,
            component: component.clone(),
            id: id.to_owned(),
            state: "unknown",
            last_error: None,
        }));
        lock(&self.reports).push(Arc::clone(&report));
        Reporter {
            board: self.clone(),
            report,
        }
    }

    /// Lets the board look into the pipelines, once they are built.
    pub fn watch(&self, pipelines: Arc<dyn PipelineProbe>) {
        *lock(&self.pipelines) = Some(pipelines);
    }

    /// Every pipeline as it stands; none before they are built.
    pub fn pipelines(&self, now: Instant) -> Vec<PipelineReport> {
        let probe = lock(&self.pipelines).clone();
        probe.map_or_else(Vec::new, |probe| probe.pipelines(now))
    }

    /// A task of the agent panicked: it does not work any more, and neither does what
    /// depends on it.
    pub fn task_died(&self, task: impl Into<String>) {
        lock(&self.dead_tasks).push(task.into());
    }

    /// The tasks that died, such as `exporter otlp`.
    pub fn dead_tasks(&self) -> Vec<String> {
        lock(&self.dead_tasks).clone()
    }

    /// Every line as it stands.
    pub fn reports(&self) -> Vec<HealthReport> {
        lock(&self.reports)
            .iter()
            .map(|report| lock(report).clone())
            .collect()
    }
}

impl Reporter {
    /// The last attempt worked.
    pub fn working(&self) {
        lock(&self.report).state = "working";
    }

    /// The last attempt failed.
    pub fn failing(&self, error: impl Into<String>) {
        let mut report = lock(&self.report);
        report.state = "failing";
        report.last_error = Some(error.into());
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        lock(&self.board.reports).retain(|report| !Arc::ptr_eq(report, &self.report));
    }
}

/// A report is whole after every store, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
