//! The numbers of one window, gathered once for all statistics that are asked for.

use super::super::cursor::{Buffers, Cursor};
use super::super::digest::Digest;
use super::super::excerpt::Excerpt;

/// A statistic: one number of the numbers of a window.
pub trait Statistic {
    /// What has to be gathered for it.
    fn needs(&self) -> Needs;

    /// The statistic, or `None` if there are too few numbers for it to say anything.
    fn of(&self, numbers: &mut Numbers) -> Option<f64>;
}

/// What a statistic reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The digest, and the times of the first and the last number.
    pub digest: bool,
    /// The values.
    pub values: bool,
    /// The time of each value.
    pub times: bool,
}

impl Needs {
    /// What is known of sealed chunks without unpacking them.
    pub const DIGEST: Self = Self {
        digest: true,
        values: false,
        times: false,
    };

    /// The values, in an order that doesn't matter.
    pub const VALUES: Self = Self {
        digest: false,
        values: true,
        times: false,
    };

    /// The values in the order of their times, and these.
    pub const POINTS: Self = Self {
        digest: false,
        values: true,
        times: true,
    };

    /// What two statistics need.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            digest: self.digest | other.digest,
            values: self.values | other.values,
            times: self.times | other.times,
        }
    }
}

/// The finite numbers of one or several series in a window.
#[derive(Debug, Default)]
pub struct Numbers {
    from: i64,
    to: i64,
    digest: Digest,
    first: i64,
    last: i64,
    times: Vec<i64>,
    values: Vec<f64>,
    /// The values in an order that selection has made of them.
    ranked: Vec<f64>,
    buffers: Buffers,
}

impl Numbers {
    /// Begins with the window `(from, to]`, in milliseconds since the epoch, and no numbers.
    pub fn begin(&mut self, from: i64, to: i64) {
        (self.from, self.to) = (from, to);
        self.digest = Digest::default();
        self.times.clear();
        self.values.clear();
        self.ranked.clear();
    }

    /// Adds the numbers of a series. Whatever lies outside of the window is left out; an
    /// excerpt that was taken of the window alone is read the fastest.
    pub fn gather(&mut self, excerpt: &Excerpt, needs: Needs) {
        let whole = excerpt.lies_within(self.from, self.to);
        let mut cursor = excerpt.cursor_with(std::mem::take(&mut self.buffers));
        let mut series = SeriesPart::default();
        loop {
            let known = needs.digest && whole && series.add_chunk(&cursor);
            if known && !needs.values {
                cursor.skip_chunk();
                continue;
            }
            if whole && !needs.times && (known || !needs.digest) {
                let Some(values) = cursor.next_values() else {
                    break;
                };
                extend(&mut self.values, values);
                continue;
            }
            let Some(piece) = cursor.next_piece() else {
                break;
            };
            let from = piece.times().partition_point(|time| *time <= self.from);
            let to = piece.times().partition_point(|time| *time <= self.to);
            let (Some(times), Some(values)) =
                (piece.times().get(from..to), piece.values().get(from..to))
            else {
                continue;
            };
            if needs.digest && !known {
                series.add(times, values);
            }
            if needs.values {
                extend(&mut self.values, values);
            }
            if needs.times {
                let points = times.iter().zip(values);
                let finite = points.filter(|(_, value)| value.is_finite());
                self.times.extend(finite.map(|(time, _)| *time));
            }
        }
        self.buffers = cursor.into_buffers();
        self.merge(&series);
    }

    /// Adds the digest of how many observations a series of histograms or summaries had made at
    /// each of its points.
    pub fn gather_counts(&mut self, excerpt: &Excerpt) {
        let mut cursor = excerpt.cursor_with(std::mem::take(&mut self.buffers));
        let mut series = SeriesPart::default();
        while let Some(piece) = cursor.next_piece() {
            for (index, time) in piece.times().iter().enumerate() {
                // The first number of a row.
                if let Some(count) = piece.row(index).first()
                    && (self.from + 1..=self.to).contains(time)
                {
                    series.add(std::slice::from_ref(time), std::slice::from_ref(count));
                }
            }
        }
        self.buffers = cursor.into_buffers();
        self.merge(&series);
    }

    /// When the window begins; what was measured just then is not in it.
    #[must_use]
    pub fn from(&self) -> i64 {
        self.from
    }

    /// When the window ends; what was measured just then is in it.
    #[must_use]
    pub fn to(&self) -> i64 {
        self.to
    }

    /// The digest of the numbers.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The times of the first and the last number, if there are any.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        (self.digest.count > 0).then_some((self.first, self.last))
    }

    /// The values: in the order of their times, if there is one series. Empty unless they were
    /// asked for.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The time of each value. Empty unless they were asked for.
    #[must_use]
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// The value that stands at an index once all are sorted. The values lose their order,
    /// unless they have times.
    pub fn ranked(&mut self, index: usize) -> Option<f64> {
        if index >= self.values.len() {
            return None;
        }
        let values = if self.times.is_empty() {
            &mut self.values
        } else {
            if self.ranked.len() != self.values.len() {
                self.ranked.clear();
                self.ranked.extend_from_slice(&self.values);
            }
            &mut self.ranked
        };
        let (_, value, _) = values.select_nth_unstable_by(index, f64::total_cmp);
        Some(*value)
    }

    /// Others that are made of each of these values, without times and digest.
    pub(super) fn with_values(&self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            values: self.values.iter().map(|value| f(*value)).collect(),
            ..Self::default()
        }
    }

    /// Adds the digest of another series. Series have no order among each other: the first
    /// and the last number are those of the earliest and the latest time.
    fn merge(&mut self, series: &SeriesPart) {
        if self.digest.count == 0 || series.digest.count == 0 {
            self.digest.merge(&series.digest);
            if series.digest.count > 0 {
                (self.first, self.last) = (series.first, series.last);
            }
            return;
        }
        let before = self.digest;
        self.digest.merge(&series.digest);
        self.digest.resets = before.resets + series.digest.resets;
        self.digest.lost = before.lost + series.digest.lost;
        if series.first < self.first {
            self.digest.first = series.digest.first;
        }
        if series.last < self.last {
            self.digest.last = before.last;
        }
        self.first = self.first.min(series.first);
        self.last = self.last.max(series.last);
    }
}

/// The digest of one series in the window.
#[derive(Debug, Default)]
struct SeriesPart {
    digest: Digest,
    first: i64,
    last: i64,
}

impl SeriesPart {
    /// Adds what is known of the chunk that comes next.
    fn add_chunk(&mut self, cursor: &Cursor<'_>) -> bool {
        let Some((digest, first, last)) = cursor.peek_digest() else {
            return false;
        };
        if self.digest.count == 0 {
            self.first = first;
        }
        self.digest.merge(&digest);
        self.last = last;
        true
    }

    fn add(&mut self, times: &[i64], values: &[f64]) {
        let finite = || values.iter().map(|value| value.is_finite());
        if self.digest.count == 0
            && let Some(at) = finite().position(|finite| finite)
        {
            self.first = times[at];
        }
        if let Some(at) = finite().rposition(|finite| finite) {
            self.last = times[at];
        }
        for value in values {
            self.digest.add(*value);
        }
    }
}

/// Appends those of the values that are finite.
fn extend(all: &mut Vec<f64>, values: &[f64]) {
    if values.iter().all(|value| value.is_finite()) {
        all.extend_from_slice(values);
    } else {
        all.extend(values.iter().filter(|value| value.is_finite()));
    }
}
