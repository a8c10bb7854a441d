//! The client itself: connections, credentials and redirects.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_TYPE, DATE, HeaderValue, LOCATION,
    RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::Url;

use super::config::{ClientAuthConfig, HttpClientConfig, Redirects};
use super::room::BodyRoom;
use super::{Authorize, Fetch, FetchRequest, FetchedPage, body, classify, wrong_status};
use crate::net::{
    ClientTls, HttpClient, HttpClientSettings, Renewable, Resolver, share_for_connecting,
};
use crate::receivers::scrape::FailureReason;
use crate::resilience::{FetchError, Outcome, retry_after};
use crate::yaml::GoDuration;

/// How often a request is sent again because the connection that was kept for it had ended.
const SENT_AGAIN: usize = 2;

/// The HTTP client of one receiver, or of a part of its targets.
pub struct Client {
    plain: HttpClient<Full<Bytes>>,
    /// Made when the first `https` URL is there: trusted roots take a megabyte or more.
    secure: OnceCell<Renewable<HttpClient<Full<Bytes>>>>,
    settings: HttpClientSettings,
    tls: ClientTls,
    authorization: Authorization,
    redirects: Redirects,
    keeps_connections: bool,
    compresses: bool,
    user_agent: HeaderValue,
    timeout: Duration,
    max_body: u64,
    room: BodyRoom,
}

enum Authorization {
    None,
    Written(Renewable<HeaderValue>),
    By(Arc<dyn Authorize>),
}

