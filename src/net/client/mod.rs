//! The HTTP/1.1 client of receivers and exporters.
//!
//! hyper speaks HTTP, and `hyper_util` keeps the connections. Connecting is ours, for three
//! reasons. The addresses of a name are raced as for gRPC. An error says which stage failed: the
//! lookup, the connection, the proxy, TLS or the answer. And what a peer sends has its bounds: an
//! answer's head is at most [`LONGEST_HEAD`] bytes long, at most [`MAX_INTERIM`] interim answers
//! (1xx) come before it, and however much comes, other tasks get their turns ([`fair`]).
//! reqwest offers none of these bounds.
//!
//! [`fair`]: super::fair

mod connect;
mod connector;
mod proxy;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{HeaderValue, PROXY_AUTHORIZATION};
use hyper::http::Extensions;
use hyper::http::uri::Scheme;
use hyper::{Request, Response};
use hyper_util::client::legacy;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use self::connector::{ConnectionUsage, Connector};
use super::fair::TURN;
use super::resolver::Resolver;

pub use self::connect::{ClientStream, ConnectError, Way, connect};
pub use self::proxy::{
    Proxy, ProxyError, UnknownProxy, UnknownVariable, is_usable as is_usable_proxy,
    proxies_of_environment,
};

/// The longest head of an answer, in bytes; also the most that one read takes.
const LONGEST_HEAD: usize = TURN;

/// The most interim answers (1xx) before an answer. HTTP allows any number; servers send one or
/// two.
const MAX_INTERIM: usize = 16;

/// How long an idle connection is kept unless the settings say otherwise.
const IDLE: Duration = Duration::from_secs(90);

/// The share of a request's `timeout` that lookup, connection and TLS may take together: 0.9.
/// Longer ones leave no time for an answer; and if they fail before the timeout, the error says
/// which of them it was.
pub fn share_for_connecting(timeout: Duration) -> Duration {
    timeout * 9 / 10
}

/// How a client connects.
#[derive(Debug, Clone)]
pub struct HttpClientSettings {
    /// Resolves the names of servers and proxies.
    pub resolver: Resolver,
    /// How long lookup, connection and TLS may take together.
    pub connect_timeout: Duration,
    /// Says which requests go through which proxy; `None` if none does.
    pub proxies: Option<Arc<Matcher>>,
    /// How many idle connections to a server are kept; `None` for no bound.
    pub max_idle: Option<usize>,
    /// How long an idle connection is kept; 0 for no bound, `None` for 90 s.
    pub idle_timeout: Option<Duration>,
}

/// A client and its connections. Clones share them.
pub struct HttpClient<B> {
    inner: legacy::Client<Connector, B>,
    proxies: Option<Arc<Matcher>>,
}

/// Why a request got no answer.
#[derive(Debug)]
pub enum HttpError {
    /// The peer sends interim answers without end.
    Interim,
    /// Anything else; the causes say what.
    Exchange(legacy::Error),
}

impl<B> HttpClient<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// A client; `tls` is needed for URLs and proxies of `https`.
    pub fn new(settings: &HttpClientSettings, tls: Option<ClientConfig>) -> Self {
        let tls = tls.map(|config| TlsConnector::from(Arc::new(config)));
        let idle = settings.idle_timeout.unwrap_or(IDLE);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout((!idle.is_zero()).then_some(idle))
            .pool_max_idle_per_host(settings.max_idle.unwrap_or(usize::MAX))
            .http1_max_buf_size(LONGEST_HEAD)
            .build(Connector::new(settings, tls));
        Self {
            inner,
            proxies: settings.proxies.clone(),
        }
    }

    /// Sends a request, and returns its answer once the head is there. The caller sets the time
    /// limit. Cancel safe: dropping the future closes the connection.
    ///
    /// # Errors
    ///
    /// When there is no connection, or no answer on it that is HTTP and within the bounds.
    pub async fn send(&self, mut request: Request<B>) -> Result<Response<Incoming>, HttpError> {
        if let Some(authorization) = self.proxy_authorization(&request) {
            request
                .headers_mut()
                .insert(PROXY_AUTHORIZATION, authorization);
        }
        let endless = Arc::new(Notify::new());
        let (interim, told) = (AtomicUsize::new(0), Arc::clone(&endless));
        hyper::ext::on_informational(&mut request, move |_| {
            if interim.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIM {
                told.notify_one();
            }
        });
        tokio::select! {
            biased;
            () = endless.notified() => Err(HttpError::Interim),
            answered = self.inner.request(request) => {
                let response = answered.map_err(HttpError::Exchange)?;
                if let Some(usage) = response.extensions().get::<ConnectionUsage>() {
                    usage.note();
                }
                Ok(response)
            }
        }
    }

    /// What a proxy that gets the request itself must be told. A tunnel is asked for with it by
    /// the connector.
    fn proxy_authorization(&self, request: &Request<B>) -> Option<HeaderValue> {
        let is_plain = request.uri().scheme() == Some(&Scheme::HTTP);
        let matcher = self.proxies.as_ref().filter(|_| is_plain)?;
        matcher.intercept(request.uri())?.basic_auth().cloned()
    }
}

impl<B> Clone for HttpClient<B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            proxies: self.proxies.clone(),
        }
    }
}

impl<B> fmt::Debug for HttpClient<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl HttpError {
    /// Whether the connection on which it happened had brought an answer before. Then the server
    /// may have ended it without having seen the request.
    pub fn is_of_used_connection(&self) -> bool {
        let Self::Exchange(error) = self else {
            return false;
        };
        let mut extras = Extensions::new();
        if let Some(connection) = error.connect_info() {
            connection.get_extras(&mut extras);
        }
        let usage = extras.get::<ConnectionUsage>();
        usage.is_some_and(ConnectionUsage::is_used)
    }

    /// The error of connecting, if that is what failed.
    pub fn connecting(&self) -> Option<&ConnectError> {
        self.source()?.downcast_ref()
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interim => write!(
                f,
                "more than {MAX_INTERIM} interim answers (1xx), and no final one"
            ),
            Self::Exchange(_) => f.write_str("no answer"),
        }
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Interim => None,
            // The library's own message is only the kind of the error.
            Self::Exchange(error) => error.source().or(Some(error)),
        }
    }
}

#[cfg(test)]
mod tests;
