//! Shows the deployments of a cluster.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::object::DeploymentObject;
use super::state::{ClusterState, Standing};
use crate::component::Now;
use crate::pdata::writer::MetricsWriter;
use crate::receivers::deployment::reading::{DeploymentChanges, DeploymentsById};
use crate::receivers::deployment::write::ShownDeployments;
use crate::receivers::kubernetes::{ApiTransport, Collection, FollowLimits, Follower};
use crate::receivers::scrape::{
    FailureReason, NextPoll, Nudge, PartFailure, Poll, PollReason, Scrape, Scraper, UnusableEntry,
};
use crate::resilience::Endpoint;
use url::Url;

/// What is asked for, as a part of a poll.
const PART: &str = "/apis/apps/v1/deployments";

/// Changes are shown after this time, together with those that come meanwhile.
const GATHERING: Duration = Duration::from_millis(200);

/// Changes are shown at most this often.
const PACE: Duration = Duration::from_secs(1);

/// Follows the deployments of a cluster, and shows them for the controller.
pub(in crate::receivers::deployment) struct KubernetesScraper {
    state: Arc<SharedState>,
    /// Until the receiver starts.
    follower: Option<Follower<DeploymentObject>>,
    following: Option<AbortOnDropHandle<()>>,
    endpoint: Option<Arc<Endpoint>>,
    nudge: Nudge,
    /// How long series stay while the cluster can't be followed.
    staleness: Duration,
    /// How long a poll waits for the first list.
    patience: Duration,
    shown: ShownDeployments,
    /// When something was shown last.
    showed: Option<Instant>,
}

#[derive(Debug)]
struct SharedState {
    // Std: the sections only change maps.
    cluster: Mutex<ClusterState>,
    /// Told when it has become known how the following goes.
    known: Notify,
}

/// What there is to show.
struct ClusterNews {
    told: ClusterAnswer,
    /// Entries that were left out: those that can't be read, and those beyond a bound.
    left_out: [u64; 2],
}

enum ClusterAnswer {
    All(DeploymentsById),
    /// What has changed, and how many of all are active.
    Changes(DeploymentChanges, u64),
    Failure(PartFailure),
}

/// What follows the deployments of the cluster at `server`.
pub(in crate::receivers::deployment) fn follower(
    transport: Arc<dyn ApiTransport>,
    server: &Url,
    namespace: Option<String>,
    limits: FollowLimits,
    endpoint: Option<Arc<Endpoint>>,
) -> Follower<DeploymentObject> {
    let collection = Collection {
        api: "/apis/apps/v1",
        resource: "deployments",
        namespace,
        label_selector: None,
        field_selector: None,
    };
    Follower::new(transport, server, collection, limits, endpoint)
}

impl KubernetesScraper {
    /// Shows what `follower` tells. `staleness` is how long series stay without it, `patience` how
    /// long a poll waits for the first list.
    pub(in crate::receivers::deployment) fn new(
        follower: Follower<DeploymentObject>,
        most: usize,
        endpoint: Option<Arc<Endpoint>>,
        nudge: Nudge,
        staleness: Duration,
        patience: Duration,
    ) -> Self {
        Self {
            state: Arc::new(SharedState {
                cluster: Mutex::new(ClusterState::new(most)),
                known: Notify::new(),
            }),
            follower: Some(follower),
            following: None,
            endpoint,
            nudge,
            staleness,
            patience,
            shown: ShownDeployments::default(),
            showed: None,
        }
    }

    /// Waits until it is known how the following goes, for a while.
    fn wait(&self) -> impl Future<Output = ()> + Send + use<> {
        let (state, patience) = (Arc::clone(&self.state), self.patience);
        async move {
            let known = async {
                loop {
                    let told = state.known.notified();
                    if state.lock().standing.is_some() {
                        return;
                    }
                    told.await;
                }
            };
            // Who has waited long enough sees that nothing is known.
            let _ = timeout(patience, known).await;
        }
    }

