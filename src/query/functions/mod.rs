//! The functions, by what they are given: single values, dates, histograms, or the points
//! of a window of time. Each family has a file of its own.

mod average;
mod changes;
mod date;
mod fraction;
mod histograms;
mod instant;
mod math;
mod over_time;
mod quantile;
mod range;
mod rate;
mod trend;
mod window;

pub(super) use date::DatePart;
pub(super) use fraction::{bucket_fraction, histogram_fraction};
pub(super) use histograms::HistogramFunction;
pub(super) use math::{Elementwise, larger, round_to, smaller};
pub(super) use quantile::{bucket_quantile, histogram_quantile, quantile};
pub(super) use range::RangeFunction;
pub(super) use window::Window;

/// A bucket of a classic histogram: how many observations were up to its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ClassicBucket {
    pub(super) upper: f64,
    pub(super) count: f64,
}

/// Sorts buckets and puts those of one bound together. None without one at infinity, which
/// would say how many observations there are.
fn ordered(mut buckets: Vec<ClassicBucket>) -> Option<Vec<ClassicBucket>> {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    let infinite = buckets
        .last()
        .is_some_and(|last| last.upper == f64::INFINITY);
    let mut merged: Vec<ClassicBucket> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        match merged.last_mut() {
            Some(last) if last.upper == bucket.upper => last.count += bucket.count,
            _ => merged.push(bucket),
        }
    }
    infinite.then_some(merged)
}

#[cfg(test)]
mod tests;
