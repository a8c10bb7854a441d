//! Tells the ways apart in which a request fails on its way.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio_rustls::rustls;

use super::FetchError;
use crate::receivers::scrape::Reason;

/// The system's resolver, with an error that can be told from those of connecting. It
/// takes a thread for every question, so `localhost`, where most of what is asked lives, is
/// answered here; it is loopback by definition (RFC 6761).
#[derive(Debug)]
pub(super) struct Resolver;

#[derive(Debug, thiserror::Error)]
#[error("no address for the host name: {0}")]
struct DnsError(io::Error);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            if name.as_str() == "localhost" {
                let loopback: [IpAddr; 2] =
                    [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                let addresses = loopback.map(|address| SocketAddr::new(address, 0));
                return Ok(Box::new(addresses.into_iter()) as Addrs);
            }
            match tokio::net::lookup_host((name.as_str(), 0)).await {
                Ok(addresses) => {
                    let addresses: Vec<_> = addresses.collect();
                    Ok(Box::new(addresses.into_iter()) as Addrs)
                }
                Err(error) => Err(DnsError(error).into()),
            }
        })
    }
}

/// Classifies an error by the causes it was made of, outermost first.
pub(super) fn error(error: &reqwest::Error) -> FetchError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut innermost: &dyn Error = error;
    while let Some(error_now) = cause {
        innermost = error_now;
        if let Some(dns) = error_now.downcast_ref::<DnsError>() {
            return FetchError::new(Reason::Dns, dns.to_string());
        }
        // A server says that it doesn't like our certificate after the handshake is over, when
        // its answer is due. An `io::Error` hides what it wraps from `source`.
        let wrapped = error_now
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(tls) = wrapped.and_then(|error| error.downcast_ref::<rustls::Error>()) {
            return FetchError::new(Reason::Tls, format!("TLS failed: {tls}"));
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
                return FetchError::new(Reason::Parse, format!("no HTTP answer: {hyper}"));
            }
        }
        cause = error_now.source();
    }
    // What is left of connecting is TLS; what is left of a body is its compression.
    if error.is_connect() {
        FetchError::new(Reason::Tls, format!("TLS failed: {innermost}"))
    } else if error.is_decode() || error.is_body() {
        FetchError::new(Reason::Parse, innermost.to_string())
    } else {
        FetchError::new(Reason::Reset, innermost.to_string())
    }
}

/// Classifies by what the system said, if that says anything.
fn by_kind(error: &io::Error, connecting: bool) -> Option<FetchError> {
    use io::ErrorKind as Kind;
    // EMFILE and ENFILE, which have no kind: it is us, not them.
    if matches!(error.raw_os_error(), Some(23 | 24)) {
        let message = "too many open files in this process or on this machine";
        return Some(FetchError {
            local: true,
            ..FetchError::new(Reason::Limit, message)
        });
    }
    let reason = match error.kind() {
        Kind::ConnectionRefused
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable
        | Kind::PermissionDenied => Reason::Refused,
        Kind::TimedOut => Reason::Timeout,
        // The only one who reads while connecting is TLS, and so it reports what it reads.
        Kind::InvalidData | Kind::UnexpectedEof if connecting => {
            return Some(FetchError::new(Reason::Tls, format!("TLS failed: {error}")));
        }
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::UnexpectedEof => return Some(cut_short()),
        _ => return None,
    };
    Some(FetchError::new(reason, error.kind().to_string()))
}

fn cut_short() -> FetchError {
    let message = "the connection ended before the answer did";
    FetchError::new(Reason::Reset, message)
}
