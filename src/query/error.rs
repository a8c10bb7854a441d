//! Why a query has no answer, in the kinds that Prometheus's API tells apart.

use thiserror::Error;

/// What went wrong with a query. The names are those of Prometheus's API (`errorType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryErrorKind {
    /// The text isn't a query, or asks for something that isn't there: a 400.
    BadData,
    /// The query can't be carried out on this data: a 422.
    Execution,
    /// The query would hold more than it may: a 422, which Prometheus tells from the last by its
    /// words alone.
    Limit,
    /// The query took longer than it may: a 503.
    Timeout,
    /// Whoever asked doesn't wait for the answer any more: a 503.
    Canceled,
    /// The source of the points failed: a 500.
    Internal,
}

impl QueryErrorKind {
    /// The word that Prometheus's API uses for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution | Self::Limit => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
        }
    }
}

/// A query that has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct QueryError {
    /// What kind of failure it is.
    pub kind: QueryErrorKind,
    /// What failed, in the words that Prometheus uses where it knows the failure.
    pub message: String,
}

impl QueryError {
    /// A query that can't be understood, or isn't supported.
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(QueryErrorKind::BadData, message)
    }

    /// A query that can't be carried out.
    pub fn execution(message: impl Into<String>) -> Self {
        Self::new(QueryErrorKind::Execution, message)
    }

    /// A failure of the source of the points.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(QueryErrorKind::Internal, message)
    }

    pub(super) fn new(kind: QueryErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }
}

/// Two series of one result that have the same labels.
pub(super) fn same_labels() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}

/// A query that isn't one.
pub(super) fn wrong(message: &str) -> QueryError {
    QueryError::bad_data(format!("parse error: {message}"))
}
