//! Serves one HTTP/1 connection, with limits on the head of a request and on each wait.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, copy, sink};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::auth::Credentials;
use super::body;
use super::deadlines::{Busy, ConnectionWatch, Watched};
use super::metrics::{ConnectionRejection, Metrics};
use super::texts::plain;
use crate::component::{Body, Handler, Response};

/// The longest head of a request in bytes, including the request line.
const HEAD_SIZE: usize = 16 << 10;

/// The most headers of a request.
const HEADERS: usize = 100;

/// How many bytes of an answer are buffered before waiting for the client.
const BUFFER_SIZE: usize = 64 << 10;

/// How long the client may take to close after the last answer.
const CLOSE: Duration = Duration::from_secs(5);

/// How many bytes that it sends meanwhile are discarded.
const MOST_DISCARDED: u64 = 64 << 20;

/// The methods allowed on a path without a route.
const READ: [Method; 2] = [Method::GET, Method::HEAD];

/// What one listener serves.
pub(super) struct Site {
    routes: BTreeMap<Arc<str>, Arc<dyn Handler>>,
    credentials: Option<Arc<Credentials>>,
    metrics: Metrics,
    /// The value of the label `path` for paths without a route.
    other: Arc<str>,
}

impl Site {
    pub(super) fn new(
        routes: BTreeMap<Arc<str>, Arc<dyn Handler>>,
        credentials: Option<Arc<Credentials>>,
        metrics: Metrics,
    ) -> Self {
        Self {
            routes,
            credentials,
            metrics,
            other: "other".into(),
        }
    }

    /// Serves the requests of one connection; see [`drive`].
    pub(super) async fn serve<S>(
        self: Arc<Self>,
        socket: S,
        watch: ConnectionWatch,
        stop: CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let metrics = self.metrics.clone();
        let seen = watch.clone();
        let answer = |request| {
            let (site, watch) = (Arc::clone(&self), seen.clone());
            async move { site.answer(request, &watch).await }
        };
        drive(socket, watch, answer, &metrics, stop).await;
    }

    async fn answer(&self, request: Request<Incoming>, watch: &ConnectionWatch) -> Response {
        // If a body isn't read and more of it arrives than hyper can skip at once, hyper closes
        // the connection after the answer.
        let (head, body) = request.into_parts();
        let route = self.route(head.uri.path());
        let label = route.map_or(&self.other, |(path, _)| path);
        let admitted = self.admits(&head).await;
        let response = match route {
            _ if !admitted => self.unauthorized(),
            Some((_, handler)) if !handler.methods().contains(&head.method) => {
                method_not_allowed(handler.methods())
            }
            Some((_, handler)) => match handler.max_body() {
                None => {
                    handler
                        .handle(Request::from_parts(head, Bytes::new()))
                        .await
                }
                Some(max) => match body::read(body, max, watch).await {
                    Ok(body) => handler.handle(Request::from_parts(head, body)).await,
                    Err(unread) => unread.response(),
                },
            },
            None if !READ.contains(&head.method) => method_not_allowed(&READ),
            None if head.uri.path() == "/" => plain(StatusCode::OK, self.index()),
            None => plain(StatusCode::NOT_FOUND, self.not_found()),
        };
        self.metrics.answered(label, response.status().as_u16());
        response
    }

    /// The route with exactly this path, or else the first whose pattern matches.
    fn route(&self, path: &str) -> Option<(&Arc<str>, &Arc<dyn Handler>)> {
        let pattern = || self.routes.iter().find(|(route, _)| matches(route, path));
        self.routes.get_key_value(path).or_else(pattern)
    }

    async fn admits(&self, head: &hyper::http::request::Parts) -> bool {
        match &self.credentials {
            None => true,
            Some(credentials) => credentials.admit(&head.headers).await,
        }
    }

    fn unauthorized(&self) -> Response {
        let mut response = plain(
            StatusCode::UNAUTHORIZED,
            "credentials are missing or wrong\n",
        );
        if let Some(credentials) = &self.credentials {
            let challenge = HeaderValue::from_static(credentials.challenge());
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn index(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        format!("foghorn {version} serves here\n{}", self.listing())
    }

    fn not_found(&self) -> String {
        format!("not found; served here is\n{}", self.listing())
    }

    fn listing(&self) -> String {
        self.routes
            .keys()
            .map(|path| format!("  {path}\n"))
            .collect()
    }
}

/// Serves requests until the client closes, a wait takes too long, or `stop` is cancelled. An
/// answer that has begun by then is sent to its end. After the last answer it lets the client
/// [take it](until_closed).
pub(super) async fn drive<S, A, F>(
    socket: S,
    watch: ConnectionWatch,
    answer: A,
    metrics: &Metrics,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let busy = watch.busy();
        let answer = answer(request);
        async move {
            let watched = answer.await.map(|body| Watching { body, _busy: busy });
            Ok::<_, Infallible>(watched)
        }
    });
    let mut socket = Watched::new(socket, watch.clone());
    let mut connection = pin!(
        http1::Builder::new()
            // [`ConnectionWatch`] replaces it.
            .header_read_timeout(None)
            .max_header_size(HEAD_SIZE)
            .max_headers(HEADERS)
            .max_buf_size(BUFFER_SIZE)
            .serve_connection(TokioIo::new(&mut socket), service)
    );
    let mut expired = pin!(watch.expired());
    let mut stopping = false;
    loop {
        tokio::select! {
            // In this order, since the watch sets its timer by what the connection has just done.
            biased;
            ended = connection.as_mut() => {
                if ended.is_err_and(|error| error.is_parse() || error.is_incomplete_message()) {
                    metrics.rejected(ConnectionRejection::Malformed);
                }
                break;
            }
            reason = expired.as_mut() => {
                if let Some(reason) = reason {
                    metrics.rejected(reason);
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                if !watch.is_busy() {
                    return;
                }
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
    tokio::select! {
        () = until_closed(&mut socket) => {}
        () = stop.cancelled() => {}
    }
}

/// Discards what the client still sends until it closes, for at most [`CLOSE`] and
/// [`MOST_DISCARDED`] bytes.
///
/// A socket that is closed while bytes of the client are unread resets the connection, and then
/// the client loses the answer that it hasn't read yet. One that sends a whole body before it
/// reads would never learn that the body is too long, and send it again and again.
async fn until_closed<S: AsyncRead + Unpin>(socket: S) {
    let discard = async { copy(&mut socket.take(MOST_DISCARDED), &mut sink()).await };
    // Whether it closed, failed or was too slow, there is nothing left to do for it.
    let _ = timeout(CLOSE, discard).await;
}

/// Whether a path has the segments of a route; a segment in braces matches any text.
fn matches(route: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    route.split('/').all(|expected| {
        let any = expected.starts_with('{');
        let found = segments.next();
        found.is_some_and(|found| found == expected || (any && !found.is_empty()))
    }) && segments.next().is_none()
}

fn method_not_allowed(methods: &[Method]) -> Response {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let text = format!("use {}\n", names.join(" or "));
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
    if let Ok(allowed) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// A body that marks its connection as busy until it has been read.
struct Watching {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Watching {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
