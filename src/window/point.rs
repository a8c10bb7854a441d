//! What a series holds: kinds and points.

/// The bits of Prometheus's stale marker: the series has ended here.
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Whether the value marks the end of its series. Any other NaN is a value.
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE
}

/// What the values of a series mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueKind {
    /// A number that goes up and down.
    Gauge,
    /// A number that grows until its source starts anew.
    Counter,
    /// Counts between explicit bounds, growing.
    Histogram,
    /// Counts in buckets of exponential width, growing; Prometheus's native histogram.
    ExponentialHistogram,
    /// Quantiles that the source computed.
    Summary,
}

impl ValueKind {
    /// Whether a point is one number.
    #[must_use]
    pub fn is_number(self) -> bool {
        matches!(self, Self::Gauge | Self::Counter)
    }
}

/// A point without its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StoredPoint<'a> {
    /// Of a gauge or a counter.
    Number(f64),
    /// Of a histogram with explicit bounds.
    Histogram(StoredHistogram<'a>),
    /// Of an exponential histogram.
    Exponential(StoredExponential<'a>),
    /// Of a summary.
    Summary(StoredSummary<'a>),
}

/// A histogram with explicit bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoredHistogram<'a> {
    /// Observations; the stale marker in a point that marks the end.
    pub count: f64,
    /// Their sum, if the source gives it.
    pub sum: Option<f64>,
    /// Inclusive upper bounds, ascending, without infinity.
    pub bounds: &'a [f64],
    /// Observations of each bucket alone, one more than there are bounds.
    pub buckets: &'a [f64],
}

/// An exponential histogram as OTLP has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoredExponential<'a> {
    /// Observations; the stale marker in a point that marks the end.
    pub count: f64,
    /// Their sum, if the source gives it.
    pub sum: Option<f64>,
    /// Bucket `i` ends at `2^((i + 1) / 2^scale)`, inclusive. Not below
    /// [`COARSEST`](Self::COARSEST).
    pub scale: i32,
    /// Observations around zero.
    pub zero_count: f64,
    /// How wide around zero.
    pub zero_threshold: f64,
    /// The index of the first bucket above zero, and the observations of it and those that follow.
    pub positive: (i32, &'a [f64]),
    /// The same below zero.
    pub negative: (i32, &'a [f64]),
}

impl StoredExponential<'_> {
    /// The coarsest scale that a store takes, and Prometheus too: with it a bucket spans a factor
    /// of 65,536.
    pub const COARSEST: i32 = -4;
}

/// A summary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoredSummary<'a> {
    /// Observations; the stale marker in a point that marks the end.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Quantiles between 0 and 1.
    pub quantiles: &'a [f64],
    /// The value of each.
    pub values: &'a [f64],
}

impl StoredPoint<'_> {
    /// Whether the point marks the end of its series.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        is_stale(match self {
            Self::Number(value) => *value,
            Self::Histogram(histogram) => histogram.count,
            Self::Exponential(histogram) => histogram.count,
            Self::Summary(summary) => summary.count,
        })
    }
}
