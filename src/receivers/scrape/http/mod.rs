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

mod classify;
mod config;
mod document;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONNECTION, DATE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url, redirect};

pub use config::{ClientAuthConfig, Credential, HttpClientConfig, Redirects, parse_endpoint};
pub use document::{Access, Document, DocumentAnswer};

use super::FailureReason;
use crate::net::{Names, Renewable, Resolver, share_for_connecting};
use crate::resilience::retry_after;
use crate::yaml::{ByteSize, GoDuration};

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
    inner: Renewable<reqwest::Client>,
    authorization: Option<Renewable<HeaderValue>>,
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
        let (names, redirects) = (Names::new(resolver, timeout), config.redirects);
        let builder = move || {
            reqwest::Client::builder()
                .user_agent(concat!("foghorn/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Arc::new(names.clone()))
                // Divided among the addresses of a host, so that time is left for the second
                // address if the first one doesn't answer.
                .connect_timeout(share_for_connecting(timeout))
                .no_proxy()
                .referer(false)
                .pool_max_idle_per_host(0)
                .redirect(match redirects {
                    Redirects::None => redirect::Policy::none(),
                    Redirects::SameOrigin => redirect::Policy::custom(follow_same_origin),
                })
        };
        let inner = if secure {
            let tls = &config.tls;
            tls.renewable(move |tls| Ok(builder().tls_backend_preconfigured(tls).build()?))?
        } else {
            // No `https` URL: an empty list keeps the roots from being loaded.
            let client = builder().tls_certs_only([]).build()?;
            Renewable::new(Vec::new(), None, move || Ok(client.clone()))?
        };
        let authorization = config.auth.as_ref().map(ClientAuthConfig::authorization);
        Ok(Self {
            inner,
            authorization: authorization.transpose()?,
            timeout,
            max_body: config.max_body,
        })
    }

    async fn attempt(&self, request: &FetchRequest) -> Result<Vec<u8>, AttemptError> {
        let mut builder = self
            .inner
            .current()
            .await
            .get(request.url.clone())
            .header(ACCEPT, request.accept)
            .header(CONNECTION, HeaderValue::from_static("close"));
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization.current().await);
        }
        let mut response = builder
            .send()
            .await
            .map_err(|e| classify::error(&e.without_url()))?;
        // Checked before the body is read, which may be endless.
        let status = response.status();
        if !status.is_success() {
            return Err(AttemptError {
                retry_after: advice(&response),
                ..AttemptError::status(status.as_u16(), describe_status(status, &response))
            });
        }
        if response.content_length().is_some_and(|l| l > self.max_body) {
            return Err(self.too_large());
        }
        let mut body = Vec::new();
        // Chunks are decompressed a few KiB at a time, so a decompression bomb is noticed at the
        // limit.
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|e| classify::error(&e.without_url()))?
        {
            if (body.len() + chunk.len()) as u64 > self.max_body {
                return Err(self.too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn too_large(&self) -> AttemptError {
        AttemptError::new(
            FailureReason::Limit,
            format!("the body is larger than {}", ByteSize(self.max_body)),
        )
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

/// Follows up to five redirects that keep scheme, host and port.
fn follow_same_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same = attempt
        .previous()
        .first()
        .is_some_and(|asked| asked.origin() == attempt.url().origin());
    if same && attempt.previous().len() <= 5 {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// The wait that the endpoint asks for in `Retry-After`.
fn advice(response: &Response) -> Option<Duration> {
    let header = |name| response.headers().get(name)?.to_str().ok();
    retry_after::parse(header(RETRY_AFTER)?, header(DATE), SystemTime::now())
}

fn describe_status(status: StatusCode, response: &Response) -> String {
    if status.is_redirection() {
        let elsewhere = response.headers().contains_key(reqwest::header::LOCATION);
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
