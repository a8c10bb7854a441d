//! Whether an exporter works, told to the health board and, once a minute at most, to the
//! log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::time::Instant;

use super::ledger::LegAccount;
use crate::component::{ComponentId, DropReason, Health, Reporter, Subject};
use crate::pdata::Signal;
use crate::resilience::Endpoint;
use crate::telemetry::Throttle;

/// What is known of one exporter, or of one signal of it.
#[derive(Debug)]
pub(super) struct ExporterStatus {
    pub(super) id: ComponentId,
    /// Where the exporter has one for each of several.
    signal: Option<Signal>,
    reporter: Reporter,
    failing: AtomicBool,
    ended: AtomicBool,
    pub(super) in_flight: AtomicU64,
    failures: Throttle,
    losses: [Throttle; DropReason::ALL.len()],
    /// Losses that the log has told, by reason.
    told: [AtomicU64; DropReason::ALL.len()],
}

impl ExporterStatus {
    pub(super) fn new(id: &ComponentId, health: &Health) -> Self {
        Self {
            id: id.clone(),
            signal: None,
            reporter: health.reporter(Subject::Exporter, id, id.as_str()),
            failing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
            failures: Throttle::default(),
            losses: Default::default(),
            told: Default::default(),
        }
    }

    /// The same for one signal of several.
    pub(super) fn of(mut self, signal: Signal) -> Self {
        self.reporter.rename(&format!("{} {signal}", self.id));
        self.signal = Some(signal);
        self
    }

    /// The breaker before it, which `/health` shows.
    pub(super) fn guarded_by(&self, endpoint: Arc<Endpoint>) {
        self.reporter.guarded_by([endpoint]);
    }

    pub(super) fn working(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            let failures = self.failures.rest();
            tracing::info!(exporter = %self.id, signal = self.signal(), failures, "exporter delivers again");
        }
        self.reporter.working();
    }

    pub(super) fn failing(&self, error: &str) {
        self.failing.store(true, Ordering::Relaxed);
        self.reporter.failing(error);
        if let Some(more) = self.failures.pass(1, Instant::now()) {
            tracing::warn!(exporter = %self.id, signal = self.signal(), error, failures = more, "exporter can't deliver");
        }
    }

    /// Items were lost for a reason that nobody asked for. What the log doesn't tell now, it
    /// tells at the end.
    pub(super) fn lost(&self, items: u64, reason: DropReason) {
        if let Some(items) = self.losses[reason as usize].pass(items, Instant::now()) {
            self.tell(items, reason);
        }
    }

    /// Losses for this reason that the log has told.
    pub(super) fn told(&self, reason: DropReason) -> u64 {
        self.told[reason as usize].load(Ordering::Relaxed)
    }

    /// Says in the log that items were lost, if there are any.
    pub(super) fn tell(&self, items: u64, reason: DropReason) {
        if items > 0 {
            self.told[reason as usize].fetch_add(items, Ordering::Relaxed);
            tracing::error!(exporter = %self.id, signal = self.signal(), items, reason = reason.as_str(), "items lost");
        }
    }

    /// Says in the log how many attempts failed since it last said so.
    pub(super) fn tell_failures(&self) {
        if let Some(failures) = self.failures.rest() {
            tracing::warn!(exporter = %self.id, signal = self.signal(), failures, "exporter couldn't deliver");
        }
    }

    /// Whether these are the books of what it delivers.
    pub(super) fn is_of(&self, leg: &LegAccount) -> bool {
        leg.exporter == self.id && self.signal.is_none_or(|signal| leg.signal == signal)
    }

    fn signal(&self) -> Option<&'static str> {
        self.signal.map(Signal::as_str)
    }

    /// Counts an attempt while it lives.
    pub(super) fn under_way(&self) -> AttemptUnderWay<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        AttemptUnderWay(self)
    }

    pub(super) fn ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Whether the last attempt worked, if there was one, and the task lives.
    pub(super) fn works(&self) -> bool {
        !self.failing.load(Ordering::Relaxed) && !self.ended.load(Ordering::Relaxed)
    }
}

/// An attempt that is being made.
pub(super) struct AttemptUnderWay<'a>(&'a ExporterStatus);

impl Drop for AttemptUnderWay<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_capture::LogCapture;

    #[tokio::test(start_paused = true)]
    async fn the_log_tells_every_failure_by_the_end_of_an_outage_and_of_the_agent() {
        let (log, _guard) = LogCapture::begin();
        let told = || -> Vec<(String, u64)> {
            let lines = log.lines();
            let failures = lines.iter().filter_map(|line| {
                let message = line["message"].as_str()?.to_owned();
                Some((message, line["failures"].as_u64()?))
            });
            failures.collect()
        };
        let status = ExporterStatus::new(&"debug".parse().unwrap(), &Health::new());
        for _ in 0..4 {
            status.failing("no room");
        }
        status.working();
        let expected = [
            ("exporter can't deliver", 1),
            ("exporter delivers again", 3),
        ];
        assert_eq!(
            told(),
            expected.map(|(message, count)| (message.to_owned(), count))
        );
        for _ in 0..3 {
            status.failing("no room");
        }
        status.tell_failures();
        status.tell_failures();
        assert_eq!(told().iter().map(|(_, count)| count).sum::<u64>(), 7);
    }
}
