//! Scrapes one replica, and shows the sum over all of its deployment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::page::RequestPage;
use super::replica::ReplicaTotals;
use crate::component::{ComponentId, Now};
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::http::{Asked, Document};
use crate::receivers::scrape::{NextPoll, Poll, Scrape, Scraper, UnusableEntry};
use crate::resilience::Endpoint;
use crate::traffic::{
    DeploymentLabels, ReplicaPresence, ReplicaTraffic, TrafficChange, TrafficSum, TrafficValues,
    write_gauges,
};

/// What the scrapers of one deployment share.
#[derive(Debug)]
pub(in crate::receivers::deployment) struct DeploymentTraffic {
    labels: DeploymentLabels,
    /// What the times of readings count from.
    since: Instant,
    replicas: Vec<KnownReplica>,
    shown: TrafficValues,
    /// The time of the last points. Polls that run beside each other may end in another order than
    /// they began.
    time: SystemTime,
}

#[derive(Debug)]
struct KnownReplica {
    traffic: ReplicaTraffic,
    says_requests: bool,
}

/// Scrapes one replica for the controller.
pub(in crate::receivers::deployment) struct ReplicaScraper {
    page: Document<Arc<RequestPage>>,
    totals: ReplicaTotals,
    /// Which of the deployment's replicas it is.
    member: usize,
    deployment: Arc<Mutex<DeploymentTraffic>>,
}

impl DeploymentTraffic {
    /// A deployment of so many replicas that are scraped at this interval.
    pub(in crate::receivers::deployment) fn new(
        labels: DeploymentLabels,
        replicas: usize,
        interval: Duration,
        now: Instant,
    ) -> Arc<Mutex<Self>> {
        // Only the time between the last two pages: that is an interval, or a little less.
        let covered = interval / 2;
        let replica = || KnownReplica {
            traffic: ReplicaTraffic::new(covered, now),
            says_requests: false,
        };
        Arc::new(Mutex::new(Self {
            labels,
            since: now,
            replicas: std::iter::repeat_with(replica).take(replicas).collect(),
            shown: TrafficValues::default(),
            time: SystemTime::UNIX_EPOCH,
        }))
    }

    /// Takes a page of one of the replicas.
    fn take(
        &mut self,
        member: usize,
        totals: &mut ReplicaTotals,
        page: &RequestPage,
        now: Instant,
    ) {
        let Some(replica) = self.replicas.get_mut(member) else {
            return;
        };
        let since = now.saturating_duration_since(self.since).as_nanos();
        let to = u64::try_from(since).unwrap_or(u64::MAX);
        let growth = totals.take(page);
        replica.says_requests = totals.says_requests;
        let room = replica.traffic.read(None, to, now);
        if let (Some(room), Some(growth)) = (room, growth) {
            room.add(&growth);
        }
    }

    /// What all replicas that are there come to.
    fn values(&mut self, now: Instant) -> TrafficValues {
        let mut sum = TrafficSum::default();
        let mut has_any = false;
        for replica in &mut self.replicas {
            let reports = replica.traffic.presence(now) == ReplicaPresence::Reporting;
            if reports
                && replica.says_requests
                && let Some(per_second) = replica.traffic.per_second()
            {
                sum.add(per_second);
                has_any = true;
            }
        }
        match has_any {
            true => sum.values(),
            false => TrafficValues::default(),
        }
    }

    fn write(&mut self, now: Now, out: &mut MetricsWriter) {
        self.time = self.time.max(now.wall);
        let values = self.values(now.monotonic);
        let change = TrafficChange {
            labels: &self.labels,
            before: std::mem::replace(&mut self.shown, values),
            now: values,
        };
        write_gauges(out, self.time, &[change]);
    }
}

impl ReplicaScraper {
    pub(in crate::receivers::deployment) fn new(
        page: Document<Arc<RequestPage>>,
        member: usize,
        deployment: Arc<Mutex<DeploymentTraffic>>,
    ) -> Self {
        Self {
            page,
            totals: ReplicaTotals::default(),
            member,
            deployment,
        }
    }
}

impl Scraper for ReplicaScraper {
    fn scrape<'a>(&'a mut self, poll: Poll, _: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        Box::pin(async move {
            match self.page.ask(&poll).await {
                Asked::New(page) => {
                    // Its totals are as of now, and not of when it was asked.
                    let now = Instant::now();
                    lock(&self.deployment).take(self.member, &mut self.totals, &page, now);
                    Scrape::whole(Ok(())).rejecting([
                        (UnusableEntry::Invalid, page.invalid),
                        (UnusableEntry::Limit, page.beyond),
                    ])
                }
                Asked::Same => Scrape::whole(Ok(())),
                Asked::Failed => Scrape::whole(self.page.failure().cloned().map_or(Ok(()), Err)),
                Asked::NotDue => Scrape::whole(Ok(()))
                    .beside(self.page.failure().cloned().into_iter().collect())
                    .idle(),
            }
        })
    }

    fn wish(&self) -> Option<NextPoll> {
        self.page.wish()
    }

    fn guards(&self) -> Vec<Arc<Endpoint>> {
        self.page.endpoint().cloned().into_iter().collect()
    }

    fn write_shared(&mut self, now: Now, receiver: &ComponentId, out: &mut MetricsWriter) {
        out.resource(&[("service.name", receiver.as_str().into())]);
        out.scope("foghorn/deployment", env!("CARGO_PKG_VERSION"));
        // The poll has taken its time meanwhile.
        let now = Now {
            monotonic: Instant::now(),
            ..now
        };
        lock(&self.deployment).write(now, out);
    }
}

/// No update can panic halfway, so a poisoned lock still holds correct sums.
fn lock(deployment: &Mutex<DeploymentTraffic>) -> MutexGuard<'_, DeploymentTraffic> {
    deployment.lock().unwrap_or_else(PoisonError::into_inner)
}
