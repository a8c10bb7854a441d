//! Interprets a peer's answer: what to do with the request, and what to report to the breaker.
//!
//! The OTLP specification says which statuses a sender retries. Two rules are added here. Peers
//! that find a request too large say so with different statuses, one of which the specification
//! lists as retryable; such an answer is recognised by its message, and the request is split. And
//! a failure without a status from the peer is one of transport, and is retried whatever name the
//! library gives it.

use std::error::Error;
use std::time::{Duration, SystemTime};

use hyper::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use super::secrets::Secrets;
use crate::component::{ExportError, Remedy};
use crate::net::{ConnectError, DialError, LookupError, ProxyError};
use crate::pdata::status::RpcStatus;
use crate::resilience::outcome::{of_push_grpc, of_push_http};
use crate::resilience::{Outcome, Retry, Transport, retry_after};

/// Interprets an HTTP status other than 2xx. `reason` is the peer's explanation, or empty.
pub(super) fn http_error(status: u16, headers: &HeaderMap, reason: &str) -> ExportError {
    let message = match reason {
        "" => format!("the peer answered HTTP {status}"),
        reason => format!("the peer answered HTTP {status}: {reason}"),
    };
    let (outcome, retry) = of_push_http(status);
    let remedy = match status {
        413 => Remedy::Split,
        _ => remedy(retry),
    };
    ExportError::new(remedy, outcome, message).advised(advice(headers, SystemTime::now()))
}

/// Interprets a gRPC status other than OK. `details` is the decoded value of
/// `grpc-status-details-bin`.
pub(super) fn grpc_error(code: u32, text: &str, details: &[u8], secrets: &Secrets) -> ExportError {
    let name = CODES
        .get(code as usize)
        .copied()
        .unwrap_or("an unknown code");
    let message = match secrets.shorten(text) {
        text if text.is_empty() => format!("the peer answered {name}"),
        text => format!("the peer answered {name}: {text}"),
    };
    let advice = RpcStatus::decode(details).and_then(|status| status.retry_after);
    let (outcome, retry) = of_push_grpc(code, advice.is_some());
    let (remedy, outcome) = match code {
        RESOURCE_EXHAUSTED | OUT_OF_RANGE if is_about_size(text) => {
            (Remedy::Split, Outcome::ClientError)
        }
        _ => (remedy(retry), outcome),
    };
    ExportError::new(remedy, outcome, message)
        .advised(advice.map(|advice| advice.min(retry_after::LONGEST)))
}

/// An HTML page instead of an OTLP answer. It comes from something before the peer, such as a
/// portal that wants a login. The peer hasn't taken the request, so it is retried.
pub(super) fn page(status: u16) -> ExportError {
    let message = format!("HTTP {status} came with an HTML page, so no OTLP peer answered");
    ExportError::new(Remedy::Retry, Outcome::Unavailable, message)
}

/// The peer began to answer, and the answer ended before the gRPC status. The peer may have taken
/// the request, so it isn't sent again.
pub(super) fn unconfirmed(outcome: Outcome, message: impl Into<String>) -> ExportError {
    ExportError::new(Remedy::Unconfirmed, outcome, message)
}

