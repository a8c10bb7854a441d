//! Answers that say why there is none, in the kinds and codes of Prometheus's API.

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use crate::component::{Response, full_body};
use crate::query::{QueryError, QueryErrorKind};

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiRefusal {
    pub(super) kind: RefusalKind,
    message: String,
    /// Whether it would have been answered if it might use more.
    pub(super) is_limit: bool,
}

/// The kinds, by their names in Prometheus's API (`errorType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalKind {
    /// The parameters are wrong.
    BadData,
    /// The query can't be carried out on this data, or within the limits.
    Execution,
    /// There was no time left.
    Timeout,
    /// Whoever asked doesn't wait any more.
    Canceled,
    /// The points can't be read.
    Internal,
    /// Nothing is remembered.
    Unavailable,
}

impl RefusalKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Timeout | Self::Canceled | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl ApiRefusal {
    pub(super) fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            is_limit: false,
        }
    }

    /// Parameters that are wrong.
    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::BadData, message)
    }

    /// One parameter that is wrong.
    pub(super) fn parameter(name: &str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::bad_data(format!("invalid parameter {name:?}: {reason}"))
    }

    /// The same about a text that a parameter holds, whatever is wrong with it.
    pub(super) fn of_text(name: &str, error: QueryError) -> Self {
        match error.kind {
            QueryErrorKind::BadData => Self::parameter(name, error.message),
            _ => error.into(),
        }
    }

    /// The answer.
    pub(super) fn response(&self) -> Response {
        #[derive(Serialize)]
        struct Refused<'a> {
            status: &'static str,
            #[serde(rename = "errorType")]
            kind: &'static str,
            error: &'a str,
        }
        let refused = Refused {
            status: "error",
            kind: self.kind.as_str(),
            error: &self.message,
        };
        // Texts can always be written as JSON.
        let body = serde_json::to_vec(&refused).unwrap_or_default();
        let mut response = Response::new(full_body(body));
        *response.status_mut() = self.kind.status();
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

impl From<QueryError> for ApiRefusal {
    fn from(error: QueryError) -> Self {
        let kind = match error.kind {
            QueryErrorKind::BadData => RefusalKind::BadData,
            QueryErrorKind::Execution | QueryErrorKind::Limit => RefusalKind::Execution,
            QueryErrorKind::Timeout => RefusalKind::Timeout,
            QueryErrorKind::Canceled => RefusalKind::Canceled,
            QueryErrorKind::Internal => RefusalKind::Internal,
        };
        Self {
            is_limit: error.kind == QueryErrorKind::Limit,
            ..Self::new(kind, error.message)
        }
    }
}
