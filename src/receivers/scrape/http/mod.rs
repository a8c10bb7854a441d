//! The HTTP client of pull receivers.
//!
//! ```yaml
//! auth:                          # one of
//!   bearer_token: ${env:TOKEN}
//!   bearer_token_file: /run/token        # read again for every request
//!   basic: {username: u, password: p}    # or password_file
//! tls:
//!   ca_file: ca.pem              # instead of the system's roots
//!   cert_file: client.pem      # and the other keys of a client
//!   key_file: client.key
//! follow_redirects: none         # none | same_origin
//! max_body_size: 10MiB           # decoded, 1KiB to 1GiB
//! ```
//!
//! Each request uses a new connection. Some servers answer one request, close without saying so,
//! and hang if the next request comes at the wrong moment; a client that keeps connections needs
//! a second request to find out whether the connection or the server failed. At one poll every
//! few seconds a new connection costs little. Proxies named by the environment are not used.

mod body;
mod classify;
mod config;
mod document;

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, DATE, HeaderValue, LOCATION, RETRY_AFTER,
    USER_AGENT,
};
use hyper::{Request, Response, StatusCode, Uri};
use url::Url;

pub use config::{ClientAuthConfig, Credential, HttpClientConfig, Redirects, parse_endpoint};
pub use document::{Access, Document, DocumentAnswer};

use super::FailureReason;
use crate::net::{HttpClient, HttpClientSettings, Renewable, Resolver, share_for_connecting};
use crate::resilience::retry_after;
use crate::yaml::GoDuration;

/// The most redirects that one request follows.
const MAX_REDIRECTS: usize = 5;

/// Requests a URL and returns its decompressed body.
pub trait Fetch: Send + Sync {
    /// Makes one request, which is what a guard counts. Cancel safe: dropping the future closes
    /// the connection.
    ///
    /// # Errors
    ///
    /// When no answer with status 2xx and a body within the limit arrives in time.
    fn fetch<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<Vec<u8>, AttemptError>>;
}

/// What is requested. Breaker, budget and cache belong to the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// The URL, without credentials.
    pub url: Url,
    /// The value of `Accept`: the media types that can be read.
    pub accept: &'static str,
}

/// Why a request gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AttemptError {
    /// The kind of failure.
    pub reason: FailureReason,
    /// The HTTP status, if it wasn't 2xx.
    pub status: Option<u16>,
    /// How long to wait before the next request, if the endpoint said so.
    pub retry_after: Option<Duration>,
    /// Whether the cause is on this machine, so that it says nothing about the endpoint.
    pub local: bool,
    /// What happened, in words; without URL, credentials and body.
    pub message: String,
}

impl AttemptError {
    /// A failure without a status.
    pub fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            status: None,
            retry_after: None,
            local: false,
            message: message.into(),
        }
    }

    /// The failure of an answer whose status isn't 2xx.
    pub fn status(status: u16, message: impl Into<String>) -> Self {
        Self {
            status: Some(status),
            ..Self::new(FailureReason::Status, message)
        }
    }
}

/// The HTTP client of one receiver.
#[derive(Debug)]
pub struct Client {
    inner: Renewable<HttpClient<Empty<Bytes>>>,
    authorization: Option<Renewable<HeaderValue>>,
    redirects: Redirects,
    timeout: Duration,
    max_body: u64,
}

