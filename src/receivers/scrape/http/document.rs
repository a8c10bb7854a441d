//! One URL that a receiver requests again and again, with its guard.
//!
//! All requests of all pull receivers are attempts of a [`Document`]. Reading the answer is part
//! of the attempt, since an answer that can't be read is a failure.
//!
//! The result of a request is told in three types: `Result<T, FetchError>` is that of one attempt,
//! [`Asked`] that of asking a document in a poll, and [`Scrape`](crate::receivers::scrape::Scrape)
//! that of the poll.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use super::access::Access;
use super::{FetchRequest, FetchedPage};
use crate::receivers::scrape::{FailureReason, NextPoll, PartFailure, Poll, PollReason};
use crate::resilience::{
    self, AttemptClock, AttemptSpan, Endpoint, FetchError, Guard, Outcome, Served, Trigger,
};

/// One URL and its last answer. Its endpoint is registered at the first request, so that
/// `/breakers` and the metrics don't show URLs that were never requested.
pub struct Document<T> {
    access: Arc<Access>,
    request: Arc<FetchRequest>,
    attempt: Arc<AttemptMaker<T>>,
    bounds: AttemptBounds,
    /// `None` before the first request.
    watch: Option<RequestMode<T>>,
    /// How the last request ended; `None` before the first.
    last: Option<Result<(), PartFailure>>,
    /// The error of the last failed attempt; added to the message when the breaker rejects, which
    /// by itself doesn't say why.
    cause: Option<String>,
}

/// Makes one attempt.
type AttemptMaker<T> = dyn Fn(Arc<Access>, Arc<FetchRequest>, AttemptClock) -> BoxFuture<'static, Result<T, FetchError>>
    + Send
    + Sync;

/// What bounds an attempt.
#[derive(Debug, Clone, Copy)]
enum AttemptBounds {
    /// It is one request, which the client bounds, or the guard.
    Request,
    /// It is several requests. Without a guard, whose deadline bounds them, they may take so long.
    Requests { within: Duration },
}

/// How requests are made: with a guard or without.
enum RequestMode<T> {
    /// Through a guard.
    Guarded {
        guard: Guard<T>,
        /// Whether there are series of an answer that came before the guard was there: the guard
        /// doesn't know that answer, so that they end at the first failure.
        inherits: bool,
    },
    /// Without a guard: only the client's timeout applies, and a failure ends the series at once.
    /// For ever if the receiver has no guards, and else until there is one for this document.
    Bare {
        /// Whether there are series of an answer, which haven't ended.
        shows: bool,
        failed: bool,
    },
}

/// The result of asking for a document in a poll.
#[derive(Debug)]
pub enum Asked<T> {
    /// A new answer, to be sent on.
    New(T),
    /// The last answer is still fresh enough. Nothing is to be sent: its points have been.
    Same,
    /// No answer: [`Document::failure`] says why.
    Failed,
    /// It wasn't the document's turn.
    NotDue,
}

impl Access {
    /// A document whose answers `read` reads.
    pub fn document<T: Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        request: FetchRequest,
        read: impl Fn(FetchedPage) -> Result<T, FetchError> + Send + Sync + 'static,
    ) -> Document<T> {
        let read = Arc::new(read);
        let attempt = move |access: Arc<Self>, request: Arc<FetchRequest>, clock: AttemptClock| {
            let read = Arc::clone(&read);
            let answer = async move {
                let page = access.fetch.fetch(&request).await?;
                clock.note_received();
                access.read(page, move |page| read(page)).await
            };
            answer.boxed()
        };
        self.attempted(request, AttemptBounds::Request, attempt)
    }

    /// A document that takes several requests, such as a list of several pages: `attempt` makes
    /// all of them, by [`Access::get`], and together they are one attempt for the guard. `request`
    /// names the document.
    ///
    /// Each request has its own timeout. All of them together have until the deadline of the poll,
    /// or without a guard for as long as `within`. The attempt is told when it should be over, and
    /// makes do with what it has by then; a moment later it is cut.
    pub fn composed<T: Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        request: FetchRequest,
        within: Duration,
        attempt: impl Fn(
            Arc<Self>,
            Arc<FetchRequest>,
            Instant,
        ) -> BoxFuture<'static, Result<T, FetchError>>
        + Send
        + Sync
        + 'static,
    ) -> Document<T> {
        let attempt =
            move |access, request, clock: AttemptClock| attempt(access, request, clock.until());
        self.attempted(request, AttemptBounds::Requests { within }, attempt)
    }

    fn attempted<T: Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        request: FetchRequest,
        bounds: AttemptBounds,
        attempt: impl Fn(
            Arc<Self>,
            Arc<FetchRequest>,
            AttemptClock,
        ) -> BoxFuture<'static, Result<T, FetchError>>
        + Send
        + Sync
        + 'static,
    ) -> Document<T> {
        Document::new(Arc::clone(self), request, Arc::new(attempt), bounds)
    }
}

