//! The protobuf exposition: messages `io.prometheus.client.MetricFamily`, each after its length.
//!
//! A distribution is read as the series that the text formats have for it, so that whoever reads
//! pages needn't know where they come from. Only a native histogram is one series.

use super::family::{FamilyMessage, MetricMessage, MetricPart};
use super::labels::PageText;
use super::messages::in_millis;
use super::wire::{PageField, PageFields};
use super::{
    FamilyType, PageEntry, PageError, PageFault, PageLimits, PageMetadata, PageSeries, PageValue,
};
use crate::steps;

/// Separates the parts of an identity; not in any text that is UTF-8.
const SEPARATOR: u8 = 0xff;

/// Reads a page, one family after the other.
#[derive(Debug)]
pub(super) struct ProtobufReader<'p> {
    /// The families that haven't been read.
    rest: PageFields<'p>,
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

impl<'p> ProtobufReader<'p> {
    pub(super) fn new(page: &'p [u8], limits: PageLimits) -> Self {
        Self {
            rest: PageFields::new(page),
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
        match self.step() {
            Ok(Some(NextEntry::Series(part))) => Ok(Some(self.series(part, expected))),
            Ok(Some(NextEntry::Metadata(entry))) => Ok(Some(PageEntry::Metadata(entry))),
            Ok(None) => Ok(None),
            Err(PageFault { what, is_limit }) => Err(PageError {
                unit: "family",
                number: self.families,
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
                    let before = self.rest.rest().len();
                    if before == 0 {
                        return Ok(None);
                    }
                    self.families += 1;
                    let length = self.rest.varint()?;
                    // The length may have five bytes at most.
                    if before - self.rest.rest().len() > 5 {
                        return Err("the length of a family is too long".into());
                    }
                    let raw = self.rest.piece(length)?;
                    // A family without metrics is skipped whatever else it says.
                    if let Some(family) = FamilyMessage::read(raw, &self.limits)? {
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
        let parts = self.metric.parts(self.family.kind);
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
        let metric = &self.metric;
        let measured = metric.measured(self.family.kind, part);
        self.identity.truncate(self.shared);
        if part != MetricPart::Whole {
            // No label has an empty name, so that no label looks like this.
            self.identity.extend_from_slice(&[SEPARATOR, SEPARATOR]);
            self.identity.extend_from_slice(measured.suffix.as_bytes());
            if let Some((_, number)) = measured.label {
                let bits = number.to_bits();
                self.identity.extend_from_slice(&bits.to_le_bytes());
            }
        }
        let reading = PageValue {
            value: measured.value,
            timestamp: (metric.timestamp != 0).then_some(metric.timestamp),
            created: measured.created.map(in_millis),
            exemplars: measured.exemplars,
        };
        if !expected.is_empty() && self.identity == expected {
            return PageEntry::Again(reading);
        }
        PageEntry::Series(PageSeries {
            identity: &self.identity,
            name: PageText::plain(self.family.name),
            suffix: measured.suffix,
            labels: &metric.labels,
            part: measured.label,
            kind: self.family.kind,
            reading,
        })
    }
}

enum NextEntry<'p> {
    Metadata(PageMetadata<'p>),
    Series(MetricPart),
}
