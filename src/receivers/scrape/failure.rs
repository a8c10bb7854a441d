//! Why an endpoint, or a part of it, gave no data.

use std::fmt;

/// The reasons of failures: a closed set, so that the label `reason` has few values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureReason {
    /// The connection was refused, or there is no route to the host.
    Refused,
    /// The connection ended before the answer was complete.
    Reset,
    /// The host name couldn't be resolved.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The answer wasn't complete in time.
    Timeout,
    /// The status of the answer wasn't 2xx.
    Status,
    /// The answer couldn't be read.
    Parse,
    /// A limit of the agent: the answer was too large, or the pipelines refused the scrape, or a
    /// file, thread or name lookup wasn't available.
    Limit,
    /// The circuit breaker rejected the request.
    Breaker,
}

impl FailureReason {
    /// Every reason, in the order in which metrics list them.
    pub const ALL: [FailureReason; 9] = [
        Self::Refused,
        Self::Reset,
        Self::Dns,
        Self::Tls,
        Self::Timeout,
        Self::Status,
        Self::Parse,
        Self::Limit,
        Self::Breaker,
    ];

    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Parse => "parse",
            Self::Limit => "limit",
            Self::Breaker => "breaker",
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One part that gave no data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {message}")]
pub struct PartFailure {
    /// What was requested, such as the path `/mixnodes`.
    pub part: String,
    /// The kind of failure.
    pub reason: FailureReason,
    /// The HTTP status, if it wasn't 2xx.
    pub status: Option<u16>,
    /// What happened, in words; without credentials and body.
    pub message: String,
}

impl PartFailure {
    /// A failure of `part`, without a status.
    pub fn new(part: impl Into<String>, reason: FailureReason, message: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            reason,
            status: None,
            message: message.into(),
        }
    }
}
