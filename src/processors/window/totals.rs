//! What the deltas of series have come to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;

use crate::exposition::SampleValue;
use crate::pdata::view::Point;
use crate::translation::{MetricShape, PointMode, Succession, TranslatedPoint, Unfit};
use crate::window::{RingId, StoreRefusal};

/// The totals of series whose points are deltas.
///
/// They belong to what is stored and not to whoever sends: several resources may be one series,
/// such as the instances of a service that crashes and starts again, and their deltas add up as
/// on the page of the `prometheus` exporter. So there are no more of them than series.
#[derive(Debug, Default)]
pub(super) struct DeltaTotals {
    by_ring: HashMap<RingId, DeltaTotal, RandomState>,
}

#[derive(Debug)]
struct DeltaTotal {
    succession: Succession,
    value: SampleValue,
}

impl DeltaTotals {
    /// Adds a delta to the total of its series, and answers that. `time` replaces a missing one,
    /// in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// If the delta was added already, or has no form in which it could be.
    pub(super) fn add(
        &mut self,
        ring: RingId,
        point: &Point<'_>,
        shape: MetricShape,
        time: u64,
    ) -> Result<&SampleValue, StoreRefusal> {
        const MODE: PointMode = PointMode::Delta;
        if matches!(point, Point::ExponentialHistogram(_)) {
            return Err(StoreRefusal::Unsupported);
        }
        let entry = self.by_ring.entry(ring);
        let like = match &entry {
            Entry::Occupied(total) => match &total.get().value {
                SampleValue::Histogram(histogram) => Some(&histogram.bounds),
                SampleValue::Number(_) | SampleValue::Summary(_) => None,
            },
            Entry::Vacant(_) => None,
        };
        let mut reading =
            TranslatedPoint::of(point, shape, time, like).ok_or(StoreRefusal::Unsupported)?;
        match entry {
            Entry::Vacant(_) if !MODE.admits(&reading.value) => Err(StoreRefusal::Unsupported),
            Entry::Vacant(vacant) => {
                let total = vacant.insert(DeltaTotal {
                    succession: Succession::new(reading.time, None),
                    value: reading.value,
                });
                Ok(&total.value)
            }
            Entry::Occupied(total) => {
                let total = total.into_mut();
                let applied =
                    total
                        .succession
                        .apply(&mut total.value, &mut reading, MODE, None, u64::MAX);
                applied.map_err(|unfit| match unfit {
                    Unfit::OutOfOrder => StoreRefusal::OutOfOrder,
                    Unfit::Unsupported => StoreRefusal::Unsupported,
                })?;
                Ok(&total.value)
            }
        }
    }

    /// Lets the total of a series begin anew.
    pub(super) fn end(&mut self, ring: RingId) {
        self.by_ring.remove(&ring);
    }

    /// Forgets the totals of series that are gone.
    pub(super) fn retain(&mut self, mut is_there: impl FnMut(RingId) -> bool) {
        self.by_ring.retain(|ring, _| is_there(*ring));
        if self.by_ring.len() < self.by_ring.capacity() / 4 {
            self.by_ring.shrink_to_fit();
        }
    }
}
