//! Runs a configuration: builds it, starts it, watches over its tasks, and drains it.
//!
//! Start-up goes against the flow, exporters first, so that nothing is produced before
//! there is somebody to take it. Shutdown goes with the flow and needs no list of who
//! depends on whom:
//!
//! 1. Admission refuses, and the receivers are told to stop. They have a second.
//! 2. The pipelines' inputs close. Each empties its processors and lets go of its legs.
//! 3. An exporter ends when its queue is empty and nothing feeds it any more. It makes one
//!    attempt per request until the grace is over, then counts what is left as dropped
//!    with the reason `shutdown`.
//! 4. What still runs after the grace is aborted, and waited for a little.
//! 5. Extensions and the HTTP server, which answer questions about all this, go last.
//!
//! Every task's end is logged once, with its outcome and how long it took.

mod tasks;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::tasks::{TaskEnd, TaskOutcome};
use self::tasks::{TaskRole, Tasks};
use crate::breakers::{self, BreakerWatch};
use crate::component::{BuildContext, Extension, Health, Phase, Routes};
use crate::config::{Config, MetricsPage, ShutdownConfig};
use crate::pipeline::{
    BuildError, BuildErrors, Ending, GraceControl, Graph, LastWords, Ledger, Surroundings,
};
use crate::resilience::Endpoints;
use crate::server::{self, BindError, Server};
use crate::settings::ListenerConfig;
use crate::telemetry::Telemetry;

/// How long receivers have to finish what they have accepted, before the pipelines close
/// without them.
const RECEIVER_GRACE: Duration = Duration::from_secs(1);

/// How long tasks that end by themselves at the end of the grace may take to do so.
const SLACK: Duration = Duration::from_millis(200);

/// An agent that is built and does nothing yet.
pub struct Service {
    graph: Graph,
    extensions: Vec<(String, Box<dyn Extension>)>,
    surroundings: Surroundings,
    watch: BreakerWatch,
    /// Endpoints that there may come to be.
    room: usize,
    telemetry: Telemetry,
    http: Option<ListenerConfig>,
    pages: Vec<MetricsPage>,
    shutdown: ShutdownConfig,
}

/// An agent at work.
pub struct Running {
    tasks: Tasks,
    ledger: Ledger,
    last_words: LastWords,
    health: Health,
    urls: Vec<String>,
    grace: GraceControl,
    shutdown: ShutdownConfig,
    stopping: CancellationToken,
    closing: CancellationToken,
    ending: CancellationToken,
}

/// What was left when the agent had ended.
#[derive(Debug)]
pub struct Drained {
    /// How each task ended, in that order.
    pub tasks: Vec<TaskEnd>,
    /// The books, which no task writes any more.
    pub ledger: Ledger,
}

/// The agent could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A component could not be.
    #[error("{path}{}{error:#}", joint(.error))]
    Component {
        /// Its place in the configuration, such as `receivers::otlp`.
        path: String,
        /// Why.
        error: anyhow::Error,
    },
    /// Nothing can be served by HTTP.
    #[error(transparent)]
    Server(#[from] BindError),
}

impl Service {
    /// Builds every component and wires them. Nothing is opened, bound or started, so that
    /// `validate` can go as far as this.
    ///
    /// # Errors
    ///
    /// Names every component that could not be built.
    pub fn build(config: &Config, telemetry: &Telemetry) -> Result<Self, BuildErrors> {
        let watch = BreakerWatch::new();
        let surroundings = Surroundings::observed(config.service.max_endpoints, watch.observer());
        let mut errors = Vec::new();
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
                pages: config.service.telemetry.pages.clone(),
                shutdown: config.service.shutdown,
            }),
            _ => Err(BuildErrors(errors)),
        }
    }

    /// The books.
    pub fn ledger(&self) -> Ledger {
        self.graph.ledger.clone()
    }

    /// The board on which components report.
    pub fn health(&self) -> Health {
        self.surroundings.health.clone()
    }

    /// Every remote endpoint that has a breaker.
    pub fn endpoints(&self) -> Arc<Endpoints> {
        Arc::clone(&self.surroundings.endpoints)
    }

    /// What the components serve by HTTP. Complete once the service has started.
    pub fn routes(&self) -> Routes {
        self.surroundings.routes.clone()
    }

    /// Starts everything, exporters first. Whatever fails ends the start, and what had
    /// started ends with it.
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
        let failed = |section: &str, id: &dyn std::fmt::Display, error| StartError::Component {
            path: format!("{section}::{id}"),
            error,
        };
        for exporter in &mut exporters {
            let id = exporter.id().clone();
            let started = exporter.start().await;
            started.map_err(|error| failed("exporters", &id, error))?;
        }
        for (id, receiver) in &mut receivers {
            let started = receiver.start().await;
            started.map_err(|error| failed("receivers", id, error))?;
        }
        for (id, extension) in &mut extensions {
            let started = extension.start().await;
            started.map_err(|error| failed("extensions", id, error))?;
        }

        watch.begin(&telemetry, &surroundings.endpoints, room);
        if let Some(listener) = &http {
            for route in breakers::routes(server::OWNER, &surroundings.endpoints, listener) {
                surroundings.routes.register(route);
            }
        }

        // Last, because starting is when components register what they serve.
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
        // Without a page there is nothing to serve, and its end would look like a failure.
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

impl Running {
    /// The books.
    pub fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// The board on which components report.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// What is worth a look by HTTP, as URLs.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Works until `shutdown` resolves, then drains; `abort` cuts the draining short.
    /// Takes no longer than `grace` and `abort` of the configuration after `shutdown`,
    /// whatever hangs.
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
        // Those who never saw a reason to end must not see one to go on.
        self.closing.cancel();
        self.ending.cancel();
        self.tasks.abort(last).await;
    }
}

/// What stands between a component's path and its error: a listener's error goes on with the
/// key to change.
fn joint(error: &anyhow::Error) -> &'static str {
    if error.is::<server::BindError>() {
        "::"
    } else {
        ": "
    }
}

async fn completed(task: impl Future<Output = ()>) -> Ending {
    task.await;
    Ending::Completed
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
