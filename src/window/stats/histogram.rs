//! What histograms counted within a window, and quantiles of that.
//!
//! The increase of each bucket, resets made up for, is summed over the points and series; within
//! a bucket observations are taken to lie evenly (in buckets of exponential width:
//! logarithmically evenly), as Prometheus does. Where more than 4,096 buckets of exponential
//! width would be filled, every two become one, as often as it takes.

use super::super::excerpt::Excerpt;
use super::super::point::StoredPoint;
use super::buckets::BucketCounts;
use super::observations::ObservedTotal;

/// Observations that histograms of one kind made within a window.
#[derive(Debug, Default)]
pub struct HistogramIncrease {
    buckets: Option<BucketCounts>,
    observations: ObservedTotal,
    points: usize,
    mixed: bool,
}

impl HistogramIncrease {
    /// Adds what the series counted in `(from, to]`, which is the window of the excerpt. What it
    /// counted up to its first point there isn't known to belong to the window.
    ///
    /// Histograms with other bounds than those before are left out; see
    /// [`is_mixed`](Self::is_mixed).
    pub fn gather(&mut self, excerpt: &Excerpt) {
        let mut run = Unbroken::default();
        let mut cursor = excerpt.cursor();
        while let Some(piece) = cursor.next_piece() {
            let points = piece.times().len();
            let mut at = 0;
            while at < points {
                if piece.point(at).is_stale() {
                    at += 1;
                    continue;
                }
                // Only the ends of what grows without a break are looked at as histograms.
                let end = (at + 1..points)
                    .find(|index| !grows(piece.row(index - 1), piece.row(*index)))
                    .unwrap_or(points);
                self.points += end - at;
                let ends = (
                    HistogramState::of(&piece.point(at)),
                    HistogramState::of(&piece.point(end - 1)),
                );
                let (Some(first), Some(last)) = ends else {
                    return;
                };
                match &run.last {
                    None => run.first = Some(first),
                    Some(before) if first.is_reset_from(before) => {
                        self.close(&run);
                        // From zero on.
                        run.first = None;
                    }
                    Some(_) => {}
                }
                run.last = Some(last);
                at = end;
            }
        }
        self.close(&run);
    }

    /// Points that were read.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// How many observations.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.observations.count()
    }

    /// The sum of those whose sources give one that is finite; `None` if none does.
    #[must_use]
    pub fn sum(&self) -> Option<f64> {
        self.observations.sum()
    }

    /// The mean of those whose sum is known.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.observations.mean()
    }

    /// Whether histograms were left out, as their bounds differ from the others'.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// The value below which that share of the observations lies, between 0 and 1. `None` if
    /// there are no observations.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let buckets = self.buckets.as_ref()?;
        if quantile.is_nan() {
            return Some(f64::NAN);
        }
        if quantile < 0.0 {
            return Some(f64::NEG_INFINITY);
        }
        if quantile > 1.0 {
            return Some(f64::INFINITY);
        }
        buckets.quantile(quantile)
    }

    fn close(&mut self, run: &Unbroken) {
        let Some(last) = &run.last else {
            return;
        };
        let mut buckets = last.buckets.clone();
        let (mut count, mut sum) = (last.count, last.sum);
        if let Some(first) = &run.first {
            if !buckets.subtract(&first.buckets) {
                self.mixed = true;
                return;
            }
            count -= first.count;
            sum = sum.zip(first.sum).map(|(last, first)| last - first);
        }
        match &mut self.buckets {
            None => self.buckets = Some(buckets),
            Some(all) => {
                if !all.add(&buckets) {
                    self.mixed = true;
                    return;
                }
            }
        }
        self.observations.add(count, sum);
    }
}

/// Whether no count of a row is less than in the row before, and none is a stale marker. The
/// second number is the sum, which may fall.
fn grows(earlier: &[f64], later: &[f64]) -> bool {
    let pairs = earlier.iter().zip(later).enumerate();
    pairs
        .into_iter()
        .all(|(column, (earlier, later))| column == 1 || earlier <= later)
}

/// Points without a reset among them: the first, or `None` if that was zero, and the last.
#[derive(Debug, Default)]
struct Unbroken {
    first: Option<HistogramState>,
    last: Option<HistogramState>,
}

/// One point of a histogram.
#[derive(Debug, Clone)]
struct HistogramState {
    buckets: BucketCounts,
    count: f64,
    sum: Option<f64>,
}

impl HistogramState {
    fn of(point: &StoredPoint<'_>) -> Option<Self> {
        match point {
            StoredPoint::Histogram(histogram) => Some(Self {
                buckets: BucketCounts::explicit(histogram),
                count: histogram.count,
                sum: histogram.sum,
            }),
            StoredPoint::Exponential(histogram) => Some(Self {
                buckets: BucketCounts::exponential(histogram),
                count: histogram.count,
                sum: histogram.sum,
            }),
            StoredPoint::Number(_) | StoredPoint::Summary(_) => None,
        }
    }

    /// Whether the source started anew since `earlier`: a count is less than it was, or the
    /// bounds are others.
    fn is_reset_from(&self, earlier: &Self) -> bool {
        if self.count < earlier.count {
            return true;
        }
        let mut difference = self.buckets.clone();
        !difference.subtract(&earlier.buckets) || difference.has_negative()
    }
}
