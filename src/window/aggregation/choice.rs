//! A statistic that somebody asks for by its name.

use std::sync::Arc;

use super::super::point::ValueKind;
use super::super::stats::{Method, Statistic, UnknownStatistic, percentile, statistic};

/// A statistic, by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct StatChoice {
    name: Arc<str>,
    pub(super) meaning: StatMeaning,
}

/// What a statistic is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StatMeaning {
    /// All values, or all observations: their mean.
    Mean,
    /// Their sum.
    Total,
    /// Their number.
    Number,
    /// That percentage of them lies below.
    Percentile(f64),
    /// All values.
    Values,
    /// The values of one series, one after the other.
    Sequence,
    /// All values of gauges, and their times.
    Trend,
    /// The growth of one series.
    Growth,
    /// The change of one gauge.
    Change,
}

impl StatChoice {
    /// The statistic of this name, as in [`statistic`].
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn named(name: &str) -> Result<Self, UnknownStatistic> {
        statistic(name, Method::default())?;
        let meaning = match name {
            "avg" => StatMeaning::Mean,
            "sum" => StatMeaning::Total,
            "count" => StatMeaning::Number,
            "rate" | "increase" => StatMeaning::Growth,
            "delta" => StatMeaning::Change,
            "deriv" => StatMeaning::Trend,
            "ema" => StatMeaning::Sequence,
            _ => percentile(name).map_or(StatMeaning::Values, StatMeaning::Percentile),
        };
        Ok(Self {
            name: name.into(),
            meaning,
        })
    }

    /// Its name as it was written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is defined for metrics of a kind.
    #[must_use]
    pub fn applies_to(&self, kind: ValueKind) -> bool {
        match self.meaning {
            StatMeaning::Mean | StatMeaning::Total | StatMeaning::Number => true,
            StatMeaning::Percentile(_) => kind != ValueKind::Summary,
            StatMeaning::Values | StatMeaning::Sequence => kind.is_number(),
            StatMeaning::Trend | StatMeaning::Change => kind == ValueKind::Gauge,
            StatMeaning::Growth => kind != ValueKind::Gauge,
        }
    }

    /// Whether a group has it, not each of its series alone.
    pub(super) fn is_pooled(&self) -> bool {
        !matches!(
            self.meaning,
            StatMeaning::Growth | StatMeaning::Change | StatMeaning::Sequence
        )
    }

    /// What computes it of numbers; `None` never happens, as the name was looked up before.
    pub(super) fn statistic(&self, method: Method) -> Option<Box<dyn Statistic + Send>> {
        statistic(&self.name, method).ok()
    }
}
