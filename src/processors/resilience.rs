//! Guards every fetch of a pipeline's pull receivers. It is a policy, which the loader applies to
//! the receivers: a processor between them and the exporters couldn't see whether a fetch worked.
//!
//! ```yaml
//! processors:
//!   resilience:                  # every key has a default
//!     breaker:
//!       preset: default          # default | simple
//!       mode: enforce            # enforce | observe | off
//!       failure_threshold: 5
//!       cooldown: 30s
//!       max_cooldown: 120s
//!     retry: {max: 3, base: 1s, deadline: 14s, budget: {capacity: 10, per_success: 0.2}}
//!     cache: {ttl: 10s, max_staleness: 300s}
//!     hedging: {enabled: false, min_delay: 100ms}
//! ```
//!
//! `settings::GuardConfig` has every key with its range, and `docs/resilience.md` what
//! each one does to a real outage. Every URL that is asked has a breaker, retries, a budget
//! and a cache of its own. A receiver without `resilience` in any of its pipelines has its
//! `timeout` and nothing else: the series of what it asks end at the first failure.
//!
//! A receiver has one guard: two of its pipelines with different `resilience` processors are an
//! error, and if only one of two pipelines has one, the receiver is guarded for both.
//!
//! Metrics: `circuit_breaker_*`, with the labels `component` and `endpoint`.

use std::sync::Arc;

use crate::component::{Policy, PolicyFactory};
use crate::settings::GuardConfig;

/// The factory of `resilience`.
pub const FACTORY: PolicyFactory = PolicyFactory {
    kind: "resilience",
    summary: "guards every fetch: breaker, retries, cache",
    configure: |value| {
        let guard: GuardConfig = value.read()?;
        Some(Policy::Resilience(Arc::new(guard)))
    },
};
