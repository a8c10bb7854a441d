//! Runs a configuration: builds the components, starts them, observes their tasks, and drains them.
//!
//! Start-up begins with the exporters, so that no component produces data before the next one can
//! take it. Shutdown follows the flow of the data, and needs no list of dependencies:
//!
//! 1. Admission refuses, and the receivers are told to stop. They have a second for it.
//! 2. The inputs of the pipelines close. Each pipeline drains its processors and drops its handles
//!    of the exporters.
//! 3. An exporter ends when its queue is empty and no pipeline holds a handle of it. It makes one
//!    attempt per request until the grace is over, then counts the rest as dropped with the
//!    reason `shutdown`.
//! 4. Extensions and the HTTP server, which show all this, are told to stop when the others have
//!    ended, or when the grace is over.
//! 5. Tasks that still run then are aborted, within `service.shutdown.abort`.
//!
//! The end of every task is logged once, with its outcome and how long it took.

mod files;
mod renewals;
mod tasks;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::tasks::{TaskEnd, TaskOutcome};
use self::tasks::{TaskRole, Tasks};
use crate::breakers::{self, BreakerWatch};
use crate::component::{BuildContext, ComponentId, Extension, Health, Phase, ProgramInput, Routes};
use crate::config::{Config, MetricsPage, QueryConfig, ShutdownConfig};
use crate::history::{self, ApiSettings};
use crate::pipeline::{
    BuildError, BuildErrors, Ending, GraceControl, Graph, LastWords, Ledger, Surroundings,
};
use crate::query::QueryLimits;
use crate::resilience::Endpoints;
use crate::server::{self, BindError, Server};
use crate::settings::ListenerConfig;
use crate::telemetry::Telemetry;
use crate::window::Shelf;
use crate::yaml::{self, ByteSize};

/// How long receivers may take to hand over what they have accepted before the pipelines close.
const RECEIVER_GRACE: Duration = Duration::from_secs(1);

/// How long after the end of the grace tasks may take to end by themselves.
const SLACK: Duration = Duration::from_millis(200);

/// An agent whose components are built and not started.
pub struct Service {
    graph: Graph,
    extensions: Vec<(String, Box<dyn Extension>)>,
    surroundings: Surroundings,
    watch: BreakerWatch,
    /// How many endpoints may be registered.
    room: usize,
    telemetry: Telemetry,
    http: Option<ListenerConfig>,
    query: QueryConfig,
    pages: Vec<MetricsPage>,
    shutdown: ShutdownConfig,
}

/// A running agent.
pub struct Running {
    tasks: Tasks,
    ledger: Ledger,
    last_words: LastWords,
    watch: BreakerWatch,
    health: Health,
    urls: Vec<String>,
    grace: GraceControl,
    shutdown: ShutdownConfig,
    stopping: CancellationToken,
    closing: CancellationToken,
    ending: CancellationToken,
}

/// The results of an agent that has ended.
#[derive(Debug)]
pub struct Drained {
    /// How each task ended, in the order in which they ended.
    pub tasks: Vec<TaskEnd>,
    /// The final ledger: no task writes it any more.
    pub ledger: Ledger,
}

