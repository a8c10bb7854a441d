//! The pages of the agent itself on `service.http`. `server` and `breakers` serve what stands
//! here, and [`Claims`](super::Claims) refuses it to others.

use std::sync::Arc;

use super::http::{Handler, Listener, Route};

/// The owner of the agent's own server and its pages: the key of their address, for errors.
pub const AGENT: &str = "service::http::endpoint";

/// A page of the agent's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentPage {
    /// Whether it lives.
    Livez,
    /// Whether it takes data.
    Readyz,
    /// Whether it is well.
    Health,
    /// Its own metrics.
    Metrics,
    /// What is aggregated of the pipelines.
    Aggregated,
    /// Statistics of what is aggregated.
    Stats,
    /// Every breaker.
    Breakers,
    /// Opens one.
    ForceOpen,
    /// Closes one.
    ForceClosed,
    /// Makes one as new.
    Reset,
}

impl AgentPage {
    /// Every page.
    pub const ALL: [Self; 10] = [
        Self::Livez,
        Self::Readyz,
        Self::Health,
        Self::Metrics,
        Self::Aggregated,
        Self::Stats,
        Self::Breakers,
        Self::ForceOpen,
        Self::ForceClosed,
        Self::Reset,
    ];

    /// Its path, as in [`Route::path`](super::Route::path).
    pub const fn path(self) -> &'static str {
        match self {
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Health => "/health",
            Self::Metrics => "/metrics",
            Self::Aggregated => "/metrics/aggregated",
            Self::Stats => "/stats",
            Self::Breakers => "/breakers",
            Self::ForceOpen => "/breakers/{id}/force_open",
            Self::ForceClosed => "/breakers/{id}/force_closed",
            Self::Reset => "/breakers/{id}/reset",
        }
    }

    /// Whether a component may replace it.
    pub const fn gives_way(self) -> bool {
        matches!(self, Self::Metrics | Self::Aggregated | Self::Stats)
    }

    /// The route with this handler.
    pub fn route(self, handler: Arc<dyn Handler>) -> Route {
        Route {
            listener: Listener::Agent,
            path: self.path().to_owned(),
            owner: AGENT.to_owned(),
            handler,
        }
    }
}
