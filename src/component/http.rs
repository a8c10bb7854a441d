//! What components serve by HTTP: they register routes, and the server binds and answers.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::{Method, http};

use crate::settings::ListenerConfig;

/// A response body, whole or streamed. One that fails before its end closes the connection, so that
/// the client knows that a part is missing.
pub type Body = BoxBody<Bytes, io::Error>;

/// A response with such a body.
pub type Response = http::Response<Body>;

/// Answers the requests of one route.
pub trait Handler: Send + Sync {
    /// What it answers; anything else gets a 405.
    fn methods(&self) -> &'static [Method] {
        &[Method::GET, Method::HEAD]
    }

    /// The most bytes of a request's body. A longer one gets a 413, one that takes too long to
    /// arrive a 408. By default a body isn't read, and `handle` sees an empty one.
    fn max_body(&self) -> Option<usize> {
        None
    }

    /// Answers a request of these methods, whose body has arrived whole. The server strips the
    /// body of the answer to HEAD.
    ///
    /// The future is dropped when the client goes away, and so is the body of the answer: work
    /// that takes long ends then.
    fn handle(&self, request: http::Request<Bytes>) -> BoxFuture<'static, Response>;
}

/// Where a route is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// On the agent's own HTTP server (`service.http`).
    Agent,
    /// On a listener of its own, shared by routes that name the same address.
    At(ListenerConfig),
}

impl Listener {
    /// The settings of the listener. `agent` has those of the agent's own, if that is on.
    pub fn settings<'a>(&'a self, agent: Option<&'a ListenerConfig>) -> Option<&'a ListenerConfig> {
        match self {
            Self::Agent => agent,
            Self::At(settings) => Some(settings),
        }
    }
}

/// One path on one listener.
#[derive(Clone)]
pub struct Route {
    /// Where.
    pub listener: Listener,
    /// The path, such as `/metrics`. A segment in braces, as in `/breakers/{id}/reset`,
    /// stands for any that isn't empty.
    pub path: String,
    /// The configuration path of the key that asked for it, for errors that name both of
    /// two users of one path, such as `exporters::prometheus::endpoint`.
    pub owner: String,
    /// What answers.
    pub handler: Arc<dyn Handler>,
}

/// The routes that components have registered. A handle: clones share the list.
#[derive(Clone, Default)]
pub struct Routes {
    routes: Arc<Mutex<Vec<Route>>>,
}

impl Routes {
    /// No routes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a route; two users of one path are found when the server starts.
    pub fn register(&self, route: Route) {
        self.routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(route);
    }

    /// Every route so far.
    pub fn all(&self) -> Vec<Route> {
        self.routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A body that is there already.
pub fn full_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A handler made of an async function.
pub fn handler<F, A>(answer: F) -> Arc<dyn Handler>
where
    F: Fn(http::Request<Bytes>) -> A + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    Arc::new(Answer(answer))
}

struct Answer<F>(F);

impl<F, A> Handler for Answer<F>
where
    F: Fn(http::Request<Bytes>) -> A + Send + Sync,
    A: Future<Output = Response> + Send + 'static,
{
    fn handle(&self, request: http::Request<Bytes>) -> BoxFuture<'static, Response> {
        Box::pin((self.0)(request))
    }
}
