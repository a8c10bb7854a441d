//! The rise of a series over a window, extrapolated to its ends.
//!
//! A series is taken to go on to an end of the window if its nearest point is not much
//! farther from there than points are from each other, and else to begin or end half that
//! far outside. A counter is not extrapolated to below zero.

use std::sync::Arc;

use super::super::NativeHistogram;
use super::super::notes::Notes;
use super::super::strand::PointValue;
use super::Window;

/// How much farther than the average distance an end of the window may be.
const NEAR: f64 = 1.1;

/// Which rise is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rise {
    /// Of a counter, in a second.
    Rate,
    /// Of a counter, in the window.
    Increase,
    /// Of a gauge, in the window.
    Delta,
}

impl Rise {
    fn is_of_counter(self) -> bool {
        self != Self::Delta
    }
}

/// The rise over a window. None of fewer than two points.
pub(super) fn extrapolated(window: &Window<'_>, rise: Rise, notes: &Notes) -> Option<PointValue> {
    match (window.values, window.histograms) {
        (_, []) => {
            let sampled = float_rise(window.values, rise);
            let floor =
                (sampled > 0.0 && window.values[0] >= 0.0).then(|| window.values[0] / sampled);
            let factor = factor(window, window.times, floor, rise)?;
            Some(PointValue::Float(sampled * factor))
        }
        ([], histograms) => {
            if histograms.len() < 2 {
                return None;
            }
            let times: Vec<i64> = histograms.iter().map(|(time, _)| *time).collect();
            let mut sampled = histogram_rise(window, rise, notes);
            let first = histograms[0].1.count;
            let floor = (sampled.count > 0.0 && first >= 0.0).then(|| first / sampled.count);
            let factor = factor(window, &times, floor, rise)?;
            sampled.scale(factor);
            Some(PointValue::Histogram(Arc::new(sampled)))
        }
        _ => {
            notes.mixed_range(window.metric);
            None
        }
    }
}

/// From the first point to the last.
fn float_rise(values: &[f64], rise: Rise) -> f64 {
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return 0.0;
    };
    let mut sampled = last - first;
    if rise.is_of_counter() {
        // Most windows hold no reset, and whether one does is seen several pairs at a time.
        let pairs = values.windows(2);
        if pairs.fold(false, |any, pair| any | (pair[1] < pair[0])) {
            let resets = values.windows(2).filter(|pair| pair[1] < pair[0]);
            for pair in resets {
                sampled += pair[0];
            }
        }
    }
    sampled
}

/// From the first point to the last, bucket by bucket.
fn histogram_rise(window: &Window<'_>, rise: Rise, notes: &Notes) -> NativeHistogram {
    let points = window.histograms;
    let (first, last) = (&points[0].1, &points[points.len() - 1].1);
    let of_counter = rise.is_of_counter();
    if of_counter && points.iter().any(|(_, point)| point.gauge) {
        notes.not_counter(window.metric);
    }
    let both_are_gauges = first.gauge && last.gauge;
    if !of_counter && !both_are_gauges {
        notes.not_gauge(window.metric);
    }
    // A reset right behind the first point makes it one that nothing is subtracted from.
    let second = &points[1].1;
    let empty;
    let first: &NativeHistogram = if of_counter && second.is_reset_from(first) {
        empty = NativeHistogram {
            schema: second.schema,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
            gauge: false,
        };
        &empty
    } else {
        first
    };
    let mut sampled = (**last).clone();
    let between = &points[1..points.len() - 1];
    let between = between.iter().filter(|_| of_counter);
    let schemas = between.map(|(_, point)| point.schema);
    let schema = schemas.chain([first.schema, last.schema]).min();
    sampled.reduce(schema.unwrap_or(last.schema));
    sampled.subtract(first);
    if of_counter {
        let mut before = first;
        for (_, now) in &points[1..] {
            if now.is_reset_from(before) {
                sampled.add(before);
            }
            before = now;
        }
    }
    sampled.gauge = true;
    sampled.compacted()
}

/// What the sampled rise is multiplied with. `floor` says, for a counter, how many times
/// the sampled rise the first value is.
fn factor(window: &Window<'_>, times: &[i64], floor: Option<f64>, rise: Rise) -> Option<f64> {
    let (first, last) = (*times.first()?, *times.last()?);
    let intervals = times.len() - 1;
    if intervals == 0 {
        return None;
    }
    let seconds = |milliseconds: i64| milliseconds as f64 / 1_000.0;
    let sampled = seconds(last - first);
    let average = sampled / intervals as f64;
    let to_end = |distance: f64| {
        if distance >= average * NEAR {
            average / 2.0
        } else {
            distance
        }
    };
    let mut before = to_end(seconds(first - window.start));
    let behind = to_end(seconds(window.end - last));
    let to_zero = floor.map(|floor| sampled * floor);
    if let Some(to_zero) = to_zero.filter(|to_zero| rise.is_of_counter() && *to_zero < before) {
        before = to_zero;
    }
    let factor = (sampled + before + behind) / sampled;
    Some(match rise {
        Rise::Rate => factor / window.seconds(),
        Rise::Increase | Rise::Delta => factor,
    })
}