impl<T: Clone + Send + Sync + 'static> Document<T> {
    fn new(
        access: Arc<Access>,
        request: FetchRequest,
        attempt: Arc<AttemptMaker<T>>,
        bounds: AttemptBounds,
    ) -> Self {
        Self {
            access,
            request: Arc::new(request),
            attempt,
            bounds,
            watch: None,
            last: None,
            cause: None,
        }
    }

    /// Requests the document if that is due, and if its guard allows it.
    ///
    /// It is due at every tick, and in any poll once its breaker admits an attempt beyond those:
    /// then it is asked whatever its cache holds.
    ///
    /// Cancel safe, as [`Guard::poll`] is. Once the guards have been told to stop, it never
    /// returns.
    pub async fn ask(&mut self, poll: &Poll) -> Asked<T> {
        let Some(trigger) = self.due(poll) else {
            return Asked::NotDue;
        };
        let (asked, ended) = self.request(trigger).await;
        self.last = Some(ended);
        asked
    }

    fn due(&self, poll: &Poll) -> Option<Trigger> {
        let attempt = match &self.watch {
            Some(RequestMode::Guarded { guard, .. }) => guard.attempt_at(),
            Some(RequestMode::Bare { .. }) | None => None,
        };
        if attempt.is_some_and(|at| at <= poll.now.monotonic) {
            return Some(Trigger::Wake);
        }
        (poll.reason == PollReason::Interval).then_some(Trigger::Tick)
    }

    async fn request(&mut self, trigger: Trigger) -> (Asked<T>, Result<(), PartFailure>) {
        let mode = match self.watch.take() {
            None => match self.access.guard(&self.request) {
                Some(guard) => RequestMode::Guarded {
                    guard,
                    inherits: false,
                },
                None => RequestMode::Bare {
                    shows: false,
                    failed: false,
                },
            },
            Some(RequestMode::Bare { shows, failed }) => {
                match self.access.late_guard(&self.request) {
                    Some(guard) => RequestMode::Guarded {
                        guard,
                        inherits: shows,
                    },
                    None => RequestMode::Bare { shows, failed },
                }
            }
            Some(guarded) => guarded,
        };
        let attempt = {
            let (access, request) = (Arc::clone(&self.access), Arc::clone(&self.request));
            let attempt = Arc::clone(&self.attempt);
            move |clock| attempt(Arc::clone(&access), Arc::clone(&request), clock)
        };
        let (guard, inherits) = match self.watch.insert(mode) {
            RequestMode::Guarded { guard, inherits } => (guard, inherits),
            RequestMode::Bare { shows, failed } => {
                let answer = self.bounds.bare(attempt).await;
                *failed = answer.is_err();
                return match answer {
                    Ok(answer) => {
                        *shows = true;
                        (Asked::New(answer), Ok(()))
                    }
                    Err(error) => {
                        let failure = PartFailure::of_attempt(self.request.url.path(), &error);
                        (Asked::Failed, Err(failure))
                    }
                };
            }
        };
        let span = self.bounds.span();
        let asking = guard.poll_by_clock(trigger, span, move |_, clock| attempt(clock));
        match asking.await {
            Served::New(answer) => {
                *inherits = false;
                self.cause = None;
                (Asked::New(answer), Ok(()))
            }
            Served::Fresh { .. } => (Asked::Same, Ok(())),
            // The guards stop a moment before the pollers do. This says nothing about the
            // endpoint, so wait until the poller is dropped.
            served if matches!(served.failure(), Some(resilience::Failure::Shutdown)) => {
                std::future::pending().await
            }
            Served::Stale { failure, .. } | Served::Failed(failure) => {
                (Asked::Failed, Err(self.failed(failure)))
            }
        }
    }

    /// When it should be requested between ticks, or its series must end.
    pub fn wish(&self) -> Option<NextPoll> {
        let Some(RequestMode::Guarded { guard, .. }) = &self.watch else {
            return None;
        };
        let attempt = guard.attempt_at().map(|at| NextPoll {
            at,
            reason: PollReason::Breaker,
        });
        let expiry = guard.expires_at().map(|at| NextPoll {
            at,
            reason: PollReason::Expiry,
        });
        NextPoll::first(attempt.into_iter().chain(expiry))
    }

    /// Whether its last request was answered.
    pub fn answers(&self) -> bool {
        matches!(self.last, Some(Ok(())))
    }

    /// Why its last request failed, if it did.
    pub fn failure(&self) -> Option<&PartFailure> {
        self.last.as_ref()?.as_ref().err()
    }

    /// The guarded endpoint, once the document has been requested.
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        match &self.watch {
            Some(RequestMode::Guarded { guard, .. }) => Some(guard.endpoint()),
            Some(RequestMode::Bare { .. }) | None => None,
        }
    }

    /// Whether the series of the last answer end now; true once per answer.
    pub fn ends(&mut self, now: Instant) -> bool {
        match &mut self.watch {
            Some(RequestMode::Guarded { guard, inherits }) => {
                let are_inherited = matches!(self.last, Some(Err(_))) && std::mem::take(inherits);
                guard.expire(now).is_some() || are_inherited
            }
            Some(RequestMode::Bare { shows, failed }) => *failed && std::mem::take(shows),
            None => false,
        }
    }

    /// Whether its breaker is open or half-open.
    pub fn is_given_up(&self) -> bool {
        self.endpoint().is_some_and(|endpoint| {
            matches!(
                endpoint.breaker().state(),
                resilience::BreakerState::CoolingDown | resilience::BreakerState::HalfOpen
            )
        })
    }

    /// Removes its endpoint from the registry: it won't be requested again, or only much later.
    pub fn retire(&mut self) {
        if let Some(RequestMode::Guarded { guard, .. }) = self.watch.take()
            && let Some(guarding) = &self.access.guarding
        {
            guarding.endpoints.remove(guard.endpoint().id());
        }
        (self.last, self.cause) = (None, None);
    }

    fn failed(&mut self, failure: resilience::Failure) -> PartFailure {
        let part = self.request.url.path();
        match failure {
            resilience::Failure::Attempt(error) => {
                self.cause = Some(error.message.clone());
                PartFailure::of_attempt(part, &error)
            }
            resilience::Failure::Rejected(rejection) => {
                let message = match &self.cause {
                    Some(cause) => format!("{rejection} after: {cause}"),
                    None => rejection.to_string(),
                };
                PartFailure::new(part, FailureReason::Breaker, message)
            }
            other @ (resilience::Failure::Panicked | resilience::Failure::Shutdown) => {
                PartFailure::new(part, FailureReason::Parse, other.to_string())
            }
        }
    }
}

impl AttemptBounds {
    fn span(self) -> AttemptSpan {
        match self {
            Self::Request => AttemptSpan::Request,
            Self::Requests { .. } => AttemptSpan::Poll,
        }
    }

    /// Makes an attempt without a guard.
    async fn bare<T>(
        self,
        attempt: impl FnOnce(AttemptClock) -> BoxFuture<'static, Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let now = Instant::now();
        let Self::Requests { within } = self else {
            // One request asks for no time: the client has its timeout.
            return attempt(AttemptClock::new(now)).await;
        };
        let attempt = attempt(AttemptClock::of_poll(now, within));
        let cut = |_| FetchError::new(Outcome::Cancelled, "cut short by the end of the interval");
        timeout_at(now + within, attempt).await.map_err(cut)?
    }
}

impl<T> fmt::Debug for Document<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("url", &self.request.url.as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
