//! Why an endpoint, or a part of it, gave no data.

use std::fmt;

use crate::host::{UnreadPart, UnreadReason};
use crate::resilience::{FetchError, Outcome, Transport};

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

    /// The reason of a failed attempt.
    pub fn of(error: &FetchError) -> Self {
        if error.status.is_some() {
            return Self::Status;
        }
        match error.outcome {
            Outcome::Transport(Transport::Refused) => Self::Refused,
            Outcome::Transport(Transport::Reset | Transport::Other) => Self::Reset,
            Outcome::Transport(Transport::Dns) => Self::Dns,
            Outcome::Transport(Transport::Tls) => Self::Tls,
            // `Cancelled`: the deadline of the poll came before the timeout of the request.
            Outcome::Timeout | Outcome::Cancelled => Self::Timeout,
            Outcome::TooLarge | Outcome::Local => Self::Limit,
            Outcome::Success
            | Outcome::Unavailable
            | Outcome::ServerError
            | Outcome::Throttled
            | Outcome::ClientError
            | Outcome::Malformed => Self::Parse,
        }
    }

    /// The error of an attempt that fails for this reason, so that [`FailureReason::of`] finds it
    /// again. Two reasons can't be told so, and become [`FailureReason::Parse`]: a status has its
    /// number ([`wrong_status`](super::http::wrong_status)), and what a breaker rejects is no
    /// attempt.
    pub fn error(self, message: impl Into<String>) -> FetchError {
        let outcome = match self {
            Self::Refused => Outcome::Transport(Transport::Refused),
            Self::Reset => Outcome::Transport(Transport::Reset),
            Self::Dns => Outcome::Transport(Transport::Dns),
            Self::Tls => Outcome::Transport(Transport::Tls),
            Self::Timeout => Outcome::Timeout,
            Self::Limit => Outcome::TooLarge,
            Self::Parse | Self::Status | Self::Breaker => Outcome::Malformed,
        };
        FetchError::new(outcome, message)
    }

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

/// Why an entry of a list was left out: a closed set as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnusableEntry {
    /// It can't be read, or contradicts itself or another one.
    Invalid,
    /// It is beyond a bound.
    Limit,
}

impl UnusableEntry {
    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Limit => "limit",
        }
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

    /// The failure of a part whose attempt failed.
    pub fn of_attempt(part: impl Into<String>, error: &FetchError) -> Self {
        Self {
            part: part.into(),
            reason: FailureReason::of(error),
            status: error.status,
            message: error.message.clone(),
        }
    }
}

impl From<UnreadPart> for PartFailure {
    fn from(unread: UnreadPart) -> Self {
        let reason = match unread.reason {
            UnreadReason::Refused => FailureReason::Refused,
            UnreadReason::Timeout => FailureReason::Timeout,
            UnreadReason::Parse => FailureReason::Parse,
            UnreadReason::Limit => FailureReason::Limit,
        };
        Self::new(unread.part, reason, unread.message)
    }
}
