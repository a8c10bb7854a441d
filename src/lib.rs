//! Foghorn: an OpenTelemetry agent for small, badly connected machines that stays honest
//! when everything around it fails.
//!
//! # The way data flows
//!
//! ```text
//!   receivers/            processors/            exporters/
//!   betanet, node   ->    (a chain for each  ->  prometheus, file, debug
//!                          pipeline)
//!        |                      |                      |
//!        +---- admission -------+------ fan-out -------+
//!                 pipeline/, wired from config/, run and drained by service
//! ```
//!
//! Receivers ask for admission, then hand encoded OTLP to a pipeline. The pipeline's chain
//! of processors transforms it, and the fan-out gives every exporter its own leg, so that
//! a slow destination holds up nobody else. Every item is in the ledger from the moment it
//! is accepted until it is delivered or dropped for a reason.
//!
//! # Modules, from the ground up
//!
//! | module | what it is | imports |
//! |---|---|---|
//! | [`lane`] | threads for what takes long | nothing of ours |
//! | `steps` | counts in tests what readers of foreign bytes look at | nothing of ours |
//! | [`yaml`] | configuration text as a tree with positions, and its readers | `steps` |
//! | [`exposition`] | metrics as text that Prometheus reads | nothing of ours |
//! | [`pdata`] | encoded batches of metrics, traces and logs | `steps` |
//! | [`resilience`] | breakers, retries and caches around what can fail | nothing of ours |
//! | [`telemetry`] | the agent's own metrics and logs | `exposition` |
//! | [`net`] | what connects and what listens: TLS, streams | `lane`, `yaml` |
//! | [`settings`] | the keys that several components share | `net`, `resilience`, `yaml` |
//! | [`component`] | the traits, factories and ids of components | `pdata`, `resilience`, `settings`, `telemetry`, `yaml` |
//! | [`server`] | HTTP listeners: the agent's own and those of components | `component`, `exposition`, `lane`, `net`, `settings`, `telemetry`, `yaml` |
//! | [`config`] | what the user asked for, loaded and validated | `component`, `pdata`, `resilience`, `settings`, `yaml` |
//! | [`processors`] | what changes it on its way | what lies beneath `pipeline`, never one another |
//! | [`exporters`] | where data leaves | what lies beneath `pipeline`, never one another |
//! | [`extensions`] | what runs beside the pipelines | what lies beneath `pipeline`, never one another |
//! | [`pipeline`] | admission, chain, fan-out, delivery, and the ledger | `component`, `config`, `pdata`, `resilience`, `settings`, `telemetry` |
//! | [`breakers`] | by what breakers are seen and commanded | `component`, `lane`, `resilience`, `settings`, `telemetry` |
//! | [`components`] | the one table that names every component | the components |
//! | [`service`] | builds, runs and drains a configuration | everything but `cli` |
//! | [`cli`] | `run`, `validate`, `components`, `print-config` | everything |
//!
//! **Architecture Invariant:** modules import one way, and `tests/architecture` reads
//! the sources to keep it so. The table there is the law; `docs/architecture.md` gives the
//! reasons.
#![forbid(unsafe_code)]

pub mod breakers;
pub mod cli;
pub mod component;
pub mod components;
pub mod config;
pub mod exporters;
pub mod exposition;
pub mod extensions;
pub mod lane;
pub mod net;
pub mod pdata;
pub mod pipeline;
pub mod processors;
pub mod receivers;
pub mod resilience;
pub mod server;
pub mod service;
pub mod settings;
mod steps;
pub mod telemetry;
pub mod yaml;
