//! The protobuf exposition: messages `io.prometheus.client.MetricFamily`, each after its length.
//!
//! A distribution is read as the series that the text formats have for it, so that whoever reads
//! pages needn't know where they come from. Only a native histogram is one series.

use super::float::NAN;
use super::histogram::HistogramMessage;
use super::labels::{PageLabel, PageText};
use super::messages::{double, exemplar, in_millis, message, millis, pair, text, varint};
use super::wire::{PageField, PageFields};
use super::{
    FamilyType, Measured, PageEntry, PageError, PageExemplar, PageFault, PageLimits, PageMetadata,
    PageSeries, PageValue,
};
use crate::steps;

/// Separates the parts of an identity; not in any text that is UTF-8.
const SEPARATOR: u8 = 0xff;

/// Reads a page, one family after the other.
#[derive(Debug)]
pub(super) struct ProtobufReader<'p> {
    pages: PageFields<'p>,
    limits: PageLimits,
    native: bool,
    classic_too: bool,
    /// Families begun.
    families: usize,
    family: FamilyMessage<'p>,
    stage: ReadingStage,
    /// What of the family's metrics hasn't been read.
    metrics: PageFields<'p>,
    metric: MetricMessage<'p>,
    identity: Vec<u8>,
    /// How much of the identity all parts of a metric share.
    shared: usize,
    /// Bytes of all identities so far.
    spelled: usize,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadingStage {
    Family,
    Unit,
    Type,
    Metric,
    /// The native form of a histogram.
    Native,
    /// A part of a distribution: 0 is the count, 1 the sum, then come buckets or quantiles.
    MetricPart(usize),
}

#[derive(Debug, Default)]
struct FamilyMessage<'p> {
    name: &'p str,
    help: &'p str,
    unit: &'p str,
    kind: FamilyType,
}

/// A message `Metric`, used again for every metric of a page.
#[derive(Debug, Default)]
struct MetricMessage<'p> {
    labels: Vec<PageLabel<'p>>,
    timestamp: i64,
    gauge: f64,
    counter: f64,
    untyped: f64,
    /// The counter's.
    exemplars: Vec<PageExemplar<'p>>,
    counter_created: Option<(i64, i64)>,
    summary: SummaryMessage,
    histogram: HistogramMessage<'p>,
}

#[derive(Debug, Default)]
struct SummaryMessage {
    count: u64,
    sum: f64,
    quantiles: Vec<(f64, f64)>,
    created: Option<(i64, i64)>,
}

impl<'p> ProtobufReader<'p> {
    pub(super) fn new(page: &'p [u8], limits: PageLimits) -> Self {
        Self {
            pages: PageFields::new(page),
            limits,
            native: false,
            classic_too: false,
            families: 0,
            family: FamilyMessage::default(),
            stage: ReadingStage::Family,
            metrics: PageFields::new(&[]),
            metric: MetricMessage::default(),
            identity: Vec::new(),
            shared: 0,
            spelled: 0,
        }
    }

    pub(super) fn native_histograms(&mut self, native: bool, classic_too: bool) {
        self.native = native;
        self.classic_too = classic_too;
    }

