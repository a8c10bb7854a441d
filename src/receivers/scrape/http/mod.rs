//! The HTTP client of pull receivers.
//!
//! ```yaml
//! auth:                          # one of
//!   bearer_token: ${env:TOKEN}
//!   bearer_token_file: /run/token        # read again for every request, and after a 401
//!   basic: {username: u, password: p}    # or password_file
//! tls:
//!   ca_file: ca.pem              # instead of the system's roots
//!   cert_file: client.pem      # and the other keys of a client
//!   key_file: client.key
//! follow_redirects: none         # none | same_origin: up to five, to the same scheme, host and port
//! max_body_size: 10MiB           # decoded, 1KiB to 1GiB
//! ```
//!
//! The bodies that a receiver has got and not read yet take at most 64 MiB together, or one that is
//! alone `max_body_size`. A request whose body finds no room beside others fails with the reason
//! `limit`, which its breaker doesn't count.
//!
//! By default each request uses a new connection. Some servers answer one request, close without
//! saying so, and hang if the next request comes at the wrong moment; a client that keeps
//! connections needs a second request to find out whether the connection or the server failed. At
//! one poll every few seconds a new connection costs little. Proxies named by the environment are
//! not used. A receiver may choose otherwise ([`HttpClientConfig`]).

mod access;
mod body;
mod classify;
mod client;
mod config;
mod document;
mod room;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use url::Url;

pub use access::Access;
pub use client::{Client, OpenAnswer};
pub use config::{
    ClientAuthConfig, ClientProxy, Credential, HttpClientConfig, Redirects, parse_endpoint,
};
pub use document::{Asked, Document};
pub use room::{BodyRoom, PageBody};

use crate::resilience::FetchError;

/// Requests a URL and returns its decompressed body.
pub trait Fetch: Send + Sync {
    /// Makes one request, which is what a guard counts. Cancel safe: dropping the future closes
    /// the connection.
    ///
    /// # Errors
    ///
    /// When no answer with status 2xx and a body within the limit arrives in time. The message has
    /// no URL, credentials or body.
    fn fetch<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<FetchedPage, FetchError>>;
}

/// What is requested. Breaker, budget and cache belong to the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// The URL, without credentials.
    pub url: Url,
    /// Headers beside those that the client sends by itself, or instead of these; `Accept` is among
    /// them, and a name may come several times. They are sent wherever redirects lead, so that
    /// they hold no secrets.
    pub headers: Arc<[(HeaderName, HeaderValue)]>,
    /// Tells the endpoint from others that this receiver asks with the same URL or with one that
    /// differs only in its query, such as those of a probe. Each has a guard of its own.
    pub instance: Option<Arc<str>>,
    /// How long the request may take, if not as long as the client's.
    pub timeout: Option<Duration>,
    /// The longest decoded body in bytes, if not the client's.
    pub max_body: Option<u64>,
}

/// The answer to a request.
#[derive(Debug)]
pub struct FetchedPage {
    /// The decompressed body.
    pub body: PageBody,
    /// `Content-Type`, if there is one and it is ASCII.
    pub content_type: Option<Box<str>>,
}

impl FetchRequest {
    /// Requests `url`, and says that these media types can be read.
    pub fn new(url: Url, accept: &'static str) -> Self {
        Self::with(url, Arc::new([(ACCEPT, HeaderValue::from_static(accept))]))
    }

    /// Requests `url` with these headers, which many requests may share.
    pub fn with(url: Url, headers: Arc<[(HeaderName, HeaderValue)]>) -> Self {
        Self {
            url,
            headers,
            instance: None,
            timeout: None,
            max_body: None,
        }
    }
}

/// The header by which Prometheus tells a target how long it waits.
pub fn scrape_timeout(timeout: Duration) -> (HeaderName, HeaderValue) {
    let name = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
    let seconds = HeaderValue::try_from(timeout.as_secs_f64().to_string());
    // Digits and a point can stand in a header.
    (
        name,
        seconds.unwrap_or_else(|_| HeaderValue::from_static("0")),
    )
}

impl From<Vec<u8>> for FetchedPage {
    fn from(body: Vec<u8>) -> Self {
        Self {
            body: body.into(),
            content_type: None,
        }
    }
}

/// The failure of an answer whose status isn't 2xx.
pub fn wrong_status(status: u16, message: impl Into<String>) -> FetchError {
    FetchError {
        message: message.into(),
        ..FetchError::http_status(status, None, None)
    }
}

/// Gives the value of `Authorization` for each request: for credentials that are neither written
/// in the configuration nor in a file, such as those of OAuth 2.
pub trait Authorize: Send + Sync {
    /// The value, or why there is none, which is then the failure of the request. Cancel safe.
    fn authorization(&self) -> BoxFuture<'_, Result<HeaderValue, FetchError>>;

    /// The server answered 401 to this value. If the next one is another, the request is sent once
    /// more with that.
    fn refused(&self, _value: &HeaderValue) {}
}
