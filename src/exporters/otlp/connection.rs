//! Connects to the destination of a gRPC exporter.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use hyper::header::HeaderMap;
use hyper::http::uri::Authority;
use hyper::{Uri, http};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::answer;
use super::secrets::Secrets;
use super::target::GrpcEndpoint;
use crate::component::ExportError;
use crate::net::{ClientStream, ClientTls, Proxy, Renewable, Resolver, Way, connect};

/// A destination, and how to connect to it.
pub(super) struct Destination {
    target: GrpcEndpoint,
    /// The peer's name in requests and certificates, if it isn't the host.
    authority: Option<Authority>,
    tls: Option<(Renewable<TlsConnector>, ServerName<'static>)>,
    proxy: Option<Proxy>,
    resolver: Resolver,
}

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
            proxy: proxy_of(&Matcher::from_env(), &target)?,
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

    /// The secrets in requests with these headers, and in that for a tunnel.
    pub(super) fn secrets(&self, headers: &HeaderMap) -> Secrets {
        let proxy = self.proxy.as_ref();
        let authorization = proxy.and_then(|proxy| proxy.authorization.as_ref());
        let authorization = authorization.map_or(&b""[..], |value| value.as_bytes());
        Secrets::of(headers).and_credentials(authorization)
    }

    /// Resolves the name and connects until `deadline`, through the proxy if there is one. Cancel
    /// safe: dropping the future closes the socket.
    pub(super) async fn connect(
        &self,
        deadline: Instant,
        secrets: &Secrets,
    ) -> Result<Box<dyn ClientStream>, ExportError> {
        let (tls, name) = match &self.tls {
            Some((connector, name)) => (Some(connector.current().await), Some(name.clone())),
            None => (None, None),
        };
        let way = Way {
            host: &self.target.host,
            port: self.target.port,
            proxy: self.proxy.as_ref(),
            name,
        };
        let connected = connect(&self.resolver, &way, tls.as_ref(), deadline).await;
        connected.map_err(|error| self.named(answer::unconnected(&error, secrets)))
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

/// The proxy for a destination; `None` if it is reached directly. `HTTPS_PROXY` and `NO_PROXY`
/// are read as by the Collector, whether the destination uses TLS or not; loopback never goes
/// through a proxy.
fn proxy_of(matcher: &Matcher, target: &GrpcEndpoint) -> anyhow::Result<Option<Proxy>> {
    let address: Option<IpAddr> = target.host.parse().ok();
    if target.host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return Ok(None);
    }
    let destination: Uri = format!("https://{target}")
        .parse()
        .context("the endpoint is no address for a proxy")?;
    let proxy = Proxy::of(matcher, &destination).context("HTTPS_PROXY")?;
    if proxy.as_ref().is_some_and(|proxy| proxy.tls) {
        bail!("HTTPS_PROXY: gRPC goes through proxies of http:// alone, or use otlp_http");
    }
    Ok(proxy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::{Outcome, Transport};

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

    #[test]
    fn the_environment_names_a_proxy_for_all_but_loopback_and_exceptions() {
        let matcher = |proxy: &str| Matcher::builder().https(proxy).no("quiet.example").build();
        let f = |target: &str, expected: bool| {
            let target = GrpcEndpoint::parse(target).unwrap();
            let found = proxy_of(&matcher("http://proxy.example:3128"), &target).unwrap();
            assert_eq!(found.is_some(), expected, "{target}");
        };
        f("fog.example:4317", true);
        f("http://fog.example:4317", true);
        f("10.0.0.1:4317", true);
        f("quiet.example:4317", false);
        f("localhost:4317", false);
        f("127.0.0.1:4317", false);
        f("[::1]:4317", false);
        let target = GrpcEndpoint::parse("fog.example:4317").unwrap();
        assert!(proxy_of(&matcher("https://proxy.example"), &target).is_err());
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
        assert!(endpoint.connect(soon(), &Secrets::default()).await.is_ok());
        let endpoint = named(port, &[[127, 0, 0, 9], [127, 0, 0, 8]]);
        let error = endpoint
            .connect(soon(), &Secrets::default())
            .await
            .err()
            .unwrap();
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
                tls: false,
                authorization: None,
            }),
            ..named(1, &[[127, 0, 0, 9], [127, 0, 0, 8]])
        };
        let error = closed
            .connect(soon(), &Secrets::default())
            .await
            .err()
            .unwrap();
        assert_eq!(
            error.message,
            "by the proxy fog.example:1: 127.0.0.9:1 refuses, 127.0.0.8:1 refuses"
        );
    }
}