/// Which component or listener could not be started, by its path in the configuration, and why.
/// Without the credentials and queries of URLs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl Service {
    /// Builds every component and connects them. Nothing is bound or started, so that `validate`
    /// can do this too.
    ///
    /// # Errors
    ///
    /// Names every component that could not be built, and every listener whose certificate, key
    /// or token can't be used.
    pub fn build(config: &Config, telemetry: &Telemetry) -> Result<Self, BuildErrors> {
        let watch = BreakerWatch::new();
        let surroundings = Surroundings::observed(config.service.max_endpoints, watch.observer());
        let mut errors = files::unusable(config);
        let graph = Graph::build(config, telemetry, &surroundings)
            .map_err(|BuildErrors(found)| errors.extend(found))
            .ok();
        let mut extensions = Vec::new();
        for (id, extension) in &config.extensions {
            let context = BuildContext {
                id: id.clone(),
                telemetry: telemetry.clone(),
                health: surroundings.health.clone(),
                routes: surroundings.routes.clone(),
                endpoints: Arc::clone(&surroundings.endpoints),
                signals: Vec::new(),
                guard: None,
                inputs: surroundings.inputs.clone(),
                windows: surroundings.windows.clone(),
                own_metrics: surroundings.own_metrics.clone(),
                translation: Arc::default(),
            };
            match extension.build(&context) {
                Ok(extension) => extensions.push((id.to_string(), extension)),
                Err(error) => errors.push(BuildError {
                    path: format!("extensions::{id}"),
                    error,
                }),
            }
        }
        match graph {
            Some(graph) if errors.is_empty() => Ok(Self {
                graph,
                extensions,
                surroundings,
                watch,
                room: config.endpoints(),
                telemetry: telemetry.clone(),
                http: config.service.http.listener.clone(),
                query: config.service.http.query.clone(),
                pages: config.service.telemetry.pages.clone(),
                shutdown: config.service.shutdown,
            }),
            _ => {
                let errors = errors
                    .into_iter()
                    .map(|BuildError { path, error }| BuildError {
                        path,
                        error: anyhow::Error::msg(shown(&error)),
                    });
                Err(BuildErrors(errors.collect()))
            }
        }
    }

    /// The ledger of all items.
    pub fn ledger(&self) -> Ledger {
        self.graph.ledger.clone()
    }

    /// The board on which components report their health.
    pub fn health(&self) -> Health {
        self.surroundings.health.clone()
    }

    /// The registry of the remote endpoints that have a breaker.
    pub fn endpoints(&self) -> Arc<Endpoints> {
        Arc::clone(&self.surroundings.endpoints)
    }

    /// Where the surrounding program pushes what the receiver `embedded` of this id takes; `None`
    /// if there is no such receiver. Refuses everything once the service ends.
    pub fn input(&self, id: &ComponentId) -> Option<ProgramInput> {
        self.surroundings.inputs.get(id)
    }

    /// The history that the `window` processors keep, each under its id.
    pub fn windows(&self) -> Shelf {
        self.surroundings.windows.clone()
    }

    /// The HTTP routes of the components; complete once the service has started.
    pub fn routes(&self) -> Routes {
        self.surroundings.routes.clone()
    }

    /// Starts everything, exporters first. The first failure ends the start, and the components
    /// that had started are dropped. Cancel safe in the same way.
    ///
    /// # Errors
    ///
    /// Names the component or the key that could not be started.
    pub async fn start(self) -> Result<Running, StartError> {
        let Self {
            graph,
            mut extensions,
            surroundings,
            watch,
            room,
            telemetry,
            http,
            query,
            pages,
            shutdown,
        } = self;
        let Graph {
            mut receivers,
            pipelines,
            mut exporters,
            ledger,
            last_words,
            stopping,
            closing,
        } = graph;
        for exporter in &mut exporters {
            let id = exporter.id().clone();
            let started = exporter.start().await;
            started.map_err(|error| StartError::of("exporters", &id, &error))?;
        }
        for (id, receiver) in &mut receivers {
            let started = receiver.start().await;
            started.map_err(|error| StartError::of("receivers", id, &error))?;
        }
        for (id, extension) in &mut extensions {
            let started = extension.start().await;
            started.map_err(|error| StartError::of("extensions", id, &error))?;
        }

        renewals::observe(&telemetry.meter("foghorn.service"));
        watch.begin(&telemetry, &surroundings.endpoints, room);
        if let Some(listener) = &http {
            for route in breakers::routes(&surroundings.endpoints, listener) {
                surroundings.routes.register(route);
            }
            let settings = api_settings(&query);
            let own_metrics = &surroundings.own_metrics;
            let windows = &surroundings.windows;
            for route in history::routes(windows, own_metrics, settings, &telemetry) {
                surroundings.routes.register(route);
            }
        }

        // Last, since components register their routes when they start.
        let health = surroundings.health;
        for MetricsPage { owner, listener } in pages {
            let page = server::metrics_page(listener, owner, &telemetry);
            surroundings.routes.register(page);
        }
        let server = Server::bind(http.as_ref(), &surroundings.routes, &health, &telemetry).await?;

        let mut tasks = Tasks::new(&telemetry.meter("foghorn.service"));
        let urls = server.urls();
        let grace = GraceControl::new();
        let ending = CancellationToken::new();
        // A server without listeners would end at once, which would look like a failure.
        if !urls.is_empty() {
            let run = completed(server.run(ending.clone()));
            tasks.spawn(TaskRole::Extension, "http server".to_owned(), run);
        }
        for exporter in exporters {
            tasks.spawn(
                TaskRole::Exporter,
                exporter.name(),
                exporter.run(grace.grace()),
            );
        }
        for pipeline in pipelines {
            let name = format!("pipeline {}", pipeline.id());
            tasks.spawn(TaskRole::Pipeline, name, completed(pipeline.run()));
        }
        for (id, extension) in extensions {
            let run = extension.run(ending.clone());
            tasks.spawn(
                TaskRole::Extension,
                format!("extension {id}"),
                completed(run),
            );
        }
        for (id, receiver) in receivers {
            let run = receiver.run(stopping.clone());
            tasks.spawn(TaskRole::Receiver, format!("receiver {id}"), completed(run));
        }
        health.enter(Phase::Running);
        Ok(Running {
            tasks,
            ledger,
            last_words,
            watch,
            health,
            urls,
            grace,
            shutdown,
            stopping,
            closing,
            ending,
        })
    }
}

