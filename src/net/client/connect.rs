//! Connects to a server: lookup, sockets, proxy, TLS, until one deadline.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::proxy::{Proxy, ProxyError};
use crate::net::dialer::{DialError, dial};
use crate::net::fair::Fair;
use crate::net::resolver::Resolver;

/// A connected socket, with TLS or without it.
pub trait ClientStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ClientStream for T {}

/// Where a connection leads to.
#[derive(Debug)]
pub struct Way<'a> {
    /// The host of the server; an IPv6 address without brackets.
    pub host: &'a str,
    /// The port of the server.
    pub port: u16,
    /// A proxy that is asked for a tunnel to the server, and what TLS to the proxy needs.
    pub proxy: Option<&'a Proxy>,
    /// For TLS with the server, the name that its certificate must prove.
    pub name: Option<ServerName<'static>>,
}

/// Why there is no connection, by the stage that failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name couldn't be resolved, or no address took the connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The proxy gave no tunnel.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The TLS handshake failed.
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    /// The connection was taken, and this stage took too long.
    #[error("{stage} isn't done in time")]
    Late {
        /// What was waited for.
        stage: &'static str,
    },
}

const TUNNEL: &str = "the tunnel of the proxy";
const HANDSHAKE: &str = "the TLS handshake";

/// Connects until `deadline`. Cancel safe: dropping the future closes the socket.
///
/// # Errors
///
/// At the first stage that fails, or that isn't done in time.
pub async fn connect(
    resolver: &Resolver,
    way: &Way<'_>,
    tls: Option<&TlsConnector>,
    deadline: Instant,
) -> Result<Box<dyn ClientStream>, ConnectError> {
    let (host, port) = match way.proxy {
        Some(proxy) => (proxy.host.as_str(), proxy.port),
        None => (way.host, way.port),
    };
    let socket = dial(resolver, host, port, deadline).await?;
    // A request is one write, so waiting for more data (Nagle) would only delay it.
    let _ = socket.set_nodelay(true);
    let mut stream: Box<dyn ClientStream> = Box::new(Fair::fair(socket));
    if let Some(proxy) = way.proxy {
        if proxy.tls {
            stream = handshake(tls, server_name(&proxy.host)?, stream, deadline).await?;
        }
        let target = match way.host.contains(':') {
            true => format!("[{}]:{}", way.host, way.port),
            false => format!("{}:{}", way.host, way.port),
        };
        let tunnel = proxy.tunnel(&mut stream, &target);
        let late = |_| ConnectError::Late { stage: TUNNEL };
        timeout_at(deadline, tunnel).await.map_err(late)??;
    }
    match &way.name {
        Some(name) => handshake(tls, name.clone(), stream, deadline).await,
        None => Ok(stream),
    }
}

async fn handshake(
    tls: Option<&TlsConnector>,
    name: ServerName<'static>,
    stream: Box<dyn ClientStream>,
    deadline: Instant,
) -> Result<Box<dyn ClientStream>, ConnectError> {
    // Whoever names a server that uses TLS has set it up.
    let Some(connector) = tls else {
        return Err(ConnectError::Tls(io::ErrorKind::Unsupported.into()));
    };
    match timeout_at(deadline, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(ConnectError::Tls(error)),
        Err(_) => Err(ConnectError::Late { stage: HANDSHAKE }),
    }
}

/// The name of a host, as its certificate must prove it.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, ConnectError> {
    let none = |_| ConnectError::Tls(io::Error::other("no certificate can prove this name"));
    ServerName::try_from(host.to_owned()).map_err(none)
}
