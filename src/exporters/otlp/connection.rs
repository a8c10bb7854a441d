//! Where a gRPC exporter connects to, and the connecting.

use std::fmt;
use std::io;
use std::sync::Arc;

use anyhow::Context;
use hyper::http::uri::Authority;
use hyper::{Uri, http};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::answer;
use super::tunnel::Proxy;
use crate::component::{ExportError, Remedy};
use crate::net::ClientTls;
use crate::resilience::{Outcome, Transport};

/// A destination as it is written: `host:port`, or a URL whose scheme says whether TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// What the scheme says; none where there is no scheme.
    pub(super) tls: Option<bool>,
}

impl Target {
    /// Reads an endpoint; the error says what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected host:port, such as 127.0.0.1:4317, found `{text}`");
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

impl Target {
    /// The destination as a name, with the scheme if it has one.
    pub(super) fn endpoint(&self) -> String {
        match self.tls {
            Some(true) => format!("https://{self}"),
            Some(false) => format!("http://{self}"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A destination that can be connected to.
pub(super) struct Endpoint {
    target: Target,
    /// What the peer is called, where that isn't where it is.
    authority: Option<Authority>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    proxy: Option<Proxy>,
}

/// A connected socket, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Endpoint {
    /// Reads the certificates that the connection needs, if it needs any.
    pub(super) fn new(
        target: Target,
        authority: Option<Authority>,
        tls: &ClientTls,
    ) -> anyhow::Result<Self> {
        let connector = if target.tls.unwrap_or(!tls.insecure) {
            let mut config = tls.client_config()?;
            config.alpn_protocols = vec![b"h2".to_vec()];
            let called = authority.as_ref().map_or(&*target.host, Authority::host);
            let name = tls.server_name_override.as_deref().unwrap_or(called);
            let name = ServerName::try_from(name.to_owned())
                .with_context(|| format!("`{name}` is no name that a certificate can prove"))?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Self {
            proxy: Proxy::of(&Matcher::from_env(), &target)?,
            target,
            authority,
            tls: connector,
        })
    }

    /// The URI of a path at the destination.
    pub(super) fn uri(&self, path: &'static str) -> http::Result<Uri> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let authority = match &self.authority {
            Some(authority) => authority.to_string(),
            None => self.target.to_string(),
        };
        Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(path)
            .build()
    }

    /// Resolves the name and connects, through a proxy where there is one.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, ExportError> {
        let transport = |error: io::Error| answer::transport(&error);
        let name = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (self.target.host.as_str(), self.target.port),
        };
        let addresses: Vec<_> = lookup_host(name).await.map_err(unresolved)?.collect();
        let mut socket = TcpStream::connect(&*addresses).await.map_err(transport)?;
        // A request is one write: waiting for more only delays it.
        socket.set_nodelay(true).map_err(transport)?;
        if let Some(proxy) = &self.proxy {
            let tunnel = proxy.tunnel(&mut socket, &self.target).await;
            tunnel.map_err(transport)?;
        }
        let Some((connector, name)) = &self.tls else {
            return Ok(Box::new(socket));
        };
        match connector.connect(name.clone(), socket).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(transport(error)),
        }
    }
}

/// The system says what it can't resolve in no way that a program could tell.
fn unresolved(error: io::Error) -> ExportError {
    let outcome = match Outcome::of_error(&error) {
        Outcome::Local => Outcome::Local,
        _ => Outcome::Transport(Transport::Dns),
    };
    ExportError::new(Remedy::Retry, outcome, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_authority_is_what_the_peer_is_called() {
        let f = |authority: Option<&str>, expected: &str| {
            let target = Target::parse("127.0.0.1:4317").unwrap();
            let authority = authority.map(|text| text.parse().unwrap());
            let plain = ClientTls {
                insecure: true,
                ..ClientTls::default()
            };
            let endpoint = Endpoint::new(target, authority, &plain).unwrap();
            assert_eq!(endpoint.uri("/x").unwrap().to_string(), expected);
        };
        f(None, "http://127.0.0.1:4317/x");
        f(Some("fog.example"), "http://fog.example/x");
        f(Some("fog.example:1"), "http://fog.example:1/x");
    }

    #[test]
    fn a_scheme_decides_about_tls_and_the_port() {
        let f = |text: &str, expected: Option<(&str, u16, Option<bool>)>| {
            let target = Target::parse(text).ok();
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
