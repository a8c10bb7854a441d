//! What a page is made of.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::names::is_legacy_name;
use super::number;

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A total that never falls.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
    /// Quantiles.
    Summary,
    /// Not said.
    Unknown,
}

impl Kind {
    /// The names of the samples that a family of this kind may have beside its own, as
    /// what is appended to it.
    pub(super) fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter | Self::Gauge | Self::Unknown => &[],
            Self::Histogram => &["_bucket", "_sum", "_count", "_created"],
            Self::Summary => &["_sum", "_count", "_created"],
        }
    }
}

/// What a family says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The name of its samples, for counters with `_total` where they have it.
    pub name: String,
    /// What its values mean.
    pub kind: Kind,
    /// The unit in words, such as `seconds`; shown in OpenMetrics where the name ends in it.
    pub unit: String,
    /// One sentence for people, or empty.
    pub help: String,
}

/// A family whose series are all at hand.
#[derive(Debug, Clone)]
pub struct Family {
    /// What it says of itself.
    pub descriptor: Descriptor,
    /// Its series, no two with the same labels.
    pub series: Vec<Series>,
}

/// The labels of a series as text: `a="b",c="d"`, escaped, in the order of the calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Vec<u8>);

impl Labels {
    /// No labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a label. The caller sees to it that no name comes twice.
    pub fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(b',');
        }
        if is_legacy_name(name, false) {
            self.0.extend_from_slice(name.as_bytes());
        } else {
            quote(&mut self.0, name);
        }
        self.0.push(b'=');
        quote(&mut self.0, value);
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One series and its value. A handful of words, since there may be 100,000.
#[derive(Debug, Clone)]
pub struct Series {
    /// Of a number, all of its line up to the value: `name{a="b"} `. Of a distribution,
    /// which has several lines, the labels alone.
    pub(super) text: Bytes,
    /// The value.
    pub value: SampleValue,
    /// Milliseconds since the Unix epoch; written only where it is given.
    pub timestamp: Option<i64>,
    /// When the counting began, in milliseconds since the Unix epoch.
    pub created: Option<i64>,
    /// A counter's; the exemplars of a histogram lie in its buckets.
    pub exemplar: Option<Box<SampleExemplar>>,
}

impl Series {
    /// A series of a counter, a gauge or an unknown.
    pub fn number(name: &str, labels: &Labels, value: f64) -> Self {
        let mut text = Vec::with_capacity(name.len() + labels.0.len() + 8);
        open(&mut text, name, "");
        text.extend_from_slice(&labels.0);
        close(&mut text);
        Self::new(text, SampleValue::Number(value))
    }

    /// A series of a histogram.
    pub fn histogram(labels: &Labels, value: Histogram) -> Self {
        Self::new(labels.0.clone(), SampleValue::Histogram(Box::new(value)))
    }

    /// A series of a summary.
    pub fn summary(labels: &Labels, value: Summary) -> Self {
        Self::new(labels.0.clone(), SampleValue::Summary(Box::new(value)))
    }

    fn new(text: Vec<u8>, value: SampleValue) -> Self {
        Self {
            text: text.into(),
            value,
            timestamp: None,
            created: None,
            exemplar: None,
        }
    }

    /// What tells it from the other series of its family: equal texts, equal series.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Moves the text to the end of `shelf`, behind that of the series before it. What is
    /// read in this order then lies in this order, which makes a page of many series a third
    /// faster than texts that lie apart.
    pub fn shelve(&mut self, shelf: &mut BytesMut) {
        shelf.extend_from_slice(&self.text);
        self.text = shelf.split().freeze();
    }
}

/// The value of a series.
#[derive(Debug, Clone)]
pub enum SampleValue {
    /// Of a counter, a gauge or an unknown.
    Number(f64),
    /// Of a histogram.
    Histogram(Box<Histogram>),
    /// Of a summary.
    Summary(Box<Summary>),
}

/// Observations by size.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// The buckets' upper bounds.
    pub bounds: Arc<Bounds>,
    /// Observations per bucket, not cumulated: one more than there are bounds.
    pub counts: Box<[u64]>,
    /// Sum of all observations, where it is known.
    pub sum: Option<f64>,
    /// Examples, each with the index of its bucket, ascending, one a bucket at most.
    pub exemplars: Vec<(usize, SampleExemplar)>,
}

impl Histogram {
    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |count, bucket| count.saturating_add(*bucket))
    }
}

/// Upper bounds of buckets, with their texts. Series share them.
#[derive(Debug, PartialEq)]
pub struct Bounds {
    values: Box<[f64]>,
    texts: Box<[String]>,
}

impl Bounds {
    /// Takes bounds, without the infinite one; none unless they are finite and ascending.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Box<[f64]> = values.into_iter().collect();
        let ascending = values.is_sorted_by(|a, b| a < b);
        (ascending && values.iter().all(|bound| bound.is_finite())).then(|| Self {
            texts: values
                .iter()
                .map(|bound| number::canonical(*bound))
                .collect(),
            values,
        })
    }

    /// The bounds.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The bounds as OpenMetrics has them.
    pub(super) fn texts(&self) -> &[String] {
        &self.texts
    }
}

/// Quantiles that somebody else has computed.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Quantile, from 0 to 1 and ascending, and its value.
    pub quantiles: Vec<(f64, f64)>,
    /// How many observations there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

/// One measurement that went into a value.
#[derive(Debug, Clone)]
pub struct SampleExemplar {
    /// Its labels. OpenMetrics allows 128 characters of names and values.
    pub labels: Labels,
    /// What was measured.
    pub value: f64,
    /// Milliseconds since the Unix epoch, where it is known.
    pub timestamp: Option<i64>,
}

/// Writes `name{`, or `{"name",` for a name that needs quotes.
pub(super) fn open(out: &mut Vec<u8>, name: &str, suffix: &str) {
    if is_legacy_name(name, true) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(suffix.as_bytes());
        out.push(b'{');
    } else {
        out.extend_from_slice(b"{\"");
        escape(out, name);
        out.extend_from_slice(suffix.as_bytes());
        out.extend_from_slice(b"\",");
    }
}

/// Ends what [`open`] has begun: drops the brace or comma that nothing came after.
pub(super) fn close(out: &mut Vec<u8>) {
    match out.last() {
        Some(b'{') => {
            out.pop();
            out.push(b' ');
        }
        Some(b',') => {
            out.pop();
            out.extend_from_slice(b"} ");
        }
        _ => out.extend_from_slice(b"} "),
    }
}

pub(super) fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text);
    out.push(b'"');
}

/// Escapes what would end a quoted string or its line. A NUL, which parsers take for the
/// end of the page, becomes U+FFFD.
pub(super) fn escape(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' => out.extend_from_slice(b"\\\""),
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            byte => out.push(byte),
        }
    }
}
