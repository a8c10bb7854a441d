//! How the points of histograms and summaries become rows of numbers.

use std::sync::Arc;

use super::bits::{ByteReader, put_signed, put_varint};
use super::charge::{Bill, Charged, OVERHEAD};
use super::error::Corrupt;
use super::point::{StoredExponential, StoredHistogram, StoredPoint, StoredSummary, ValueKind};

/// The most numbers in one point of a chunk.
const MAX_COLUMNS: usize = 4096;

/// A layout that chunks share.
pub(super) type SharedLayout = Arc<Charged<Layout>>;

/// What the points of one chunk have in common, so that each is a row of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Layout {
    Number,
    Histogram {
        bounds: Box<[f64]>,
        has_sum: bool,
    },
    Exponential {
        scale: i32,
        zero_threshold: f64,
        positive: (i32, u32),
        negative: (i32, u32),
        has_sum: bool,
    },
    Summary {
        quantiles: Box<[f64]>,
    },
}

/// How the points of a histogram with explicit bounds, or of a summary, are divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Division<'a> {
    /// The bounds without infinity, or the quantiles; ascending.
    pub at: &'a [f64],
    /// Whether the points have a sum.
    pub has_sum: bool,
}

impl Layout {
    /// How the points are divided; `None` for those that aren't by numbers of their own.
    pub(super) fn division(&self) -> Option<Division<'_>> {
        match self {
            Self::Number | Self::Exponential { .. } => None,
            Self::Histogram { bounds, has_sum } => Some(Division {
                at: bounds,
                has_sum: *has_sum,
            }),
            Self::Summary { quantiles } => Some(Division {
                at: quantiles,
                has_sum: true,
            }),
        }
    }

    /// The layout of a stale marker in a series that has no other point.
    pub(super) fn bare(kind: ValueKind) -> Self {
        match kind {
            ValueKind::Gauge | ValueKind::Counter => Self::Number,
            ValueKind::Histogram => Self::Histogram {
                bounds: Box::default(),
                has_sum: true,
            },
            ValueKind::ExponentialHistogram => Self::Exponential {
                scale: 0,
                zero_threshold: 0.0,
                positive: (0, 0),
                negative: (0, 0),
                has_sum: true,
            },
            ValueKind::Summary => Self::Summary {
                quantiles: Box::default(),
            },
        }
    }

    /// The layout of the point, or `None` if the point contradicts itself.
    pub(super) fn of(point: &StoredPoint<'_>) -> Option<Self> {
        Some(match point {
            StoredPoint::Number(_) => Self::Number,
            StoredPoint::Histogram(histogram) => {
                if histogram.buckets.len() != histogram.bounds.len() + 1 {
                    return None;
                }
                Self::Histogram {
                    bounds: histogram.bounds.into(),
                    has_sum: histogram.sum.is_some(),
                }
            }
            StoredPoint::Exponential(histogram) => Self::Exponential {
                scale: histogram.scale,
                zero_threshold: histogram.zero_threshold,
                positive: (
                    histogram.positive.0,
                    u32::try_from(histogram.positive.1.len()).ok()?,
                ),
                negative: (
                    histogram.negative.0,
                    u32::try_from(histogram.negative.1.len()).ok()?,
                ),
                has_sum: histogram.sum.is_some(),
            },
            StoredPoint::Summary(summary) => {
                if summary.quantiles.len() != summary.values.len() {
                    return None;
                }
                Self::Summary {
                    quantiles: summary.quantiles.into(),
                }
            }
        })
    }

    /// Whether the point has this layout; cheaper than to build its own. Bounds are compared
    /// bit for bit.
    pub(super) fn fits(&self, point: &StoredPoint<'_>) -> bool {
        match (self, point) {
            (Self::Number, StoredPoint::Number(_)) => true,
            (Self::Histogram { bounds, has_sum }, StoredPoint::Histogram(histogram)) => {
                same_bits(bounds, histogram.bounds)
                    && histogram.buckets.len() == bounds.len() + 1
                    && *has_sum == histogram.sum.is_some()
            }
            (
                Self::Exponential {
                    scale,
                    zero_threshold,
                    positive,
                    negative,
                    has_sum,
                },
                StoredPoint::Exponential(histogram),
            ) => {
                *scale == histogram.scale
                    && zero_threshold.to_bits() == histogram.zero_threshold.to_bits()
                    && positive.0 == histogram.positive.0
                    && positive.1 as usize == histogram.positive.1.len()
                    && negative.0 == histogram.negative.0
                    && negative.1 as usize == histogram.negative.1.len()
                    && *has_sum == histogram.sum.is_some()
            }
            (Self::Summary { quantiles }, StoredPoint::Summary(summary)) => {
                same_bits(quantiles, summary.quantiles) && summary.values.len() == quantiles.len()
            }
            _ => false,
        }
    }

    /// Whether two chunks of these layouts can become one.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Histogram { bounds, has_sum },
                Self::Histogram {
                    bounds: others,
                    has_sum: other_sum,
                },
            ) => has_sum == other_sum && same_bits(bounds, others),
            (Self::Summary { quantiles }, Self::Summary { quantiles: others }) => {
                same_bits(quantiles, others)
            }
            (
                Self::Exponential {
                    zero_threshold: mine,
                    ..
                },
                Self::Exponential {
                    zero_threshold: others,
                    ..
                },
            ) => mine.to_bits() == others.to_bits() && self == other,
            _ => self == other,
        }
    }

    /// Numbers in the row of a point.
    pub(super) fn width(point: &StoredPoint<'_>) -> usize {
        match point {
            StoredPoint::Number(_) => 1,
            StoredPoint::Histogram(histogram) => 2 + histogram.buckets.len(),
            StoredPoint::Exponential(histogram) => {
                3 + histogram.positive.1.len() + histogram.negative.1.len()
            }
            StoredPoint::Summary(summary) => 2 + summary.values.len(),
        }
    }

    /// Numbers in a row.
    pub(super) fn columns(&self) -> usize {
        match self {
            Self::Number => 1,
            Self::Histogram { bounds, .. } => 3 + bounds.len(),
            Self::Exponential {
                positive, negative, ..
            } => 3 + positive.1 as usize + negative.1 as usize,
            Self::Summary { quantiles } => 2 + quantiles.len(),
        }
    }

    /// Appends the row of a point that fits.
    pub(super) fn put_row(point: &StoredPoint<'_>, row: &mut Vec<u64>) {
        let bits = |values: &[f64], row: &mut Vec<u64>| {
            row.extend(values.iter().map(|value| value.to_bits()));
        };
        match point {
            StoredPoint::Number(value) => bits(&[*value], row),
            StoredPoint::Histogram(histogram) => {
                bits(&[histogram.count, histogram.sum.unwrap_or(0.0)], row);
                bits(histogram.buckets, row);
            }
            StoredPoint::Exponential(histogram) => {
                let sum = histogram.sum.unwrap_or(0.0);
                bits(&[histogram.count, sum, histogram.zero_count], row);
                bits(histogram.positive.1, row);
                bits(histogram.negative.1, row);
            }
            StoredPoint::Summary(summary) => {
                bits(&[summary.count, summary.sum], row);
                bits(summary.values, row);
            }
        }
    }

    /// The point of a row, which has as many numbers as the layout has columns.
    pub(super) fn point<'a>(&'a self, row: &'a [f64]) -> StoredPoint<'a> {
        match self {
            Self::Number => StoredPoint::Number(row[0]),
            Self::Histogram { bounds, has_sum } => StoredPoint::Histogram(StoredHistogram {
                count: row[0],
                sum: has_sum.then_some(row[1]),
                bounds,
                buckets: &row[2..],
            }),
            Self::Exponential {
                scale,
                zero_threshold,
                positive,
                negative,
                has_sum,
            } => {
                let (above, below) = row[3..].split_at(positive.1 as usize);
                StoredPoint::Exponential(StoredExponential {
                    count: row[0],
                    sum: has_sum.then_some(row[1]),
                    scale: *scale,
                    zero_count: row[2],
                    zero_threshold: *zero_threshold,
                    positive: (positive.0, above),
                    negative: (negative.0, below),
                })
            }
            Self::Summary { quantiles } => StoredPoint::Summary(StoredSummary {
                count: row[0],
                sum: row[1],
                quantiles,
                values: &row[2..],
            }),
        }
    }

    /// Writes what [`read`](Self::read) reads.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let numbers = |values: &[f64], out: &mut Vec<u8>| {
            put_varint(values.len() as u64, out);
            for value in values {
                out.extend_from_slice(&value.to_le_bytes());
            }
        };
        match self {
            Self::Number => out.push(0),
            Self::Histogram { bounds, has_sum } => {
                out.push(1 | u8::from(*has_sum) << 4);
                numbers(bounds, out);
            }
            Self::Exponential {
                scale,
                zero_threshold,
                positive,
                negative,
                has_sum,
            } => {
                out.push(2 | u8::from(*has_sum) << 4);
                put_signed(i64::from(*scale), out);
                out.extend_from_slice(&zero_threshold.to_le_bytes());
                for (offset, len) in [positive, negative] {
                    put_signed(i64::from(*offset), out);
                    put_varint(u64::from(*len), out);
                }
            }
            Self::Summary { quantiles } => {
                out.push(3);
                numbers(quantiles, out);
            }
        }
    }

    /// Reads a layout of what isn't numbers.
    pub(super) fn read(reader: &mut ByteReader<'_>) -> Result<Self, Corrupt> {
        let form = reader.byte()?;
        let has_sum = form & 0x10 != 0;
        let numbers = |reader: &mut ByteReader<'_>| -> Result<Box<[f64]>, Corrupt> {
            let count = reader.count(MAX_COLUMNS)?;
            let words = reader.take(count * 8)?.chunks_exact(8);
            let value = |word: &[u8]| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(word);
                f64::from_le_bytes(bytes)
            };
            Ok(words.map(value).collect())
        };
        let small = |reader: &mut ByteReader<'_>| -> Result<i32, Corrupt> {
            i32::try_from(reader.signed()?).map_err(|_| Corrupt::Count)
        };
        match form & !0x10 {
            1 => Ok(Self::Histogram {
                bounds: numbers(reader)?,
                has_sum,
            }),
            2 => Ok(Self::Exponential {
                scale: small(reader)?,
                zero_threshold: f64::from_bits(reader.word()?),
                positive: (small(reader)?, reader.count(MAX_COLUMNS)? as u32),
                negative: (small(reader)?, reader.count(MAX_COLUMNS)? as u32),
                has_sum,
            }),
            3 => Ok(Self::Summary {
                quantiles: numbers(reader)?,
            }),
            _ => Err(Corrupt::Form),
        }
    }

    /// The layout, to be shared.
    pub(super) fn share(self, bill: &Bill) -> SharedLayout {
        let more = match &self {
            Self::Histogram { bounds, .. } => size_of_val::<[f64]>(bounds) + OVERHEAD,
            Self::Summary { quantiles } => size_of_val::<[f64]>(quantiles) + OVERHEAD,
            Self::Number | Self::Exponential { .. } => 0,
        };
        bill.charge(self, more)
    }
}

/// Layouts that were used last, so that the series of one metric share theirs.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    recent: Vec<SharedLayout>,
    next: usize,
}

impl Layouts {
    /// Layouts that are remembered.
    const RECENT: usize = 8;

    /// The layout of the point, shared if it was met recently.
    pub(super) fn of(&mut self, point: &StoredPoint<'_>, bill: &Bill) -> Option<SharedLayout> {
        if let Some(found) = self.recent.iter().find(|layout| layout.fits(point)) {
            return Some(Arc::clone(found));
        }
        let layout = Layout::of(point)?.share(bill);
        if self.recent.len() < Self::RECENT {
            self.recent.push(Arc::clone(&layout));
        } else {
            self.recent[self.next] = Arc::clone(&layout);
            self.next = (self.next + 1) % Self::RECENT;
        }
        Some(layout)
    }
}

fn same_bits(mine: &[f64], others: &[f64]) -> bool {
    mine.len() == others.len()
        && mine
            .iter()
            .zip(others)
            .all(|(mine, other)| mine.to_bits() == other.to_bits())
}
