//! One URL that a receiver requests again and again, with its guard.
//!
//! All requests of all pull receivers are attempts of a [`Document`]. Reading the answer is part
//! of the attempt, since an answer that can't be read is a failure.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::warn;

use super::{AttemptError, Fetch, FetchRequest};
use crate::component::{BuildContext, ComponentId};
use crate::lane::Lane;
use crate::receivers::scrape::{FailureReason, PartFailure};
use crate::resilience::{
    self, Endpoint, EndpointId, Endpoints, Guard, Outcome, Served, Transport, Trigger,
};

/// What the documents of one receiver share: the client, the threads, and the settings of the
/// guard.
pub struct Access {
    fetch: Arc<dyn Fetch>,
    /// Runs the reading of large answers.
    lane: Lane,
    guarding: Option<GuardParts>,
}

/// What is needed to make a guard.
struct GuardParts {
    component: ComponentId,
    endpoints: Arc<Endpoints>,
    settings: Arc<resilience::Settings>,
}

/// One URL and its last answer. Its endpoint is registered at the first request, so that
/// `/breakers` and the metrics don't show URLs that were never requested.
pub struct Document<T> {
    access: Arc<Access>,
    request: Arc<FetchRequest>,
    read: Arc<BodyReader<T>>,
    /// `None` before the first request.
    watch: Option<RequestMode<T>>,
    /// The error of the last failed attempt; added to the message when the breaker rejects, which
    /// by itself doesn't say why.
    cause: Option<String>,
}

type BodyReader<T> = dyn Fn(&[u8]) -> Result<T, AttemptError> + Send + Sync;

/// How requests are made: with a guard or without.
enum RequestMode<T> {
    /// Through a guard.
    Guarded(Guard<T>),
    /// Without a guard: only the client's timeout applies, and a failure ends the series at once.
    Bare {
        /// The last answer, until its series have ended.
        last: Option<T>,
        failed: bool,
    },
}

/// The result of asking for a document.
#[derive(Debug)]
pub enum DocumentAnswer<T> {
    /// A new answer, to be sent on.
    New(T),
    /// The last answer is still fresh enough. Nothing is to be sent: its points have been.
    Same,
    /// No answer.
    Nothing(PartFailure),
}

impl Access {
    /// Requests are made by `fetch`, and guarded if the receiver that is being built is.
    pub fn new(context: &BuildContext, fetch: Arc<dyn Fetch>) -> Arc<Self> {
        let guarding = context.guard.as_ref().map(|settings| GuardParts {
            component: context.id.clone(),
            endpoints: Arc::clone(&context.endpoints),
            settings: Arc::clone(settings),
        });
        Arc::new(Self {
            fetch,
            lane: Lane::new(1),
            guarding,
        })
    }

    /// A document whose answers `read` reads.
    pub fn document<T: Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        request: FetchRequest,
        read: impl Fn(&[u8]) -> Result<T, AttemptError> + Send + Sync + 'static,
    ) -> Document<T> {
        Document {
            access: Arc::clone(self),
            request: Arc::new(request),
            read: Arc::new(read),
            watch: None,
            cause: None,
        }
    }

    fn watch<T: Clone + Send + Sync + 'static>(&self, request: &FetchRequest) -> RequestMode<T> {
        let bare = RequestMode::Bare {
            last: None,
            failed: false,
        };
        let Some(guarding) = &self.guarding else {
            return bare;
        };
        let id = guarding.endpoint(request);
        let settings = guarding.settings.as_ref().clone();
        match guarding.endpoints.guard(id, settings) {
            Ok(guard) => RequestMode::Guarded(guard),
            Err(error) => {
                // The registry counts it. Requests without a guard are better than none.
                warn!("{error}: it is asked without a guard");
                bare
            }
        }
    }
}

impl GuardParts {
    fn endpoint(&self, request: &FetchRequest) -> EndpointId {
        EndpointId::new(self.component.as_str(), request.url.as_str())
    }
}

