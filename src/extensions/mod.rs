//! Components beside the pipelines.
//!
//! **Architecture Invariant:** extensions import what `docs/architecture.md` lists for
//! components, never `config` or `pipeline`. No extension imports another.

pub mod health_check;
