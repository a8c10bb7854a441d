//! From a configuration to everything that runs: components are built, pipelines wired,
//! policies lowered to the edges that they rule.

mod exporters;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::exporters::ExporterTask;
use self::exporters::Outlet;
use super::admission::{PipelineGate, ReceiverIntake};
use super::budget::Budget;
use super::chain::{Chain, StageAccount};
use super::fanout::{Fanout, Leg};
use super::last_words::LastWords;
use super::ledger::{Ledger, LegAccount, PipelineAccount};
use super::metrics;
use super::probe::{Probe, ProbedRoom};
use super::queue::Inlet;
use super::refusals::ReceiverAccount;
use super::vote::Voter;
use super::worker::PipelineTask;
use crate::component::{
    BuildContext, ComponentId, Health, Intake, Policy, ProgramInputs, Receiver, Routes,
};
use crate::config::{Config, PipelineConfig, Stage};
use crate::pdata::Signal;
use crate::recording::OwnMetrics;
use crate::resilience::{self, Endpoints};
use crate::telemetry::Telemetry;
use crate::translation::Translation;
use crate::window::Shelf;

/// Requests that may wait before a pipeline's first processor. A few, so that a receiver
/// and a pipeline can work at the same time; what should wait longer waits in the queues.
const INPUT_CAPACITY: usize = 32;

/// What components share.
#[derive(Clone)]
pub struct Surroundings {
    /// Where components report whether they work.
    pub health: Health,
    /// Where they register what they serve.
    pub routes: Routes,
    /// The remote endpoints that they guard.
    pub endpoints: Arc<Endpoints>,
    /// Where those register that take calls of the surrounding program.
    pub inputs: ProgramInputs,
    /// Where they keep history.
    pub windows: Shelf,
    /// The agent's own metrics, of which one of them keeps a history.
    pub own_metrics: OwnMetrics,
    /// Cancelled when nothing new is to be admitted and no fetch goes on.
    pub stopping: CancellationToken,
}

impl Surroundings {
    /// Where as many endpoints as `max_endpoints` have room.
    pub fn new(max_endpoints: usize) -> Self {
        let stopping = CancellationToken::new();
        let endpoints = Endpoints::new(max_endpoints, stopping.clone());
        Self::around(endpoints, stopping)
    }

    /// The same, with somebody who is told what happens at the endpoints.
    pub fn observed(max_endpoints: usize, observer: Arc<dyn resilience::Observer>) -> Self {
        let stopping = CancellationToken::new();
        let endpoints = Endpoints::new(max_endpoints, stopping.clone()).observed_by(observer);
        Self::around(endpoints, stopping)
    }

    fn around(endpoints: Endpoints, stopping: CancellationToken) -> Self {
        Self {
            health: Health::new(),
            routes: Routes::new(),
            endpoints: Arc::new(endpoints),
            inputs: ProgramInputs::default(),
            windows: Shelf::default(),
            own_metrics: OwnMetrics::default(),
            stopping,
        }
    }
}

/// Everything that a configuration asks for, built and wired, with nothing running.
pub struct Graph {
    /// Where data enters.
    pub receivers: Vec<(ComponentId, Box<dyn Receiver>)>,
    /// What it passes.
    pub pipelines: Vec<PipelineTask>,
    /// Where it leaves.
    pub exporters: Vec<ExporterTask>,
    /// The books.
    pub ledger: Ledger,
    /// What is to be said at the end.
    pub last_words: LastWords,
    /// Cancelled when nothing new is to be admitted.
    pub stopping: CancellationToken,
    /// Cancelled when the receivers have had their time, so that the pipelines end.
    pub closing: CancellationToken,
}

/// A component that could not be built.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error:#}")]
pub struct BuildError {
    /// Its place in the configuration, such as `exporters::otlp_grpc`.
    pub path: String,
    /// Why.
    pub error: anyhow::Error,
}

/// Every component that could not be built.
#[derive(Debug, thiserror::Error)]
pub struct BuildErrors(pub Vec<BuildError>);