impl<T: Clone + Send + Sync + 'static> Document<T> {
    /// Requests the document, if the guard allows it.
    ///
    /// Cancel safe, as [`Guard::poll`] is. Once the guards have been told to stop, it never
    /// returns.
    pub async fn ask(&mut self, trigger: Trigger) -> DocumentAnswer<T> {
        let watch = self
            .watch
            .get_or_insert_with(|| self.access.watch(&self.request));
        let (access, request) = (Arc::clone(&self.access), Arc::clone(&self.request));
        let read = Arc::clone(&self.read);
        let guard = match watch {
            RequestMode::Guarded(guard) => guard,
            RequestMode::Bare { last, failed } => {
                let answer = attempt(&access, &request, read).await;
                *failed = answer.is_err();
                return match answer {
                    Ok(answer) => {
                        *last = Some(answer.clone());
                        DocumentAnswer::New(answer)
                    }
                    Err(error) => DocumentAnswer::Nothing(PartFailure {
                        part: request.url.path().to_owned(),
                        reason: error.reason,
                        status: error.status,
                        message: error.message,
                    }),
                };
            }
        };
        let attempt = move |_| {
            let (access, request) = (Arc::clone(&access), Arc::clone(&request));
            let read = Arc::clone(&read);
            async move {
                let answer = attempt(&access, &request, read).await;
                answer.map_err(AttemptError::into_guarded)
            }
        };
        match guard.poll(trigger, attempt).await {
            Served::New(answer) => {
                self.cause = None;
                DocumentAnswer::New(answer)
            }
            Served::Fresh { .. } => DocumentAnswer::Same,
            // The guards stop a moment before the pollers do. This says nothing about the
            // endpoint, so wait until the poller is dropped.
            served if matches!(served.failure(), Some(resilience::Failure::Shutdown)) => {
                std::future::pending().await
            }
            Served::Stale { failure, .. } | Served::Failed(failure) => {
                DocumentAnswer::Nothing(self.failure(failure))
            }
        }
    }

    /// Whether a poll should request the document now, and with which trigger; `trigger` is the
    /// poll's own.
    pub fn due(&self, trigger: Trigger, now: Instant) -> Option<Trigger> {
        let Some(RequestMode::Guarded(guard)) = &self.watch else {
            return (trigger == Trigger::Tick).then_some(trigger);
        };
        let wakes = guard.endpoint().breaker().wake_at();
        match trigger {
            _ if wakes.is_some_and(|at| at <= now) => Some(Trigger::Wake),
            Trigger::Tick => Some(Trigger::Tick),
            Trigger::Wake => None,
        }
    }

    /// When it should be requested between ticks, or its series must end.
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.watch {
            Some(RequestMode::Guarded(guard)) => guard.wake_at(),
            Some(RequestMode::Bare { .. }) | None => None,
        }
    }

    /// The guarded endpoint, once the document has been requested.
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        match &self.watch {
            Some(RequestMode::Guarded(guard)) => Some(guard.endpoint()),
            Some(RequestMode::Bare { .. }) | None => None,
        }
    }

    /// Whether the series of the last answer end now; true once per answer.
    pub fn ends(&mut self, now: Instant) -> bool {
        match &mut self.watch {
            Some(RequestMode::Guarded(guard)) => guard.expire(now).is_some(),
            Some(RequestMode::Bare { last, failed }) => *failed && last.take().is_some(),
            None => false,
        }
    }

    /// Whether its breaker is open or half-open.
    pub fn is_given_up(&self) -> bool {
        match &self.watch {
            Some(RequestMode::Guarded(guard)) => matches!(
                guard.endpoint().breaker().state(),
                resilience::BreakerState::CoolingDown | resilience::BreakerState::HalfOpen
            ),
            Some(RequestMode::Bare { .. }) | None => false,
        }
    }

    /// Removes its endpoint from the registry: it won't be requested again, or only much later.
    pub fn retire(&mut self) {
        if let Some(RequestMode::Guarded(guard)) = self.watch.take()
            && let Some(guarding) = &self.access.guarding
        {
            guarding.endpoints.remove(guard.endpoint().id());
        }
        self.cause = None;
    }

    fn failure(&mut self, failure: resilience::Failure) -> PartFailure {
        let part = self.request.url.path();
        match failure {
            resilience::Failure::Attempt(error) => {
                self.cause = Some(error.message.clone());
                PartFailure {
                    part: part.to_owned(),
                    reason: reason(&error),
                    status: error.status,
                    message: error.message,
                }
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

impl<T> fmt::Debug for Document<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("url", &self.request.url.as_str())
            .finish_non_exhaustive()
    }
}

impl AttemptError {
    /// Translates the failure for the guard.
    fn into_guarded(self) -> resilience::FetchError {
        let outcome = match (self.status, self.reason) {
            (Some(status), _) => Outcome::of_http_status(status),
            _ if self.local => Outcome::Local,
            (None, FailureReason::Refused) => Outcome::Transport(Transport::Refused),
            (None, FailureReason::Reset) => Outcome::Transport(Transport::Reset),
            (None, FailureReason::Dns) => Outcome::Transport(Transport::Dns),
            (None, FailureReason::Tls) => Outcome::Transport(Transport::Tls),
            (None, FailureReason::Timeout) => Outcome::Timeout,
            (None, FailureReason::Limit) => Outcome::TooLarge,
            (None, FailureReason::Parse | FailureReason::Status | FailureReason::Breaker) => {
                Outcome::Malformed
            }
        };
        resilience::FetchError {
            outcome,
            status: self.status,
            retry_after: self.retry_after,
            message: self.message,
        }
    }
}

/// The largest answer that is read on the worker, in bytes: that takes up to a millisecond.
const LARGE: usize = 64 * 1024;

async fn attempt<T: Send + 'static>(
    access: &Access,
    request: &FetchRequest,
    read: Arc<BodyReader<T>>,
) -> Result<T, AttemptError> {
    let body = access.fetch.fetch(request).await?;
    if body.len() <= LARGE {
        return read(&body);
    }
    access.lane.run(move || read(&body)).await
}

/// Translates a guard's failure back into the reason of the scrape series.
fn reason(error: &resilience::FetchError) -> FailureReason {
    if error.status.is_some() {
        return FailureReason::Status;
    }
    match error.outcome {
        Outcome::Transport(Transport::Refused) => FailureReason::Refused,
        Outcome::Transport(Transport::Reset | Transport::Other) => FailureReason::Reset,
        Outcome::Transport(Transport::Dns) => FailureReason::Dns,
        Outcome::Transport(Transport::Tls) => FailureReason::Tls,
        // `Cancelled`: the deadline of the poll came before the timeout of the request.
        Outcome::Timeout | Outcome::Cancelled => FailureReason::Timeout,
        Outcome::TooLarge | Outcome::Local => FailureReason::Limit,
        Outcome::Success
        | Outcome::Unavailable
        | Outcome::ServerError
        | Outcome::Throttled
        | Outcome::ClientError
        | Outcome::Malformed => FailureReason::Parse,
    }
}

#[cfg(test)]
mod tests;
