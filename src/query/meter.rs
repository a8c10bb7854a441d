//! What a query may use, and what it has used.

use std::cell::{Cell, RefCell};

use super::answer::QuerySamples;
use super::{QueryError, QueryErrorKind, SourceRoom};

/// What a query may use.
#[derive(Clone, Debug)]
pub struct QueryLimits {
    /// Points that may be held at once.
    pub max_samples: usize,
    /// Bytes that results and what stands between may take at once.
    pub max_memory: usize,
    /// How deep expressions may stand inside each other.
    pub max_depth: usize,
    /// Bytes of the query's text.
    pub max_text: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            max_samples: 50_000_000,
            max_memory: 64 << 20,
            max_depth: 256,
            max_text: 64 << 10,
        }
    }
}

/// Why a query has to end before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Its time is over.
    TimedOut,
    /// Nobody waits for it.
    Cancelled,
}

impl From<Interruption> for QueryError {
    fn from(interruption: Interruption) -> Self {
        match interruption {
            Interruption::TimedOut => Self::new(
                QueryErrorKind::Timeout,
                "query timed out in expression evaluation",
            ),
            Interruption::Cancelled => Self::new(
                QueryErrorKind::Canceled,
                "query was canceled in expression evaluation",
            ),
        }
    }
}

/// How many points are looked at between two looks at whether to go on. A look costs less
/// than a hundredth of that work, and the work takes less than a millisecond.
const BETWEEN_LOOKS: usize = 65_536;

/// Counts what a query uses.
pub(super) struct Meter<'a> {
    limits: &'a QueryLimits,
    interrupted: &'a dyn Fn() -> Option<Interruption>,
    until_look: Cell<usize>,
    samples: Cell<usize>,
    bytes: Cell<usize>,
    /// The most samples that were held at once.
    peak: Cell<usize>,
    /// The samples that selectors gave.
    queried: Cell<u64>,
    /// Whether samples that selectors give don't count, since what is made of them does.
    is_inner: Cell<bool>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(
        limits: &'a QueryLimits,
        interrupted: &'a dyn Fn() -> Option<Interruption>,
    ) -> Self {
        Self {
            limits,
            interrupted,
            until_look: Cell::new(0),
            samples: Cell::new(0),
            bytes: Cell::new(0),
            peak: Cell::new(0),
            queried: Cell::new(0),
            is_inner: Cell::new(false),
        }
    }

    /// Counts samples that a selector gave to what it stands in.
    pub(super) fn count(&self, samples: usize) {
        if !self.is_inner.get() {
            let all = self.queried.get().saturating_add(samples as u64);
            self.queried.set(all);
        }
    }

    /// Does something while the samples of selectors don't count, or do again.
    pub(super) fn with_inner<R>(&self, is_inner: bool, work: impl FnOnce() -> R) -> R {
        let before = self.is_inner.replace(is_inner);
        let result = work();
        self.is_inner.set(before);
        result
    }

    /// Whether samples of selectors don't count now.
    pub(super) fn is_inner(&self) -> bool {
        self.is_inner.get()
    }

    /// What was counted so far.
    pub(super) fn samples(&self) -> QuerySamples {
        QuerySamples {
            queried: self.queried.get(),
            peak: self.peak.get(),
        }
    }

    /// Work on so many points: now and then asks whether to go on.
    pub(super) fn work(&self, points: usize) -> Result<(), QueryError> {
        let left = self.until_look.get();
        if points < left {
            self.until_look.set(left - points);
            return Ok(());
        }
        self.until_look.set(BETWEEN_LOOKS);
        match (self.interrupted)() {
            None => Ok(()),
            Some(interruption) => Err(interruption.into()),
        }
    }

    /// Takes room for so many points of so many bytes in all, until the charge is dropped.
    pub(super) fn charge(&'a self, samples: usize, bytes: usize) -> Result<Charge<'a>, QueryError> {
        let mut charge = Charge::new(self);
        charge.grow(samples, bytes)?;
        Ok(charge)
    }

    /// Takes room until the query ends: for texts, which any number of series may share.
    pub(super) fn keep(&self, bytes: usize) -> Result<(), QueryError> {
        self.take(0, bytes)
    }

    fn take(&self, samples: usize, bytes: usize) -> Result<(), QueryError> {
        let all_samples = self.samples.get().saturating_add(samples);
        if all_samples > self.limits.max_samples {
            return Err(QueryError::new(
                QueryErrorKind::Limit,
                "query processing would load too many samples into memory in query execution",
            ));
        }
        let all_bytes = self.bytes.get().saturating_add(bytes);
        if all_bytes > self.limits.max_memory {
            return Err(QueryError::new(
                QueryErrorKind::Limit,
                format!(
                    "query processing would take more than {} bytes of memory",
                    self.limits.max_memory
                ),
            ));
        }
        self.samples.set(all_samples);
        self.peak.set(self.peak.get().max(all_samples));
        self.bytes.set(all_bytes);
        Ok(())
    }

    fn give_back(&self, samples: usize, bytes: usize) {
        self.samples.set(self.samples.get() - samples);
        self.bytes.set(self.bytes.get() - bytes);
    }
}

/// Room that is given back when this is dropped. Whatever holds more than a fixed number of
/// bytes owns one.
pub(super) struct Charge<'m> {
    meter: &'m Meter<'m>,
    samples: usize,
    bytes: usize,
}

impl<'m> Charge<'m> {
    /// Of nothing yet.
    pub(super) fn new(meter: &'m Meter<'m>) -> Self {
        Self {
            meter,
            samples: 0,
            bytes: 0,
        }
    }

    pub(super) fn meter(&self) -> &'m Meter<'m> {
        self.meter
    }

    /// Takes more room.
    pub(super) fn grow(&mut self, samples: usize, bytes: usize) -> Result<(), QueryError> {
        self.meter.take(samples, bytes)?;
        self.samples += samples;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives some of the bytes back.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let given = bytes.min(self.bytes);
        self.bytes -= given;
        self.meter.give_back(0, given);
    }

    /// Takes room for something that has become larger, or gives back what it no longer
    /// takes.
    pub(super) fn replace(&mut self, before: usize, now: usize) -> Result<(), QueryError> {
        if now > before {
            return self.grow(0, now - before);
        }
        self.shrink(before - now);
        Ok(())
    }

    /// Takes over what another holds.
    pub(super) fn absorb(&mut self, mut other: Self) {
        self.samples += std::mem::take(&mut other.samples);
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.meter.give_back(self.samples, self.bytes);
    }
}

/// The room of one selection.
pub(super) struct SelectionRoom<'m> {
    charge: RefCell<Charge<'m>>,
}

impl<'m> SelectionRoom<'m> {
    pub(super) fn new(meter: &'m Meter<'m>) -> Self {
        let charge = RefCell::new(Charge::new(meter));
        Self { charge }
    }
}

impl SourceRoom for SelectionRoom<'_> {
    fn work(&self, points: usize) -> Result<(), QueryError> {
        let meter = self.charge.borrow().meter();
        meter.work(points)
    }

    fn hold(&self, bytes: usize) -> Result<(), QueryError> {
        self.charge.borrow_mut().grow(0, bytes)
    }

    fn release(&self, bytes: usize) {
        self.charge.borrow_mut().shrink(bytes);
    }
}