    /// When the series end, if it goes on like this.
    fn ends_at(&self) -> Option<Instant> {
        let since = self.state.lock().failing_since()?;
        (!self.shown.is_empty()).then_some(since + self.staleness)
    }

    /// What there is to show now.
    fn news(&self, is_tick: bool) -> ClusterNews {
        let mut cluster = self.state.lock();
        let left_out = std::mem::take(&mut cluster.left_out);
        let told = match &cluster.standing {
            // After they have ended, all are shown again.
            Some(Standing::Follows) if is_tick || self.shown.is_empty() => {
                ClusterAnswer::All(cluster.all())
            }
            Some(Standing::Follows) => ClusterAnswer::Changes(cluster.changes(), cluster.active()),
            Some(Standing::Fails { failure, .. }) => ClusterAnswer::Failure(failure.clone()),
            None => ClusterAnswer::Failure(PartFailure::new(
                PART,
                FailureReason::Timeout,
                "the list isn't whole in time",
            )),
        };
        ClusterNews { told, left_out }
    }

    async fn show(&mut self, poll: Poll, out: &mut MetricsWriter) -> Scrape {
        let Poll { now, reason } = poll;
        let is_tick = reason == PollReason::Interval;
        let ClusterNews { told, left_out } = self.news(is_tick);
        if !matches!(told, ClusterAnswer::Failure(_)) {
            self.showed = Some(now.monotonic);
        }
        let scrape = match told {
            ClusterAnswer::All(all) => {
                self.shown.replace(all, |_| true, now.wall, out).await;
                Scrape::whole(Ok(()))
            }
            ClusterAnswer::Changes(changes, active) => {
                self.shown.update(changes, active, now.wall, out).await;
                Scrape::whole(Ok(()))
            }
            ClusterAnswer::Failure(failure) => {
                if self.ends_at().is_some_and(|at| at <= now.monotonic) {
                    self.shown.end(now.wall, out).await;
                }
                match is_tick {
                    true => Scrape::whole(Err(failure)),
                    false => Scrape::whole(Ok(())).beside(vec![failure]),
                }
            }
        };
        let [invalid, beyond] = left_out;
        let scrape = scrape.rejecting([
            (UnusableEntry::Invalid, invalid),
            (UnusableEntry::Limit, beyond),
        ]);
        if is_tick { scrape } else { scrape.idle() }
    }
}

impl Scraper for KubernetesScraper {
    fn start(&mut self, _: Now) {
        let Some(mut follower) = self.follower.take() else {
            return;
        };
        let (state, nudge) = (Arc::clone(&self.state), self.nudge.clone());
        self.following = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let told = follower.next().await;
                let mut cluster = state.lock();
                match told {
                    Ok(change) => cluster.take(change, Instant::now()),
                    Err(error) => cluster.fail(error.of_part(PART), Instant::now()),
                }
                drop(cluster);
                state.known.notify_waiters();
                nudge.ask_again();
            }
        })));
    }

    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        Box::pin(async move {
            self.wait().await;
            self.show(poll, out).await
        })
    }

    fn wish(&self) -> Option<NextPoll> {
        let changed = self.state.lock().news_since();
        let changed = changed.map(|changed| NextPoll {
            at: match self.showed {
                Some(showed) => (changed + GATHERING).max(showed + PACE),
                None => changed + GATHERING,
            },
            reason: PollReason::Demand,
        });
        let ends = self.ends_at().map(|at| NextPoll {
            at,
            reason: PollReason::Expiry,
        });
        NextPoll::first(changed.into_iter().chain(ends))
    }

    fn guards(&self) -> Vec<Arc<Endpoint>> {
        self.endpoint.clone().into_iter().collect()
    }
}

impl SharedState {
    /// No update can panic halfway, so a poisoned lock still holds what is true.
    fn lock(&self) -> MutexGuard<'_, ClusterState> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