impl fmt::Display for BuildErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl Graph {
    /// Builds every component and wires them. Nothing is started.
    ///
    /// # Errors
    ///
    /// Names every component that could not be built.
    pub fn build(
        config: &Config,
        telemetry: &Telemetry,
        surroundings: &Surroundings,
    ) -> Result<Self, BuildErrors> {
        let mut builder = GraphBuilder {
            config,
            telemetry,
            surroundings,
            errors: Vec::new(),
            outlets: BTreeMap::new(),
            budgets: BTreeMap::new(),
            stages: Vec::new(),
            stopping: surroundings.stopping.clone(),
            closing: CancellationToken::new(),
        };
        let exporters = builder.exporters();
        let (pipelines, gates) = builder.pipelines();
        let (receivers, receiver_accounts) = builder.receivers(&gates);
        if !builder.errors.is_empty() {
            return Err(BuildErrors(builder.errors));
        }
        let ledger = Ledger::new(
            gates
                .iter()
                .map(|(_, gate)| Arc::clone(&gate.account))
                .collect(),
            builder
                .outlets
                .values()
                .flat_map(|outlet| outlet.legs.iter().map(Arc::clone))
                .collect(),
        );
        let rooms = gates
            .iter()
            .map(|(_, gate)| ProbedRoom {
                pipeline: Arc::clone(&gate.account.id),
                budget: Arc::clone(&gate.budget),
                full_queue: Arc::clone(&gate.full_queue),
            })
            .collect();
        let outlets: Vec<_> = builder
            .outlets
            .into_values()
            .map(Outlet::observed)
            .collect();
        metrics::observe(
            &telemetry.meter("foghorn.pipeline"),
            &ledger,
            receiver_accounts,
            builder.stages,
            outlets.clone(),
            gates.iter().map(|(_, gate)| in_flight_of(gate)).collect(),
        );
        surroundings
            .health
            .watch(Arc::new(Probe::new(ledger.clone(), outlets.clone(), rooms)));
        let statuses = outlets.into_iter().map(|outlet| outlet.status).collect();
        let last_words = LastWords::new(ledger.clone(), statuses);
        Ok(Self {
            receivers,
            pipelines,
            exporters,
            ledger,
            last_words,
            stopping: builder.stopping,
            closing: builder.closing,
        })
    }
}

fn in_flight_of(gate: &PipelineGate) -> (Arc<str>, Arc<Budget>) {
    (Arc::clone(&gate.account.id), Arc::clone(&gate.budget))
}

struct GraphBuilder<'a> {
    config: &'a Config,
    telemetry: &'a Telemetry,
    surroundings: &'a Surroundings,
    errors: Vec<BuildError>,
    /// By exporter and, where each has a queue of its own, signal.
    outlets: BTreeMap<(ComponentId, Option<Signal>), Outlet>,
    budgets: BTreeMap<ComponentId, Arc<Budget>>,
    stages: Vec<Arc<StageAccount>>,
    stopping: CancellationToken,
    closing: CancellationToken,
}

type Receivers = Vec<(ComponentId, Box<dyn Receiver>)>;
type Gates<'a> = Vec<(&'a PipelineConfig, Arc<PipelineGate>)>;

impl<'a> GraphBuilder<'a> {
    fn pipelines(&mut self) -> (Vec<PipelineTask>, Gates<'a>) {
        let config = self.config;
        config
            .service
            .pipelines
            .iter()
            .map(|pipeline| {
                let (task, gate) = self.pipeline(pipeline);
                (task, (pipeline, gate))
            })
            .unzip()
    }

    fn pipeline(&mut self, pipeline: &PipelineConfig) -> (PipelineTask, Arc<PipelineGate>) {
        let account = PipelineAccount::new(&pipeline.id);
        let (legs, voters, locals) = self.legs(pipeline, &account);
        let budget = self.budget(pipeline);
        let mut chain = Chain::new(Arc::clone(&account), Arc::clone(&budget), voters.len());
        for id in &pipeline.processors {
            let Some(Stage::Processor(processor)) = self.config.processors.get(id) else {
                continue;
            };
            let context = BuildContext {
                translation: self.translation(pipeline),
                ..self.context(id)
            };
            match processor.build(&context, pipeline.id.signal) {
                Ok(processor) => {
                    let stage = chain.push(id, processor);
                    self.stages.push(stage);
                }
                Err(error) => self.fail("processors", id, error),
            }
        }
        let (sender, input) = mpsc::channel(INPUT_CAPACITY);
        let task = PipelineTask {
            id: Arc::clone(&account.id),
            input,
            chain,
            fanout: Fanout::new(legs),
            closing: self.closing.clone(),
        };
        let gate = PipelineGate {
            account,
            budget,
            voters,
            locals,
            full_queue: Arc::default(),
            input: sender,
        };
        (task, Arc::new(gate))
    }

