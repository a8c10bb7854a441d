//! Foghorn: an OpenTelemetry agent for small, badly connected machines. Sources and destinations
//! may be down at any time; the agent shows which are, and counts every item that it loses.
//!
//! # The way data flows
//!
//! ```text
//!   receivers/            processors/            exporters/
//!   betanet, node,  ->    (a chain for each  ->  prometheus, otlp,
//!   otlp                   pipeline)             file, debug
//!        |                      |                      |
//!        +---- admission -------+------ fan-out -------+
//!                 pipeline/, wired from config/, run and drained by service
//! ```
//!
//! A receiver asks for admission, and hands encoded OTLP to the pipeline. The pipeline's chain of
//! processors transforms it, and the fan-out hands it to each exporter separately, so that a slow
//! destination delays no other. Every item is in the ledger from when it is accepted until it is
//! delivered or dropped with a reason.
//!
//! # Modules, from the ground up
//!
//! | module | what it is | imports |
//! |---|---|---|
//! | [`lane`] | threads for work that takes long | nothing of ours |
//! | `log_capture` | what a test logs | nothing of ours |
//! | `steps` | counts, in tests, the work of reading foreign bytes | nothing of ours |
//! | [`yaml`] | configuration text as a tree with positions, and its readers | `steps` |
//! | [`descriptors`] | the limit of file descriptors, and the error when there are none left | nothing of ours |
//! | `host` | readings of this host: files under `/proc`, filesystems | nothing of ours |
//! | [`exposition`] | pages of metrics, written and read | `steps` |
//! | [`pdata`] | encoded batches of metrics, traces and logs | `steps` |
//! | [`regexp`] | regular expressions as Go reads them | nothing of ours |
//! | [`query`] | PromQL over the points of a store | `regexp` |
//! | [`resilience`] | breakers, retries and caches for requests that can fail | `descriptors` |
//! | [`window`] | a day of history in memory | `regexp` |
//! | [`telemetry`] | the agent's own metrics and logs | `exposition` |
//! | [`net`] | connecting and listening: names, TLS, HTTP/2 streams | `descriptors`, `lane`, `yaml` |
//! | [`settings`] | the keys that several components share | `net`, `resilience`, `yaml` |
//! | [`translation`] | OTLP metrics in Prometheus's names, labels, types and values | `exposition`, `pdata` |
//! | [`recording`] | what goes into a window: values of the page, and the agent's own metrics | `exposition`, `telemetry`, `translation`, `window` |
//! | [`traffic`] | requests of deployments: rate, errors and latency | `pdata`, `window` |
//! | [`component`] | the traits, factories and ids of components | `pdata`, `recording`, `resilience`, `settings`, `telemetry`, `translation`, `window`, `yaml` |
//! | [`server`] | HTTP listeners: the agent's own and those of components | `component`, `descriptors`, `exposition`, `lane`, `net`, `settings`, `telemetry`, `yaml` |
//! | [`config`] | the user's configuration, loaded and validated | `component`, `pdata`, `resilience`, `settings`, `yaml` |
//! | [`receivers`] | components through which data enters | all of the above but `config`, never one another |
//! | [`processors`] | components that change data | the same |
//! | [`exporters`] | components through which data leaves | the same |
//! | [`extensions`] | components beside the pipelines | the same |
//! | [`pipeline`] | admission, chain, fan-out, delivery, and the ledger | `component`, `config`, `pdata`, `recording`, `resilience`, `settings`, `telemetry` |
//! | [`breakers`] | metrics, log and HTTP routes of the breakers | `component`, `lane`, `resilience`, `settings`, `telemetry` |
//! | [`history`] | shows what is remembered | `component`, `exposition`, `lane`, `query`, `recording`, `telemetry`, `window` |
//! | [`components`] | the table of all built-in components | the components |
//! | [`service`] | builds, runs and drains a configuration | everything but `cli` |
//! | [`cli`] | `run`, `validate`, `components`, `print-config` | everything |
//!
//! **Architecture Invariant:** modules import in one direction. `tests/architecture` checks the
//! sources against its table; `docs/architecture.md` gives the reasons.
#![forbid(unsafe_code)]

pub mod breakers;
pub mod cli;
pub mod component;
pub mod components;
pub mod config;
pub mod descriptors;
pub mod exporters;
pub mod exposition;
pub mod extensions;
pub mod history;
mod host;
pub mod lane;
#[cfg(test)]
mod log_capture;
pub mod net;
pub mod pdata;
pub mod pipeline;
pub mod processors;
pub mod query;
pub mod receivers;
pub mod recording;
pub mod regexp;
pub mod resilience;
pub mod server;
pub mod service;
pub mod settings;
mod steps;
pub mod telemetry;
pub mod traffic;
pub mod translation;
pub mod window;
pub mod yaml;
