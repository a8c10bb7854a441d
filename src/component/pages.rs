//! The pages of the agent itself on `service.http`. `server`, `history` and `breakers` serve what
//! stands here, and [`Claims`](super::Claims) refuses it to others.

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
    /// What a query comes to at one time.
    Query,
    /// What a query comes to at every step of a range.
    QueryRange,
    /// The labels of series.
    QuerySeries,
    /// The names of labels.
    QueryLabels,
    /// The values of a label.
    QueryLabelValues,
    /// What is known of metrics.
    QueryMetadata,
    /// Which Prometheus the query API is like.
    QueryBuildInfo,
    /// The exemplars of series.
    QueryExemplars,
    /// Rules.
    QueryRules,
    /// Alerts.
    QueryAlerts,
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
    pub const ALL: [Self; 20] = [
        Self::Livez,
        Self::Readyz,
        Self::Health,
        Self::Metrics,
        Self::Aggregated,
        Self::Stats,
        Self::Query,
        Self::QueryRange,
        Self::QuerySeries,
        Self::QueryLabels,
        Self::QueryLabelValues,
        Self::QueryMetadata,
        Self::QueryBuildInfo,
        Self::QueryExemplars,
        Self::QueryRules,
        Self::QueryAlerts,
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
            Self::Query => "/api/v1/query",
            Self::QueryRange => "/api/v1/query_range",
            Self::QuerySeries => "/api/v1/series",
            Self::QueryLabels => "/api/v1/labels",
            Self::QueryLabelValues => "/api/v1/label/{name}/values",
            Self::QueryMetadata => "/api/v1/metadata",
            Self::QueryBuildInfo => "/api/v1/status/buildinfo",
            Self::QueryExemplars => "/api/v1/query_exemplars",
            Self::QueryRules => "/api/v1/rules",
            Self::QueryAlerts => "/api/v1/alerts",
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
