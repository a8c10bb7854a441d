//! Decides which point of a series follows which, and adds up deltas.

use std::sync::Arc;

use super::reading::{PointMode, TranslatedPoint, checked_total};
use crate::exposition::{Histogram, SampleValue};
use crate::pdata::SeriesId;

/// Why a point doesn't change its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is older than the newest one, or a delta that was counted already.
    OutOfOrder,
    /// It is a delta that [`PointMode::admits`] refuses.
    Unsupported,
}

/// What decides which point of a series may follow the newest one.
#[derive(Debug, Clone, Copy)]
pub struct Succession {
    /// The time of the newest point, in nanoseconds since the Unix epoch.
    time: u64,
    /// The time of the last point that was too old to be merely late; 0 if there was none.
    past: u64,
    /// The identity that the newest point had in the stream; two identities may become one series.
    owner: Option<SeriesId>,
}

impl Succession {
    /// Begins with a point of this time, in nanoseconds since the Unix epoch.
    pub fn new(time: u64, owner: Option<SeriesId>) -> Self {
        Self {
            time,
            past: 0,
            owner,
        }
    }

    /// Whether a tombstone with this time may end the series. `back` is as in
    /// [`Succession::apply`].
    pub fn may_end(&self, time: u64, back: u64) -> bool {
        let set_back = || back == 0 || self.is_far(time, back) && self.follows_past(time);
        time == 0 || time >= self.time || set_back()
    }

    /// Takes a point, and changes `value` to what the series shows with it. Returns the start of
    /// the counting, in nanoseconds since the Unix epoch, if the point changes it.
    ///
    /// Latest: the point with the newest time is shown; of two identities with the same time,
    /// always the greater one. Delta: a point that begins at or after the end of the last one, or
    /// has no start, is added; one that overlaps was counted already and is refused. A gap
    /// between deltas is no reset, unlike in the Collector: SDKs send nothing for an interval
    /// without events, and after a restart of the sender adding is right too.
    ///
    /// A point may be older than the shown one because its clock was set back. That is considered
    /// if it is older by more than `back` nanoseconds: 0 for points of the agent's own receivers,
    /// which arrive in order.
    ///
    /// # Errors
    ///
    /// `OutOfOrder` if the point is older than the shown one, `Unsupported` for a value that
    /// [`PointMode::admits`] refuses.
    #[inline]
    pub fn apply(
        &mut self,
        value: &mut SampleValue,
        reading: &mut TranslatedPoint,
        mode: PointMode,
        owner: Option<SeriesId>,
        back: u64,
    ) -> Result<Option<u64>, Unfit> {
        let behind = reading.time < self.time;
        let set_back = behind && self.is_set_back(reading.time, owner, back);
        let new = std::mem::replace(&mut reading.value, SampleValue::Number(0.0));
        let start = match mode {
            PointMode::Latest => {
                let older = behind || (reading.time == self.time && owner < self.owner);
                if older && !set_back {
                    return Err(Unfit::OutOfOrder);
                }
                *value = new;
                Some(reading.start)
            }
            PointMode::Delta => {
                let overlaps = reading.start != 0 && reading.start < self.time;
                if (reading.time <= self.time || overlaps) && !set_back {
                    return Err(Unfit::OutOfOrder);
                }
                if !mode.admits(&new) {
                    return Err(Unfit::Unsupported);
                }
                match sum(value, &new) {
                    Some(sum) => {
                        *value = sum;
                        None
                    }
                    // The total overflowed or its buckets changed: it begins anew, which
                    // Prometheus sees as a reset.
                    None => {
                        *value = new;
                        Some(reading.start)
                    }
                }
            }
        };
        *self = Self::new(reading.time, owner);
        Ok(start)
    }

    fn is_far(&self, time: u64, back: u64) -> bool {
        self.time.saturating_sub(time) > back
    }

    fn follows_past(&self, time: u64) -> bool {
        self.past != 0 && time > self.past
    }

    /// Whether a point is older than the shown one because its sender's clock was set back. For
    /// points that are merely far behind, the second one in a row with rising times shows that. A
    /// single old point is a late one, and newer points in between show that the clock is right.
    #[cold]
    fn is_set_back(&mut self, time: u64, owner: Option<SeriesId>, back: u64) -> bool {
        if owner != self.owner {
            return false;
        }
        if back == 0 {
            return true;
        }
        if !self.is_far(time, back) {
            return false;
        }
        let follows = self.follows_past(time);
        self.past = time;
        follows
    }
}

/// Adds a delta to a total; `None` if it overflows or the buckets differ.
fn sum(total: &SampleValue, delta: &SampleValue) -> Option<SampleValue> {
    match (total, delta) {
        (SampleValue::Number(total), SampleValue::Number(delta)) => {
            let sum = total + delta;
            sum.is_finite().then_some(SampleValue::Number(sum))
        }
        (SampleValue::Histogram(total), SampleValue::Histogram(delta))
            if total.bounds == delta.bounds =>
        {
            let counts = total
                .counts
                .iter()
                .zip(&delta.counts)
                .map(|(total, delta)| total.checked_add(*delta))
                .collect::<Option<Box<[u64]>>>()?;
            checked_total(counts.iter().copied())?;
            let sum = total.sum.zip(delta.sum).map(|(total, delta)| total + delta);
            Some(SampleValue::Histogram(Box::new(Histogram {
                bounds: Arc::clone(&total.bounds),
                counts,
                sum,
                exemplars: delta.exemplars.clone(),
            })))
        }
        _ => None,
    }
}
