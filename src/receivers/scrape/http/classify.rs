//! Finds the reason of a failed request.

use std::error::Error;
use std::io;

use tokio_rustls::rustls;

use crate::descriptors;
use crate::net::{ConnectError, DialError, DialFailures, HttpError, LookupError, ProxyError};
use crate::receivers::scrape::FailureReason;
use crate::resilience::{FetchError, Outcome};

/// Classifies a request that got no answer.
pub(super) fn unanswered(error: &HttpError) -> FetchError {
    match error.connecting() {
        Some(connecting) => unconnected(connecting),
        None if matches!(error, HttpError::Interim) => {
            FailureReason::Limit.error(error.to_string())
        }
        None => broken(error),
    }
}

/// Classifies an error of a connection by itself and its causes, outermost first.
pub(super) fn broken(error: &(dyn Error + 'static)) -> FetchError {
    let mut cause = Some(error);
    let mut innermost: &dyn Error = error;
    while let Some(error_now) = cause {
        innermost = error_now;
        // A server that rejects the client's certificate says so only after the handshake, when
        // the answer is due: then the TLS error is wrapped in an `io::Error`, whose `source`
        // doesn't return it.
        let wrapped = error_now
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(tls) = wrapped.and_then(|error| error.downcast_ref::<rustls::Error>()) {
            return FailureReason::Tls.error(format!("TLS failed: {tls}"));
        }
        if let Some(io) = error_now.downcast_ref::<io::Error>()
            && let Some(found) = by_kind(io)
        {
            return found;
        }
        if let Some(hyper) = error_now.downcast_ref::<hyper::Error>() {
            if hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled() {
                return cut_short();
            }
            if hyper.is_parse_too_large() {
                let message = format!("no answer that the agent takes: {hyper}");
                return FailureReason::Limit.error(message);
            }
            if hyper.is_parse() {
                return FailureReason::Parse.error(format!("no HTTP answer: {hyper}"));
            }
        }
        cause = error_now.source();
    }
    // What is left are bodies that aren't framed as HTTP says.
    FailureReason::Parse.error(innermost.to_string())
}

fn unconnected(error: &ConnectError) -> FetchError {
    match error {
        ConnectError::Dial(DialError::Lookup(lookup)) => unresolved(lookup),
        ConnectError::Dial(DialError::Connect(tried)) => unreachable_host(tried),
        ConnectError::Tls(_) => FailureReason::Tls.error(error.to_string()),
        ConnectError::Late { .. } => FailureReason::Timeout.error(error.to_string()),
        ConnectError::Proxy(proxy) => without_tunnel(proxy),
    }
}

fn without_tunnel(error: &ProxyError) -> FetchError {
    match error {
        ProxyError::Refused { .. } | ProxyError::Endless => {
            FailureReason::Refused.error(error.to_string())
        }
        ProxyError::Io(io) => {
            let found = by_kind(io);
            let found = found.unwrap_or_else(|| FailureReason::Reset.error(io.to_string()));
            FetchError {
                message: format!("the proxy: {}", found.message),
                ..found
            }
        }
        ProxyError::Unknown(_) => FetchError::new(Outcome::Local, error.to_string()),
    }
}

fn unresolved(error: &LookupError) -> FetchError {
    match error {
        LookupError::Refused { local: true, .. } => {
            FetchError::new(Outcome::Local, error.to_string())
        }
        _ => FailureReason::Dns.error(error.to_string()),
    }
}

/// The addresses are named where they failed in different ways.
fn unreachable_host(tried: &DialFailures) -> FetchError {
    let first = tried.attempts().first().map(|(_, error)| error);
    let found = first.and_then(by_kind);
    let found = found.unwrap_or_else(|| FailureReason::Refused.error(""));
    let kind = first.map(io::Error::kind);
    let mut others = tried.attempts().iter().map(|(_, error)| Some(error.kind()));
    let is_told_by_kind = others.all(|other| other == kind) && !tried.is_silent();
    match is_told_by_kind && !found.message.is_empty() {
        true => found,
        false => FetchError {
            message: tried.to_string(),
            ..found
        },
    }
}

/// Classifies an error of the system; `None` if its kind says nothing about the reason.
fn by_kind(error: &io::Error) -> Option<FetchError> {
    use io::ErrorKind as Kind;
    // This machine's fault and not the endpoint's.
    if descriptors::are_exhausted(error) {
        let message = "too many open files in this process or on this machine";
        return Some(FetchError::new(Outcome::Local, message));
    }
    let reason = match error.kind() {
        Kind::ConnectionRefused
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable
        | Kind::PermissionDenied => FailureReason::Refused,
        Kind::TimedOut => FailureReason::Timeout,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::UnexpectedEof => return Some(cut_short()),
        _ => return None,
    };
    Some(reason.error(error.kind().to_string()))
}

fn cut_short() -> FetchError {
    let message = "the connection ended before the answer did";
    FailureReason::Reset.error(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_gives_no_tunnel_fails_for_the_reason_that_it_has() {
        let f = |error: ProxyError, reason, message: &str| {
            let found = unconnected(&ConnectError::Proxy(error));
            assert_eq!(FailureReason::of(&found), reason, "{found}");
            assert_eq!(found.message, message);
        };
        let io = |kind: io::ErrorKind| ProxyError::Io(kind.into());
        f(
            ProxyError::Refused {
                answer: "HTTP/1.1 407 secret".to_owned(),
            },
            FailureReason::Refused,
            "the proxy gives no tunnel",
        );
        f(
            io(io::ErrorKind::UnexpectedEof),
            FailureReason::Reset,
            "the proxy: the connection ended before the answer did",
        );
        f(
            io(io::ErrorKind::TimedOut),
            FailureReason::Timeout,
            "the proxy: timed out",
        );
        f(
            ProxyError::Unknown(crate::net::UnknownProxy),
            FailureReason::Limit,
            "a proxy is the URL of a host with http:// or https://",
        );
    }
}
