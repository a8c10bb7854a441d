//! The outcome of one wire attempt, and what each statistic counts it as.
//!
//! Whether an outcome is a failure differs from statistic to statistic. A 404 brings no data,
//! but it proves that the endpoint is alive, so it ends a run of failures. A body that
//! doesn't parse took the endpoint's time, so its latency counts. A connection that this
//! machine had no file descriptor for says nothing about the endpoint at all. One type and
//! one table hold all of this:
//!
//! | outcome | run of failures | error averages | success share | latency | canary | pulled again |
//! |---|---|---|---|---|---|---|
//! | success | 0 | ok | ok | yes | pass | - |
//! | transport error | +1 | fail | fail | no | fail | yes |
//! | timeout, 408 | +1 | fail | fail | yes, the limit | fail | yes |
//! | 502, 503, 504 | +1 | fail | fail | no | fail | yes |
//! | other 5xx | +1 | fail | fail | no | fail | no |
//! | 429 | as it was | no | fail | no | fail | on advice |
//! | other status | 0 | no | no | no | pass | no |
//! | malformed, too large | 0 | no | no | yes | pass | no |
//! | cancelled, local fault | as it was | no | no | no | slot back | no |

use std::error::Error;
use std::io;

use crate::descriptors;

/// What one wire attempt came to.
///
/// A status is classified before the body is read: [`Outcome::of_http_status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 2xx, and the body was what it should be.
    Success,
    /// No answer, because there was no connection or it broke.
    Transport(Transport),
    /// No answer within the request's own timeout, or a 408.
    Timeout,
    /// 502, 503 or 504: the endpoint, or what stands before it, says to come back later.
    Unavailable,
    /// Any other 5xx: the endpoint is there and broken.
    ServerError,
    /// 429: the endpoint works, and wants fewer requests.
    Throttled,
    /// Any other status, 4xx above all: the endpoint works, and this request is wrong.
    ClientError,
    /// The body isn't what it should be.
    Malformed,
    /// The body is longer than the limit.
    TooLarge,
    /// Given up by the caller, or cut short by a deadline that isn't the request's timeout.
    Cancelled,
    /// A fault of this machine or its configuration, such as EMFILE or a bad URL.
    Local,
}

/// Why there was no connection, or how it broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Nobody listens there.
    Refused,
    /// The peer closed or reset the connection before the answer was complete.
    Reset,
    /// The name doesn't resolve.
    Dns,
    /// The peers don't agree on TLS.
    Tls,
    /// Anything else below HTTP: no route, a protocol error.
    Other,
}

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would come to the same.
    Never,
    /// Only when the peer said after how long.
    OnAdvice,
    /// After a backoff, or the peer's advice if that is later.
    Allowed,
}

/// What a canary's outcome says about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It answers.
    Pass,
    /// It doesn't.
    Fail,
    /// It answers, and asks to be left alone: the cooldown does not grow.
    Throttled,
    /// Nothing was learned: the slot goes to another canary.
    HandBack,
}

/// What an outcome does to the run of consecutive failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// One more.
    Longer,
    /// Ended.
    Ended,
    /// As it was.
    Same,
}

impl Outcome {
    /// How many there are, by [`Outcome::index`].
    pub(super) const COUNT: usize = 11;

    /// Every outcome, in the order in which metrics list them; one transport error stands
    /// for all.
    pub const ALL: [Outcome; Self::COUNT] = [
        Self::Success,
        Self::Transport(Transport::Other),
        Self::Timeout,
        Self::Unavailable,
        Self::ServerError,
        Self::Throttled,
        Self::ClientError,
        Self::Malformed,
        Self::TooLarge,
        Self::Cancelled,
        Self::Local,
    ];