/// The same, because of an error of the connection.
pub(super) fn broken_off(error: &(dyn Error + 'static)) -> ExportError {
    let message = format!(
        "the answer broke off before its status: {}",
        describe(error)
    );
    unconfirmed(Outcome::of_error(error), message)
}

/// Any other failure without a status from the peer.
pub(super) fn transport(error: &(dyn Error + 'static)) -> ExportError {
    ExportError::new(Remedy::Retry, Outcome::of_error(error), describe(error))
}

/// No connection could be made.
pub(super) fn unconnected(error: &ConnectError, secrets: &Secrets) -> ExportError {
    let outcome = match error {
        ConnectError::Dial(DialError::Lookup(lookup)) => return unresolved(lookup),
        ConnectError::Dial(DialError::Connect(tried)) if tried.is_silent() => Outcome::Timeout,
        ConnectError::Dial(DialError::Connect(tried)) => Outcome::of_error(tried),
        ConnectError::Proxy(_) => Outcome::of_error(error),
        ConnectError::Tls(_) => Outcome::Transport(Transport::Tls),
        ConnectError::Late { .. } => Outcome::Timeout,
    };
    let message = match error {
        ConnectError::Proxy(ProxyError::Refused { answer }) => {
            format!("{error}: {}", secrets.shorten(answer))
        }
        _ => error.to_string(),
    };
    ExportError::new(Remedy::Retry, outcome, message)
}

fn unresolved(error: &LookupError) -> ExportError {
    let outcome = match error {
        LookupError::Refused { local: true, .. } => Outcome::Local,
        _ => Outcome::Transport(Transport::Dns),
    };
    ExportError::new(Remedy::Retry, outcome, error.to_string())
}

/// No answer came within the timeout.
pub(super) fn timed_out(limit: Duration) -> ExportError {
    let message = format!("no answer within {limit:?}");
    ExportError::new(Remedy::Retry, Outcome::Timeout, message)
}

/// The request can't be built, for any peer.
pub(super) fn unsendable(error: impl ToString) -> ExportError {
    ExportError::new(Remedy::None, Outcome::Local, error.to_string())
}

/// Reads `Retry-After`. If it is a date, it is compared with the answer's own `Date`.
fn advice(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    retry_after::parse(text(RETRY_AFTER)?, text(DATE), wall)
}

fn remedy(retry: Retry) -> Remedy {
    match retry {
        Retry::Never => Remedy::None,
        Retry::Allowed | Retry::OnAdvice => Remedy::Retry,
    }
}

/// The error with its causes: hyper's own message is often only "connection error".
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

const RESOURCE_EXHAUSTED: u32 = 8;
const OUT_OF_RANGE: u32 = 11;

/// The names of the gRPC codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Whether the text of a status that has several uses is about the size of the message. grpc-go
/// says "larger than max", tonic "message length too large", Foghorn "is larger than", grpc-java
/// "exceeds maximum size".
fn is_about_size(text: &str) -> bool {
    ["larger than", "too large", "exceeds maximum"]
        .iter()
        .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Transport;

    use Outcome::{ClientError, Local, ServerError, Throttled, Timeout, Unavailable};

    fn advice_of(seconds: u64) -> Vec<u8> {
        let retry_after = Some(Duration::from_secs(seconds));
        RpcStatus {
            retry_after,
            ..RpcStatus::default()
        }
        .encode()
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn grpc_statuses_are_retried_as_the_specification_says() {
        let f = |code: u32, details: &[u8], remedy, outcome, advice: Option<u64>| {
            let error = grpc_error(code, "", details, &Secrets::default());
            assert_eq!((error.remedy, error.outcome), (remedy, outcome), "{code}");
            assert_eq!(error.retry_after, advice.map(Duration::from_secs), "{code}");
        };
        let retryable = [
            (1, ServerError),
            (4, Timeout),
            (10, ServerError),
            (11, ClientError),
            (14, Unavailable),
            (15, ServerError),
        ];
        for (code, outcome) in retryable {
            f(code, b"", Remedy::Retry, outcome, None);
            f(code, &advice_of(7), Remedy::Retry, outcome, Some(7));
        }
        for code in [3, 5, 6, 7, 9, 12, 16] {
            f(code, &advice_of(7), Remedy::None, ClientError, Some(7));
        }
        for code in [2, 13, 99] {
            f(code, b"", Remedy::None, ServerError, None);
        }
        f(8, b"", Remedy::None, Throttled, None);
        f(8, &advice_of(7), Remedy::Retry, Throttled, Some(7));
        f(
            14,
            &advice_of(100_000),
            Remedy::Retry,
            Unavailable,
            Some(300),
        );
    }

    #[test]
    fn a_request_that_is_too_large_is_split_whatever_the_peer_calls_it() {
        let f = |code: u32, text: &str| {
            let error = grpc_error(code, text, b"", &Secrets::default());
            // A request that is too large says nothing against the peer, so the breaker doesn't
            // count it as a failure.
            assert_eq!((error.remedy, error.outcome), (Remedy::Split, ClientError));
        };
        f(
            8,
            "grpc: received message larger than max (5242880 vs. 4194304)",
        );
        f(
            11,
            "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
        );
        f(8, "gRPC message exceeds maximum size 4194304: 5242880");
        f(
            8,
            "the request is larger than 4194304 bytes, which is the limit here",
        );
        // The parts wait for as long as the peer asks.
        for (advised, expected) in [(None, None), (Some("30"), Some(Duration::from_secs(30)))] {
            let headers = advised.map(|text| headers(&[(RETRY_AFTER, text)]));
            let error = http_error(413, &headers.unwrap_or_default(), "");
            assert_eq!((error.remedy, error.outcome), (Remedy::Split, ClientError));
            assert_eq!(error.retry_after, expected);
            let details = advised.map_or_else(Vec::new, |_| advice_of(30));
            let error = grpc_error(8, "message too large", &details, &Secrets::default());
            assert_eq!(error.remedy, Remedy::Split);
            assert_eq!(error.retry_after, expected);
        }
    }

    #[test]
    fn http_statuses_are_retried_as_the_specification_says() {
        let f = |status: u16, remedy, outcome| {
            let headers = headers(&[(RETRY_AFTER, "9")]);
            let error = http_error(status, &headers, "");
            assert_eq!((error.remedy, error.outcome), (remedy, outcome), "{status}");
            // Also if the request isn't retried, the peer asked for a pause.
            assert_eq!(error.retry_after, Some(Duration::from_secs(9)));
        };
        f(429, Remedy::Retry, Throttled);
        // The last four come from a portal before the peer.
        for status in [502, 503, 504, 302, 303, 307, 511] {
            f(status, Remedy::Retry, Unavailable);
        }
        f(408, Remedy::None, Timeout);
        for status in [500, 501, 599] {
            f(status, Remedy::None, ServerError);
        }
        for status in [301, 304, 308, 400, 401, 403, 404] {
            f(status, Remedy::None, ClientError);
        }
    }

    #[test]
    fn advice_is_seconds_or_a_date_by_the_peers_own_clock() {
        let wall = SystemTime::UNIX_EPOCH;
        let f = |pairs: &[(HeaderName, &str)], expected: Option<u64>| {
            let found = advice(&headers(pairs), wall);
            assert_eq!(found, expected.map(Duration::from_secs), "{pairs:?}");
        };
        f(&[(RETRY_AFTER, "120")], Some(120));
        f(&[(RETRY_AFTER, "soon")], None);
        f(&[(DATE, "Fri, 20 Nov 2026 10:00:00 GMT")], None);
        let date = (RETRY_AFTER, "Fri, 20 Nov 2026 10:00:30 GMT");
        f(std::slice::from_ref(&date), Some(300));
        f(&[date, (DATE, "Fri, 20 Nov 2026 10:00:00 GMT")], Some(30));
    }

    #[test]
    fn what_happens_below_http_is_told_apart() {
        use std::io;
        let f = |error: io::Error, outcome| assert_eq!(transport(&error).outcome, outcome);
        let kind = |kind| io::Error::new(kind, "as scripted");
        f(
            kind(io::ErrorKind::ConnectionRefused),
            Outcome::Transport(Transport::Refused),
        );
        f(
            io::Error::other(kind(io::ErrorKind::BrokenPipe)),
            Outcome::Transport(Transport::Reset),
        );
        f(
            io::Error::other("no reason"),
            Outcome::Transport(Transport::Other),
        );
        f(io::Error::from_raw_os_error(24), Local);
        assert_eq!(
            transport(&io::Error::from_raw_os_error(24)).remedy,
            Remedy::Retry
        );
    }
}
