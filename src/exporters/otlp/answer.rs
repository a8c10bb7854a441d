//! What a peer's answer means for the request that it answers.
//!
//! The OTLP specification says which statuses a sender retries. Two things go beyond it.
//! Peers that find a request too large say so in different ways, of which one is a status
//! that the specification lists as retryable, so they are told apart by their message: the
//! request is then split. And a failure without any status from the peer is transport, and
//! can be retried whatever the library calls it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message;

use crate::component::{Delivered, ExportError};
use crate::pdata::status::Status;

/// The longest advice that is followed, so that a peer can't silence its senders for ever.
const MAX_ADVICE: Duration = Duration::from_secs(300);

/// How much of a peer's message is kept.
const MAX_MESSAGE: usize = 200;

/// What a 2xx answer or a gRPC message says of the items: the count that a partial success
/// rejected. An answer that can't be read counts as a plain success, because the peer has
/// taken the request and a retry would send it twice.
pub(super) fn delivered(response: &Bytes) -> (Delivered, Option<String>) {
    match ExportResponse::decode(response.clone()) {
        Ok(ExportResponse {
            partial_success: Some(partial),
        }) => {
            let rejected = u64::try_from(partial.rejected).unwrap_or(0);
            let message =
                (!partial.error_message.is_empty()).then(|| shorten(&partial.error_message));
            (Delivered { rejected }, message)
        }
        _ => (Delivered::default(), None),
    }
}

/// What an HTTP status other than 2xx means.
pub(super) fn http_error(status: u16, retry_after: Option<Duration>, body: &Bytes) -> ExportError {
    let detail = match Status::decode(body) {
        Some(status) if !status.message.is_empty() => format!(": {}", shorten(&status.message)),
        _ => String::new(),
    };
    let message = format!("the peer answered HTTP {status}{detail}");
    match status {
        429 | 502 | 503 | 504 => ExportError::Retry {
            message,
            after: retry_after.map(|after| after.min(MAX_ADVICE)),
        },
        413 => ExportError::Split { message },
        _ => ExportError::Permanent { message },
    }
}

/// What a gRPC status other than OK means. `details` is the decoded value of
/// `grpc-status-details-bin`.
pub(super) fn grpc_error(code: u32, text: &str, details: &[u8]) -> ExportError {
    let name = CODES
        .get(code as usize)
        .copied()
        .unwrap_or("an unknown code");
    let message = match shorten(text) {
        text if text.is_empty() => format!("the peer answered {name}"),
        text => format!("the peer answered {name}: {text}"),
    };
    let advice = Status::decode(details).and_then(|status| status.retry_after);
    let after = advice.map(|after| after.min(MAX_ADVICE));
    match code {
        RESOURCE_EXHAUSTED | OUT_OF_RANGE if is_about_size(text) => ExportError::Split { message },
        // A peer that is out of resources for good gives no advice.
        RESOURCE_EXHAUSTED if after.is_none() => ExportError::Permanent { message },
        CANCELLED | DEADLINE_EXCEEDED | RESOURCE_EXHAUSTED | ABORTED | OUT_OF_RANGE
        | UNAVAILABLE | DATA_LOSS => ExportError::Retry { message, after },
        _ => ExportError::Permanent { message },
    }
}

/// Reads `Retry-After`: seconds or a date in any of HTTP's forms. Anything else is no advice.
pub(super) fn retry_after(value: &str, wall: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(wall).unwrap_or(Duration::ZERO))
}

/// A failure without a status from the peer.
pub(super) fn transport(error: impl std::fmt::Display) -> ExportError {
    ExportError::Retry {
        message: error.to_string(),
        after: None,
    }
}

/// An error with what caused it: hyper's own text is often only "connection error".
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

const CANCELLED: u32 = 1;
const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;
const ABORTED: u32 = 10;
const OUT_OF_RANGE: u32 = 11;
const UNAVAILABLE: u32 = 14;
const DATA_LOSS: u32 = 15;

/// The names of gRPC's codes, by number.
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

/// Whether a status that peers use for several things is about the size of the message:
/// grpc-go says "larger than max", tonic "message length too large", Foghorn "is larger
/// than", grpc-java "exceeds maximum size".
fn is_about_size(text: &str) -> bool {
    ["larger than", "too large", "exceeds maximum"]
        .iter()
        .any(|words| text.contains(words))
}