    pub(super) fn next<'r>(
        &'r mut self,
        expected: &[u8],
    ) -> Result<Option<PageEntry<'p, 'r>>, PageError> {
        let families = self.families;
        let step = self.step();
        let number = self.families.max(families).max(1);
        match step {
            Ok(Some(NextEntry::Series(part))) => Ok(Some(self.series(part, expected))),
            Ok(Some(NextEntry::Metadata(entry))) => Ok(Some(PageEntry::Metadata(entry))),
            Ok(None) => Ok(None),
            Err(PageFault { what, is_limit }) => Err(PageError {
                unit: "family",
                number,
                what,
                is_limit,
            }),
        }
    }

    /// Moves to the next entry.
    fn step(&mut self) -> Result<Option<NextEntry<'p>>, PageFault> {
        let name = PageText::plain(self.family.name);
        loop {
            match self.stage {
                ReadingStage::Family => {
                    if self.pages.rest().is_empty() {
                        return Ok(None);
                    }
                    self.families += 1;
                    // The length may have five bytes at most.
                    let before = self.pages.rest().len();
                    let mut pages = self.pages;
                    pages.varint()?;
                    if before - pages.rest().len() > 5 {
                        return Err("the length of a family is too long".into());
                    }
                    let raw = self.pages.bytes()?;
                    // A family without metrics is skipped whatever else it says.
                    if let Some(family) = family(raw, &self.limits)? {
                        self.family = family;
                        self.metrics = PageFields::new(raw);
                        self.stage = ReadingStage::Unit;
                        return Ok(Some(NextEntry::Metadata(PageMetadata::Help {
                            name: PageText::plain(self.family.name),
                            text: PageText::plain(self.family.help),
                        })));
                    }
                }
                ReadingStage::Unit => {
                    self.stage = ReadingStage::Type;
                    let unit = self.family.unit;
                    if !unit.is_empty() {
                        return Ok(Some(NextEntry::Metadata(PageMetadata::Unit { name, unit })));
                    }
                }
                ReadingStage::Type => {
                    self.stage = ReadingStage::Metric;
                    let kind = self.family.kind;
                    return Ok(Some(NextEntry::Metadata(PageMetadata::Type { name, kind })));
                }
                ReadingStage::Metric => match self.next_metric()? {
                    None => self.stage = ReadingStage::Family,
                    Some(raw) => {
                        self.metric.read(raw, &self.limits)?;
                        self.begin_identity();
                        match self.family.kind {
                            FamilyType::Histogram | FamilyType::GaugeHistogram => {
                                let native = self.native && self.metric.histogram.is_native();
                                self.stage = if native {
                                    ReadingStage::Native
                                } else {
                                    ReadingStage::MetricPart(0)
                                };
                            }
                            FamilyType::Summary => self.stage = ReadingStage::MetricPart(0),
                            _ => return self.begin_series(MetricPart::Whole),
                        }
                    }
                },
                ReadingStage::Native => {
                    self.metric.histogram.check()?;
                    self.metric.histogram.choose_exemplars();
                    let buckets = !self.metric.histogram.buckets.is_empty();
                    self.stage = if self.classic_too && buckets {
                        ReadingStage::MetricPart(0)
                    } else {
                        ReadingStage::Metric
                    };
                    return self.begin_series(MetricPart::Native);
                }
                ReadingStage::MetricPart(at) => {
                    let (part, is_last) = self.part(at);
                    self.stage = if is_last {
                        ReadingStage::Metric
                    } else {
                        ReadingStage::MetricPart(at + 1)
                    };
                    return self.begin_series(part);
                }
            }
        }
    }

    fn next_metric(&mut self) -> Result<Option<&'p [u8]>, PageFault> {
        while let Some((number, field)) = self.metrics.next()? {
            if let (4, PageField::Bytes(raw)) = (number, field) {
                return Ok(Some(raw));
            }
        }
        Ok(None)
    }

    /// A part of a distribution, and whether it is the last.
    fn part(&self, at: usize) -> (MetricPart, bool) {
        let parts = match self.family.kind {
            FamilyType::Summary => self.metric.summary.quantiles.len(),
            _ => self.metric.histogram.buckets.len(),
        };
        match at {
            0 => (MetricPart::Count, false),
            1 => {
                let nothing_follows = self.family.kind == FamilyType::Summary && parts == 0;
                (MetricPart::Sum, nothing_follows)
            }
            _ if self.family.kind == FamilyType::Summary => {
                (MetricPart::Quantile(at - 2), at > parts)
            }
            _ => match self.metric.histogram.buckets.get(at - 2) {
                Some(bucket) => (MetricPart::Bucket(at - 2), bucket.bound == f64::INFINITY),
                None => (MetricPart::Beyond, true),
            },
        }
    }

    fn begin_identity(&mut self) {
        self.identity.clear();
        self.identity.extend_from_slice(self.family.name.as_bytes());
        for label in &self.metric.labels {
            for text in [label.name, label.value] {
                self.identity.push(SEPARATOR);
                self.identity.extend_from_slice(text.raw().as_bytes());
            }
        }
        self.shared = self.identity.len();
    }

    /// Counts what a series is when it is spelled out: whoever keeps it keeps all of that.
    fn begin_series(&mut self, part: MetricPart) -> Result<Option<NextEntry<'p>>, PageFault> {
        steps::count(self.shared);
        self.spelled = self.spelled.saturating_add(self.shared);
        if self.spelled > self.limits.series_bytes {
            return Err(PageFault::beyond(
                "the names and labels of all series are too long",
            ));
        }
        Ok(Some(NextEntry::Series(part)))
    }

    fn series<'r>(&'r mut self, part: MetricPart, expected: &[u8]) -> PageEntry<'p, 'r> {
        let is_summary = self.family.kind == FamilyType::Summary;
        let metric = &self.metric;
        let (mut suffix, mut label) = ("", None);
        let mut exemplars: &[PageExemplar<'p>] = &[];
        let created;
        let value;
        if part == MetricPart::Native {
            created = metric.histogram.created;
            let is_gauge = self.family.kind == FamilyType::GaugeHistogram;
            value = Measured::Histogram(metric.histogram.native(is_gauge));
            exemplars = metric.histogram.exemplars();
        } else {
            let number;
            (number, created) = match (part, self.family.kind) {
                (MetricPart::Whole, FamilyType::Counter) => {
                    exemplars = &metric.exemplars;
                    (metric.counter, metric.counter_created)
                }
                (MetricPart::Whole, FamilyType::Gauge) => (metric.gauge, None),
                (MetricPart::Whole | MetricPart::Native, _) => (metric.untyped, None),
                (MetricPart::Count, _) => {
                    suffix = "_count";
                    if is_summary {
                        (metric.summary.count as f64, metric.summary.created)
                    } else {
                        (metric.histogram.count(), metric.histogram.created)
                    }
                }
                (MetricPart::Sum, _) => {
                    suffix = "_sum";
                    if is_summary {
                        (metric.summary.sum, metric.summary.created)
                    } else {
                        (metric.histogram.sum, metric.histogram.created)
                    }
                }
                (MetricPart::Quantile(at), _) => {
                    let quantiles = &metric.summary.quantiles;
                    let (quantile, value) = quantiles.get(at).copied().unwrap_or_default();
                    label = Some(("quantile", quantile));
                    (value, metric.summary.created)
                }
                (MetricPart::Bucket(at), _) => {
                    suffix = "_bucket";
                    let bucket = metric
                        .histogram
                        .buckets
                        .get(at)
                        .copied()
                        .unwrap_or_default();
                    label = Some(("le", bucket.bound));
                    if let Some(at) = bucket.exemplar {
                        exemplars = metric.histogram.of_buckets.get(at..=at).unwrap_or_default();
                    }
                    (bucket.count(), metric.histogram.created)
                }
                (MetricPart::Beyond, _) => {
                    suffix = "_bucket";
                    label = Some(("le", f64::INFINITY));
                    (metric.histogram.count(), metric.histogram.created)
                }
            };
            value = Measured::Number(if number.is_nan() { NAN } else { number });
        }
        self.identity.truncate(self.shared);
        if part != MetricPart::Whole {
            // No label has an empty name, so that no label looks like this.
            self.identity.extend_from_slice(&[SEPARATOR, SEPARATOR]);
            self.identity.extend_from_slice(suffix.as_bytes());
            if let Some((_, number)) = label {
                self.identity
                    .extend_from_slice(&number.to_bits().to_le_bytes());
            }
        }
        let reading = PageValue {
            value,
            timestamp: (metric.timestamp != 0).then_some(metric.timestamp),
            created: created.map(in_millis),
            exemplars,
        };
        if !expected.is_empty() && self.identity == expected {
            return PageEntry::Again(reading);
        }
        PageEntry::Series(PageSeries {
            identity: &self.identity,
            name: PageText::plain(self.family.name),
            suffix,
            labels: &metric.labels,
            part: label,
            kind: self.family.kind,
            reading,
        })
    }
}

