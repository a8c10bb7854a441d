//! The components through which data enters the agent: `betanet`, `deployment`, `host_metrics`,
//! `node`, `otlp` and `prometheus`; `embedded` for a program that the agent is part of.
//!
//! A pull receiver implements one [`scrape::Scraper`] per kind of target, and a
//! [`scrape::Discovery`] if its targets come and go. The controller in [`scrape`] does the rest for
//! all of them: it decides when to poll, and writes the series about the polls.
//!
//! **Architecture Invariant:** receivers import what `docs/architecture.md` lists for components,
//! never `config` or `pipeline`. No receiver imports another; what the pull receivers share is in
//! `scrape`, and what those share that follow a cluster in `kubernetes`.

pub mod betanet;
pub mod deployment;
pub mod embedded;
pub mod host_metrics;
pub mod kubernetes;
pub mod node;
pub mod otlp;
pub mod prometheus;
pub mod scrape;