impl Client {
    /// Makes a client for these URLs. Trusted roots take a megabyte or more, so they are loaded
    /// only if one of the URLs is `https`. `timeout` is that of one request, from the name lookup
    /// to the end of the body.
    ///
    /// # Errors
    ///
    /// When a file that the configuration names can't be read or is invalid.
    pub fn new<'u>(
        config: &HttpClientConfig,
        timeout: Duration,
        urls: impl IntoIterator<Item = &'u Url>,
    ) -> anyhow::Result<Self> {
        Self::resolving_by(Resolver::system(), config, timeout, urls)
    }

    fn resolving_by<'u>(
        resolver: Resolver,
        config: &HttpClientConfig,
        timeout: Duration,
        urls: impl IntoIterator<Item = &'u Url>,
    ) -> anyhow::Result<Self> {
        let secure = urls.into_iter().any(|url| url.scheme() == "https");
        let settings = HttpClientSettings {
            resolver,
            connect_timeout: share_for_connecting(timeout),
            proxies: None,
            max_idle: Some(0),
            idle_timeout: None,
        };
        let inner = if secure {
            let tls = &config.tls;
            tls.renewable(move |tls| Ok(HttpClient::new(&settings, Some(tls))))?
        } else {
            // Without an `https` URL, don't load the trusted roots.
            let client = HttpClient::new(&settings, None);
            Renewable::new(Vec::new(), None, move || Ok(client.clone()))?
        };
        let authorization = config.auth.as_ref().map(ClientAuthConfig::authorization);
        Ok(Self {
            inner,
            authorization: authorization.transpose()?,
            redirects: config.redirects,
            timeout,
            max_body: config.max_body,
        })
    }

    async fn attempt(&self, request: &FetchRequest) -> Result<Vec<u8>, AttemptError> {
        let client = self.inner.current().await;
        let mut url = request.url.clone();
        let mut followed = 0;
        let response = loop {
            let sent = client.send(self.request(&url, request.accept).await?).await;
            let response = sent.map_err(|error| classify::unanswered(&error))?;
            match self.redirect(&url, &response) {
                Some(next) if followed < MAX_REDIRECTS => url = next,
                _ => break response,
            }
            followed += 1;
        };
        // Checked before the body is read, which may be endless.
        let status = response.status();
        if !status.is_success() {
            return Err(AttemptError {
                retry_after: advice(&response),
                ..AttemptError::status(status.as_u16(), describe_status(status, &response))
            });
        }
        body::read(response, self.max_body).await
    }

    async fn request(
        &self,
        url: &Url,
        accept: &'static str,
    ) -> Result<Request<Empty<Bytes>>, AttemptError> {
        let uri = url.as_str().parse::<Uri>().map_err(|error| AttemptError {
            local: true,
            ..AttemptError::new(FailureReason::Parse, format!("the URL: {error}"))
        })?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        for (name, value) in [
            (ACCEPT, accept),
            (ACCEPT_ENCODING, "gzip"),
            (CONNECTION, "close"),
            (USER_AGENT, concat!("foghorn/", env!("CARGO_PKG_VERSION"))),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.current().await);
        }
        Ok(request)
    }

    /// Where a redirect leads to, if it is followed: only with the same scheme, host and port.
    fn redirect(&self, url: &Url, response: &Response<Incoming>) -> Option<Url> {
        let is_followed = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        if self.redirects == Redirects::None || !is_followed {
            return None;
        }
        let location = response.headers().get(LOCATION)?.to_str().ok()?;
        let next = url.join(location).ok()?;
        (next.origin() == url.origin()).then_some(next)
    }
}

impl Fetch for Client {
    fn fetch<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<Vec<u8>, AttemptError>> {
        Box::pin(async move {
            match tokio::time::timeout(self.timeout, self.attempt(request)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(AttemptError::new(
                    FailureReason::Timeout,
                    format!("no answer within {}", GoDuration(self.timeout)),
                )),
            }
        })
    }
}

/// The wait that the endpoint asks for in `Retry-After`.
fn advice(response: &Response<Incoming>) -> Option<Duration> {
    let header = |name| response.headers().get(name)?.to_str().ok();
    retry_after::parse(header(RETRY_AFTER)?, header(DATE), SystemTime::now())
}

fn describe_status(status: StatusCode, response: &Response<Incoming>) -> String {
    if status.is_redirection() {
        let elsewhere = response.headers().contains_key(LOCATION);
        let hint = if elsewhere {
            ", a redirect that isn't followed"
        } else {
            ""
        };
        return format!("answered {status}{hint}");
    }
    format!("answered {status}")
}

#[cfg(test)]
mod tests;
