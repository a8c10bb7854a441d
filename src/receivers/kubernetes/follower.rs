//! Lists a collection, and then watches it.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::RngExt as _;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;
use url::Url;

use super::collection::{Collection, CollectionChange};
use super::event::WatchEvent;
use super::listing::{Listed, Pages};
use super::object::KubernetesObject;
use super::page::ListPage;
use super::transport::ApiTransport;
use super::watch::{OpenWatch, WatchStep};
use crate::lane::Lane;
use crate::receivers::scrape::http::{FetchRequest, FetchedPage, wrong_status};
use crate::receivers::scrape::{FailureReason, PartFailure};
use crate::resilience::{Attempt, Completion, Endpoint, FetchError, Outcome, Rejection};

/// The largest page that is read on the worker, in bytes: that takes up to a millisecond.
const LARGE: usize = 64 * 1024;

/// How many objects a page is asked to have. A server may give fewer.
const PAGE: &str = "100";

/// The status by which a server says that it doesn't know a version any more.
const GONE: u16 = 410;

/// The waits after failures in a row: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What bounds the following of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowLimits {
    /// The most objects. What is beyond isn't kept.
    pub objects: usize,
    /// The longest event, in bytes.
    pub event: usize,
    /// How long a whole list may take.
    pub list: Duration,
}

