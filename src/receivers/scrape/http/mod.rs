//! How pull receivers ask over HTTP.
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
//! Connections are not kept: there are servers that answer one request, close without
//! saying so, and hang when they are asked at the wrong moment, and to tell a connection
//! that went stale from a request that killed its server takes a second request. A poll
//! every few seconds doesn't miss them. Proxies of the environment are not used.

mod classify;
mod config;
mod document;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONNECTION, DATE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url, redirect};

pub use config::{ClientAuthConfig, Credential, HttpClientConfig, Redirects, parse_endpoint};
pub use document::{Access, Document, Told};

use super::FailureReason;
use crate::net::{Names, Renewable, Resolver, share_for_connecting};
use crate::resilience::retry_after;
use crate::yaml::{ByteSize, GoDuration};

/// Asks for one document and gives back its decoded body.
pub trait Fetch: Send + Sync {
    /// Makes one wire attempt, which is what a guard counts. Cancel safe: dropping the future closes the connection.
    fn fetch<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<Vec<u8>, AttemptError>>;
}

/// What is asked for. The URL is also what a breaker, a budget and a cache go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Where; without credentials.
    pub url: Url,
    /// The media types that can be read, as in `Accept`.
    pub accept: &'static str,
}

/// Why an attempt gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AttemptError {
    /// The kind of failure.
    pub reason: FailureReason,
    /// The status of an answer that wasn't 2xx.
    pub status: Option<u16>,
    /// How long to wait, as the endpoint advises.
    pub retry_after: Option<Duration>,
    /// Whether it is a fault of this machine, which says nothing about the endpoint.
    pub local: bool,
    /// What happened, in words, without URL, credentials and body.
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

    /// An answer with another status than 2xx.
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
    /// A client as configured, for these URLs: without one that is `https`, no trusted
    /// roots are loaded, which take a megabyte or more. `timeout` is of one request, from
    /// looking up the name to the end of the body.
    ///
    /// # Errors
    ///
    /// When a file that the configuration names can't be read or isn't what it should be.
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
                // Shared by the addresses of a host, so that one that swallows leaves time
                // for the next.
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
            // An empty list of roots, so that none are loaded.
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
        let mut response = builder.send().await.map_err(|e| classify::error(&e))?;
        // Before the body is read: it may be endless.
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
        // Chunks come decoded and a few KiB at a time, so that a bomb is stopped in time.
        while let Some(chunk) = response.chunk().await.map_err(|e| classify::error(&e))? {
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

/// Follows up to five redirects that stay with the server that was asked.
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

/// How long the endpoint wants to be left alone.
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
