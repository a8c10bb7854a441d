//! Writes families and series in one of the formats.

use super::model::{
    self, Descriptor, Histogram, Kind, SampleExemplar, SampleValue, Series, Summary,
};
use super::{Format, number};

/// Writes a page, family by family.
///
/// ```
/// use foghorn::exposition::{Descriptor, Encoder, Format, Kind, Labels, Series};
///
/// let mut encoder = Encoder::new(Format::Text);
/// let up = Descriptor {
///     name: "up".to_owned(),
///     kind: Kind::Gauge,
///     unit: String::new(),
///     help: "Whether the last poll worked".to_owned(),
/// };
/// encoder.family(&up, Kind::Gauge);
/// encoder.series(&Series::number("up", &Labels::new(), 1.0));
/// assert_eq!(
///     encoder.finish(),
///     b"# HELP up Whether the last poll worked\n# TYPE up gauge\nup 1\n"
/// );
/// ```
#[derive(Debug)]
pub struct Encoder {
    format: Format,
    created: bool,
    out: Vec<u8>,
    /// The current family.
    name: String,
    kind: Kind,
    /// The start of a distribution's lines, for want of which it would be written anew for
    /// every bucket.
    line: Vec<u8>,
}

impl Encoder {
    /// An empty page.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            created: false,
            out: Vec::new(),
            name: String::new(),
            kind: Kind::Unknown,
            line: Vec::new(),
        }
    }

    /// Whether OpenMetrics gets a `_created` sample for what has a known start. Off by
    /// default, as in the Go client: Prometheus stores each as a series of its own.
    #[must_use]
    pub fn created(mut self, yes: bool) -> Self {
        self.created = yes;
        self
    }

    /// Bytes written and not taken yet.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether everything written has been taken.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes what was written, between two series, and goes on in `next`, whose content is
    /// dropped and whose room is kept.
    pub fn take(&mut self, mut next: Vec<u8>) -> Vec<u8> {
        next.clear();
        std::mem::replace(&mut self.out, next)
    }

    /// Ends the page and takes the rest of it.
    pub fn finish(mut self) -> Vec<u8> {
        if self.format == Format::OpenMetrics {
            self.out.extend_from_slice(b"# EOF\n");
        }
        self.out
    }

    /// Starts a family. `kind` is its kind on this page: in OpenMetrics a counter that
    /// [`Names::openmetrics_counters`](super::FamilyNames::openmetrics_counters) doesn't list is
    /// to be an unknown.
    pub fn family(&mut self, family: &Descriptor, kind: Kind) {
        self.kind = kind;
        self.name.clone_from(&family.name);
        let openmetrics = self.format == Format::OpenMetrics;
        let name = match kind {
            Kind::Counter if openmetrics => family.name.trim_end_matches_once("_total"),
            _ => &family.name,
        };
        if !family.help.is_empty() {
            self.comment("HELP", name);
            help(&mut self.out, &family.help, openmetrics);
            self.out.push(b'\n');
        }
        self.comment("TYPE", name);
        self.out.extend_from_slice(match kind {
            Kind::Counter => b"counter",
            Kind::Gauge => b"gauge",
            Kind::Histogram => b"histogram",
            Kind::Summary => b"summary",
            Kind::Unknown if openmetrics => b"unknown",
            Kind::Unknown => b"untyped",
        });
        self.out.push(b'\n');
        let unit = &family.unit;
        let in_name = name
            .strip_suffix(unit.as_str())
            .is_some_and(|rest| rest.ends_with('_'));
        if openmetrics && !unit.is_empty() && in_name {
            self.comment("UNIT", name);
            help(&mut self.out, unit, true);
            self.out.push(b'\n');
        }
    }

    /// Adds a series of the current family.
    #[inline]
    pub fn series(&mut self, series: &Series) {
        match &series.value {
            SampleValue::Number(value) => self.number(series, *value),
            SampleValue::Histogram(value) => self.histogram(series, value),
            SampleValue::Summary(value) => self.summary(series, value),
        }
    }

    #[inline]
    fn number(&mut self, series: &Series, value: f64) {
        // Asked this way round, NaN is refused too.
        let counts = value >= 0.0;
        if self.format == Format::OpenMetrics && self.kind == Kind::Counter && !counts {
            return;
        }
        self.out.extend_from_slice(&series.text);
        number::value(&mut self.out, value);
        if self.format == Format::Text && series.timestamp.is_none() {
            self.out.push(b'\n');
            return;
        }
        self.timestamp(series);
        if self.kind == Kind::Counter {
            self.exemplar(series.exemplar.as_deref());
        }
        self.out.push(b'\n');
        if self.kind == Kind::Counter && self.shows_created(series) {
            self.line.clear();
            let base = self.name.trim_end_matches_once("_total");
            model::open(&mut self.line, base, "_created");
            // Behind the name and its brace or quote stand the labels.
            let labels = labels(&series.text, &self.name);
            self.line.extend_from_slice(labels);
            model::close(&mut self.line);
            self.created_line(series);
        }
    }

    fn histogram(&mut self, series: &Series, histogram: &Histogram) {
        let openmetrics = self.format == Format::OpenMetrics;
        let mut exemplars = histogram.exemplars.iter().peekable();
        self.start(series, "_bucket");
        if !series.text.is_empty() {
            self.line.push(b',');
        }
        self.line.extend_from_slice(b"le=\"");
        let mut count = 0_u64;
        let texts = histogram.bounds.texts().iter().map(String::as_str);
        for (index, (bound, bucket)) in texts
            .chain(std::iter::once("+Inf"))
            .zip(&histogram.counts)
            .enumerate()
        {
            count = count.saturating_add(*bucket);
            self.out.extend_from_slice(&self.line);
            self.bound(bound);
            self.out.extend_from_slice(b"\"} ");
            number::integer(&mut self.out, count);
            self.timestamp(series);
            if let Some((_, exemplar)) = exemplars.next_if(|(bucket, _)| *bucket == index) {
                self.exemplar(Some(exemplar));
            }
            self.out.push(b'\n');
        }
        // OpenMetrics has no sum of what may be negative, and no count without a sum; the
        // last bucket says how many there are.
        let negative = histogram.bounds.values().first().is_some_and(|b| *b < 0.0);
        match histogram.sum {
            Some(sum) if !openmetrics || (sum >= 0.0 && !negative) => {
                self.start(series, "_sum");
                self.value_line(series, |out| number::value(out, sum));
                self.start(series, "_count");
                self.value_line(series, |out| number::integer(out, count));
            }
            None if !openmetrics => {
                self.start(series, "_count");
                self.value_line(series, |out| number::integer(out, count));
            }
            _ => {}
        }
        self.created_of_distribution(series);
    }

    fn summary(&mut self, series: &Series, summary: &Summary) {
        let openmetrics = self.format == Format::OpenMetrics;
        self.start(series, "");
        if !series.text.is_empty() {
            self.line.push(b',');
        }
        self.line.extend_from_slice(b"quantile=\"");
        for (quantile, value) in &summary.quantiles {
            if openmetrics && *value < 0.0 {
                continue;
            }
            self.out.extend_from_slice(&self.line);
            self.bound(&number::canonical(*quantile));
            self.out.extend_from_slice(b"\"} ");
            number::value(&mut self.out, *value);
            self.timestamp(series);
            self.out.push(b'\n');
        }
        if !openmetrics || summary.sum >= 0.0 {
            self.start(series, "_sum");
            self.value_line(series, |out| number::value(out, summary.sum));
        }
        self.start(series, "_count");
        self.value_line(series, |out| number::integer(out, summary.count));
        self.created_of_distribution(series);
    }

    /// Prepares the start of a distribution's lines, without the closing brace.
    fn start(&mut self, series: &Series, suffix: &str) {
        self.line.clear();
        model::open(&mut self.line, &self.name, suffix);
        self.line.extend_from_slice(&series.text);
    }

    fn value_line(&mut self, series: &Series, value: impl FnOnce(&mut Vec<u8>)) {
        model::close(&mut self.line);
        self.out.extend_from_slice(&self.line);
        value(&mut self.out);
        self.timestamp(series);
        self.out.push(b'\n');
    }

    fn bound(&mut self, canonical: &str) {
        let text = match self.format {
            Format::OpenMetrics => canonical,
            Format::Text => canonical.trim_end_matches_once(".0"),
        };
        self.out.extend_from_slice(text.as_bytes());
    }

    fn timestamp(&mut self, series: &Series) {
        if let Some(millis) = series.timestamp {
            self.out.push(b' ');
            match self.format {
                Format::OpenMetrics => number::seconds(&mut self.out, millis),
                Format::Text => {
                    if millis < 0 {
                        self.out.push(b'-');
                    }
                    number::integer(&mut self.out, millis.unsigned_abs());
                }
            }
        }
    }

    fn exemplar(&mut self, exemplar: Option<&SampleExemplar>) {
        let Some(exemplar) = exemplar.filter(|_| self.format == Format::OpenMetrics) else {
            return;
        };
        self.out.extend_from_slice(b" # {");
        self.out.extend_from_slice(exemplar.labels.as_bytes());
        self.out.extend_from_slice(b"} ");
        number::value(&mut self.out, exemplar.value);
        if let Some(millis) = exemplar.timestamp {
            self.out.push(b' ');
            number::seconds(&mut self.out, millis);
        }
    }

    fn shows_created(&self, series: &Series) -> bool {
        self.created && self.format == Format::OpenMetrics && series.created.is_some()
    }

    fn created_of_distribution(&mut self, series: &Series) {
        if self.shows_created(series) {
            self.start(series, "_created");
            model::close(&mut self.line);
            self.created_line(series);
        }
    }

    fn created_line(&mut self, series: &Series) {
        self.out.extend_from_slice(&self.line);
        number::seconds(&mut self.out, series.created.unwrap_or_default());
        self.timestamp(series);
        self.out.push(b'\n');
    }

    fn comment(&mut self, word: &str, name: &str) {
        self.out.extend_from_slice(b"# ");
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b' ');
        if super::is_legacy_name(name, true) {
            self.out.extend_from_slice(name.as_bytes());
        } else {
            model::quote(&mut self.out, name);
        }
        self.out.push(b' ');
    }
}

/// The labels in a number's text, which is `name{labels} `, `name ` or the same with the
/// name in quotes.
fn labels<'a>(text: &'a [u8], name: &str) -> &'a [u8] {
    let mut opened = Vec::new();
    model::open(&mut opened, name, "");
    text.get(opened.len()..)
        .and_then(|rest| rest.strip_suffix(b"} "))
        .unwrap_or_default()
}

/// Help texts end with their line. Only OpenMetrics escapes quotes in them.
fn help(out: &mut Vec<u8>, text: &str, openmetrics: bool) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if openmetrics => out.extend_from_slice(b"\\\""),
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            byte => out.push(byte),
        }
    }
}

trait TrimOnce {
    /// Without the suffix, where it has it.
    fn trim_end_matches_once(&self, suffix: &str) -> &str;
}

impl TrimOnce for str {
    fn trim_end_matches_once(&self, suffix: &str) -> &str {
        self.strip_suffix(suffix).unwrap_or(self)
    }
}