/// A peer's message, fit for a log line.
fn shorten(message: &str) -> String {
    message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_MESSAGE)
        .collect()
}

/// `Export{Metrics,Trace,Logs}ServiceResponse`, which differ in names only.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `Export{Metrics,Trace,Logs}PartialSuccess`.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: &ExportError) -> (&'static str, Option<u64>) {
        match error {
            ExportError::Retry { after, .. } => ("retry", after.map(|after| after.as_secs())),
            ExportError::Split { .. } => ("split", None),
            ExportError::Permanent { .. } => ("permanent", None),
        }
    }

    fn advice(seconds: u64) -> Vec<u8> {
        let retry_after = Some(Duration::from_secs(seconds));
        Status {
            retry_after,
            ..Status::default()
        }
        .encode()
    }

    #[test]
    fn grpc_statuses_are_retried_as_the_specification_says() {
        let f = |code: u32, details: &[u8], expected| {
            assert_eq!(kind(&grpc_error(code, "", details)), expected, "{code}");
        };
        for code in [1, 4, 10, 11, 14, 15] {
            f(code, b"", ("retry", None));
            f(code, &advice(7), ("retry", Some(7)));
        }
        for code in [2, 3, 5, 6, 7, 9, 12, 13, 16, 99] {
            f(code, &advice(7), ("permanent", None));
        }
        f(8, b"", ("permanent", None));
        f(8, &advice(7), ("retry", Some(7)));
        f(14, &advice(100_000), ("retry", Some(300)));
    }

    #[test]
    fn a_request_that_is_too_large_is_split_whatever_the_peer_calls_it() {
        let f = |code: u32, text: &str| {
            assert_eq!(
                kind(&grpc_error(code, text, b"")),
                ("split", None),
                "{text}"
            );
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
        assert_eq!(kind(&http_error(413, None, &Bytes::new())), ("split", None));
    }

    #[test]
    fn http_statuses_are_retried_as_the_specification_says() {
        for status in [429, 502, 503, 504] {
            let after = Some(Duration::from_secs(9));
            assert_eq!(
                kind(&http_error(status, after, &Bytes::new())),
                ("retry", Some(9))
            );
        }
        for status in [301, 400, 401, 403, 404, 408, 500, 501] {
            assert_eq!(
                kind(&http_error(status, None, &Bytes::new())),
                ("permanent", None)
            );
        }
    }

    #[test]
    fn advice_is_seconds_or_a_date() {
        let wall = httpdate::parse_http_date("Fri, 20 Nov 2026 10:00:00 GMT").unwrap();
        let f = |value: &str, expected: Option<u64>| {
            assert_eq!(
                retry_after(value, wall).map(|after| after.as_secs()),
                expected,
                "{value}"
            );
        };
        f("120", Some(120));
        f(" 0 ", Some(0));
        f("Fri, 20 Nov 2026 10:00:30 GMT", Some(30));
        f("Friday, 20-Nov-26 10:00:30 GMT", Some(30));
        f("Fri, 20 Nov 2026 09:00:00 GMT", Some(0));
        f("-1", None);
        f("1.5", None);
        f("soon", None);
        f("", None);
    }

    #[test]
    fn what_a_peer_says_is_shown_short_and_on_one_line() {
        let status = Status {
            message: format!("a\n{}", "b".repeat(1000)),
            ..Status::default()
        };
        let message = http_error(400, None, &status.encode().into()).to_string();
        assert!(
            message.starts_with("the peer answered HTTP 400: a b"),
            "{message}"
        );
        assert!(message.len() < 300);
    }

    #[test]
    fn a_partial_success_tells_what_was_rejected() {
        let response = ExportResponse {
            partial_success: Some(PartialSuccess {
                rejected: 3,
                error_message: "old".to_owned(),
            }),
        };
        let answer = delivered(&response.encode_to_vec().into());
        assert_eq!(answer, (Delivered { rejected: 3 }, Some("old".to_owned())));
        assert_eq!(delivered(&Bytes::new()), (Delivered::default(), None));
        assert_eq!(
            delivered(&Bytes::from_static(b"\xff")),
            (Delivered::default(), None)
        );
    }
}
