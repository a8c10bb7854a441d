//! Polls a control plane of the fog.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use url::Url;

use super::client::{FogAnswer, FogQuery, list_request};
use crate::pdata::writer::MetricsWriter;
use crate::receivers::deployment::UNGUARDED_STALENESS;
use crate::receivers::deployment::write::ShownDeployments;
use crate::receivers::scrape::http::{Access, Asked, Document};
use crate::receivers::scrape::{NextPoll, Poll, Scrape, Scraper, UnusableEntry};
use crate::resilience::Endpoint;

/// Polls a control plane for the controller.
pub(in crate::receivers::deployment) struct FogScraper {
    /// The list with all of its pages and details: one attempt.
    list: Document<Arc<FogAnswer>>,
    details: bool,
    shown: ShownDeployments,
    /// Since when lists have failed.
    failing_since: Option<Instant>,
}

impl FogScraper {
    /// Polls the control plane at `server`. Without a guard, all requests of a poll may take
    /// `within` together.
    pub(in crate::receivers::deployment) fn new(
        access: &Arc<Access>,
        server: Url,
        most: usize,
        details: bool,
        within: Duration,
    ) -> Self {
        let query = FogQuery { most, details };
        let request = list_request(&server);
        let list = access.composed(request, within, move |access, _, until| {
            let server = server.clone();
            Box::pin(async move { query.ask(&access, &server, until).await.map(Arc::new) })
        });
        Self {
            list,
            details,
            shown: ShownDeployments::default(),
            failing_since: None,
        }
    }

    /// Whether the series end since lists have failed for so long: as the guard says, if there is
    /// one.
    fn ends(&mut self, now: Instant) -> bool {
        let by_guard = self.list.ends(now);
        if self.list.endpoint().is_some() {
            return by_guard;
        }
        let is_over = |since: Instant| now.saturating_duration_since(since) >= UNGUARDED_STALENESS;
        self.failing_since.is_some_and(is_over)
    }
}

impl Scraper for FogScraper {
    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        Box::pin(async move {
            let time = poll.now.wall;
            let asked = self.list.ask(&poll).await;
            match &asked {
                Asked::New(_) | Asked::Same => self.failing_since = None,
                Asked::Failed => {
                    self.failing_since.get_or_insert(poll.now.monotonic);
                }
                Asked::NotDue => {}
            }
            if self.ends(Instant::now()) {
                self.shown.end(time, out).await;
            }
            let parts = 1 + usize::from(self.details);
            match asked {
                Asked::New(answer) => {
                    let deployments = answer.deployments.clone();
                    let is_gone = |id: &str| answer.unread.exclude(id);
                    self.shown.replace(deployments, is_gone, time, out).await;
                    let failures = answer.undetailed.iter().cloned().collect();
                    Scrape::parts(parts, failures).rejecting([
                        (UnusableEntry::Invalid, answer.unread.count()),
                        (UnusableEntry::Limit, answer.beyond),
                    ])
                }
                Asked::Same => Scrape::parts(parts, Vec::new()),
                Asked::Failed => {
                    let failure = self.list.failure().cloned();
                    Scrape::parts(1, failure.into_iter().collect())
                }
                Asked::NotDue => {
                    let earlier = self.list.failure().cloned();
                    Scrape::parts(1, Vec::new())
                        .beside(earlier.into_iter().collect())
                        .idle()
                }
            }
        })
    }

    fn wish(&self) -> Option<NextPoll> {
        self.list.wish()
    }

    fn guards(&self) -> Vec<Arc<Endpoint>> {
        self.list.endpoint().cloned().into_iter().collect()
    }
}
