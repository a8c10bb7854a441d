//! The agent's tasks. Each has a name, an outcome and one log line when it ends.
//!
//! - `circuit_breaker_shutdown_tasks_total{outcome}`: tasks that ran when the shutdown began, by
//!   outcome

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::millis;
use crate::pipeline::{Ending, panic_message};

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// It had nothing left to do.
    Completed,
    /// It dropped what was left when the grace was over.
    Cancelled,
    /// It panicked, with this message.
    Panicked(String),
    /// It was aborted.
    Aborted,
}

/// How one task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEnd {
    /// The task's name, such as `exporter otlp_grpc`.
    pub task: String,
    /// How it ended.
    pub outcome: TaskOutcome,
    /// How long it took since the shutdown began; for a task that ended before that, since its
    /// start.
    pub elapsed: Duration,
}

/// What a task does, which decides when it has to end during the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskRole {
    Receiver,
    Pipeline,
    Exporter,
    Extension,
}

#[derive(Debug, Default)]
pub(super) struct Tasks {
    set: JoinSet<Ending>,
    running: HashMap<Id, Task>,
    ends: Vec<TaskEnd>,
    shutting_down: Option<Instant>,
    /// How many tasks ended after the shutdown began, in the order of [`TaskOutcome::NAMES`].
    counts: Arc<[AtomicU64; TaskOutcome::NAMES.len()]>,
}

#[derive(Debug)]
struct Task {
    role: TaskRole,
    name: String,
    since: Instant,
    handle: AbortHandle,
}

impl TaskOutcome {
    const NAMES: [&str; 4] = ["completed", "cancelled", "panicked", "aborted"];

    /// The outcome's name in logs and labels.
    pub fn as_str(&self) -> &'static str {
        Self::NAMES[self.index()]
    }

    fn index(&self) -> usize {
        match self {
            Self::Completed => 0,
            Self::Cancelled => 1,
            Self::Panicked(_) => 2,
            Self::Aborted => 3,
        }
    }
}

impl TaskRole {
    pub(super) const ALL: [TaskRole; 4] = [
        Self::Receiver,
        Self::Pipeline,
        Self::Exporter,
        Self::Extension,
    ];
}

impl Tasks {
    /// Without tasks. `meter` gets the counter of those that end during the shutdown.
    pub(super) fn new(meter: &Meter) -> Self {
        let tasks = Self::default();
        let counts = Arc::clone(&tasks.counts);
        meter
            .u64_observable_counter("circuit_breaker_shutdown_tasks_total")
            .with_description("Tasks that the shutdown found running, by how they ended.")
            .with_callback(move |observer| {
                for (outcome, count) in TaskOutcome::NAMES.into_iter().zip(counts.iter()) {
                    let label = KeyValue::new("outcome", outcome);
                    observer.observe(count.load(Ordering::Relaxed), &[label]);
                }
            })
            .build();
        tasks
    }

    pub(super) fn spawn(
        &mut self,
        role: TaskRole,
        name: String,
        task: impl Future<Output = Ending> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        let task = Task {
            role,
            name,
            since: Instant::now(),
            handle: handle.clone(),
        };
        self.running.insert(handle.id(), task);
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Marks the beginning of the shutdown: from now on tasks are expected to end.
    pub(super) fn shutting_down(&mut self, begun: Instant) {
        self.shutting_down = Some(begun);
    }

    /// Waits for the next task to end; `None` if none is left. Cancel safe.
    pub(super) async fn next_end(&mut self) -> Option<TaskEnd> {
        let joined = self.set.join_next_with_id().await?;
        let (id, outcome) = match joined {
            Ok((id, ending)) => (id, ending.into()),
            Err(error) => (error.id(), error.into()),
        };
        let task = self.running.remove(&id)?;
        Some(self.record(task, outcome))
    }

    /// Waits until no task of these roles is left, or until `until`.
    pub(super) async fn wait_for(&mut self, roles: &[TaskRole], until: Instant) {
        while self.running.values().any(|task| roles.contains(&task.role)) {
            let Ok(Some(_)) = timeout_at(until, self.next_end()).await else {
                return;
            };
        }
    }

    /// Aborts the remaining tasks and waits for them until `until`. Tasks that block even then
    /// are left behind.
    pub(super) async fn abort(&mut self, until: Instant) {
        for task in self.running.values() {
            task.handle.abort();
        }
        self.wait_for(&TaskRole::ALL, until).await;
        let stuck: Vec<Task> = self.running.drain().map(|(_, task)| task).collect();
        for task in stuck {
            self.record(task, TaskOutcome::Aborted);
        }
        self.set.detach_all();
    }

    pub(super) fn into_ends(self) -> Vec<TaskEnd> {
        self.ends
    }

    fn record(&mut self, task: Task, outcome: TaskOutcome) -> TaskEnd {
        let end = TaskEnd {
            task: task.name,
            outcome,
            elapsed: self.shutting_down.unwrap_or(task.since).elapsed(),
        };
        let elapsed_ms = millis(end.elapsed);
        let (task, outcome) = (&end.task, end.outcome.as_str());
        match &end.outcome {
            // Nothing told it to end.
            TaskOutcome::Completed | TaskOutcome::Cancelled if self.shutting_down.is_none() => {
                tracing::warn!(task, outcome, elapsed_ms, "task ended by itself");
            }
            TaskOutcome::Completed | TaskOutcome::Cancelled => {
                tracing::info!(task, outcome, elapsed_ms, "task ended");
            }
            TaskOutcome::Aborted => tracing::warn!(task, outcome, elapsed_ms, "task ended"),
            TaskOutcome::Panicked(message) => {
                tracing::error!(
                    task,
                    outcome,
                    elapsed_ms,
                    message,
                    "task ended: what it held is lost",
                );
            }
        }
        if self.shutting_down.is_some() {
            self.counts[end.outcome.index()].fetch_add(1, Ordering::Relaxed);
        }
        self.ends.push(end.clone());
        end
    }
}

impl From<Ending> for TaskOutcome {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Completed => Self::Completed,
            Ending::Cancelled => Self::Cancelled,
            Ending::Panicked(message) => Self::Panicked(message),
        }
    }
}

impl From<JoinError> for TaskOutcome {
    fn from(error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(panic) => Self::Panicked(panic_message(panic.as_ref())),
            Err(_) => Self::Aborted,
        }
    }
}
