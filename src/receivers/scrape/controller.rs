//! Runs the polls of a pull receiver. One task sleeps until the next endpoint is due: at its
//! ticks, or earlier when a guard asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all, select_all};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::schedule::Schedule;
use super::series::{self, FailureCounts};
use super::{FailureReason, PartFailure, PollSettings, Scrape, Scraper, SetBack};
use crate::component::{
    BuildContext, ComponentId, Health, Intake, Now, Origin, Receiver, Reporter, Subject,
};
use crate::pdata::writer::{Attribute, MetricsWriter};
use crate::resilience::{self, ActiveTask, ActiveTasks, Endpoint, Trigger};

/// How long to wait before repeating an early poll after which the scraper still asks for the
/// same time.
const REST: Duration = Duration::from_secs(1);

/// Bytes that the first poll is admitted with; later polls are admitted with the size of the last
/// one.
const FIRST_GUESS: u64 = 4096;

/// One endpoint of a pull receiver.
pub struct Target {
    /// The endpoint as configured, without credentials; written as `service.instance.id`.
    pub endpoint: String,
    /// Whether it is on this machine, which decides when it is polled.
    pub reach: Reach,
    /// Further attributes of the resource of its series.
    pub resource: Vec<(&'static str, String)>,
    /// What the user can do when a poll fails, appended to the log line, such as `point it
    /// elsewhere with BETANET_URL`.
    pub advice: String,
    /// Polls the endpoint.
    pub scraper: Box<dyn Scraper>,
}

/// Where an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On this machine, read by system calls.
    Local,
    /// Behind a network, loopback or not.
    Remote,
}

/// A running pull receiver: polls all of its endpoints.
pub struct Controller {
    id: ComponentId,
    settings: PollSettings,
    /// How long a remote endpoint's series may stay without a new point before they end with
    /// tombstones.
    staleness: Duration,
    intake: Arc<dyn Intake>,
    health: Health,
    instruments: Instruments,
    pollers: ActiveTasks,
    targets: Vec<Target>,
}

impl Controller {
    /// A receiver that polls `targets` and hands the metrics to `intake`.
    pub fn new(
        context: &BuildContext,
        settings: PollSettings,
        intake: Arc<dyn Intake>,
        targets: Vec<Target>,
    ) -> Self {
        let controller = Self::assemble(
            context.id.clone(),
            context.health.clone(),
            &context.telemetry.meter("foghorn/scrape"),
            context.endpoints.pollers().clone(),
            settings,
            intake,
            targets,
        );
        let guard = context.guard.as_deref();
        Self {
            staleness: guard.map_or(Duration::ZERO, resilience::Settings::max_staleness),
            ..controller
        }
    }

    pub(super) fn assemble(
        id: ComponentId,
        health: Health,
        meter: &Meter,
        pollers: ActiveTasks,
        settings: PollSettings,
        intake: Arc<dyn Intake>,
        targets: Vec<Target>,
    ) -> Self {
        Self {
            instruments: Instruments::new(meter, &id),
            id,
            settings,
            staleness: Duration::ZERO,
            intake,
            health,
            pollers,
            targets,
        }
    }
}

impl Receiver for Controller {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        // An endpoint that can't be reached doesn't keep the agent from starting.
        Box::pin(std::future::ready(Ok(())))
    }

    fn run(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let now = Now::read();
            let host = rustix::system::uname();
            let host = host.nodename().to_string_lossy();
            let polls = self.targets.into_iter().map(|target| {
                let schedule = match target.reach {
                    Reach::Local => Schedule::local(&self.settings, now),
                    Reach::Remote => Schedule::remote(&self.settings, &target.endpoint, &host, now),
                };
                let staleness = match target.reach {
                    Reach::Local => Duration::ZERO,
                    Reach::Remote => self.staleness,
                };
                let mut poller = Poller {
                    // One tick may be skipped, and the poll after it may take until its timeout.
                    keep: staleness + 2 * self.settings.interval + self.settings.timeout,
                    scope: format!("foghorn/{}", self.id.kind()),
                    reporter: self
                        .health
                        .reporter(Subject::Endpoint, &self.id, &target.endpoint),
                    tally: FailureCounts::new(now.wall, target.reach == Reach::Remote),
                    polled: now,
                    failing: BTreeSet::new(),
                    expected: FIRST_GUESS,
                    id: self.id.clone(),
                    intake: Arc::clone(&self.intake),
                    instruments: self.instruments.clone(),
                    _polling: self.pollers.enter(),
                    target,
                };
                poller.target.scraper.start(now);
                poller.run(schedule, stop.clone())
            });
            join_all(polls).await;
        })
    }
}

/// The agent's own counters for one receiver.
#[derive(Debug, Clone)]
struct Instruments {
    scraped: Counter<u64>,
    errored: Counter<u64>,
    attributes: Arc<[KeyValue]>,
}

impl Instruments {
    fn new(meter: &Meter, id: &ComponentId) -> Self {
        Self {
            scraped: meter
                .u64_counter("otelcol_scraper_scraped_metric_points")
                .with_description("data points that were scraped")
                .build(),
            errored: meter
                .u64_counter("otelcol_scraper_errored_metric_points")
                .with_description("parts of scrapes that gave no data")
                .build(),
            attributes: Arc::new([
                KeyValue::new("receiver", id.to_string()),
                KeyValue::new("scraper", id.kind().to_owned()),
            ]),
        }
    }
}