    /// Classifies a status of HTTP. A status outside 100 to 599 counts as a 5xx, as
    /// RFC 9110 recommends; a redirect that isn't followed is no data, like a 404.
    pub const fn of_http_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            408 => Self::Timeout,
            429 => Self::Throttled,
            502..=504 => Self::Unavailable,
            100..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// Classifies an error below HTTP by the first I/O error among its causes. What has
    /// none is [`Transport::Other`]; that this machine is out of file descriptors is
    /// [`Outcome::Local`], since the endpoint isn't at fault.
    pub fn of_error(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let Some(io) = error.downcast_ref::<io::Error>() else {
                next = error.source();
                continue;
            };
            if descriptors::are_exhausted(io) {
                return Self::Local;
            }
            match (Transport::of_kind(io.kind()), io.get_ref()) {
                (Some(transport), _) => return Self::Transport(transport),
                // Not `source`, which skips the error that was wrapped.
                (None, wrapped) => next = wrapped.map(|wrapped| wrapped as _),
            }
        }
        Self::Transport(Transport::Other)
    }

    /// The value of the `outcome` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Transport(_) => "transport",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::ServerError => "server_error",
            Self::Throttled => "throttled",
            Self::ClientError => "client_error",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Cancelled => "cancelled",
            Self::Local => "local",
        }
    }

    /// Whether a pull that came to this may be tried again within the same poll.
    pub const fn retry(self) -> Retry {
        match self {
            Self::Transport(_) | Self::Timeout | Self::Unavailable => Retry::Allowed,
            Self::Throttled => Retry::OnAdvice,
            _ => Retry::Never,
        }
    }

    /// Whether it failed below HTTP, which is what a fault of our own network looks like.
    pub const fn is_transport(self) -> bool {
        matches!(self, Self::Transport(_) | Self::Timeout)
    }

    /// Whether a canary with this outcome neither passes nor fails, so that another takes its
    /// slot.
    pub(super) const fn hands_back(self) -> bool {
        matches!(self.verdict(), Verdict::HandBack)
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Success => 0,
            Self::Transport(_) => 1,
            Self::Timeout => 2,
            Self::Unavailable => 3,
            Self::ServerError => 4,
            Self::Throttled => 5,
            Self::ClientError => 6,
            Self::Malformed => 7,
            Self::TooLarge => 8,
            Self::Cancelled => 9,
            Self::Local => 10,
        }
    }

    pub(super) const fn run(self) -> Run {
        match self {
            Self::Transport(_) | Self::Timeout | Self::Unavailable | Self::ServerError => {
                Run::Longer
            }
            Self::Success | Self::ClientError | Self::Malformed | Self::TooLarge => Run::Ended,
            Self::Throttled | Self::Cancelled | Self::Local => Run::Same,
        }
    }

    /// What the success share counts: a success, a failure, or `None` where the outcome is
    /// left out.
    pub(super) const fn share(self) -> Option<bool> {
        match self {
            Self::Success => Some(true),
            Self::Throttled => Some(false),
            _ => match self.run() {
                Run::Longer => Some(false),
                Run::Ended | Run::Same => None,
            },
        }
    }

    /// What the error averages count: the same, but for a 429. That is no error of the
    /// endpoint, and would lower the threshold for those that are.
    pub(super) const fn average(self) -> Option<bool> {
        match self {
            Self::Throttled => None,
            _ => self.share(),
        }
    }

    pub(super) const fn has_latency(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Timeout | Self::Malformed | Self::TooLarge
        )
    }

    pub(super) const fn verdict(self) -> Verdict {
        match self {
            Self::Throttled => Verdict::Throttled,
            Self::Cancelled | Self::Local => Verdict::HandBack,
            _ => match self.run() {
                Run::Longer => Verdict::Fail,
                Run::Ended | Run::Same => Verdict::Pass,
            },
        }
    }
}

impl Transport {
    fn of_kind(kind: io::ErrorKind) -> Option<Self> {
        use io::ErrorKind as Kind;
        Some(match kind {
            Kind::ConnectionRefused => Self::Refused,
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::NotConnected
            | Kind::UnexpectedEof => Self::Reset,
            // What TLS makes of bytes that it doesn't understand or believe.
            Kind::InvalidData => Self::Tls,
            _ => return None,
        })
    }
}

/// Classifies an answer of an OTLP/HTTP peer to a push: the protocol retries exactly
/// 429, 502, 503 and 504.
///
/// A passing redirect (302, 303, 307) and 511 are how a portal that wants a login answers in the
/// peer's place. They say nothing of the request, which is sent again, as after a portal's page.
pub const fn of_push_http(status: u16) -> (Outcome, Retry) {
    match status {
        302 | 303 | 307 | 511 => (Outcome::Unavailable, Retry::Allowed),
        429 | 502..=504 => (Outcome::of_http_status(status), Retry::Allowed),
        _ => (Outcome::of_http_status(status), Retry::Never),
    }
}

/// Classifies a status code of gRPC that an OTLP peer answered to a push.
///
/// What may be retried is the OTLP specification's list; `advised` tells whether the
/// status came with RetryInfo, without which RESOURCE_EXHAUSTED is final. A failure
/// without a status from the peer is [`Outcome::Transport`] and doesn't come here.
pub const fn of_push_grpc(code: u32, advised: bool) -> (Outcome, Retry) {
    match code {
        0 => (Outcome::Success, Retry::Never),
        // CANCELLED: the peer's own doing. Ours never arrives as a status.
        1 => (Outcome::ServerError, Retry::Allowed),
        // DEADLINE_EXCEEDED
        4 => (Outcome::Timeout, Retry::Allowed),
        // RESOURCE_EXHAUSTED
        8 if advised => (Outcome::Throttled, Retry::Allowed),
        8 => (Outcome::Throttled, Retry::Never),
        // ABORTED, DATA_LOSS
        10 | 15 => (Outcome::ServerError, Retry::Allowed),
        // OUT_OF_RANGE: the specification lists it as retryable, though the peer works.
        11 => (Outcome::ClientError, Retry::Allowed),
        // UNAVAILABLE
        14 => (Outcome::Unavailable, Retry::Allowed),
        // INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED,
        // FAILED_PRECONDITION, UNIMPLEMENTED, UNAUTHENTICATED
        3 | 5 | 6 | 7 | 9 | 12 | 16 => (Outcome::ClientError, Retry::Never),
        // UNKNOWN, INTERNAL, and codes that don't exist
        _ => (Outcome::ServerError, Retry::Never),
    }
}
