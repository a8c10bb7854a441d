//! Circuit breakers, retries within a budget, and caches that mark old answers as stale.
//!
//! Usable on its own, in any program on tokio. There are three entry points, from one part to
//! all:
//!
//! - [`Breaker`]: admits or rejects attempts, and learns from their outcomes. The caller has
//!   its own client, and passes the time in.
//! - [`Guard`]: around an async fetch of something that is polled; a breaker with timeout,
//!   deadline, retries within a budget, hedging, single flight and a cache.
//! - [`Endpoints`]: every endpoint of a process, so that one bound holds for all and one
//!   broken network isn't taken for a hundred broken peers.
//!
//! ```
//! use std::time::Duration;
//!
//! use foghorn::resilience::{Breaker, BreakerConfig, Completion, Edge, Outcome};
//! use tokio::time::Instant;
//!
//! let settings = BreakerConfig::default().resolve(Edge::Source, Duration::from_secs(5))?;
//! let breaker = Breaker::new(settings, 42, Instant::now());
//!
//! let permit = breaker.acquire(Instant::now())?;
//! let started = Instant::now();
//! let status = 503; // whatever your client says
//! let outcome = Outcome::of_http_status(status);
//! let now = Instant::now();
//! permit.record(now, Completion::new(outcome, now - started));
//!
//! assert_eq!(breaker.snapshot(now).failures, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/resilience.md` describes what all of this does in an outage.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate but
//! `descriptors`, and its core (everything in `breaker::core` and what that calls) has
//! neither clock nor chance of its own: the time and a seeded random source are handed in.

pub mod outcome;
pub mod retry_after;

mod active;
mod backoff;
mod breaker;
mod budget;
mod cache;
mod durations;
mod endpoint;
mod events;
mod guard;
mod health_score;
mod hedging;
mod id;
mod isolation;
mod registry;
mod settings;
mod siblings;
mod sync;
mod threshold;

pub use active::{ActiveTask, ActiveTasks};
pub use breaker::{
    Breaker, BreakerObserver, BreakerSnapshot, BreakerState, Completion, Force, Permit,
    RejectReason, Rejection, Transition, TransitionReason,
};
pub use cache::CacheStatus;
pub use durations::DurationHistogram;
pub use endpoint::{CacheResult, Endpoint, RetryResult};
pub use events::{Attempt, Event, Observer};
pub use guard::{AttemptClock, AttemptSpan, Failure, FetchError, Guard, Served, Trigger};
pub use id::EndpointId;
pub use isolation::Network;
pub use outcome::{Outcome, Retry, Transport};
pub use registry::{DEFAULT_MAX_ENDPOINTS, Endpoints, RegistrationError};
pub use settings::{
    Amount, BreakerConfig, BreakerSettings, CacheConfig, Config, Edge, HedgingConfig, Key, Mode,
    PollConfig, Preset, Problems, RetryConfig, Settings, SettingsProblem, Warning,
};
