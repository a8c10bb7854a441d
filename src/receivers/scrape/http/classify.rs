//! Finds the reason of a failed request.

use std::error::Error;
use std::io;

use tokio_rustls::rustls;

use super::AttemptError;
use crate::descriptors;
use crate::net::LookupError;
use crate::receivers::scrape::FailureReason;

/// Classifies an error by itself and its causes, outermost first.
pub(super) fn error(error: &reqwest::Error) -> AttemptError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut innermost: &dyn Error = error;
    while let Some(error_now) = cause {
        innermost = error_now;
        if let Some(lookup) = error_now.downcast_ref::<LookupError>() {
            return unresolved(lookup);
        }
        // A server that rejects the client's certificate says so only after the handshake, when
        // the answer is due: then the TLS error is wrapped in an `io::Error`, whose `source`
        // doesn't return it.
        let wrapped = error_now
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(tls) = wrapped.and_then(|error| error.downcast_ref::<rustls::Error>()) {
            return AttemptError::new(FailureReason::Tls, format!("TLS failed: {tls}"));
        }
        if let Some(io) = error_now.downcast_ref::<io::Error>()
            && let Some(found) = by_kind(io, error.is_connect())
        {
            return found;
        }
        if let Some(hyper) = error_now.downcast_ref::<hyper::Error>() {
            if hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled() {
                return cut_short();
            }
            if hyper.is_parse() {
                return AttemptError::new(FailureReason::Parse, format!("no HTTP answer: {hyper}"));
            }
        }
        cause = error_now.source();
    }
    // A connecting error that is none of the above is one of TLS; one of a body is a wrong
    // compression.
    if error.is_connect() {
        AttemptError::new(FailureReason::Tls, format!("TLS failed: {innermost}"))
    } else if error.is_decode() || error.is_body() {
        AttemptError::new(FailureReason::Parse, innermost.to_string())
    } else {
        AttemptError::new(FailureReason::Reset, innermost.to_string())
    }
}

fn unresolved(error: &LookupError) -> AttemptError {
    let local = matches!(error, LookupError::Refused { local: true, .. });
    let reason = if local {
        FailureReason::Limit
    } else {
        FailureReason::Dns
    };
    AttemptError {
        local,
        ..AttemptError::new(reason, error.to_string())
    }
}

/// Classifies an error of the system; `None` if its kind says nothing about the reason.
fn by_kind(error: &io::Error, connecting: bool) -> Option<AttemptError> {
    use io::ErrorKind as Kind;
    // This machine's fault and not the endpoint's.
    if descriptors::are_exhausted(error) {
        let message = "too many open files in this process or on this machine";
        return Some(AttemptError {
            local: true,
            ..AttemptError::new(FailureReason::Limit, message)
        });
    }
    let reason = match error.kind() {
        Kind::ConnectionRefused
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable
        | Kind::PermissionDenied => FailureReason::Refused,
        Kind::TimedOut => FailureReason::Timeout,
        // During connecting only the TLS handshake reads, so this is its error.
        Kind::InvalidData | Kind::UnexpectedEof if connecting => {
            return Some(AttemptError::new(
                FailureReason::Tls,
                format!("TLS failed: {error}"),
            ));
        }
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::UnexpectedEof => return Some(cut_short()),
        _ => return None,
    };
    Some(AttemptError::new(reason, error.kind().to_string()))
}

fn cut_short() -> AttemptError {
    let message = "the connection ended before the answer did";
    AttemptError::new(FailureReason::Reset, message)
}
