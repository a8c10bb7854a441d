//! A bound socket with its certificate and credentials.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::accept::{self, AcceptLimits};
use super::auth::Credentials;
use super::deadlines::ConnectionWatch;
use super::files::listener_path;
use super::metrics::{ConnectionRejection, Metrics};
use super::opening::{Opening, TimedOpening};
use super::{BindError, connection};
use crate::component::Response;
use crate::descriptors;
use crate::net::Renewable;
use crate::settings::ListenerConfig;
use crate::telemetry::Telemetry;

/// The longest duration of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A bound socket. The kernel queues clients until it is served.
#[derive(Debug)]
pub struct Listening {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Renewable<TlsAcceptor>>,
    credentials: Option<Arc<Credentials>>,
    metrics: Metrics,
}

impl Listening {
    /// Binds the address, and reads certificates and tokens. `owner` is the listener's path in
    /// the configuration, and `alpn` the protocols offered to TLS clients.
    ///
    /// # Errors
    ///
    /// When the address is taken or isn't one of this machine, or a file can't be used.
    pub async fn bind(
        config: &ListenerConfig,
        owner: &str,
        alpn: &[&[u8]],
        telemetry: &Telemetry,
    ) -> Result<Self, BindError> {
        let unusable = |reason| BindError::Unusable {
            owner: listener_path(owner).to_owned(),
            reason,
        };
        let tls = match &config.tls {
            Some(tls) => {
                let acceptor = tls.acceptor(alpn);
                Some(acceptor.map_err(|error| unusable(format!("{error:#}")))?)
            }
            None => None,
        };
        let credentials = match &config.auth {
            Some(auth) => {
                let load = Credentials::load(auth);
                Some(load.map_err(|reason| unusable(format!("auth::{reason:#}")))?)
            }
            None => None,
        };
        let bind = || {
            let socket = bind_either(config.endpoint, bind_to)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) = bind().map_err(|source: io::Error| BindError::Bind {
            owner: owner.to_owned(),
            endpoint: config.endpoint,
            source,
        })?;
        Ok(Self {
            socket,
            address,
            tls,
            credentials: credentials.map(Arc::new),
            metrics: Metrics::new(telemetry, &address.to_string()),
        })
    }

    /// The bound address, with the port that the system chose if 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether clients must speak TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// The credentials that requests must carry, if any.
    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        self.credentials.clone()
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Serves connections until `stop`. Then it closes the socket, and open connections have
    /// `limits.grace` to end. When it returns, none is left.
    pub(super) async fn serve<S, F>(self, limits: AcceptLimits, stop: &CancellationToken, serve: S)
    where
        S: Fn(ServerStream, ConnectionWatch) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (tls, metrics) = (self.tls, self.metrics.clone());
        accept::run(
            self.socket,
            limits,
            descriptors::share(),
            &self.metrics,
            stop,
            move |socket, watch| {
                let (tls, metrics, serve, stop) =
                    (tls.clone(), metrics.clone(), serve.clone(), stop.clone());
                async move {
                    let stream = match tls {
                        None => ServerStream::Plain(socket),
                        Some(tls) => {
                            let shake = async { tls.current().await.accept(socket).await };
                            let shaken = tokio::select! {
                                shaken = timeout(HANDSHAKE, shake) => shaken,
                                () = stop.cancelled() => return,
                            };
                            let Ok(Ok(stream)) = shaken else {
                                metrics.rejected(ConnectionRejection::Handshake);
                                return;
                            };
                            watch.shaken();
                            ServerStream::Tls(Box::new(stream))
                        }
                    };
                    serve(stream, watch).await;
                }
            },
        )
        .await;
    }
}

impl Listening {
    /// Like `serve`, for a protocol whose clients begin by sending `bytes` bytes. A client that
    /// doesn't within 10 s is disconnected.
    pub async fn serve_opened<S, F>(
        self,
        bytes: usize,
        limits: AcceptLimits,
        stop: &CancellationToken,
        serve: S,
    ) where
        S: Fn(TimedOpening<ServerStream>) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let metrics = self.metrics.clone();
        let open = move |stream, _| {
            serve(TimedOpening::new(
                stream,
                Opening::new(bytes, metrics.clone()),
            ))
        };
        self.serve(limits, stop, open).await;
    }

    /// Serves HTTP/1 until `stop`, with the limits listed in [`super`]. `answer` has to bound the
    /// bodies that it reads.
    pub async fn serve_http1<A, F>(self, limits: AcceptLimits, stop: &CancellationToken, answer: A)
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let (metrics, stopping) = (self.metrics.clone(), stop.clone());
        let serve = move |stream, watch| {
            let (answer, metrics, stop) = (answer.clone(), metrics.clone(), stopping.clone());
            async move { connection::drive(stream, watch, answer, &metrics, stop).await }
        };
        self.serve(limits, stop, serve).await;
    }
}

/// Binds an address. `[::]` on a machine without IPv6 becomes `0.0.0.0`.
fn bind_either<T>(
    endpoint: SocketAddr,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    match bind(endpoint) {
        Err(error) if endpoint.ip() == Ipv6Addr::UNSPECIFIED && is_about_the_family(&error) => {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, endpoint.port())))
        }
        bound => bound,
    }
}

/// How many connections may wait to be accepted. The kernel has its own limit, usually 4,096.
const BACKLOG: i32 = 1024;

/// Binds one address; `[::]` accepts IPv4 clients too.
fn bind_to(endpoint: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(endpoint), Type::STREAM, None)?;
    // Allows a port whose old connections are in TIME_WAIT. On Windows the option would take the
    // port from a program that listens there.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    if endpoint.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&endpoint.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn is_about_the_family(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let families = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL];
    families
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&error.raw_os_error())
}

/// An accepted connection, encrypted or not.
#[derive(Debug)]
pub enum ServerStream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS, after the handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for ServerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_ipv6_every_address_is_every_one_of_ipv4() {
        let no_ipv6 = |endpoint: SocketAddr| match endpoint.is_ipv6() {
            true => Err(io::Error::from(rustix::io::Errno::AFNOSUPPORT)),
            false => Ok(endpoint.to_string()),
        };
        let f = |endpoint: &str| bind_either(endpoint.parse().unwrap(), no_ipv6).ok();
        assert_eq!(f("[::]:4317").as_deref(), Some("0.0.0.0:4317"));
        assert_eq!(f("[::1]:4317"), None);
        assert_eq!(f("127.0.0.1:4317").as_deref(), Some("127.0.0.1:4317"));
    }
}
