//! Finds the status of a gRPC call in its answer.
//!
//! A call has two statuses. That of gRPC stands in the trailers, or in the headers of an answer
//! that consists of headers alone. That of HTTP is 200 for every answer of a gRPC server, whatever
//! became of the call; another one comes from a proxy, or a server that speaks no gRPC.
//!
//! Some peers send both, and they may contradict each other. A proxy may write `grpc-status: 0`
//! into the headers before it knows the outcome, or into an error page of its own. Data must not
//! count as sent by mistake, so an OK is believed only where it must stand, together with HTTP
//! 200. A failure is believed wherever it stands, as gRPC's mapping of statuses asks.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The name of the status.
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

const OK: &[u8] = b"0";

/// An answer as far as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct GrpcAnswer<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) trailers: Option<&'a HeaderMap>,
    /// Whether the peer ended it.
    pub(super) is_complete: bool,
}

impl<'a> GrpcAnswer<'a> {
    /// The headers or trailers whose gRPC status is that of the call; `None` if there is no such
    /// status.
    pub(super) fn concluding(&self) -> Option<&'a HeaderMap> {
        let trailers = self.trailers.filter(|map| map.contains_key(GRPC_STATUS));
        let found = trailers.unwrap_or(self.headers);
        let said = found.get(GRPC_STATUS).map(HeaderValue::as_bytes)?;
        let in_place = trailers.is_some() || self.is_complete;
        let may_be_ok = in_place && self.status == StatusCode::OK;
        (said != OK || may_be_ok).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ok_is_believed_in_its_place_and_a_failure_everywhere() {
        let map = |status: &'static str| {
            let mut map = HeaderMap::new();
            if !status.is_empty() {
                map.insert(GRPC_STATUS, HeaderValue::from_static(status));
            }
            map
        };
        let f = |http: u16, headers, trailers: Option<&'static str>, is_complete, expected| {
            let (headers, trailers) = (map(headers), trailers.map(map));
            let answer = GrpcAnswer {
                status: StatusCode::from_u16(http).unwrap(),
                headers: &headers,
                trailers: trailers.as_ref(),
                is_complete,
            };
            let found = answer.concluding().and_then(|map| map.get(GRPC_STATUS));
            let found = found.map(|status| status.to_str().unwrap());
            assert_eq!(found, expected, "{http} {headers:?} {trailers:?}");
        };
        // As gRPC servers answer: in trailers, or in headers without anything behind them.
        f(200, "", Some("0"), true, Some("0"));
        f(200, "", Some("14"), true, Some("14"));
        f(200, "14", None, true, Some("14"));
        f(200, "0", None, true, Some("0"));
        // The trailers know better than the headers.
        f(200, "0", Some("14"), true, Some("14"));
        f(200, "14", Some("0"), true, Some("0"));
        f(200, "14", Some(""), true, Some("14"));
        // A success that is announced and doesn't come, and a failure that is.
        f(200, "0", None, false, None);
        f(200, "14", None, false, Some("14"));
        // An error page is no success, whatever it says.
        f(503, "0", None, true, None);
        f(503, "", Some("0"), true, None);
        f(204, "0", None, true, None);
        // As nginx writes it: `return 204` with a gRPC status.
        f(204, "14", None, true, Some("14"));
        f(503, "8", None, true, Some("8"));
        // What is no number is told as such.
        f(200, "", Some("fine"), true, Some("fine"));
        f(200, "", None, true, None);
        f(503, "", None, true, None);
    }
}
