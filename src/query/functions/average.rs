//! Sums and means of a window, of floats or of histograms, but not of both.

use std::sync::Arc;

use super::super::histogram::{HistogramMean, HistogramSum};
use super::super::kahan::{self, RunningMean};
use super::super::notes::Notes;
use super::super::strand::PointValue;
use super::Window;

pub(super) fn sum(window: &Window<'_>, notes: &Notes) -> Option<PointValue> {
    if is_mixed(window, notes) {
        return None;
    }
    if let Some(((_, first), rest)) = window.histograms.split_first() {
        let mut sum = HistogramSum::new(first);
        for (_, histogram) in rest {
            sum.add(histogram);
        }
        return Some(PointValue::Histogram(Arc::new(sum.total())));
    }
    let (mut sum, mut lost) = (0.0, 0.0);
    for value in window.values {
        (sum, lost) = kahan::add(*value, sum, lost);
    }
    let sum = if f64::is_infinite(sum) {
        sum
    } else {
        sum + lost
    };
    Some(PointValue::Float(sum))
}

pub(super) fn mean(window: &Window<'_>, notes: &Notes) -> Option<PointValue> {
    if is_mixed(window, notes) {
        return None;
    }
    if let Some(((_, first), rest)) = window.histograms.split_first() {
        let mut mean = HistogramMean::new(first);
        for (_, histogram) in rest {
            mean.add(histogram);
        }
        return Some(PointValue::Histogram(Arc::new(mean.get())));
    }
    let (first, rest) = window.values.split_first()?;
    let mut mean = RunningMean::new(*first);
    for value in rest {
        mean.add(*value);
    }
    Some(PointValue::Float(mean.get()))
}

fn is_mixed(window: &Window<'_>, notes: &Notes) -> bool {
    let mixed = !window.values.is_empty() && !window.histograms.is_empty();
    if mixed {
        notes.mixed_range(window.metric);
    }
    mixed
}
