//! Parses the endpoint of a gRPC exporter.

use std::fmt;

use hyper::http;

use crate::yaml::without_credentials;

/// An endpoint: `host:port`, or a URL whose scheme decides about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GrpcEndpoint {
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether the scheme asks for TLS; `None` without a scheme.
    pub(super) tls: Option<bool>,
}

impl GrpcEndpoint {
    /// Parses an endpoint. The error shows a valid one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let found = without_credentials(text);
            format!("expected host:port, such as 127.0.0.1:4317, found `{found}`")
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let tls = match scheme {
            None | Some("dns") => None,
            Some("http") => Some(false),
            Some("https") => Some(true),
            Some(_) => return Err(wrong()),
        };
        let authority: http::uri::Authority =
            rest.trim_matches('/').parse().map_err(|_| wrong())?;
        if authority.as_str().contains('@') {
            return Err("credentials don't belong into the endpoint: use headers".to_owned());
        }
        let default_port = match tls {
            Some(true) => Some(443),
            Some(false) => Some(80),
            None => None,
        };
        let port = authority.port_u16().or(default_port).ok_or_else(wrong)?;
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
        })
    }
}

impl GrpcEndpoint {
    /// The endpoint as a name, with the scheme if one was written.
    pub(super) fn endpoint(&self) -> String {
        match self.tls {
            Some(true) => format!("https://{self}"),
            Some(false) => format!("http://{self}"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for GrpcEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_decides_about_tls_and_the_port() {
        let f = |text: &str, expected: Option<(&str, u16, Option<bool>)>| {
            let target = GrpcEndpoint::parse(text).ok();
            assert_eq!(
                target.as_ref().map(|t| (t.host.as_str(), t.port, t.tls)),
                expected,
                "{text}"
            );
        };
        f("127.0.0.1:4317", Some(("127.0.0.1", 4317, None)));
        f("collector:4317", Some(("collector", 4317, None)));
        f("[::1]:4317", Some(("::1", 4317, None)));
        f(
            "http://collector:4317",
            Some(("collector", 4317, Some(false))),
        );
        f("https://collector", Some(("collector", 443, Some(true))));
        f("dns:///collector:4317", Some(("collector", 4317, None)));
        f("collector", None);
        f("ftp://collector:1", None);
        f("https://user:secret@collector", None);
        f(":4317", None);
        f("", None);
    }
}
