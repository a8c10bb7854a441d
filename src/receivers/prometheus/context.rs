//! What the targets of a job share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::header::HeaderValue;

use super::config::ScrapeJob;
use super::oauth2;
use super::rules::SeriesRules;
use crate::component::BuildContext;
use crate::exposition::read::accept;
use crate::lane::Lane;
use crate::receivers::scrape::http::{Access, BodyRoom, Client};

/// What the targets of a job share.
pub(super) struct JobContext {
    pub(super) job: ScrapeJob,
    pub(super) rules: SeriesRules,
    /// Reads large pages.
    pub(super) lane: Lane,
    pub(super) client: Arc<Client>,
    pub(super) access: Arc<Access>,
    /// The value of `Accept`.
    pub(super) accept: HeaderValue,
    /// Whether there are more targets than `target_limit`, so that all scrapes fail.
    is_beyond: AtomicBool,
}

impl JobContext {
    /// # Errors
    ///
    /// When a file that the configuration names can't be read or used.
    pub(super) fn new(
        context: &BuildContext,
        job: &ScrapeJob,
        rules: SeriesRules,
        (lane, room): (&Lane, &BodyRoom),
    ) -> anyhow::Result<Self> {
        let mut http = job.http.clone();
        // As Prometheus keeps its connections: it scrapes each target again and again.
        http.client.keeps_connections = true;
        http.client.max_body = job.limits.body_size;
        let client = oauth2::client(&http, job.timeout.0)?;
        let client = Arc::new(client.within(room));
        let accept = accept(&job.protocols).replace("allow-utf-8", job.escaping);
        Ok(Self {
            access: Access::new(context, Arc::clone(&client) as _),
            client,
            accept: HeaderValue::try_from(accept)?,
            rules,
            lane: lane.clone(),
            job: job.clone(),
            is_beyond: AtomicBool::new(false),
        })
    }

    /// `target_limit`, if there are more targets.
    pub(super) fn exceeded_target_limit(&self) -> Option<usize> {
        let is_beyond = self.is_beyond.load(Ordering::Relaxed);
        is_beyond.then_some(self.job.limits.targets)
    }

    /// Notes whether there are more targets than `target_limit`.
    pub(super) fn note_beyond(&self, is_beyond: bool) {
        self.is_beyond.store(is_beyond, Ordering::Relaxed);
    }
}