    fn legs(
        &mut self,
        pipeline: &PipelineConfig,
        account: &PipelineAccount,
    ) -> (Vec<Leg>, Vec<Voter>, Vec<Inlet>) {
        let (mut legs, mut voters, mut locals) = (Vec::new(), Vec::new(), Vec::new());
        for id in &pipeline.exporters {
            // Absent when it could not be built, which has been said.
            let signal = Some(pipeline.id.signal);
            let remote = (id.clone(), signal);
            let key = if self.outlets.contains_key(&remote) {
                remote
            } else {
                (id.clone(), None)
            };
            let Some(outlet) = self.outlets.get_mut(&key) else {
                continue;
            };
            let inlet = outlet.queue.inlet();
            let leg = LegAccount::new(account, id, pipeline.id.signal);
            outlet.legs.push(Arc::clone(&leg));
            let vote = match outlet.vote {
                Some((when_full, block_on_overflow)) => {
                    voters.push(Voter {
                        exporter: id.clone(),
                        queue: inlet.clone(),
                        when_full,
                        block_on_overflow,
                        refusals: Arc::default(),
                    });
                    Some(voters.len() - 1)
                }
                None => {
                    locals.push(inlet.clone());
                    None
                }
            };
            legs.push(Leg {
                account: leg,
                producer: inlet.producer(),
                vote,
                status: Arc::clone(&outlet.status),
            });
        }
        (legs, voters, locals)
    }

    /// Lowers `memory_limiter` onto admission: pipelines that name the same one share it.
    fn budget(&mut self, pipeline: &PipelineConfig) -> Arc<Budget> {
        let mut limits =
            pipeline
                .processors
                .iter()
                .filter_map(|id| match self.config.processors.get(id) {
                    Some(Stage::Policy(Policy::MemoryLimiter(limit))) => Some((id, *limit)),
                    _ => None,
                });
        let Some((id, limit)) = limits.next() else {
            return Budget::new(None);
        };
        if let Some((second, _)) = limits.next() {
            let error = anyhow::anyhow!("{id} and {second} both limit its memory: use one");
            self.errors.push(BuildError {
                path: format!("service::pipelines::{}::processors", pipeline.id),
                error,
            });
        }
        let budget = self.budgets.entry(id.clone());
        Arc::clone(budget.or_insert_with(|| Budget::new(Some(limit))))
    }

    fn receivers(&mut self, gates: &Gates<'_>) -> (Receivers, Vec<Arc<ReceiverAccount>>) {
        let config = self.config;
        let (mut receivers, mut accounts) = (Vec::new(), Vec::new());
        for (id, receiver) in &config.receivers {
            let mut intakes: BTreeMap<Signal, Arc<dyn Intake>> = BTreeMap::new();
            for signal in Signal::ALL {
                let gates: Vec<_> = gates
                    .iter()
                    .filter(|(pipeline, _)| {
                        pipeline.id.signal == signal && pipeline.receivers.contains(id)
                    })
                    .map(|(_, gate)| Arc::clone(gate))
                    .collect();
                if gates.is_empty() {
                    continue;
                }
                let account = ReceiverAccount::new(id, signal);
                accounts.push(Arc::clone(&account));
                let intake = ReceiverIntake::new(account, gates, self.stopping.clone());
                intakes.insert(signal, Arc::new(intake));
            }
            let context = BuildContext {
                guard: config.guards.get(id).cloned(),
                ..self.context(id)
            };
            match receiver.build(&context, intakes) {
                Ok(receiver) => receivers.push((id.clone(), receiver)),
                Err(error) => self.fail("receivers", id, error),
            }
        }
        (receivers, accounts)
    }

    fn context(&self, id: &ComponentId) -> BuildContext {
        BuildContext {
            id: id.clone(),
            telemetry: self.telemetry.clone(),
            health: self.surroundings.health.clone(),
            routes: self.surroundings.routes.clone(),
            endpoints: Arc::clone(&self.surroundings.endpoints),
            signals: self.config.signals_to(id),
            guard: None,
            inputs: self.surroundings.inputs.clone(),
            windows: self.surroundings.windows.clone(),
            own_metrics: self.surroundings.own_metrics.clone(),
            translation: Arc::default(),
        }
    }

    /// How the pipeline's metrics are shown in Prometheus's terms.
    fn translation(&self, pipeline: &PipelineConfig) -> Arc<Translation> {
        let mut exporters = pipeline
            .exporters
            .iter()
            .filter_map(|id| self.config.exporters.get(id));
        let translation = exporters.find_map(|exporter| exporter.translation());
        translation.cloned().map_or_else(Arc::default, Arc::new)
    }

    fn fail(&mut self, section: &str, id: &ComponentId, error: anyhow::Error) {
        self.errors.push(BuildError {
            path: format!("{section}::{id}"),
            error,
        });
    }
}
