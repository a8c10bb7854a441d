//! The endpoints of the API.

use hyper::Method;

use crate::component::AgentPage;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryEndpoint {
    Query,
    QueryRange,
    Series,
    Labels,
    LabelValues,
    Metadata,
    BuildInfo,
    Exemplars,
    Rules,
    Alerts,
}

impl QueryEndpoint {
    pub(super) const ALL: [Self; 10] = [
        Self::Query,
        Self::QueryRange,
        Self::Series,
        Self::Labels,
        Self::LabelValues,
        Self::Metadata,
        Self::BuildInfo,
        Self::Exemplars,
        Self::Rules,
        Self::Alerts,
    ];

    /// Its name in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::QueryRange => "query_range",
            Self::Series => "series",
            Self::Labels => "labels",
            Self::LabelValues => "label_values",
            Self::Metadata => "metadata",
            Self::BuildInfo => "buildinfo",
            Self::Exemplars => "query_exemplars",
            Self::Rules => "rules",
            Self::Alerts => "alerts",
        }
    }

    pub(super) const fn page(self) -> AgentPage {
        match self {
            Self::Query => AgentPage::Query,
            Self::QueryRange => AgentPage::QueryRange,
            Self::Series => AgentPage::QuerySeries,
            Self::Labels => AgentPage::QueryLabels,
            Self::LabelValues => AgentPage::QueryLabelValues,
            Self::Metadata => AgentPage::QueryMetadata,
            Self::BuildInfo => AgentPage::QueryBuildInfo,
            Self::Exemplars => AgentPage::QueryExemplars,
            Self::Rules => AgentPage::QueryRules,
            Self::Alerts => AgentPage::QueryAlerts,
        }
    }

    /// Parameters that may be long can be posted.
    pub(super) fn methods(self) -> &'static [Method] {
        match self {
            Self::Query | Self::QueryRange | Self::Series | Self::Labels | Self::Exemplars => {
                &[Method::GET, Method::HEAD, Method::POST]
            }
            _ => &[Method::GET, Method::HEAD],
        }
    }
}
