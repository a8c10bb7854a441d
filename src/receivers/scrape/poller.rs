//! Polls one target: waits for the time that the schedule gives, polls, and hands the points on.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::link::Link;
use super::schedule::{NextPoll, Poll, PollReason, Schedule};
use super::series::{FailureCounts, PollReport};
use super::{FailureReason, PartFailure, Reach, Scrape, SetBack, Target};
use crate::component::{ComponentId, Health, Intake, Now, Origin, Reporter, Subject};
use crate::pdata::Batch;
use crate::pdata::writer::MetricsWriter;
use crate::resilience::{ActiveTask, Endpoint, Endpoints};

/// Bytes that the first poll is admitted with; later polls are admitted with the size of the last
/// one.
const FIRST_GUESS: u64 = 4096;

/// How long to wait before the tombstones of a removed target are offered again to pipelines that
/// had no room for them.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which series of a target end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndedSeries {
    All,
    /// Those that the poller itself writes.
    AboutPolls,
}

/// What the pollers of one receiver share.
pub(super) struct PollerContext {
    pub(super) id: ComponentId,
    /// The scope of all series.
    pub(super) scope: String,
    /// This host's name, by which the ticks are spread.
    pub(super) host: String,
    /// How long a remote target's series may stay without a new point before they end with
    /// tombstones.
    pub(super) staleness: Duration,
    pub(super) intake: Arc<dyn Intake>,
    pub(super) health: Health,
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) instruments: Instruments,
}

/// The agent's own counters for one receiver.
pub(super) struct Instruments {
    scraped: Counter<u64>,
    errored: Counter<u64>,
    failed: Counter<u64>,
    attributes: [KeyValue; 2],
}

impl Instruments {
    pub(super) fn new(meter: &Meter, id: &ComponentId) -> Self {
        Self {
            scraped: meter
                .u64_counter("otelcol_scraper_scraped_metric_points")
                .with_description("data points that were scraped")
                .build(),
            errored: meter
                .u64_counter("otelcol_scraper_errored_metric_points")
                .with_description("parts of scrapes that gave no data")
                .build(),
            failed: meter
                .u64_counter("foghorn_scrape_failures_total")
                .with_description("Parts of scrapes that failed, of all targets")
                .build(),
            attributes: [
                KeyValue::new("receiver", id.to_string()),
                KeyValue::new("scraper", id.kind().to_owned()),
            ],
        }
    }
}

impl Instruments {
    fn failed(&self, reason: FailureReason) {
        let [receiver, _] = &self.attributes;
        let reason = KeyValue::new("reason", reason.as_str());
        self.failed.add(1, &[receiver.clone(), reason]);
    }
}

/// One target, and what is remembered of its polls.
pub(super) struct Poller {
    context: Arc<PollerContext>,
    target: Target,
    link: Arc<Link>,
    schedule: Schedule,
    reporter: Reporter,
    tally: FailureCounts,
    /// When the last poll began; before the first, when the poller was made.
    polled: Now,
    /// The parts that failed in the last poll.
    failing: BTreeSet<String>,
    /// Whether the series about polls have been written, and then whether that of parts has.
    told_parts: Option<bool>,
    /// Bytes that the next poll will be admitted with: those of the last one.
    expected: u64,
    /// Counts this poller among the running ones while it lives.
    _polling: ActiveTask,
}

impl Poller {
    /// A poller whose first poll comes as the pace says from `now` on.
    pub(super) fn new(
        context: &Arc<PollerContext>,
        target: Target,
        link: Arc<Link>,
        now: Now,
    ) -> Self {
        let reporter = context
            .health
            .reporter(Subject::Endpoint, &context.id, &target.endpoint);
        Self {
            schedule: Schedule::new(
                &target.pace,
                target.reach,
                &*target.identity,
                &context.host,
                now,
            ),
            reporter,
            tally: FailureCounts::new(now.wall, target.reach == Reach::Remote),
            polled: now,
            failing: BTreeSet::new(),
            told_parts: None,
            expected: FIRST_GUESS,
            _polling: context.endpoints.pollers().enter(),
            context: Arc::clone(context),
            target,
            link,
        }
    }

