//! Reads pages of metrics: Prometheus text 0.0.4, OpenMetrics 1.0, and the protobuf exposition
//! with native histograms.
//!
//! [`PageReader`] gives one entry after the other, borrowed from the page. It accepts and refuses
//! what Prometheus 3 does; `docs/from-prometheus.md` lists the differences. What Prometheus checks
//! after parsing, such as that no label is there twice, is up to whoever keeps the series, since
//! relabelling comes before it.
//!
//! A target shows mostly the same series in the same order again. So the reader can be told which
//! series should come next: if it does, only its value is read, which takes a third of the time.
//!
//! Reading takes time in proportion to the page, whatever is on it, and in protobuf to what its
//! series are when they are spelled out. Labels of a line and bytes of names and values are bounded
//! by [`PageLimits`].
//!
//! **Architecture Invariant:** knows nothing of targets, caches or OTLP.

mod cursor;
mod family;
mod float;
mod histogram;
mod labels;
mod line;
mod messages;
mod negotiation;
mod openmetrics;
mod protobuf;
mod text;
mod wire;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use histogram::{BucketSpan, NativeCounts, PageHistogram};
pub use labels::{PageLabel, PageText};
pub use negotiation::{PageFormat, ScrapeProtocol, UnknownContentType, accept};

use openmetrics::OpenMetricsReader;
use protobuf::ProtobufReader;
use text::TextReader;

use super::canonical;

/// Bounds on what one series of a page may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// The most labels of a series, and of an exemplar.
    pub labels: usize,
    /// The longest name of a metric or label, in bytes as written.
    pub name_bytes: usize,
    /// The longest value of a label, in bytes as written, escapes included.
    pub value_bytes: usize,
    /// The most buckets of a histogram, or quantiles of a summary, in protobuf. In the text formats
    /// each has a line of its own.
    pub buckets: usize,
    /// The most exemplars of a native histogram. A bucket, a counter and a line have one at most.
    pub exemplars: usize,
    /// The most bytes that the names and labels of all series of a page have, in protobuf, where
    /// the series of a family share its name, and the parts of a distribution its labels. In the
    /// text formats each line spells them out, so that the page's length bounds them.
    pub series_bytes: usize,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self {
            labels: 256,
            name_bytes: 1024,
            value_bytes: 64 << 10,
            buckets: 16 << 10,
            exemplars: 1024,
            series_bytes: 64 << 20,
        }
    }
}

/// What a family says that it is. The names are OpenMetrics's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FamilyType {
    /// Not said, or said to be unknown; `untyped` in text.
    #[default]
    Unknown,
    /// A total that never falls.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
    /// Counts in buckets that may fall.
    GaugeHistogram,
    /// Quantiles.
    Summary,
    /// Labels that describe something; the value is 1.
    Info,
    /// Which of several states hold, one series each.
    StateSet,
}

impl FamilyType {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Counter,
        Self::Gauge,
        Self::Histogram,
        Self::GaugeHistogram,
        Self::Summary,
        Self::Info,
        Self::StateSet,
    ];

    /// The name that OpenMetrics and Prometheus's metadata have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    /// The label that tells the parts of one distribution apart: `le` or `quantile`.
    pub fn part_label(self) -> Option<&'static str> {
        match self {
            Self::Histogram => Some("le"),
            Self::Summary => Some("quantile"),
            _ => None,
        }
    }
}

/// What a page says of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageMetadata<'p> {
    /// `# TYPE name type`
    Type {
        /// The family.
        name: PageText<'p>,
        /// What it says that it is.
        kind: FamilyType,
    },
    /// `# HELP name text`
    Help {
        /// The family.
        name: PageText<'p>,
        /// The text.
        text: PageText<'p>,
    },
    /// `# UNIT name unit`
    Unit {
        /// The family.
        name: PageText<'p>,
        /// The unit, in words.
        unit: &'p str,
    },
}