enum NextEntry<'p> {
    Metadata(PageMetadata<'p>),
    Series(MetricPart),
}

/// Which series of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MetricPart {
    Whole,
    Native,
    Count,
    Sum,
    Quantile(usize),
    Bucket(usize),
    /// The infinite bucket, where the page leaves it out.
    Beyond,
}

/// Reads what a family says of itself; `None` if it has no metrics.
fn family<'p>(raw: &'p [u8], limits: &PageLimits) -> Result<Option<FamilyMessage<'p>>, PageFault> {
    let (mut name, mut help, mut unit): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    let mut kind = 0;
    let mut has_metrics = false;
    let mut fields = PageFields::new(raw);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => name = message(field)?,
            2 => help = message(field)?,
            3 => kind = varint(field)? as u32,
            4 => {
                message(field)?;
                has_metrics = true;
            }
            5 => unit = message(field)?,
            _ => {}
        }
    }
    if !has_metrics {
        return Ok(None);
    }
    if name.is_empty() {
        return Err("a family has no name".into());
    }
    if name.len() > limits.name_bytes {
        return Err(PageFault::beyond("a name is too long"));
    }
    let kind = match kind {
        0 => FamilyType::Counter,
        1 => FamilyType::Gauge,
        2 => FamilyType::Summary,
        3 => FamilyType::Unknown,
        4 => FamilyType::Histogram,
        5 => FamilyType::GaugeHistogram,
        _ => return Err("no metric type".into()),
    };
    Ok(Some(FamilyMessage {
        name: text(name).ok_or("a name is not UTF-8")?,
        help: text(help).ok_or("the help text is not UTF-8")?,
        unit: text(unit).unwrap_or_default(),
        kind,
    }))
}

