//! What a target says of its families, and what a series of it therefore is.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::exposition::read::{FamilyType, PageMetadata};
use crate::pdata::writer::MetricKind;

use super::labels::{METRIC_NAME, ScrapedLabels};

/// The part of its point that a series is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum PointPart {
    /// All of it: a number, or a native histogram.
    Whole,
    /// How many observations there are.
    Count,
    /// Their sum.
    Sum,
    /// A bucket up to this bound, cumulated.
    Bucket(f64),
    /// A quantile.
    Quantile(f64),
    /// When the counting began.
    Created,
}

/// What a series is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeriesMeaning<'n> {
    /// The metric's name in OTLP.
    pub(super) metric: Cow<'n, str>,
    pub(super) kind: MetricKind,
    /// The type for the metric's metadata.
    pub(super) said: FamilyType,
    pub(super) part: PointPart,
    /// The family with help and unit.
    pub(super) family: Option<u32>,
}

impl SeriesMeaning<'_> {
    /// That of a series which is a gauge under its own name, whatever its family says.
    pub(super) fn alone(name: String) -> Self {
        Self {
            metric: Cow::Owned(name),
            kind: MetricKind::Gauge,
            said: FamilyType::Unknown,
            part: PointPart::Whole,
            family: None,
        }
    }
}

/// The families of a target, by the name that the page has for them.
#[derive(Debug, Default)]
pub(super) struct Families {
    index: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    list: slab::Slab<KnownFamily>,
    /// Counts the families that were added or got another type: what was unknown may be known
    /// since.
    changes: u32,
}

#[derive(Debug, Default)]
pub(super) struct KnownFamily {
    pub(super) name: Box<str>,
    kind: FamilyType,
    pub(super) help: Box<str>,
    pub(super) unit: Box<str>,
    /// The page that named it first.
    born: u32,
    /// The page that named it last.
    page: u32,
}

/// As in Prometheus, metadata is forgotten if this many pages don't repeat it.
const PAGES: u32 = 10;

/// The most bytes of names, help texts and units that are remembered beyond what the last page
/// has. Where they are more, only the families of that page are.
const REMEMBERED: usize = 1 << 20;

/// What ends the name of a series that has its family's name before it, as in the Collector.
const SUFFIXES: [&str; 6] = ["_bucket", "_count", "_sum", "_total", "_info", "_created"];

impl Families {
    /// Takes what a page says.
    pub(super) fn note(&mut self, said: PageMetadata<'_>, page: u32) {
        let name = match &said {
            PageMetadata::Type { name, .. }
            | PageMetadata::Help { name, .. }
            | PageMetadata::Unit { name, .. } => name.text(),
        };
        let id = match self.index.get(&*name) {
            Some(id) => *id,
            None => {
                let id = self.list.insert(KnownFamily {
                    name: name.as_ref().into(),
                    born: page,
                    ..KnownFamily::default()
                }) as u32;
                self.index.insert(name.as_ref().into(), id);
                self.changes += 1;
                id
            }
        };
        let Some(family) = self.list.get_mut(id as usize) else {
            return;
        };
        family.page = page;
        match said {
            PageMetadata::Type { kind, .. } => {
                if family.kind != kind {
                    family.kind = kind;
                    self.changes += 1;
                }
            }
            PageMetadata::Help { text, .. } => replace(&mut family.help, &text.text()),
            PageMetadata::Unit { unit, .. } => replace(&mut family.unit, unit),
        }
    }

    /// Forgets what wasn't repeated.
    pub(super) fn forget(&mut self, page: u32) {
        let older = self.list.iter().filter(|(_, family)| family.page != page);
        let bytes: usize = older.map(|(_, family)| family.bytes()).sum();
        let pages = if bytes > REMEMBERED { 1 } else { PAGES };
        self.retain(|family| page.wrapping_sub(family.page) < pages);
    }

    /// Forgets what a page that failed has named first. What it said of others stays, within the
    /// bound for all.
    pub(super) fn undo(&mut self, page: u32) {
        self.retain(|family| family.born != page);
        self.forget(page);
    }

    fn retain(&mut self, keep: impl Fn(&KnownFamily) -> bool) {
        let before = self.list.len();
        self.list.retain(|_, family| keep(family));
        if self.list.len() < before {
            let list = &self.list;
            self.index.retain(|name, id| {
                list.get(*id as usize)
                    .is_some_and(|family| family.name == *name)
            });
            self.list.shrink_to_fit();
            self.changes += 1;
        }
    }