/// One endpoint, and what is remembered of its polls.
struct Poller {
    id: ComponentId,
    target: Target,
    scope: String,
    intake: Arc<dyn Intake>,
    instruments: Instruments,
    reporter: Reporter,
    tally: FailureCounts,
    /// When the last poll began; before the first, when the controller started.
    polled: Now,
    /// The parts that failed in the last poll.
    failing: BTreeSet<String>,
    /// Bytes that the next poll will be admitted with: those of the last one.
    expected: u64,
    /// Counts this poller among the running ones while it lives.
    _polling: ActiveTask,
    /// How long consumers should keep a series without a new point; its own tombstone comes
    /// earlier.
    keep: Duration,
}

impl Poller {
    async fn run(mut self, schedule: Schedule, stop: CancellationToken) {
        let mut tick = schedule.first;
        let mut rested = tick;
        loop {
            let guards = self.target.scraper.guards();
            // Before the next wake is computed, so that no change of a breaker is missed in
            // between.
            let changed = changed(&guards);
            let wake = self.target.scraper.wake_at();
            let (due, trigger) = match wake {
                Some(wake) if wake.max(rested) < tick => (wake.max(rested), Trigger::Wake),
                _ => (tick, Trigger::Tick),
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(due) => {}
                () = changed => continue,
            }
            self.poll(trigger, &stop).await;
            let now = Instant::now();
            match trigger {
                Trigger::Tick => tick = schedule.next(now),
                // The poll changed nothing, for example because the pipelines had no room.
                Trigger::Wake if self.target.scraper.wake_at() == wake => rested = now + REST,
                Trigger::Wake => {}
            }
        }
    }

    async fn poll(&mut self, trigger: Trigger, stop: &CancellationToken) {
        // Admission comes before the request, so that no endpoint is polled for data that would
        // be dropped.
        let mut admission = match self.intake.try_admit(Origin::Pull, self.expected) {
            Ok(admission) => admission,
            Err(refusal) => return self.skipped(refusal.reason),
        };
        let now = Now::read();
        if let Some(by) = SetBack::between(std::mem::replace(&mut self.polled, now), now) {
            self.tally.clock_set_back(&by);
            self.target.scraper.clock_set_back(&by);
        }
        let mut out = MetricsWriter::new();
        self.write_resource(&mut out);
        let Some(scrape) = stop
            .run_until_cancelled(self.target.scraper.scrape(now, trigger, &mut out))
            .await
        else {
            return;
        };
        let took = Instant::now() - now.monotonic;
        let samples = out.items() - out.tombstones();
        for failure in scrape.failures() {
            self.tally.count(failure.reason);
        }
        self.tally.reject(&scrape.rejected);
        if !scrape.idle {
            series::write(&mut out, now.wall, &scrape, took, samples, &self.tally);
        }
        self.target.scraper.write_shared(now, &self.id, &mut out);
        let mut batch = out.finish();
        batch.keep_series(self.keep);
        self.report(&scrape);
        if batch.items() == 0 {
            return;
        }

        let attributes = &self.instruments.attributes;
        self.instruments.scraped.add(samples, attributes);
        self.instruments
            .errored
            .add(scrape.failures().len() as u64, attributes);

        let size = batch.size();
        if let Some(more) = size.checked_sub(self.expected).filter(|more| *more > 0)
            && let Err(refusal) = admission.grow(more)
        {
            self.intake.refused(batch.items());
            return self.skipped(refusal.reason);
        }
        self.expected = size;
        // Once admitted, the batch is handed over even if the agent stops now.
        admission.accept(batch).await;
    }

    fn write_resource(&self, out: &mut MetricsWriter) {
        let mut attributes: Vec<Attribute<'_>> = vec![
            ("service.name", self.id.as_str().into()),
            ("service.instance.id", self.target.endpoint.as_str().into()),
        ];
        for (key, value) in &self.target.resource {
            attributes.push((key, value.as_str().into()));
        }
        out.resource(&attributes);
        out.scope(&self.scope, env!("CARGO_PKG_VERSION"));
    }

    /// Records a poll for which the pipelines had no room.
    fn skipped(&mut self, reason: &'static str) {
        if reason == "shutdown" {
            // Admission closes a moment before the receivers are told to stop.
            return;
        }
        let failure = PartFailure::new(
            self.target.endpoint.clone(),
            FailureReason::Limit,
            format!("scrape skipped: {reason}"),
        );
        self.tally.count(FailureReason::Limit);
        self.instruments
            .errored
            .add(1, &self.instruments.attributes);
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
        if failing.is_empty() {
            self.reporter.working();
            if !self.failing.is_empty() {
                info!(receiver = %self.id, endpoint = self.target.endpoint, "scrape works again");
            }
        } else {
            let error = summary(scrape.failing());
            if !failing.is_subset(&self.failing) {
                warn!(
                    receiver = %self.id,
                    endpoint = self.target.endpoint,
                    "scrape of {} fails: {error}; {}",
                    self.target.endpoint,
                    self.target.advice,
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

#[cfg(test)]
mod tests;