impl Client {
    /// Makes a client for these URLs. For an `https` URL among them, the files of `tls` are read
    /// at once. `timeout` is that of one request, from the name lookup to the end of the body.
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
        let settings = HttpClientSettings {
            resolver,
            connect_timeout: share_for_connecting(timeout),
            proxies: config.proxy.matcher()?,
            // One for each server: most have one target, which is asked by one request at a time.
            // Others of the same server make connections of their own when they meet.
            max_idle: Some(usize::from(config.keeps_connections)),
            idle_timeout: None,
        };
        let authorization = config.auth.as_ref().map(ClientAuthConfig::authorization);
        let client = Self {
            plain: HttpClient::new(&settings, None),
            secure: OnceCell::new(),
            settings,
            tls: config.tls.clone(),
            authorization: match authorization.transpose()? {
                Some(written) => Authorization::Written(written),
                None => Authorization::None,
            },
            redirects: config.redirects,
            keeps_connections: config.keeps_connections,
            compresses: config.compresses,
            user_agent: config.user_agent.clone(),
            timeout,
            max_body: config.max_body,
            room: BodyRoom::default(),
        };
        let is_secure = urls.into_iter().any(|url| url.scheme() == "https");
        if is_secure || config.proxy.is_secure() {
            let secure = secure_client(&client.tls, &client.settings)?;
            return Ok(Self {
                secure: OnceCell::new_with(Some(secure)),
                ..client
            });
        }
        Ok(client)
    }

    /// Reads the files of `tls` now, for a client whose servers aren't known yet.
    ///
    /// # Errors
    ///
    /// When one can't be read or used.
    pub fn prepared_for_tls(self) -> anyhow::Result<Self> {
        if self.secure.initialized() {
            return Ok(self);
        }
        let secure = secure_client(&self.tls, &self.settings)?;
        Ok(Self {
            secure: OnceCell::new_with(Some(secure)),
            ..self
        })
    }

    /// The same client, whose credentials come from `source`.
    pub fn authorized_by(self, source: Arc<dyn Authorize>) -> Self {
        Self {
            authorization: Authorization::By(source),
            ..self
        }
    }

    /// The same client, whose answers share their room with those of others.
    pub fn within(self, room: &BodyRoom) -> Self {
        Self {
            room: room.clone(),
            ..self
        }
    }

    /// Makes a request whose answer has no end, such as a watch. The time limit is that of the
    /// answer's head. Cancel safe.
    ///
    /// # Errors
    ///
    /// When no answer with status 2xx arrives in time.
    pub async fn open(&self, request: &FetchRequest) -> Result<OpenAnswer, FetchError> {
        let response = self.in_time(request, self.send(request, false)).await?;
        Ok(OpenAnswer(response.into_body()))
    }

    /// Sends `body` with POST, such as a form for a token; the request's headers say what it is.
    /// Redirects aren't followed. Cancel safe, though the server may then have got it.
    ///
    /// # Errors
    ///
    /// As [`Fetch::fetch`].
    pub async fn post(
        &self,
        request: &FetchRequest,
        body: Bytes,
    ) -> Result<FetchedPage, FetchError> {
        let answer = async {
            let authorization = self.authorization().await?;
            let authorization = authorization.as_ref();
            let mut next = self.request(&request.url, request, authorization, self.compresses)?;
            *next.method_mut() = Method::POST;
            *next.body_mut() = Full::new(body);
            let response = self.client(&request.url).await?.send(next).await;
            let response = response.map_err(|error| classify::unanswered(&error))?;
            self.page(request, successful(response)?).await
        };
        self.in_time(request, answer).await
    }

    async fn get(&self, request: &FetchRequest) -> Result<FetchedPage, FetchError> {
        let response = self.send(request, self.compresses).await?;
        self.page(request, response).await
    }

    async fn page(
        &self,
        request: &FetchRequest,
        response: Response<Incoming>,
    ) -> Result<FetchedPage, FetchError> {
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type = content_type.map(Box::from);
        let max_body = request.max_body.unwrap_or(self.max_body);
        let body = body::read(response, max_body, &self.room).await?;
        Ok(FetchedPage { body, content_type })
    }

    async fn in_time<T>(
        &self,
        request: &FetchRequest,
        answer: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let limit = request.timeout.unwrap_or(self.timeout);
        let late = |_| {
            let message = format!("no answer within {}", GoDuration(limit));
            FailureReason::Timeout.error(message)
        };
        timeout(limit, answer).await.map_err(late)?
    }

    /// Sends the request and those that redirects lead to, until there is an answer with the
    /// status 2xx.
    async fn send(
        &self,
        request: &FetchRequest,
        compressed: bool,
    ) -> Result<Response<Incoming>, FetchError> {
        let mut url = request.url.clone();
        let mut authorization = self.authorization().await?;
        let (mut followed, mut is_renewed) = (0, false);
        // Once it has led away, a redirect gets no credentials any more, not even back where it
        // came from: it is another's choice what is asked for there.
        let mut is_away = false;
        let response = loop {
            let sent = authorization.as_ref();
            let response = self.exchange(&url, request, sent, compressed).await?;
            if response.status() == StatusCode::UNAUTHORIZED
                && let Some(refused) = sent.filter(|_| !is_renewed)
            {
                is_renewed = true;
                if let Authorization::By(source) = &self.authorization {
                    source.refused(refused);
                }
                // A file may have been written meanwhile.
                let newer = self.authorization().await?;
                if newer.as_ref() != Some(refused) {
                    authorization = newer;
                    continue;
                }
            }
            let next = match self.redirect(&url, &response) {
                Some(next) if followed < self.redirects.most() => next,
                _ => break response,
            };
            is_away |= !may_know(&url, &next);
            authorization = match is_away {
                true => None,
                false => self.authorization().await?,
            };
            url = next;
            followed += 1;
        };
        successful(response)
    }

    /// Makes one exchange. If a connection that was kept turns out to have ended, the request is
    /// sent on another one: the server has most likely ended it before it saw the request, and may
    /// be asked twice, since all of these are GET.
    async fn exchange(
        &self,
        url: &Url,
        request: &FetchRequest,
        authorization: Option<&HeaderValue>,
        compressed: bool,
    ) -> Result<Response<Incoming>, FetchError> {
        let client = self.client(url).await?;
        let mut sent_again = 0;
        loop {
            let next = self.request(url, request, authorization, compressed)?;
            let error = match client.send(next).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let failure = classify::unanswered(&error);
            let is_stale = error.is_of_used_connection()
                && FailureReason::of(&failure) == FailureReason::Reset;
            if !is_stale || sent_again == SENT_AGAIN {
                return Err(failure);
            }
            sent_again += 1;
        }
    }

    async fn client(&self, url: &Url) -> Result<HttpClient<Full<Bytes>>, FetchError> {
        if url.scheme() != "https" && !self.secure.initialized() {
            return Ok(self.plain.clone());
        }
        let made = self.secure.get_or_try_init(async || {
            let (tls, settings) = (self.tls.clone(), self.settings.clone());
            let made = spawn_blocking(move || secure_client(&tls, &settings)).await;
            let unusable = |error: anyhow::Error| {
                FetchError::new(Outcome::Local, format!("TLS can't be used: {error:#}"))
            };
            made.map_err(|error| unusable(error.into()))?
                .map_err(unusable)
        });
        Ok(made.await?.current().await)
    }

    /// What a request is sent with.
    async fn authorization(&self) -> Result<Option<HeaderValue>, FetchError> {
        Ok(match &self.authorization {
            Authorization::None => None,
            Authorization::Written(value) => Some(value.current().await),
            Authorization::By(source) => Some(source.authorization().await?),
        })
    }

    fn request(
        &self,
        url: &Url,
        request: &FetchRequest,
        authorization: Option<&HeaderValue>,
        compressed: bool,
    ) -> Result<Request<Full<Bytes>>, FetchError> {
        let uri = url.as_str().parse::<Uri>();
        let uri =
            uri.map_err(|error| FetchError::new(Outcome::Local, format!("the URL: {error}")))?;
        let mut next = Request::new(Full::default());
        *next.uri_mut() = uri;
        let headers = next.headers_mut();
        // A name may come several times.
        for (name, value) in &*request.headers {
            headers.append(name, value.clone());
        }
        let encoding = if compressed { "gzip" } else { "identity" };
        let encoding = HeaderValue::from_static(encoding);
        headers.entry(ACCEPT_ENCODING).or_insert(encoding);
        let user_agent = self.user_agent.clone();
        headers.entry(USER_AGENT).or_insert(user_agent);
        if !self.keeps_connections {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(next)
    }

    /// Where a redirect leads to, if it is followed.
    fn redirect(&self, url: &Url, response: &Response<Incoming>) -> Option<Url> {
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = response.headers().get(LOCATION)?.to_str().ok()?;
        let next = url.join(location).ok()?;
        let is_allowed = match self.redirects {
            Redirects::None => false,
            Redirects::SameOrigin => next.origin() == url.origin(),
            Redirects::Any => matches!(next.scheme(), "http" | "https"),
        };
        is_allowed.then_some(next)
    }
}