    /// Counts what may change the meaning of series.
    pub(super) fn changes(&self) -> u32 {
        self.changes
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, id: u32) -> Option<&KnownFamily> {
        self.list.get(id as usize)
    }

    /// What a series with these labels is. `native`: whether its value is a native histogram.
    ///
    /// As in the Collector, but that a series which doesn't fit its family keeps its own name,
    /// where the Collector drops it or mixes it with others, and that info metrics keep their
    /// `_info`.
    pub(super) fn meaning<'n>(
        &self,
        labels: &'n ScrapedLabels<'_>,
        native: bool,
    ) -> SeriesMeaning<'n> {
        let name = labels.get(METRIC_NAME);
        let of = |family: Option<u32>, metric: &'n str, kind, said, part| SeriesMeaning {
            metric: Cow::Borrowed(metric),
            kind,
            said,
            part,
            family,
        };
        let lone = |family, said| of(family, name, MetricKind::Gauge, said, PointPart::Whole);
        let (id, base, suffix) = match self.index.get(name) {
            Some(id) => (*id, name, ""),
            None => {
                let parts = SUFFIXES.iter().find_map(|suffix| {
                    let base = name.strip_suffix(suffix).filter(|base| !base.is_empty())?;
                    Some((base, *suffix))
                });
                match parts.and_then(|(base, suffix)| Some((*self.index.get(base)?, base, suffix)))
                {
                    Some(found) => found,
                    None if native => {
                        return of(
                            None,
                            name,
                            MetricKind::ExponentialHistogram,
                            FamilyType::Histogram,
                            PointPart::Whole,
                        );
                    }
                    None => return lone(None, FamilyType::Unknown),
                }
            }
        };
        let family = Some(id);
        let kind = self
            .get(id)
            .map_or(FamilyType::Unknown, |family| family.kind);
        let fits = match kind {
            // These decide by what they have besides.
            FamilyType::Histogram | FamilyType::Summary => true,
            FamilyType::Counter => matches!(suffix, "" | "_total" | "_created"),
            FamilyType::Info => matches!(suffix, "" | "_info"),
            FamilyType::GaugeHistogram => !matches!(suffix, "_total" | "_info"),
            FamilyType::Gauge | FamilyType::StateSet | FamilyType::Unknown => suffix.is_empty(),
        };
        if native {
            let kind = MetricKind::ExponentialHistogram;
            return of(family, name, kind, FamilyType::Histogram, PointPart::Whole);
        }
        if !fits {
            // The suffix belongs to another kind of family.
            return lone(None, FamilyType::Unknown);
        }
        match kind {
            FamilyType::Counter if suffix == "_created" => {
                let counter = of(family, base, MetricKind::Counter, kind, PointPart::Created);
                SeriesMeaning {
                    metric: Cow::Owned(format!("{base}_total")),
                    ..counter
                }
            }
            FamilyType::Counter => of(family, name, MetricKind::Counter, kind, PointPart::Whole),
            FamilyType::Histogram | FamilyType::Summary => {
                let (metric_kind, part) = if kind == FamilyType::Histogram {
                    let part = match suffix {
                        "_bucket" => number(labels.get("le")).map(PointPart::Bucket),
                        _ => distribution_part(suffix),
                    };
                    (MetricKind::Histogram, part)
                } else {
                    let part = match suffix {
                        "" => number(labels.get("quantile")).map(PointPart::Quantile),
                        _ => distribution_part(suffix),
                    };
                    (MetricKind::Summary, part)
                };
                match part {
                    Some(part) => of(family, base, metric_kind, kind, part),
                    None => lone(None, FamilyType::Unknown),
                }
            }
            FamilyType::Info | FamilyType::StateSet => of(
                family,
                name,
                MetricKind::UpDownCounter,
                kind,
                PointPart::Whole,
            ),
            // Its parts, as Prometheus has them; OTLP has no histogram whose counts may fall.
            FamilyType::GaugeHistogram => lone(family, kind),
            FamilyType::Gauge | FamilyType::Unknown => lone(family, kind),
        }
    }
}

impl KnownFamily {
    /// What remembering it takes.
    fn bytes(&self) -> usize {
        // Its name is in the index as well.
        size_of::<Self>() + 2 * self.name.len() + self.help.len() + self.unit.len()
    }
}