impl StartError {
    /// The error of a component. That of its listener begins with the rest of the path.
    fn of(section: &str, id: &dyn fmt::Display, error: &anyhow::Error) -> Self {
        let joint = if error.is::<BindError>() { "::" } else { ": " };
        Self(format!("{section}::{id}{joint}{}", shown(error)))
    }
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self(yaml::without_credentials(&error.to_string()))
    }
}

impl Running {
    /// The ledger of all items.
    pub fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// The board on which components report their health.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// The URLs of pages for people.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Runs until `shutdown` resolves, then drains; `abort` ends the draining early. Returns
    /// within `service.shutdown.grace` plus `.abort` after `shutdown`, even if a task hangs.
    pub async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
        abort: impl Future<Output = ()>,
    ) -> Drained {
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(end) = self.tasks.next_end() => {
                    if matches!(end.outcome, TaskOutcome::Panicked(_)) {
                        self.health.task_died(end.task);
                    }
                }
            }
        }
        let begun = Instant::now();
        self.health.enter(Phase::Draining);
        tracing::info!(
            tasks = self.tasks.len(),
            grace_s = self.shutdown.grace.as_secs_f64(),
            "shutting down",
        );
        self.tasks.shutting_down(begun);
        self.drain(begun, pin!(abort)).await;
        self.last_words.say();
        self.watch.tell_rest();
        let elapsed_ms = millis(begun.elapsed());
        tracing::info!(elapsed_ms, "shut down");
        Drained {
            tasks: self.tasks.into_ends(),
            ledger: self.ledger,
        }
    }

    async fn drain(&mut self, begun: Instant, mut abort: Pin<&mut impl Future<Output = ()>>) {
        let grace = self.shutdown.grace;
        let grace_end = begun + grace;
        let last = grace_end + self.shutdown.abort;

        self.grace.begin(grace);
        self.stopping.cancel();
        let patience = begun + RECEIVER_GRACE.min(grace);
        let tasks = &mut self.tasks;
        let graceful = async {
            tasks.wait_for(&[TaskRole::Receiver], patience).await;
            self.closing.cancel();
            let carrying = [TaskRole::Receiver, TaskRole::Pipeline, TaskRole::Exporter];
            tasks.wait_for(&carrying, grace_end + SLACK).await;
            self.ending.cancel();
            let patience = grace_end + self.shutdown.abort / 2;
            tasks.wait_for(&TaskRole::ALL, patience).await;
        };
        let last = tokio::select! {
            biased;
            () = &mut abort => {
                tracing::warn!("told to end at once: aborting what still runs");
                last.min(Instant::now() + self.shutdown.abort)
            }
            () = graceful => last,
        };
        // Tasks that haven't been told to end yet must be told before they are aborted.
        self.closing.cancel();
        self.ending.cancel();
        self.tasks.abort(last).await;
    }
}

/// An error without the credentials and queries of URLs. An error may name a path, and a URL with
/// a token may be written where a path belongs.
fn shown(error: &anyhow::Error) -> String {
    yaml::without_credentials(&format!("{error:#}"))
}

/// The bounds of the query API as it knows them.
fn api_settings(config: &QueryConfig) -> ApiSettings {
    let bytes = |size: ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    ApiSettings {
        max_concurrent: config.max_concurrent,
        timeout: config.timeout,
        limits: QueryLimits {
            max_samples: config.max_samples,
            max_memory: bytes(config.max_memory),
            max_depth: config.max_depth,
            max_text: bytes(config.max_text),
        },
    }
}

async fn completed(task: impl Future<Output = ()>) -> Ending {
    task.await;
    Ending::Completed
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
