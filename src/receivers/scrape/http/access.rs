//! What the documents of a receiver share: the client, the threads that read large answers, and how
//! guards are made.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::warn;

use super::{Fetch, FetchRequest, FetchedPage};
use crate::component::{BuildContext, ComponentId};
use crate::lane::Lane;
use crate::receivers::scrape::PollPace;
use crate::resilience::{self, EndpointId, Endpoints, FetchError, Guard};
use crate::telemetry::Throttle;

/// The largest answer that is read on the worker, in bytes: that takes up to a millisecond.
pub(super) const LARGE: usize = 64 * 1024;

/// What the documents of one receiver share, or those of a part of its targets: the client, the
/// threads, and the settings of the guard.
pub struct Access {
    pub(super) fetch: Arc<dyn Fetch>,
    /// Runs the reading of large answers.
    pub(super) lane: Lane,
    pub(super) guarding: Option<GuardParts>,
}

/// What is needed to make a guard.
#[derive(Clone)]
pub(super) struct GuardParts {
    component: ComponentId,
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) settings: Arc<resilience::Settings>,
    unguarded: Arc<UnguardedLog>,
}

/// The log lines about endpoints that have no guard.
#[derive(Default)]
struct UnguardedLog(Throttle);

impl Access {
    /// Requests are made by `fetch`, and guarded if the receiver that is being built is.
    pub fn new(context: &BuildContext, fetch: Arc<dyn Fetch>) -> Arc<Self> {
        let guarding = context.guard.as_ref().map(|settings| GuardParts {
            component: context.id.clone(),
            endpoints: Arc::clone(&context.endpoints),
            settings: Arc::clone(settings),
            unguarded: Arc::default(),
        });
        Arc::new(Self {
            fetch,
            lane: Lane::new(1),
            guarding,
        })
    }

    /// The same for targets of another pace than the receiver's own, with `fetch` as their client.
    /// The guards go by the same keys, see [`resilience::Settings::at_pace`].
    pub fn at_pace(&self, pace: &PollPace, fetch: Arc<dyn Fetch>) -> Arc<Self> {
        let guarding = self.guarding.as_ref().map(|guarding| GuardParts {
            settings: Arc::new(guarding.settings.at_pace(pace.interval, pace.timeout)),
            ..guarding.clone()
        });
        Arc::new(Self {
            fetch,
            lane: self.lane.clone(),
            guarding,
        })
    }

    /// Makes one request and reads its answer: a large one on a thread that may block. Cancel safe.
    ///
    /// # Errors
    ///
    /// Those of the client and of `read`.
    pub async fn get<T: Send + 'static>(
        &self,
        request: &FetchRequest,
        read: impl FnOnce(FetchedPage) -> Result<T, FetchError> + Send + 'static,
    ) -> Result<T, FetchError> {
        let page = self.fetch.fetch(request).await?;
        self.read(page, read).await
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        page: FetchedPage,
        read: impl FnOnce(FetchedPage) -> Result<T, FetchError> + Send + 'static,
    ) -> Result<T, FetchError> {
        if page.body.len() <= LARGE {
            return read(page);
        }
        self.lane.run(move || read(page)).await
    }

    /// A guard for a document that is requested for the first time, if the receiver has guards and
    /// there is one for it.
    pub(super) fn guard<T: Clone + Send + Sync + 'static>(
        &self,
        request: &FetchRequest,
    ) -> Option<Guard<T>> {
        let guarding = self.guarding.as_ref()?;
        guarding.guard(guarding.endpoint(request))
    }

    /// A guard for a document that got none before, if there is one by now.
    pub(super) fn late_guard<T: Clone + Send + Sync + 'static>(
        &self,
        request: &FetchRequest,
    ) -> Option<Guard<T>> {
        let guarding = self.guarding.as_ref()?;
        let id = guarding.endpoint(request);
        // The registry would count a failure each time.
        let is_possible = guarding.endpoints.has_room_for(&id);
        is_possible.then(|| guarding.guard(id)).flatten()
    }
}

impl GuardParts {
    fn guard<T: Clone + Send + Sync + 'static>(&self, id: EndpointId) -> Option<Guard<T>> {
        let settings = self.settings.as_ref().clone();
        match self.endpoints.guard(id, settings) {
            Ok(guard) => Some(guard),
            Err(error) => {
                // The registry counts it. Requests without a guard are better than none.
                if let Some(endpoints) = self.unguarded.0.pass(1, Instant::now()) {
                    warn!(endpoints, "{error}: it is asked without a guard");
                }
                None
            }
        }
    }

    fn endpoint(&self, request: &FetchRequest) -> EndpointId {
        let id = EndpointId::new(self.component.as_str(), request.url.as_str());
        match &request.instance {
            Some(instance) => id.of_instance(instance),
            None => id,
        }
    }
}

impl Drop for UnguardedLog {
    fn drop(&mut self) {
        if let Some(endpoints) = self.0.rest() {
            warn!(endpoints, "endpoints were asked without a guard");
        }
    }
}