    /// Polls until the agent stops, or until the target was removed and its series have ended.
    pub(super) async fn run(&mut self, stop: &CancellationToken) {
        self.target.scraper.start(self.polled);
        loop {
            let guards = self.target.scraper.guards();
            // Before the next poll is planned, so that no change is missed in between.
            let changed = changed(&guards);
            let wish = self.target.scraper.wish();
            let next = self
                .schedule
                .next(Instant::now(), wish, self.link.membership());
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(next.at) => {}
                () = changed => continue,
                () = self.link.changed() => continue,
            }
            // In boxes, so that a task that waits is small.
            if next.reason != PollReason::Removal {
                Box::pin(self.poll(next.reason, wish, stop)).await;
            } else if self.link.end() {
                return Box::pin(self.end(stop)).await;
            }
        }
    }

    async fn poll(&mut self, reason: PollReason, wish: Option<NextPoll>, stop: &CancellationToken) {
        self.scrape(reason, stop).await;
        let wishes = [wish, self.target.scraper.wish()];
        self.schedule.polled(reason, Instant::now(), wishes);
    }

    async fn scrape(&mut self, reason: PollReason, stop: &CancellationToken) {
        // Admission comes before the request, so that no endpoint is polled for data that would
        // be dropped.
        let mut admission = match self.context.intake.try_admit(Origin::Pull, self.expected) {
            Ok(admission) => admission,
            Err(refusal) => return self.skipped(refusal.reason),
        };
        let now = Now::read();
        if let Some(by) = SetBack::between(std::mem::replace(&mut self.polled, now), now) {
            self.tally.clock_set_back(&by);
            self.target.scraper.clock_set_back(&by);
        }
        let mut out = self.begin();
        let scraping = self.target.scraper.scrape(Poll { now, reason }, &mut out);
        let Some(scrape) = stop.run_until_cancelled(scraping).await else {
            return;
        };
        let took = Instant::now() - now.monotonic;
        let samples = out.items() - out.tombstones();
        for failure in scrape.failures() {
            self.tally.count(failure.reason);
            self.context.instruments.failed(failure.reason);
        }
        self.tally.reject(&scrape.rejected);
        if !scrape.idle {
            self.report_series(&scrape, now, took, samples, &mut out);
            self.told_parts = Some(scrape.has_parts);
        }
        let id = &self.context.id;
        self.target.scraper.write_shared(now, id, &mut out);
        let batch = self.finish(out);
        self.report(&scrape);
        let failures = scrape.failures().len() as u64;
        if batch.items() == 0 {
            return;
        }

        let Instruments {
            scraped,
            errored,
            attributes,
            ..
        } = &self.context.instruments;
        scraped.add(samples, attributes);
        errored.add(failures, attributes);

        let size = batch.size();
        if let Some(more) = size.checked_sub(self.expected).filter(|more| *more > 0)
            && let Err(refusal) = admission.grow(more)
        {
            self.context.intake.refused(batch.items());
            return self.skipped(refusal.reason);
        }
        self.expected = size;
        // Once admitted, the batch is handed over even if the agent stops now.
        admission.accept(batch).await;
    }

    /// Ends all series of a target that was removed, and takes its guards off the registry.
    async fn end(&mut self, stop: &CancellationToken) {
        self.leave_registry();
        let ends = self.tombstones(EndedSeries::All);
        self.deliver(ends, stop).await;
    }

    /// Does the same after a panic, as far as the scraper can: it may panic again, or have lost its
    /// series. Those about the polls end in any case.
    pub(super) async fn bury(&mut self, stop: &CancellationToken) {
        // At its end the agent ends no series.
        if stop.is_cancelled() {
            return;
        }
        // Nothing of it is used after a second panic.
        let _ = catch_unwind(AssertUnwindSafe(|| self.leave_registry()));
        let ends = catch_unwind(AssertUnwindSafe(|| self.tombstones(EndedSeries::All)));
        let ends = ends.unwrap_or_else(|_| self.tombstones(EndedSeries::AboutPolls));
        self.deliver(ends, stop).await;
    }

    fn leave_registry(&self) {
        for guard in self.target.scraper.guards() {
            self.context.endpoints.remove(guard.id());
        }
    }

    fn tombstones(&mut self, ended: EndedSeries) -> Batch {
        let now = Now::read();
        let mut out = self.begin();
        out.ending(true);
        let set_back = SetBack::between(self.polled, now);
        if let Some(by) = &set_back {
            self.tally.clock_set_back(by);
        }
        if ended == EndedSeries::All {
            if let Some(by) = &set_back {
                self.target.scraper.clock_set_back(by);
            }
            self.target.scraper.end(now, &mut out);
        }
        if let Some(has_parts) = self.told_parts {
            // The values don't matter: these are tombstones.
            let scrape = match has_parts {
                true => Scrape::parts(1, Vec::new()),
                false => Scrape::whole(Ok(())),
            };
            self.report_series(&scrape, now, Duration::ZERO, 0, &mut out);
        }
        self.finish(out)
    }

    /// Hands tombstones on, when there is room for them.
    async fn deliver(&mut self, ends: Batch, stop: &CancellationToken) {
        if ends.items() == 0 {
            return;
        }
        // After that time consumers forget the series by themselves.
        let until = Instant::now() + self.keep();
        loop {
            match self.context.intake.try_admit(Origin::Pull, ends.size()) {
                Ok(admission) => return admission.accept(ends).await,
                Err(_) if Instant::now() < until => {}
                Err(_) => return self.context.intake.refused(ends.items()),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(Instant::now() + PATIENCE) => {}
            }
        }
    }

    /// A request with the target's resource and scope.
    fn begin(&self) -> MetricsWriter {
        let mut out = MetricsWriter::new();
        out.resource(&self.target.identity.attributes());
        out.scope(&self.context.scope, env!("CARGO_PKG_VERSION"));
        out
    }

    fn finish(&self, out: MetricsWriter) -> Batch {
        let mut batch = out.finish();
        batch.keep_series(self.keep());
        batch
    }

    /// How long consumers should keep a series without a new point; its own tombstone comes
    /// earlier.
    fn keep(&self) -> Duration {
        let staleness = match self.target.reach {
            Reach::Local => Duration::ZERO,
            Reach::Remote => self.context.staleness,
        };
        let pace = &self.target.pace;
        // One tick may be skipped, and the poll after it may take until its timeout.
        staleness + 2 * pace.interval + pace.timeout
    }

    fn report_series(
        &self,
        scrape: &Scrape,
        now: Now,
        took: Duration,
        samples: u64,
        out: &mut MetricsWriter,
    ) {
        let report = PollReport {
            series: self.target.series,
            labels: &self.target.identity.labels,
            time: now.wall,
            took,
            samples,
            scrape,
            failures: &self.tally,
        };
        report.write(out);
    }

    /// Records a poll for which the pipelines had no room.
    fn skipped(&mut self, reason: &'static str) {
        if reason == "shutdown" {
            // Admission closes a moment before the receivers are told to stop.
            return;
        }
        let failure = PartFailure::new(
            &*self.target.endpoint,
            FailureReason::Limit,
            format!("scrape skipped: {reason}"),
        );
        self.tally.count(FailureReason::Limit);
        let instruments = &self.context.instruments;
        instruments.errored.add(1, &instruments.attributes);
        instruments.failed(FailureReason::Limit);
        self.report(&Scrape::whole(Err(failure)));
    }

    /// Logs when parts begin to fail and when all work again, not at every poll, and reports to
    /// `/health`.
    fn report(&mut self, scrape: &Scrape) {
        // The guards change when a source is found to speak another dialect.
        self.reporter.guarded_by(self.target.scraper.guards());
        let failing: BTreeSet<String> = scrape
            .failing()
            .map(|failure| failure.part.clone())
            .collect();
        let (receiver, endpoint) = (&self.context.id, &*self.target.endpoint);
        if failing.is_empty() {
            self.reporter.working();
            if !self.failing.is_empty() {
                info!(%receiver, endpoint, "scrape works again");
            }
        } else {
            let error = summary(scrape.failing());
            if !failing.is_subset(&self.failing) {
                let advice = &self.target.advice;
                warn!(
                    %receiver,
                    endpoint,
                    "scrape of {endpoint} fails: {error}; {advice}",
                );
            }
            if scrape.up() {
                self.reporter.degraded(error);
            } else {
                self.reporter.failing(error);
            }
        }
        self.failing = failing;
    }
}

/// Resolves when an operator, or a canary of another endpoint on the same host, changes one of
/// the breakers. The poller's own requests are over while it waits here.
fn changed(guards: &[Arc<Endpoint>]) -> impl Future<Output = ()> {
    // Not in the async block: changes must count from this call on, and not from the first poll
    // of the future.
    let changes: Vec<_> = guards
        .iter()
        .map(|guard| Box::pin(guard.changed()))
        .collect();
    async move {
        if changes.is_empty() {
            std::future::pending::<()>().await;
        }
        select_all(changes).await;
    }
}

/// The failures in one line; parts with the same message are named together.
fn summary<'a>(failures: impl Iterator<Item = &'a PartFailure>) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for failure in failures {
        match groups
            .iter_mut()
            .find(|(message, _)| *message == failure.message)
        {
            Some((_, parts)) => parts.push(&failure.part),
            None => groups.push((&failure.message, vec![&failure.part])),
        }
    }
    let lines: Vec<String> = groups
        .iter()
        .map(|(message, parts)| format!("{message} ({})", parts.join(", ")))
        .collect();
    lines.join("; ")
}
