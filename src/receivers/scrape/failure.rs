//! Why a source, or a part of it, gave no data.

use std::fmt;

/// The kinds of failure. A closed set, so that the label it becomes is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureReason {
    /// Nothing listens there, or it can't be reached.
    Refused,
    /// The connection ended before the answer did.
    Reset,
    /// The host name has no address.
    Dns,
    /// No trusted connection could be made.
    Tls,
    /// No answer in time.
    Timeout,
    /// An answer with another status than 2xx.
    Status,
    /// An answer that isn't what it should be.
    Parse,
    /// A bound of ours: the answer was too large, or the memory limit refused the scrape.
    Limit,
    /// The circuit breaker let no request through.
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
    /// What was asked, such as `/mixnodes`.
    pub part: String,
    /// The kind of failure.
    pub reason: FailureReason,
    /// The status of an answer that wasn't 2xx.
    pub status: Option<u16>,
    /// What happened, in words, without credentials or body.
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