/// One entry of a page. Comments and empty lines give none.
#[derive(Debug)]
pub enum PageEntry<'p, 'r> {
    /// Something about a family.
    Metadata(PageMetadata<'p>),
    /// The series that was expected, with its new value.
    Again(PageValue<'p, 'r>),
    /// A series that wasn't expected.
    Series(PageSeries<'p, 'r>),
}

/// What a series measures at the moment.
#[derive(Debug)]
pub struct PageValue<'p, 'r> {
    /// The number or the histogram.
    pub value: Measured<'r>,
    /// Milliseconds since the Unix epoch, if the page says when it was measured.
    pub timestamp: Option<i64>,
    /// When the counting began, in milliseconds since the Unix epoch; from protobuf alone. In
    /// OpenMetrics, series whose names end in `_created` say it.
    pub created: Option<i64>,
    /// Single measurements that went into it.
    pub exemplars: &'r [PageExemplar<'p>],
}

/// A value.
#[derive(Debug, Clone, Copy)]
pub enum Measured<'r> {
    /// A number. NaN is always the same one, which isn't Prometheus's marker of staleness.
    Number(f64),
    /// A native histogram.
    Histogram(PageHistogram<'r>),
}

/// A series with all that tells it from others.
#[derive(Debug)]
pub struct PageSeries<'p, 'r> {
    /// Bytes that are the same if the target shows the same series again in the same way. To be
    /// handed to [`PageReader::next`] when it is expected next.
    pub identity: &'r [u8],
    /// The metric's name, with suffixes such as `_bucket`, but without `suffix`.
    pub name: PageText<'p>,
    /// What comes after the name: in protobuf, the names of a distribution's parts are made
    /// from that of the family.
    pub suffix: &'static str,
    /// The labels as the page has them, in its order; a name may be there twice.
    pub labels: &'r [PageLabel<'p>],
    /// One more label that the page has as a number: `le` or `quantile`.
    pub part: Option<(&'static str, f64)>,
    /// What the last family said that it is, whether or not this is one of its series.
    pub kind: FamilyType,
    /// What it measures.
    pub reading: PageValue<'p, 'r>,
}

impl<'p> PageSeries<'p, '_> {
    /// Its full name.
    pub fn full_name(&self) -> Cow<'p, str> {
        let mut name = self.name.text();
        if !self.suffix.is_empty() {
            name.to_mut().push_str(self.suffix);
        }
        name
    }

    /// All its labels in Prometheus's terms, the name among them as `__name__`: with the escapes
    /// resolved, and with bounds and quantiles in the one form that OpenMetrics has for a number.
    /// Not sorted; empty values, which mean the same as no label, and names that are there twice
    /// are given as they come.
    pub fn labels(&self) -> impl Iterator<Item = (Cow<'p, str>, Cow<'p, str>)> + '_ {
        let name = (Cow::Borrowed("__name__"), self.full_name());
        let is_part = |label: &PageLabel<'p>| {
            self.part.is_none()
                && self
                    .kind
                    .part_label()
                    .is_some_and(|part| label.name.is(part))
        };
        let labels = self.labels.iter().map(move |label| {
            let value = label.value.text();
            let number = is_part(label).then(|| float::bound(&value)).flatten();
            (label.name.text(), number.map_or(value, part_text))
        });
        let part = self.part.iter();
        let part = part.map(|(name, number)| (Cow::Borrowed(*name), part_text(*number)));
        std::iter::once(name).chain(labels).chain(part)
    }

    /// A label's value; empty if there is no such label, which Prometheus treats as the same.
    pub fn label(&self, name: &str) -> Cow<'p, str> {
        let found = self.labels.iter().find(|label| label.name.is(name));
        found.map_or(Cow::Borrowed(""), |label| label.value.text())
    }

    /// Its value, if that is a number.
    pub fn number(&self) -> Option<f64> {
        match self.reading.value {
            Measured::Number(value) => Some(value),
            Measured::Histogram(_) => None,
        }
    }
}

/// A bound or a quantile as the value of its label.
fn part_text<'p>(number: f64) -> Cow<'p, str> {
    // Zero has no sign here.
    Cow::Owned(canonical(if number == 0.0 { 0.0 } else { number }))
}

