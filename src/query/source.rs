//! Where the points come from: the little that the engine asks of a store.

use std::sync::Arc;

use super::{LabelSet, NativeHistogram, QueryError};

/// The bits of the value that marks the end of a series, as Prometheus writes it.
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The value that marks the end of a series.
pub const STALE: f64 = f64::from_bits(STALE_BITS);

/// Whether a value is the mark of a series' end. Every other NaN is a value.
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// How a matcher compares.
#[derive(Clone, Debug)]
pub enum MatchKind {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends.
    Regex(regex::Regex),
    /// `!~`, anchored at both ends.
    NotRegex(regex::Regex),
}

/// What a label's value has to be. A series without the label has an empty value.
#[derive(Clone, Debug)]
pub struct LabelMatcher {
    /// The label's name.
    pub name: String,
    /// How the value is compared.
    pub kind: MatchKind,
    /// What it is compared with, as it was written.
    pub value: String,
}

impl LabelMatcher {
    /// Whether a label's value is wanted.
    pub fn matches(&self, value: &str) -> bool {
        match &self.kind {
            MatchKind::Equal => self.value == value,
            MatchKind::NotEqual => self.value != value,
            MatchKind::Regex(regex) => regex.is_match(value),
            MatchKind::NotRegex(regex) => !regex.is_match(value),
        }
    }
}

/// Points of one series in the order of time, floats and histograms apart. No two share a
/// time.
#[derive(Clone, Debug, Default)]
pub struct SeriesPoints {
    /// The times of the floats, in milliseconds since 1970.
    pub times: Vec<i64>,
    /// The floats. Stale marks are among them, those of histogram series too.
    pub values: Vec<f64>,
    /// The histograms with their times.
    pub histograms: Vec<(i64, Arc<NativeHistogram>)>,
}

impl SeriesPoints {
    /// Forgets the points and keeps the room.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.histograms.clear();
    }

    /// Adds a float behind the others.
    pub fn push(&mut self, time: i64, value: f64) {
        self.times.push(time);
        self.values.push(value);
    }
}

/// A series that a selector has found.
pub trait SelectedSeries {
    /// Its labels.
    fn labels(&self) -> LabelSet;

    /// Adds its points from one time to another, both included, to `into`.
    ///
    /// # Errors
    /// Points that can't be read are [`QueryError::internal`].
    fn read(&mut self, from: i64, to: i64, into: &mut SeriesPoints) -> Result<(), QueryError>;
}

/// What a source may use while it selects and reads. It is given back once the selection is
/// no longer needed.
pub trait SourceRoom {
    /// Work that is like that on so many points: now and then asks whether to go on.
    ///
    /// # Errors
    /// If the query is to end.
    fn work(&self, points: usize) -> Result<(), QueryError>;

    /// Takes room for so many bytes.
    ///
    /// # Errors
    /// If the query would hold more than it may.
    fn hold(&self, bytes: usize) -> Result<(), QueryError>;

    /// Gives room back that was taken.
    fn release(&self, bytes: usize);
}

/// A store that can be asked.
pub trait SeriesSource {
    /// The series that every matcher wants and that may have points from one time to
    /// another. Their order decides where values are equal, and is the same each time; series
    /// that are read from one place stand next to each other.
    ///
    /// # Errors
    /// A store that refuses the selection says why.
    fn select<'a>(
        &'a self,
        matchers: &[LabelMatcher],
        from: i64,
        to: i64,
        room: &'a dyn SourceRoom,
    ) -> Result<Vec<Box<dyn SelectedSeries + 'a>>, QueryError>;
}
