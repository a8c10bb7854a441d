//! Connects to the destination of a gRPC exporter.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use hyper::http::uri::Authority;
use hyper::{Uri, http};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::answer;
use super::target::GrpcEndpoint;
use super::tunnel::Proxy;
use crate::component::{ExportError, Remedy};
use crate::net::{ClientTls, Renewable, Resolver, dial};
use crate::resilience::Outcome;

/// A destination, and how to connect to it.
pub(super) struct Destination {
    target: GrpcEndpoint,
    /// The peer's name in requests and certificates, if it isn't the host.
    authority: Option<Authority>,
    tls: Option<(Renewable<TlsConnector>, ServerName<'static>)>,
    proxy: Option<Proxy>,
    resolver: Resolver,
}

/// A connected socket, with TLS or without it.
pub(super) trait ClientStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ClientStream for T {}

impl Destination {
    /// Reads the certificates, if the connection uses TLS.
    ///
    /// # Errors
    ///
    /// When a file can't be read, the peer's name is none that a certificate can contain, or the
    /// proxy of the environment can't be used.
    pub(super) fn new(
        target: GrpcEndpoint,
        authority: Option<Authority>,
        tls: &ClientTls,
    ) -> anyhow::Result<Self> {
        let connector = if target.tls.unwrap_or(!tls.insecure) {
            let connector = tls.renewable(|mut config| {
                config.alpn_protocols = vec![b"h2".to_vec()];
                Ok(TlsConnector::from(Arc::new(config)))
            })?;
            let called = authority.as_ref().map_or(&*target.host, Authority::host);
            let name = match &tls.server_name_override {
                Some(name) => name.clone(),
                None => ServerName::try_from(called.to_owned()).with_context(|| {
                    format!("`{called}` is no name that a certificate can prove")
                })?,
            };
            Some((connector, name))
        } else {
            None
        };
        Ok(Self {
            proxy: Proxy::of(&Matcher::from_env(), &target)?,
            target,
            authority,
            tls: connector,
            resolver: Resolver::system(),
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

    /// Resolves the name and connects until `deadline`, through the proxy if there is one. Cancel
    /// safe: dropping the future closes the socket.
    pub(super) async fn connect(
        &self,
        deadline: Instant,
    ) -> Result<Box<dyn ClientStream>, ExportError> {
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (self.target.host.as_str(), self.target.port),
        };
        let dialled = dial(&self.resolver, host, port, deadline).await;
        let socket = dialled.map_err(|error| self.named(answer::undialled(&error)))?;
        let peer = socket.peer_addr();
        match timeout_at(deadline, self.open(socket)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.named(answer::transport(&error))),
            Err(_) => {
                let peer = peer.map_or_else(|_| host.to_owned(), |peer| peer.to_string());
                let message = format!("{peer} takes the connection and says nothing");
                let error = ExportError::new(Remedy::Retry, Outcome::Timeout, message);
                Err(self.named(error))
            }
        }
    }

    /// Makes a connected socket ready for HTTP/2: asks the proxy for a tunnel, and does the TLS
    /// handshake.
    async fn open(&self, mut socket: TcpStream) -> io::Result<Box<dyn ClientStream>> {
        // A request is one write, so waiting for more data (Nagle) would only delay it.
        socket.set_nodelay(true)?;
        if let Some(proxy) = &self.proxy {
            proxy.tunnel(&mut socket, &self.target).await?;
        }
        let Some((connector, name)) = &self.tls else {
            return Ok(Box::new(socket));
        };
        let connector = connector.current().await;
        Ok(Box::new(connector.connect(name.clone(), socket).await?))
    }

    /// Adds the proxy to the message, since the exporter's endpoint doesn't name it.
    fn named(&self, mut error: ExportError) -> ExportError {
        if let Some(proxy) = &self.proxy {
            error.message = format!(
                "by the proxy {}:{}: {}",
                proxy.host, proxy.port, error.message
            );
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Transport;

    #[test]
    fn another_authority_is_what_the_peer_is_called() {
        let f = |authority: Option<&str>, expected: &str| {
            let target = GrpcEndpoint::parse("127.0.0.1:4317").unwrap();
            let authority = authority.map(|text| text.parse().unwrap());
            let plain = ClientTls {
                insecure: true,
                ..ClientTls::default()
            };
            let endpoint = Destination::new(target, authority, &plain).unwrap();
            assert_eq!(endpoint.uri("/x").unwrap().to_string(), expected);
        };
        f(None, "http://127.0.0.1:4317/x");
        f(Some("fog.example"), "http://fog.example/x");
        f(Some("fog.example:1"), "http://fog.example:1/x");
    }

    /// A destination whose host name has these addresses.
    fn named(port: u16, addresses: &'static [[u8; 4]]) -> Destination {
        let target = GrpcEndpoint::parse(&format!("http://fog.example:{port}")).unwrap();
        let resolver = Resolver::with(move |name| {
            assert_eq!(name, "fog.example");
            Ok(addresses.iter().map(|address| (*address).into()).collect())
        });
        Destination {
            target,
            authority: None,
            tls: None,
            proxy: None,
            resolver,
        }
    }

    fn soon() -> Instant {
        Instant::now() + std::time::Duration::from_secs(60)
    }

    #[tokio::test]
    async fn the_next_address_is_reached_and_an_error_says_which_were_tried() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let endpoint = named(port, &[[127, 0, 0, 9], [127, 0, 0, 1]]);
        assert!(endpoint.connect(soon()).await.is_ok());
        let endpoint = named(port, &[[127, 0, 0, 9], [127, 0, 0, 8]]);
        let error = endpoint.connect(soon()).await.err().unwrap();
        assert_eq!(
            error.message,
            format!("127.0.0.9:{port} refuses, 127.0.0.8:{port} refuses")
        );
        assert_eq!(error.outcome, Outcome::Transport(Transport::Refused));
    }

    #[tokio::test]
    async fn the_way_to_a_proxy_has_its_addresses_too() {
        let closed = Destination {
            target: GrpcEndpoint::parse("http://elsewhere.example:4317").unwrap(),
            proxy: Some(Proxy {
                host: "fog.example".to_owned(),
                port: 1,
                authorization: None,
            }),
            ..named(1, &[[127, 0, 0, 9], [127, 0, 0, 8]])
        };
        let error = closed.connect(soon()).await.err().unwrap();
        assert_eq!(
            error.message,
            "by the proxy fog.example:1: 127.0.0.9:1 refuses, 127.0.0.8:1 refuses"
        );
    }
}
