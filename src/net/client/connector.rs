//! Makes the connections of an HTTP client.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper::http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::HttpClientSettings;
use super::connect::{ClientStream, ConnectError, Way, connect, server_name};
use super::proxy::{Proxy, ProxyError, host_of};
use crate::net::resolver::Resolver;

/// Connects to the server of a URI, through its proxy if there is one.
#[derive(Clone)]
pub(super) struct Connector(Arc<ConnectorInner>);

struct ConnectorInner {
    resolver: Resolver,
    limit: Duration,
    proxies: Option<Arc<Matcher>>,
    tls: Option<TlsConnector>,
}

/// A connection of the client.
pub(super) struct ClientConnection {
    stream: Box<dyn ClientStream>,
    /// Whether it leads to a proxy that gets the requests themselves.
    is_proxied: bool,
    usage: ConnectionUsage,
}

/// Whether a connection has brought an answer. Clones are about the same connection.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionUsage(Arc<AtomicBool>);

impl ConnectionUsage {
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_used(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Connector {
    pub(super) fn new(settings: &HttpClientSettings, tls: Option<TlsConnector>) -> Self {
        Self(Arc::new(ConnectorInner {
            resolver: settings.resolver.clone(),
            limit: settings.connect_timeout,
            proxies: settings.proxies.clone(),
            tls,
        }))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<ClientConnection>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.connect(&uri).await.map(TokioIo::new) })
    }
}

impl ConnectorInner {
    async fn connect(&self, uri: &Uri) -> Result<ClientConnection, ConnectError> {
        let deadline = Instant::now() + self.limit;
        let no_host = || io::Error::new(io::ErrorKind::InvalidInput, "the URL has no host");
        let host = host_of(uri).ok_or_else(|| ConnectError::Tls(no_host()))?;
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let proxy = self.proxies.as_ref().map(|proxies| Proxy::of(proxies, uri));
        let proxy = proxy.transpose().map_err(ProxyError::from)?.flatten();
        let name = secure.then(|| server_name(host)).transpose()?;
        let way = match &proxy {
            // The request itself goes to the proxy.
            Some(proxy) if !secure => Way {
                host: &proxy.host,
                port: proxy.port,
                proxy: None,
                name: proxy.tls.then(|| server_name(&proxy.host)).transpose()?,
            },
            proxy => Way {
                host,
                port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
                proxy: proxy.as_ref(),
                name,
            },
        };
        Ok(ClientConnection {
            stream: connect(&self.resolver, &way, self.tls.as_ref(), deadline).await?,
            is_proxied: proxy.is_some() && !secure,
            usage: ConnectionUsage::default(),
        })
    }
}

impl Connection for ClientConnection {
    fn connected(&self) -> Connected {
        Connected::new()
            .proxy(self.is_proxied)
            .extra(self.usage.clone())
    }
}

impl AsyncRead for ClientConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