fn distribution_part(suffix: &str) -> Option<PointPart> {
    match suffix {
        "_count" => Some(PointPart::Count),
        "_sum" => Some(PointPart::Sum),
        "_created" => Some(PointPart::Created),
        _ => None,
    }
}

/// A bound or a quantile, in the form that the page's reader gives it.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| !number.is_nan())
}

fn replace(old: &mut Box<str>, new: &str) {
    if **old != *new {
        *old = new.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::read::{PageEntry, PageFormat, PageLimits, PageReader};

    #[test]
    fn a_series_is_what_its_family_makes_of_it() {
        let page = "# TYPE c_total counter\n# TYPE c counter\n# TYPE g gauge\n# TYPE h histogram\n\
            # TYPE s summary\n# TYPE i info\n# TYPE t stateset\n# TYPE u unknown\n# TYPE gh gaugehistogram\n";
        let read = |line: &str| {
            let page = format!("{page}{line} 1\n# EOF\n");
            let mut families = Families::default();
            let mut reader = PageReader::new(
                page.as_bytes(),
                PageFormat::OpenMetrics,
                PageLimits::default(),
            );
            loop {
                match reader.next(b"").unwrap().unwrap() {
                    PageEntry::Metadata(said) => families.note(said, 1),
                    PageEntry::Series(series) => {
                        let labels = ScrapedLabels::of(&series);
                        let meaning = families.meaning(&labels, false);
                        let metric = meaning.metric.into_owned();
                        return (metric, meaning.kind, meaning.said, meaning.part);
                    }
                    PageEntry::Again(_) => unreachable!(),
                }
            }
        };
        use FamilyType as F;
        use MetricKind::{Counter, Gauge, Histogram, Summary, UpDownCounter};
        use PointPart::{Bucket, Count, Created, Quantile, Sum, Whole};
        let f = |line: &str, metric: &str, kind, said, part| {
            assert_eq!(read(line), (metric.to_owned(), kind, said, part), "{line}");
        };
        f("c_total", "c_total", Counter, F::Counter, Whole);
        f("c", "c", Counter, F::Counter, Whole);
        f("c_created", "c_total", Counter, F::Counter, Created);
        for other in ["c_sum", "c_count", "c_info", "c_bucket"] {
            f(other, other, Gauge, F::Unknown, Whole);
        }
        f("g", "g", Gauge, F::Gauge, Whole);
        f("g_sum", "g_sum", Gauge, F::Unknown, Whole);
        f(
            "h_bucket{le=\"1\"}",
            "h",
            Histogram,
            F::Histogram,
            Bucket(1.0),
        );
        f(
            "h_bucket{le=\"+Inf\"}",
            "h",
            Histogram,
            F::Histogram,
            Bucket(f64::INFINITY),
        );
        f("h_bucket", "h_bucket", Gauge, F::Unknown, Whole);
        f("h_bucket{le=\"x\"}", "h_bucket", Gauge, F::Unknown, Whole);
        f("h_count", "h", Histogram, F::Histogram, Count);
        f("h_created", "h", Histogram, F::Histogram, Created);
        f("h", "h", Gauge, F::Unknown, Whole);
        f(
            "s{quantile=\"0.5\"}",
            "s",
            Summary,
            F::Summary,
            Quantile(0.5),
        );
        f("s_sum", "s", Summary, F::Summary, Sum);
        f("s", "s", Gauge, F::Unknown, Whole);
        f("s_total", "s_total", Gauge, F::Unknown, Whole);
        f("i_info", "i_info", UpDownCounter, F::Info, Whole);
        f("i_total", "i_total", Gauge, F::Unknown, Whole);
        f("t{t=\"a\"}", "t", UpDownCounter, F::StateSet, Whole);
        f("t_info", "t_info", Gauge, F::Unknown, Whole);
        f("gh_total", "gh_total", Gauge, F::Unknown, Whole);
        f("u", "u", Gauge, F::Unknown, Whole);
        f(
            "gh_bucket{le=\"1\"}",
            "gh_bucket",
            Gauge,
            F::GaugeHistogram,
            Whole,
        );
        f(
            "unheard_of_total",
            "unheard_of_total",
            Gauge,
            F::Unknown,
            Whole,
        );
    }
}
