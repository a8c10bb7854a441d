//! Histograms added to and subtracted from each other: first both get one schema and one
//! zero bucket, then bucket meets bucket.

use super::NativeHistogram;
use super::bounds::{coarser, upper};

impl NativeHistogram {
    /// Adds another histogram.
    pub(in super::super) fn add(&mut self, other: &Self) {
        self.combine(other, 1.0);
    }

    /// Subtracts another histogram. Counts may become negative.
    pub(in super::super) fn subtract(&mut self, other: &Self) {
        self.combine(other, -1.0);
    }

    fn combine(&mut self, other: &Self, sign: f64) {
        self.gauge |= other.gauge;
        let zero_count = self.common_zero(other);
        self.zero_count += sign * zero_count;
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        let schema = self.schema.min(other.schema);
        self.reduce(schema);
        let threshold = self.zero_threshold;
        let theirs = |buckets: &[(i32, f64)]| outside(buckets, other.schema, schema, threshold);
        merge(&mut self.positive, &theirs(&other.positive), sign);
        merge(&mut self.negative, &theirs(&other.negative), sign);
    }

    /// Takes a coarser schema.
    pub(in super::super) fn reduce(&mut self, schema: i32) {
        if schema < self.schema {
            self.positive = reduced(&self.positive, self.schema, schema);
            self.negative = reduced(&self.negative, self.schema, schema);
            self.schema = schema;
        }
    }

    /// Widens the zero bucket until the other's zero bucket ends where this one does, and
    /// neither end is inside of a populated bucket. Gives back the other's zero count then.
    pub(super) fn common_zero(&mut self, other: &Self) -> f64 {
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (count, threshold) = other.with_wider_zero(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.with_wider_zero(threshold);
                self.drop_inside_zero();
            } else if threshold.is_nan() || self.zero_threshold.is_nan() {
                break;
            }
        }
        count
    }

    /// What the zero bucket would count if it reached as far as `threshold`, and how far it
    /// has to reach to end outside of populated buckets.
    pub(super) fn with_wider_zero(&self, mut threshold: f64) -> (f64, f64) {
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold);
        }
        loop {
            let (above, reach) = self.inside(&self.positive, threshold);
            threshold = reach;
            let (below, reach) = self.inside(&self.negative, threshold);
            if reach == threshold {
                return (self.zero_count + above + below, threshold);
            }
            threshold = reach;
        }
    }

    /// What the buckets of one side hold below a threshold, which moves to the end of a
    /// populated bucket that it falls into.
    fn inside(&self, buckets: &[(i32, f64)], mut threshold: f64) -> (f64, f64) {
        let mut count = 0.0;
        for (index, here) in buckets {
            if upper(index.saturating_sub(1), self.schema) >= threshold {
                break;
            }
            count += here;
            let end = upper(*index, self.schema);
            if end > threshold {
                if *here != 0.0 {
                    threshold = end;
                }
                break;
            }
        }
        (count, threshold)
    }

    fn drop_inside_zero(&mut self) {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        let outside = |(index, _): &(i32, f64)| upper(index.saturating_sub(1), schema) >= threshold;
        self.positive.retain(outside);
        self.negative.retain(outside);
    }
}

/// Buckets in a coarser schema.
pub(super) fn reduced(buckets: &[(i32, f64)], schema: i32, target: i32) -> Vec<(i32, f64)> {
    let mut coarse: Vec<(i32, f64)> = Vec::with_capacity(buckets.len());
    for (index, count) in buckets {
        let index = coarser(*index, schema, target);
        match coarse.last_mut() {
            Some((last, sum)) if *last == index => *sum += count,
            _ => coarse.push((index, *count)),
        }
    }
    coarse
}

/// Buckets in a coarser schema, those left out that lie inside of the zero bucket.
pub(super) fn outside(
    buckets: &[(i32, f64)],
    schema: i32,
    target: i32,
    threshold: f64,
) -> Vec<(i32, f64)> {
    let mut coarse = reduced(buckets, schema, target);
    let inside = coarse
        .iter()
        .take_while(|(index, _)| upper(*index, target) <= threshold)
        .count();
    coarse.drain(..inside);
    coarse
}

/// Adds buckets to buckets, both in the order of their indices.
fn merge(mine: &mut Vec<(i32, f64)>, theirs: &[(i32, f64)], sign: f64) {
    if mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(a, b)| a.0 == b.0) {
        for (a, b) in mine.iter_mut().zip(theirs) {
            a.1 += sign * b.1;
        }
        return;
    }
    let mut merged = Vec::with_capacity(mine.len() + theirs.len());
    let mut rest = mine.iter().copied().peekable();
    for (index, count) in theirs {
        while let Some(before) = rest.next_if(|(at, _)| at < index) {
            merged.push(before);
        }
        let here = rest.next_if(|(at, _)| at == index);
        let count = here.map_or(0.0, |(_, count)| count) + sign * count;
        merged.push((*index, count));
    }
    merged.extend(rest);
    *mine = merged;
}
