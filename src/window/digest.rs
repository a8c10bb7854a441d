//! What is known of a chunk of numbers without unpacking it.

use super::point::STALE;

/// A summary of numbers in the order of their times. NaN, infinities and stale markers are
/// counted and take part in nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Digest {
    /// Finite numbers.
    pub count: u32,
    /// NaN that isn't a stale marker.
    pub nans: u32,
    /// Infinities of both signs.
    pub infinities: u32,
    /// Stale markers.
    pub stale: u32,
    /// How often a number was smaller than the one before.
    pub resets: u32,
    /// What was lost at those: the sum of the numbers before.
    pub lost: f64,
    /// The sum of the numbers, to be added to `compensation`.
    pub sum: f64,
    /// What rounding took from `sum`.
    pub compensation: f64,
    /// The least, 0 if there is none.
    pub min: f64,
    /// The greatest, 0 if there is none.
    pub max: f64,
    /// The first, 0 if there is none.
    pub first: f64,
    /// The last, 0 if there is none.
    pub last: f64,
}

impl Digest {
    /// The digest of numbers.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut digest = Self::default();
        for value in values {
            digest.add(value);
        }
        digest
    }

    /// The digest of a number that repeats.
    #[must_use]
    pub fn of_constant(value: f64, count: u32) -> Self {
        let mut digest = Self::of([value]);
        if digest.count == 1 {
            digest.count = count;
            // A product, and what rounding took from it.
            digest.sum = value * f64::from(count);
            digest.compensation = value.mul_add(f64::from(count), -digest.sum);
            if !digest.sum.is_finite() {
                digest.compensation = 0.0;
            }
        } else {
            digest.nans *= count;
            digest.infinities *= count;
            digest.stale *= count;
        }
        digest
    }

    /// Adds the number that follows.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            if value.to_bits() == STALE {
                self.stale += 1;
            } else if value.is_nan() {
                self.nans += 1;
            } else {
                self.infinities += 1;
            }
            return;
        }
        if self.count == 0 {
            (self.first, self.min, self.max) = (value, value, value);
        } else {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            if value < self.last {
                self.resets += 1;
                self.lost += self.last;
            }
        }
        self.count += 1;
        self.last = value;
        self.add_to_sum(value);
    }

    /// Adds the digest of numbers that follow.
    pub fn merge(&mut self, later: &Self) {
        self.nans += later.nans;
        self.infinities += later.infinities;
        self.stale += later.stale;
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            (self.first, self.min, self.max) = (later.first, later.min, later.max);
        } else {
            self.min = self.min.min(later.min);
            self.max = self.max.max(later.max);
            if later.first < self.last {
                self.resets += 1;
                self.lost += self.last;
            }
        }
        self.resets += later.resets;
        self.lost += later.lost;
        self.count += later.count;
        self.last = later.last;
        self.add_to_sum(later.sum);
        self.compensation += later.compensation;
    }

    /// The sum of the finite numbers.
    #[must_use]
    pub fn total(&self) -> f64 {
        let total = self.sum + self.compensation;
        // A sum that left the range of numbers has no compensation to speak of.
        if self.sum.is_infinite() {
            self.sum
        } else {
            total
        }
    }

    /// Whether every number of the chunk was finite.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.nans == 0 && self.infinities == 0 && self.stale == 0
    }

    #[inline]
    fn add_to_sum(&mut self, value: f64) {
        // Knuth's way: without asking which is greater.
        let sum = self.sum + value;
        let added = sum - self.sum;
        self.compensation += (self.sum - (sum - added)) + (value - added);
        self.sum = sum;
    }
}
