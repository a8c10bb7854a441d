//! A series on the page.

use crate::component::DropReason;
use crate::exposition::{SampleValue, Series};
use crate::pdata::SeriesId;
use crate::translation::{PointMode, Succession, TranslatedPoint, Unfit, millis};

/// What a series shows, and what decides which point may replace it.
#[derive(Debug)]
pub(super) struct SeriesState {
    pub(super) series: Series,
    succession: Succession,
}

impl SeriesState {
    pub(super) fn new(
        mut series: Series,
        reading: TranslatedPoint,
        owner: Option<SeriesId>,
        timestamps: bool,
    ) -> Self {
        series.value = reading.value;
        series.exemplar = reading.exemplar;
        series.created = millis(reading.start);
        series.timestamp = millis(reading.time).filter(|_| timestamps);
        Self {
            series,
            succession: Succession::new(reading.time, owner),
        }
    }

    /// As [`Succession::may_end`].
    pub(super) fn may_end(&self, time: u64, back: u64) -> bool {
        self.succession.may_end(time, back)
    }

    /// Takes a point.
    ///
    /// # Errors
    ///
    /// As [`Succession::apply`].
    #[inline]
    pub(super) fn apply(
        &mut self,
        mut reading: TranslatedPoint,
        mode: PointMode,
        owner: Option<SeriesId>,
        back: u64,
    ) -> Result<(), DropReason> {
        let series = &mut self.series;
        let start = self
            .succession
            .apply(&mut series.value, &mut reading, mode, owner, back)
            .map_err(|unfit| match unfit {
                Unfit::OutOfOrder => DropReason::OutOfOrder,
                Unfit::Unsupported => DropReason::Unsupported,
            })?;
        if let Some(start) = start {
            series.created = millis(start);
        }
        series.exemplar = reading.exemplar;
        if series.timestamp.is_some() {
            series.timestamp = millis(reading.time);
        }
        Ok(())
    }
}

/// How many lines a value takes on the page.
pub(super) fn lines(value: &SampleValue) -> usize {
    match value {
        SampleValue::Number(_) => 1,
        SampleValue::Histogram(histogram) => histogram.counts.len() + 2,
        SampleValue::Summary(summary) => summary.quantiles.len() + 2,
    }
}