/// One measurement that went into a value.
#[derive(Debug, Clone, PartialEq)]
pub struct PageExemplar<'p> {
    /// Its labels, in the order of the page.
    pub labels: Vec<PageLabel<'p>>,
    /// What was measured.
    pub value: f64,
    /// Milliseconds since the Unix epoch, if the page says when it was measured.
    pub timestamp: Option<i64>,
}

/// A page that can't be read further, or exceeds a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{unit} {number}: {what}")]
pub struct PageError {
    /// What is counted: `line`, or `family` in protobuf, which has no lines.
    unit: &'static str,
    /// Which of them, from 1.
    pub number: usize,
    /// What is wrong; doesn't quote the page.
    pub what: &'static str,
    /// Whether a limit is exceeded; otherwise the page isn't in its format.
    pub is_limit: bool,
}

/// What is wrong, before anybody has counted where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PageFault {
    what: &'static str,
    is_limit: bool,
}

impl PageFault {
    const fn beyond(what: &'static str) -> Self {
        Self {
            what,
            is_limit: true,
        }
    }
}

impl From<&'static str> for PageFault {
    fn from(what: &'static str) -> Self {
        Self {
            what,
            is_limit: false,
        }
    }
}

/// Reads a page, one entry after the other.
///
/// ```
/// use foghorn::exposition::read::{PageEntry, PageFormat, PageLimits, PageReader};
///
/// let page = b"# TYPE up gauge\nup{zone=\"a\"} 1\n";
/// let mut reader = PageReader::new(page, PageFormat::Text, PageLimits::default());
/// while let Some(entry) = reader.next(b"")? {
///     if let PageEntry::Series(series) = entry {
///         assert_eq!(series.full_name(), "up");
///         assert_eq!(series.label("zone"), "a");
///         assert_eq!(series.number(), Some(1.0));
///     }
/// }
/// # Ok::<(), foghorn::exposition::read::PageError>(())
/// ```
#[derive(Debug)]
pub struct PageReader<'p>(AnyReader<'p>);

#[derive(Debug)]
enum AnyReader<'p> {
    Text(TextReader<'p>),
    OpenMetrics(OpenMetricsReader<'p>),
    Protobuf(Box<ProtobufReader<'p>>),
}

impl<'p> PageReader<'p> {
    /// Starts to read. Native histograms are read as classic ones; see
    /// [`native_histograms`](Self::native_histograms).
    pub fn new(page: &'p [u8], format: PageFormat, limits: PageLimits) -> Self {
        Self(match format {
            PageFormat::Text => AnyReader::Text(TextReader::new(page, limits)),
            PageFormat::OpenMetrics => AnyReader::OpenMetrics(OpenMetricsReader::new(page, limits)),
            PageFormat::Protobuf => {
                AnyReader::Protobuf(Box::new(ProtobufReader::new(page, limits)))
            }
        })
    }

    /// Whether native histograms are read as such, and whether the classic form of the same
    /// histogram is read beside it. Only protobuf has them.
    #[must_use]
    pub fn native_histograms(mut self, native: bool, classic_too: bool) -> Self {
        if let AnyReader::Protobuf(reader) = &mut self.0 {
            reader.native_histograms(native, classic_too);
        }
        self
    }

    /// The next entry; `None` at the end of the page. `expected` is the identity of the series
    /// that should come next, from the last time that this target was read; empty if unknown.
    ///
    /// # Errors
    ///
    /// What Prometheus refuses, and what exceeds a limit. Nothing can be read after it.
    #[inline]
    pub fn next<'r>(&'r mut self, expected: &[u8]) -> Result<Option<PageEntry<'p, 'r>>, PageError> {
        match &mut self.0 {
            AnyReader::Text(reader) => reader.next(expected),
            AnyReader::OpenMetrics(reader) => reader.next(expected),
            AnyReader::Protobuf(reader) => reader.next(expected),
        }
    }
}
