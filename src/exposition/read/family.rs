//! Families of the protobuf exposition, their metrics, and which series these are.

use super::float::NAN;
use super::histogram::HistogramMessage;
use super::labels::{PageLabel, PageText};
use super::messages::{double, exemplar, message, pair, text, timestamp, varint};
use super::wire::PageFields;
use super::{FamilyType, Measured, PageExemplar, PageFault, PageLimits};

/// What a message `MetricFamily` says of all its metrics.
#[derive(Debug, Default)]
pub(super) struct FamilyMessage<'p> {
    pub(super) name: &'p str,
    pub(super) help: &'p str,
    pub(super) unit: &'p str,
    pub(super) kind: FamilyType,
}

/// A message `Metric`, used again for every metric of a page.
#[derive(Debug, Default)]
pub(super) struct MetricMessage<'p> {
    pub(super) labels: Vec<PageLabel<'p>>,
    /// Milliseconds since the Unix epoch; 0 if the page doesn't say.
    pub(super) timestamp: i64,
    gauge: f64,
    counter: f64,
    untyped: f64,
    /// The counter's.
    exemplars: Vec<PageExemplar<'p>>,
    counter_created: Option<(i64, i64)>,
    summary: SummaryMessage,
    pub(super) histogram: HistogramMessage<'p>,
}

/// The part of a message `Metric` that is a summary.
#[derive(Debug, Default)]
struct SummaryMessage {
    count: u64,
    sum: f64,
    quantiles: Vec<(f64, f64)>,
    created: Option<(i64, i64)>,
}

/// Which series of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricPart {
    Whole,
    Native,
    Count,
    Sum,
    Quantile(usize),
    Bucket(usize),
    /// The infinite bucket, where the page leaves it out.
    Beyond,
}

/// What a series of a metric measures.
pub(super) struct PartMeasured<'p, 'r> {
    /// What its name has behind that of the family.
    pub(super) suffix: &'static str,
    /// A label beside those of the metric.
    pub(super) label: Option<(&'static str, f64)>,
    pub(super) value: Measured<'r>,
    /// When the counting began, in seconds and nanoseconds since the Unix epoch.
    pub(super) created: Option<(i64, i64)>,
    pub(super) exemplars: &'r [PageExemplar<'p>],
}

impl<'p> FamilyMessage<'p> {
    /// Reads what a family says of itself; `None` if it has no metrics.
    pub(super) fn read(raw: &'p [u8], limits: &PageLimits) -> Result<Option<Self>, PageFault> {
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
        Ok(Some(Self {
            name: text(name).ok_or("a name is not UTF-8")?,
            help: text(help).ok_or("the help text is not UTF-8")?,
            unit: text(unit).unwrap_or_default(),
            kind,
        }))
    }
}

impl<'p> MetricMessage<'p> {
    /// Reads a message in place of the one before.
    pub(super) fn read(&mut self, raw: &'p [u8], limits: &PageLimits) -> Result<(), PageFault> {
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

    /// How many parts a distribution has beside count and sum, as the page says them.
    pub(super) fn parts(&self, kind: FamilyType) -> usize {
        match kind {
            FamilyType::Summary => self.summary.quantiles.len(),
            _ => self.histogram.buckets.len(),
        }
    }

    /// What one of its series measures, in a family of this type.
    pub(super) fn measured(&self, kind: FamilyType, part: MetricPart) -> PartMeasured<'p, '_> {
        let (count, sum, of_distribution) = match kind {
            FamilyType::Summary => {
                let summary = &self.summary;
                (summary.count as f64, summary.sum, summary.created)
            }
            _ => {
                let histogram = &self.histogram;
                (histogram.count(), histogram.sum, histogram.created)
            }
        };
        let mut created = of_distribution;
        let (mut suffix, mut label) = ("", None);
        let mut exemplars: &[PageExemplar<'p>] = &[];
        let number = match part {
            MetricPart::Native => {
                let is_gauge = kind == FamilyType::GaugeHistogram;
                return PartMeasured {
                    suffix,
                    label,
                    value: Measured::Histogram(self.histogram.native(is_gauge)),
                    created,
                    exemplars: self.histogram.exemplars(),
                };
            }
            MetricPart::Whole => {
                created = None;
                match kind {
                    FamilyType::Counter => {
                        (created, exemplars) = (self.counter_created, &self.exemplars);
                        self.counter
                    }
                    FamilyType::Gauge => self.gauge,
                    _ => self.untyped,
                }
            }
            MetricPart::Count => {
                suffix = "_count";
                count
            }
            MetricPart::Sum => {
                suffix = "_sum";
                sum
            }
            MetricPart::Quantile(at) => {
                let quantile = self.summary.quantiles.get(at);
                let (quantile, value) = quantile.copied().unwrap_or_default();
                label = Some(("quantile", quantile));
                value
            }
            MetricPart::Bucket(at) => {
                let bucket = self.histogram.buckets.get(at);
                let bucket = bucket.copied().unwrap_or_default();
                (suffix, label) = ("_bucket", Some(("le", bucket.bound)));
                let exemplar = bucket.exemplar.map_or(0..0, |at| at..at + 1);
                exemplars = self.histogram.of_buckets.get(exemplar).unwrap_or_default();
                bucket.count()
            }
            MetricPart::Beyond => {
                (suffix, label) = ("_bucket", Some(("le", f64::INFINITY)));
                count
            }
        };
        PartMeasured {
            suffix,
            label,
            value: Measured::Number(if number.is_nan() { NAN } else { number }),
            created,
            exemplars,
        }
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
                3 => timestamp(message(field)?, self.counter_created.get_or_insert((0, 0)))?,
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
                4 => timestamp(message(field)?, self.created.get_or_insert((0, 0)))?,
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
    let (name, value) = pair(raw, limits)?;
    if name.is_empty() {
        return Err("a label has no name".into());
    }
    Ok(PageLabel {
        name: PageText::plain(text(name).ok_or("a name is not UTF-8")?),
        value: PageText::plain(text(value).ok_or("a label value is not UTF-8")?),
    })
}
