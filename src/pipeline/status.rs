//! Whether an exporter works, told to the health board and, once a minute at most, to the
//! log.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ledger::LegAccount;
use crate::component::{ComponentId, DropReason, Health, Reporter, Subject};
use crate::pdata::Signal;
use crate::resilience::Endpoint;

const LOG_INTERVAL: Duration = Duration::from_secs(60);

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
            tracing::info!(exporter = %self.id, signal = self.signal(), "exporter delivers again");
            self.failures.reset();
        }
        self.reporter.working();
    }

    pub(super) fn failing(&self, error: &str) {
        self.failing.store(true, Ordering::Relaxed);
        self.reporter.failing(error);
        if let Some(more) = self.failures.pass(1) {
            tracing::warn!(exporter = %self.id, signal = self.signal(), error, failures = more, "exporter can't deliver");
        }
    }

    /// Items were lost for a reason that nobody asked for. What the log doesn't tell now, it
    /// tells at the end.
    pub(super) fn lost(&self, items: u64, reason: DropReason) {
        if let Some(items) = self.losses[reason as usize].pass(items) {
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

/// Lets one line a minute through and sums up what it kept back.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    // Std: the section adds a number.
    state: Mutex<(Option<Instant>, u64)>,
}

impl Throttle {
    pub(super) fn pass(&self, count: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, sum) = &mut *state;
        *sum += count;
        let now = Instant::now();
        if last.is_some_and(|last| now.duration_since(last) < LOG_INTERVAL) {
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(sum))
    }

    /// What no line has told yet, if there is any. The next one passes at once.
    pub(super) fn rest(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, untold) = std::mem::take(&mut *state);
        (untold > 0).then_some(untold)
    }

    pub(super) fn reset(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (None, 0);
    }
}
