//! `headers`: what the user adds to each request.

use std::collections::HashMap;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::yaml::{FromValue, PlacedNode, Secret};

/// Header names and values. Every value is treated as a secret.
pub(super) struct Headers(pub(super) HeaderMap);

/// Headers that describe the bytes of a request or connection. A value from the configuration
/// would contradict what is sent: with `content-length: 5` the peer would take the rest of the
/// body for another request.
const FRAMING: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "grpc-encoding",
    "grpc-timeout",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl FromValue for Headers {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut headers = HeaderMap::new();
        let mut written = HashMap::new();
        for (entry, value) in value.entries()? {
            let Some(secret) = value.read::<Secret>() else {
                continue;
            };
            let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
                value.error::<()>("the key is no header name");
                continue;
            };
            if FRAMING.contains(&name.as_str()) {
                value.error::<()>("the exporter writes this header itself: leave it out");
                continue;
            }
            if let Some(other) = written.insert(name.clone(), &entry.key) {
                value.error::<()>(format_args!(
                    "`{other}` is the same header, as their case means nothing: keep one"
                ));
                continue;
            }
            let Ok(mut text) = HeaderValue::from_str(secret.expose()) else {
                value.error::<()>("the value holds characters that a header can't");
                continue;
            };
            text.set_sensitive(true);
            headers.insert(name, text);
        }
        Some(Self(headers))
    }
}