impl<'p> MetricMessage<'p> {
    fn read(&mut self, raw: &'p [u8], limits: &PageLimits) -> Result<(), PageFault> {
        self.labels.clear();
        self.exemplars.clear();
        self.histogram.clear();
        self.summary.quantiles.clear();
        (self.summary.count, self.summary.sum, self.summary.created) = (0, 0.0, None);
        (self.gauge, self.counter, self.untyped) = (0.0, 0.0, 0.0);
        (self.timestamp, self.counter_created) = (0, None);
        let mut fields = PageFields::new(raw);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => {
                    if self.labels.len() == limits.labels {
                        return Err(PageFault::beyond("a series has too many labels"));
                    }
                    self.labels.push(label(message(field)?, limits)?);
                }
                2 => only_double(message(field)?, &mut self.gauge)?,
                3 => self.counter(message(field)?, limits)?,
                4 => self.summary.merge(message(field)?, limits)?,
                5 => only_double(message(field)?, &mut self.untyped)?,
                6 => self.timestamp = varint(field)?.cast_signed(),
                7 => self.histogram.merge(message(field)?, limits)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn counter(&mut self, raw: &'p [u8], limits: &PageLimits) -> Result<(), PageFault> {
        let mut fields = PageFields::new(raw);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => self.counter = double(field)?,
                2 => {
                    if let Some(read) = exemplar(message(field)?, limits)? {
                        self.exemplars.clear();
                        self.exemplars.push(read);
                    }
                }
                3 => millis(message(field)?, self.counter_created.get_or_insert((0, 0)))?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl SummaryMessage {
    fn merge(&mut self, raw: &[u8], limits: &PageLimits) -> Result<(), PageFault> {
        let mut fields = PageFields::new(raw);
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => self.count = varint(field)?,
                2 => self.sum = double(field)?,
                3 => {
                    let (mut quantile, mut value) = (0.0, 0.0);
                    let mut fields = PageFields::new(message(field)?);
                    while let Some((number, field)) = fields.next()? {
                        match number {
                            1 => quantile = double(field)?,
                            2 => value = double(field)?,
                            _ => {}
                        }
                    }
                    if self.quantiles.len() == limits.buckets {
                        return Err(PageFault::beyond("a summary has too many quantiles"));
                    }
                    self.quantiles.push((quantile, value));
                }
                4 => millis(message(field)?, self.created.get_or_insert((0, 0)))?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn only_double(raw: &[u8], into: &mut f64) -> Result<(), PageFault> {
    let mut fields = PageFields::new(raw);
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            *into = double(field)?;
        }
    }
    Ok(())
}

fn label<'p>(raw: &'p [u8], limits: &PageLimits) -> Result<PageLabel<'p>, PageFault> {
    let (name, value) = pair(raw)?;
    if name.len() > limits.name_bytes {
        return Err(PageFault::beyond("a name is too long"));
    }
    if value.len() > limits.value_bytes {
        return Err(PageFault::beyond("a label value is too long"));
    }
    if name.is_empty() {
        return Err("a label has no name".into());
    }
    Ok(PageLabel {
        name: PageText::plain(text(name).ok_or("a name is not UTF-8")?),
        value: PageText::plain(text(value).ok_or("a label value is not UTF-8")?),
    })
}