impl Fetch for Client {
    fn fetch<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<FetchedPage, FetchError>> {
        Box::pin(self.in_time(request, self.get(request)))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// An answer whose body comes piece by piece.
#[derive(Debug)]
pub struct OpenAnswer(Incoming);

impl OpenAnswer {
    /// The next piece; `None` at the end of the body. The caller bounds the time and what it
    /// keeps. Cancel safe.
    ///
    /// # Errors
    ///
    /// When the connection ends before the body does.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        while let Some(frame) = self.0.frame().await {
            let frame = frame.map_err(|error| classify::broken(&error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// Whether who answered at `from` may have what it was asked with sent to `to` as well.
/// Credentials are for whom they were configured, and not for where that one sends us. A host that
/// got them unencrypted may have them encrypted.
fn may_know(from: &Url, to: &Url) -> bool {
    let is_upgrade = from.scheme() == "http" && to.scheme() == "https" && from.host() == to.host();
    is_upgrade || from.origin() == to.origin()
}

fn secure_client(
    tls: &ClientTls,
    settings: &HttpClientSettings,
) -> anyhow::Result<Renewable<HttpClient<Full<Bytes>>>> {
    let settings = settings.clone();
    tls.renewable(move |tls| Ok(HttpClient::new(&settings, Some(tls))))
}

/// The answer, if its status is 2xx. Checked before the body is read, which may be endless.
fn successful(response: Response<Incoming>) -> Result<Response<Incoming>, FetchError> {
    let status = response.status();
    if !status.is_success() {
        return Err(FetchError {
            retry_after: advice(&response),
            ..wrong_status(status.as_u16(), describe_status(status, &response))
        });
    }
    Ok(response)
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