/// Why a list or a watch failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The request failed.
    #[error(transparent)]
    Failed(#[from] FetchError),
    /// The breaker admitted no request.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

/// Follows a collection: lists it, and then watches it from the list's version on.
///
/// A watch that ends is resumed. When the server no longer knows the version (410), or the watch says
/// what can't be read, everything is listed anew. Failures are followed by waits of 0.5 s to 30 s,
/// or as long as the server says.
pub struct Follower<T> {
    transport: Arc<dyn ApiTransport>,
    url: Url,
    collection: Collection,
    limits: FollowLimits,
    /// Its breaker admits requests, if there is one.
    endpoint: Option<Arc<Endpoint>>,
    phase: FollowPhase,
    /// Requests that have failed since one worked.
    failures: u32,
    /// Watches in a row that did no work: they ended at once, or their version was gone.
    useless: u32,
    /// Reads large pages.
    lane: Lane,
    /// No request is made before.
    not_before: Instant,
    object: PhantomData<fn() -> T>,
}

enum FollowPhase {
    /// Everything is to be listed.
    List,
    /// A watch is to be opened that goes on from this version.
    Open {
        version: String,
    },
    Watch(OpenWatch),
}

impl FollowError {
    fn is_gone(&self) -> bool {
        matches!(self, Self::Failed(error) if error.status == Some(GONE))
    }

    /// The failure as that of a part of a poll.
    #[must_use]
    pub fn of_part(&self, part: &str) -> PartFailure {
        match self {
            Self::Failed(error) => PartFailure::of_attempt(part, error),
            Self::Rejected(rejection) => {
                PartFailure::new(part, FailureReason::Breaker, rejection.to_string())
            }
        }
    }
}

impl<T: KubernetesObject> Follower<T> {
    /// Follows a collection of this server.
    pub fn new(
        transport: Arc<dyn ApiTransport>,
        server: &Url,
        collection: Collection,
        limits: FollowLimits,
        endpoint: Option<Arc<Endpoint>>,
    ) -> Self {
        Self {
            transport,
            url: collection.url(server),
            collection,
            limits,
            endpoint,
            phase: FollowPhase::List,
            failures: 0,
            useless: 0,
            lane: Lane::new(1),
            not_before: Instant::now(),
            object: PhantomData,
        }
    }

    /// The next change, however long that takes. After an error the next call waits before it tries
    /// again.
    ///
    /// Cancel safe: a list that isn't whole is asked for anew, and no event is lost.
    ///
    /// # Errors
    ///
    /// When a list or the opening of a watch fails, or a watch says what can't be read.
    pub async fn next(&mut self) -> Result<CollectionChange<T>, FollowError> {
        loop {
            match &mut self.phase {
                FollowPhase::List => {
                    sleep_until(self.not_before).await;
                    let listed = self.admitted(|this| Box::pin(this.list())).await;
                    let listed = listed.map_err(|error| self.failed(error))?;
                    let version = listed.version.clone();
                    self.phase = FollowPhase::Open { version };
                    self.failures = 0;
                    return Ok(CollectionChange::Listed(listed));
                }
                FollowPhase::Open { version } => {
                    let version = version.clone();
                    sleep_until(self.not_before).await;
                    let opened = self
                        .admitted(|this| Box::pin(this.open(version.clone())))
                        .await;
                    match opened {
                        Ok(watch) => {
                            self.failures = 0;
                            self.phase = FollowPhase::Watch(watch);
                        }
                        Err(error) if error.is_gone() => self.expired(),
                        Err(error) => return Err(self.failed(error)),
                    }
                }
                FollowPhase::Watch(watch) => match watch.next().await {
                    WatchStep::Event(event) => {
                        if let Some(change) = self.take(event)? {
                            return Ok(change);
                        }
                    }
                    WatchStep::Ended => self.ended(),
                    WatchStep::Garbled(error) => {
                        // The list will work, and the next watch say the same again.
                        let lasted = watch.lasted();
                        self.judge(lasted);
                        self.phase = FollowPhase::List;
                        return Err(self.failed(error.into()));
                    }
                },
            }
        }
    }

    fn take(&mut self, event: WatchEvent<T>) -> Result<Option<CollectionChange<T>>, FollowError> {
        let (change, version) = match event {
            WatchEvent::Applied(object, version) => {
                (Some(CollectionChange::Applied(object)), version)
            }
            WatchEvent::Deleted(object, version) => {
                (Some(CollectionChange::Deleted(object)), version)
            }
            WatchEvent::Invalid(version) => (Some(CollectionChange::Invalid), version),
            WatchEvent::Bookmark(version) => (None, version),
            WatchEvent::Failed { code: GONE, .. } => {
                self.expired();
                return Ok(None);
            }
            WatchEvent::Failed {
                code,
                reason,
                retry_after,
            } => {
                debug!(code, reason, "a watch was ended by its server");
                self.ended();
                let message = format!("the watch ended with status {code}");
                let error = FetchError {
                    retry_after,
                    ..wrong_status(code, message)
                };
                return Err(self.failed(error.into()));
            }
        };
        if let FollowPhase::Watch(watch) = &mut self.phase {
            watch.version = version;
            watch.has_told = true;
        }
        Ok(change)
    }

    /// Makes a request if the breaker allows it, and tells it the outcome.
    async fn admitted<R>(
        &mut self,
        request: impl FnOnce(&mut Self) -> BoxFuture<'_, Result<R, FetchError>>,
    ) -> Result<R, FollowError> {
        let Some(endpoint) = self.endpoint.clone() else {
            return Ok(request(self).await?);
        };
        let started = Instant::now();
        let permit = endpoint.breaker().acquire(started)?;
        let attempt = Attempt {
            number: 0,
            hedge: false,
            canary: permit.is_canary(),
            generation: permit.generation(),
            state: permit.state(),
        };
        let answer = request(self).await;
        let (outcome, advice) = match &answer {
            Ok(_) => (Outcome::Success, None),
            // Versions expire, which says nothing about the server.
            Err(error) if error.status == Some(GONE) => (Outcome::Success, None),
            Err(error) => (error.outcome, error.retry_after),
        };
        let completion = Completion::new(outcome, started.elapsed()).advised(advice);
        endpoint.conclude(permit, attempt, started, completion);
        answer.map_err(FollowError::from)
    }

    /// Asks for everything, page by page.
    async fn list(&mut self) -> Result<Listed<T>, FetchError> {
        let mut pages = Pages::new(self.limits.objects);
        let all = async {
            let mut token: Option<String> = None;
            loop {
                let request = self.request(|query| {
                    query.append_pair("limit", PAGE);
                    if let Some(token) = &token {
                        query.append_pair("continue", token);
                    }
                });
                let answer = self.transport.fetch(&request).await?;
                let page = self.read(answer).await?;
                token = pages.take(page)?;
                if token.is_none() {
                    return Ok(());
                }
            }
        };
        match timeout(self.limits.list, all).await {
            Ok(Ok(())) => pages.whole(),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(FailureReason::Timeout.error("the list isn't whole in time")),
        }
    }

    /// Reads a page; a large one on a thread that may block.
    async fn read(&self, answer: FetchedPage) -> Result<ListPage<T>, FetchError> {
        if answer.body.len() <= LARGE {
            return ListPage::read(&answer.body);
        }
        let read = move || ListPage::read(&answer.body);
        self.lane.run(read).await
    }

    async fn open(&mut self, version: String) -> Result<OpenWatch, FetchError> {
        let lifetime = OpenWatch::lifetime();
        let request = self.request(|query| {
            query
                .append_pair("watch", "true")
                .append_pair("resourceVersion", &version)
                .append_pair("allowWatchBookmarks", "true")
                .append_pair("timeoutSeconds", &lifetime.to_string());
        });
        let body = self.transport.open(&request).await?;
        Ok(OpenWatch::new(version, body, lifetime, self.limits.event))
    }

    fn request(
        &self,
        parameters: impl FnOnce(&mut form_urlencoded::Serializer<'_, url::UrlQuery<'_>>),
    ) -> FetchRequest {
        let mut url = self.url.clone();
        {
            let mut query = url.query_pairs_mut();
            for (name, selector) in [
                ("labelSelector", &self.collection.label_selector),
                ("fieldSelector", &self.collection.field_selector),
            ] {
                if let Some(selector) = selector {
                    query.append_pair(name, selector);
                }
            }
            parameters(&mut query);
        }
        FetchRequest::new(url, "application/json")
    }

    /// The watch has ended: it is resumed, at once if it did work.
    fn ended(&mut self) {
        let FollowPhase::Watch(watch) = &mut self.phase else {
            return;
        };
        let worked = watch.has_told || watch.lasted();
        let version = std::mem::take(&mut watch.version);
        self.judge(worked);
        self.phase = FollowPhase::Open { version };
        self.not_before = Instant::now() + self.wait();
    }

    /// Counts the watches in a row that did no work.
    fn judge(&mut self, worked: bool) {
        self.useless = match worked {
            true => 0,
            false => self.useless.saturating_add(1),
        };
    }

    /// The server doesn't know the version any more.
    fn expired(&mut self) {
        debug!(url = %self.url, "the version of the list has expired: it is listed anew");
        let worked = match &self.phase {
            FollowPhase::Watch(watch) => watch.has_told || watch.lasted(),
            FollowPhase::List | FollowPhase::Open { .. } => false,
        };
        self.judge(worked);
        self.phase = FollowPhase::List;
        self.not_before = Instant::now() + self.wait();
    }

    fn failed(&mut self, error: FollowError) -> FollowError {
        self.failures = self.failures.saturating_add(1);
        let advised = match &error {
            FollowError::Failed(error) => error.retry_after,
            FollowError::Rejected(rejection) => rejection.retry_in,
        };
        let wait = self.wait().max(advised.unwrap_or_default());
        self.not_before = Instant::now() + wait;
        error
    }

    /// How long to wait after what went wrong in a row: twice as long each time, and up to a quarter
    /// less by chance.
    fn wait(&self) -> Duration {
        let Some(doublings) = self.failures.max(self.useless).checked_sub(1) else {
            return Duration::ZERO;
        };
        let (first, longest) = BACKOFF;
        let wait = first.saturating_mul(1 << doublings.min(16)).min(longest);
        wait.mul_f64(rand::rng().random_range(0.75..1.0))
    }
}
