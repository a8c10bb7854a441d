//! Scrapes one target.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::context::JobContext;
use super::rules::SeriesRules;
use super::targets::ScrapeTarget;
use crate::component::Now;
use crate::exposition::read::PageFormat;
use crate::pdata::writer::{
    Attribute, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use crate::receivers::scrape::http::{Asked, Document, FetchedPage, PageBody};
use crate::receivers::scrape::{
    FailureReason, NextPoll, PartFailure, Poll, Scrape, ScrapeCounts, Scraper,
};
use crate::resilience::{Endpoint, FetchError};
use crate::translation::scraped::{PageCounts, PageFailure, ScrapedTarget};

/// A page up to this many bytes is read on the worker: that takes up to a millisecond.
const LARGE: usize = 64 * 1024;

/// Scrapes one target, and remembers its series.
pub(super) struct TargetScraper {
    job: Arc<JobContext>,
    target: Arc<ScrapeTarget>,
    /// Labels of the series about its scrapes.
    labels: Vec<(Arc<str>, Arc<str>)>,
    /// `None` where its labels make no URL.
    page: Option<Document<Arc<ReceivedPage>>>,
    /// `None` while a page is read on another thread.
    series: Option<ScrapedTarget>,
    rules: SeriesRules,
}

/// A page that came.
pub(super) struct ReceivedPage {
    format: PageFormat,
    bytes: usize,
    /// Taken out when it is read: a guard keeps its last answer, and would keep this in memory.
    body: Mutex<PageBody>,
}

impl ReceivedPage {
    /// Takes an answer whose format is known.
    pub(super) fn of(
        page: FetchedPage,
        fallback: Option<crate::exposition::read::ScrapeProtocol>,
    ) -> Result<Arc<Self>, FetchError> {
        let format = PageFormat::of(page.content_type.as_deref(), fallback);
        let format = format.map_err(|error| FailureReason::Parse.error(error.to_string()))?;
        Ok(Arc::new(Self {
            format,
            bytes: page.body.len(),
            body: Mutex::new(page.body),
        }))
    }

    fn take(&self) -> PageBody {
        std::mem::take(&mut self.body.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TargetScraper {
    pub(super) fn new(
        job: Arc<JobContext>,
        target: Arc<ScrapeTarget>,
        labels: Vec<(Arc<str>, Arc<str>)>,
        page: Option<Document<Arc<ReceivedPage>>>,
        series: ScrapedTarget,
    ) -> Self {
        Self {
            rules: job.rules.clone(),
            job,
            target,
            labels,
            page,
            series: Some(series),
        }
    }

    async fn poll(&mut self, poll: Poll, out: &mut MetricsWriter) -> Scrape {
        let path = self.target.label("__metrics_path__").to_owned();
        if let Some(limit) = self.job.exceeded_target_limit() {
            let message = format!("the job has more targets than the target_limit of {limit}");
            let failure = PartFailure::new(path, FailureReason::Limit, message);
            return self.not_asked(failure, poll, out);
        }
        let Some(document) = &mut self.page else {
            let message = "__scheme__ and __address__ make no URL";
            let failure = PartFailure::new(path, FailureReason::Parse, message);
            return self.not_asked(failure, poll, out);
        };
        let asked = document.ask(&poll).await;
        let ends = document.ends(tokio::time::Instant::now());
        let failure = document.failure().cloned();
        match asked {
            Asked::New(page) => {
                let (counts, result) = match page.take() {
                    // As in Prometheus an answer without a byte ends all series, but they aren't
                    // new when they return.
                    body if body.is_empty() => {
                        self.end_series(poll, out);
                        (PageCounts::default(), Ok(()))
                    }
                    body => self.read(body, page.format, poll.now, out).await,
                };
                self.extra(poll.now, page.bytes as f64, out);
                let mut added = counts.added;
                let scrape = match result {
                    Ok(()) => {
                        self.rules.rejections.of_page(&counts);
                        Scrape::whole(Ok(()))
                    }
                    Err(error) => {
                        // Prometheus counts what it would have stored.
                        if let PageFailure::SampleLimit(limit) = error {
                            added = added.min(limit as u64);
                        }
                        let reason = match error.is_limit() {
                            true => FailureReason::Limit,
                            false => FailureReason::Parse,
                        };
                        let failure = PartFailure::new(path, reason, error.to_string());
                        self.failed(failure, poll, out)
                    }
                };
                scrape.counting(ScrapeCounts {
                    scraped: counts.scraped,
                    kept: counts.kept,
                    added,
                })
            }
            Asked::Same => Scrape::whole(Ok(())),
            Asked::Failed | Asked::NotDue => {
                if ends {
                    self.end_series(poll, out);
                }
                let is_too_long = |failure: &PartFailure| failure.reason == FailureReason::Limit;
                // As Prometheus says that the page is longer than `body_size_limit`.
                let bytes = match failure.as_ref().is_some_and(is_too_long) {
                    true => -1.0,
                    false => 0.0,
                };
                let scrape = Scrape::whole(failure.map_or(Ok(()), Err));
                match asked {
                    Asked::NotDue => scrape.idle(),
                    _ => {
                        self.extra(poll.now, bytes, out);
                        scrape.counting(ScrapeCounts::default())
                    }
                }
            }
        }
    }

    /// A scrape that failed for another reason than its request: all series end at once.
    fn failed(&mut self, failure: PartFailure, poll: Poll, out: &mut MetricsWriter) -> Scrape {
        self.end_series(poll, out);
        Scrape::whole(Err(failure)).counting(ScrapeCounts::default())
    }

    /// A scrape without a request.
    fn not_asked(&mut self, failure: PartFailure, poll: Poll, out: &mut MetricsWriter) -> Scrape {
        let scrape = self.failed(failure, poll, out);
        self.extra(poll.now, 0.0, out);
        scrape
    }

    fn end_series(&mut self, poll: Poll, out: &mut MetricsWriter) {
        if let Some(series) = &mut self.series {
            series.end(poll.now.wall, out);
        }
    }

    /// Reads a page: a large one on a thread that may block.
    async fn read(
        &mut self,
        body: PageBody,
        format: PageFormat,
        now: Now,
        out: &mut MetricsWriter,
    ) -> (PageCounts, Result<(), PageFailure>) {
        let Some(mut series) = self.series.take() else {
            // Only while a page is read, and then nobody asks for another.
            return (PageCounts::default(), Ok(()));
        };
        let mut rules = self.rules.clone();
        let result = if body.len() <= LARGE {
            series.page(&body, format, now.wall, &mut rules, out)
        } else {
            let mut lent = std::mem::replace(out, MetricsWriter::new());
            let read = self.job.lane.run(move || {
                let result = series.page(&body, format, now.wall, &mut rules, &mut lent);
                (series, lent, result)
            });
            let result;
            (series, *out, result) = read.await;
            result
        };
        self.series = Some(series);
        result
    }

    /// The series of `extra_scrape_metrics`. `bytes` is the size of the page, or -1.
    fn extra(&mut self, now: Now, bytes: f64, out: &mut MetricsWriter) {
        if !self.job.job.extra_metrics {
            return;
        }
        self.open(out);
        let labels: Vec<Attribute<'_>> = self
            .labels
            .iter()
            .map(|(name, value)| (&**name, (&**value).into()))
            .collect();
        let limit = self.job.job.limits.samples;
        for (name, description, value) in [
            (
                "scrape_timeout_seconds",
                "The configured scrape timeout for a target",
                self.target.timeout.as_secs_f64(),
            ),
            (
                "scrape_sample_limit",
                "The configured sample limit for a target; zero if there is none",
                limit as f64,
            ),
            (
                "scrape_body_size_bytes",
                "The uncompressed size of the last scrape response, if successful",
                bytes,
            ),
        ] {
            let descriptor = MetricDescriptor {
                name,
                unit: "",
                description,
            };
            out.metric(MetricKind::Gauge, descriptor);
            out.number(NumberPointData {
                attributes: &labels,
                start: None,
                time: now.wall,
                value: Some(PointNumber::Double(value)),
            });
        }
    }

    /// Opens the target's own resource: a page writes resources of its own, and the series about
    /// the scrape come after it.
    fn open(&self, out: &mut MetricsWriter) {
        if let Some(series) = &self.series {
            series.open_resource(out);
        }
    }
}

impl Scraper for TargetScraper {
    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        Box::pin(async move {
            let scrape = self.poll(poll, out).await;
            self.open(out);
            scrape
        })
    }

    fn end(&mut self, now: Now, out: &mut MetricsWriter) {
        if let Some(series) = &mut self.series {
            series.end(now.wall, out);
        }
        self.extra(now, 0.0, out);
        self.open(out);
    }

    fn wish(&self) -> Option<NextPoll> {
        self.page.as_ref()?.wish()
    }

    fn guards(&self) -> Vec<Arc<Endpoint>> {
        let endpoint = self.page.as_ref().and_then(Document::endpoint);
        endpoint.cloned().into_iter().collect()
    }
}
