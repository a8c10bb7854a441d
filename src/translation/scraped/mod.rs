//! Scraped pages as OTLP, as the Collector's `prometheus` receiver makes it of them.
//!
//! Each target has a [`ScrapedTarget`]. It remembers every series of the page by the bytes that
//! the page has for it: what the rules have made of its labels, and which OTLP series it is part
//! of. So rules run once for a series and not for each of its values, and when a series is gone,
//! it is known what must be ended.
//!
//! | the page has | OTLP gets |
//! |---|---|
//! | a counter | a monotonic sum; `_created` becomes its start time |
//! | a gauge, or a series of no known family | a gauge |
//! | the `_bucket`, `_sum` and `_count` of a histogram | a point of a histogram |
//! | the quantiles, `_sum` and `_count` of a summary | a point of a summary |
//! | a native histogram | a point of an exponential histogram |
//! | an info or a stateset | a sum that isn't monotonic, under its full name |
//! | the parts of a gauge histogram | gauges, under their full names |
//! | `target_info` | attributes of the resource |
//!
//! The metadata `prometheus.type` of a metric says what the page said, and with it that the name
//! is Prometheus's already. `job` and `instance` become `service.name` and `service.instance.id`
//! of the resource. A distribution that OTLP can't express exactly, because it has no count or
//! its buckets fall, stays apart: each of its series is a gauge under its own name. A native gauge
//! histogram is only counted.

mod cache;
mod exemplars;
mod families;
mod labels;
mod native;
mod opener;
mod pending;
mod points;
#[cfg(test)]
mod tests;
mod write;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use labels::{InvalidLabels, METRIC_NAME, ScrapedLabels};

use crate::exposition::read::{
    Measured, PageEntry, PageError, PageExemplar, PageFormat, PageLimits, PageReader, PageSeries,
    PageValue,
};
use crate::pdata::writer::MetricsWriter;

use cache::{SeriesCache, SeriesHome};
use families::{Families, PointPart};
use native::DenseHistogram;
use points::ScrapedPoints;

/// How the pages of a target are taken. The defaults are Prometheus's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapedSettings {
    /// Whether a label of the page wins over one of the target with the same name.
    pub honor_labels: bool,
    /// Whether a value holds at the time that the page says, if it says one.
    pub honor_timestamps: bool,
    /// Whether a series whose values have times of their own ends with a tombstone, too.
    pub track_timestamps_staleness: bool,
    /// The most series of a page after relabelling; 0 for any number. A page with more fails.
    pub sample_limit: usize,
    /// The most labels of a series after relabelling; 0 for any number. Its page fails.
    pub label_limit: usize,
    /// The longest name of a label after relabelling, in bytes; 0 for any length.
    pub label_name_length_limit: usize,
    /// The longest value of a label after relabelling, in bytes; 0 for any length.
    pub label_value_length_limit: usize,
    /// Whether native histograms are read as such. Otherwise as classic ones.
    pub native_histograms: bool,
    /// Whether the classic form of a native histogram is read beside it.
    pub classic_histograms_too: bool,
    /// Bounds on lines, before relabelling.
    pub limits: PageLimits,
}

impl Default for ScrapedSettings {
    fn default() -> Self {
        Self {
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            sample_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            native_histograms: false,
            classic_histograms_too: false,
            limits: PageLimits::default(),
        }
    }
}

/// Rules for the labels of a target's series.
pub trait MetricRelabelling {
    /// Applies the rules to a series that wasn't there before. Returns whether it is kept.
    fn relabel(&mut self, labels: &mut ScrapedLabels<'_>) -> bool;
}

/// No rules.
impl MetricRelabelling for () {
    fn relabel(&mut self, _: &mut ScrapedLabels<'_>) -> bool {
        true
    }
}

/// What a page had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageCounts {
    /// Series on the page: `scrape_samples_scraped`.
    pub scraped: u64,
    /// Those that the rules have left: `scrape_samples_post_metric_relabeling`.
    pub kept: u64,
    /// Those of them that the last page didn't have: `scrape_series_added`.
    pub added: u64,
    /// Those that were there before on the same page. Only the first one counts.
    pub duplicates: u64,
    /// Those whose time is more than ten minutes ahead. They aren't taken.
    pub out_of_bounds: u64,
    /// Native histograms that OTLP can't express: their buckets are too far apart, or their counts
    /// may fall. They aren't taken.
    pub inexpressible: u64,
    /// Series that ended with this page.
    pub ended: u64,
}

/// Why nothing of a page was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageFailure {
    /// It can't be read, or a line exceeds a limit.
    #[error(transparent)]
    Unreadable(#[from] PageError),
    /// Relabelling has made a series of it that can't be.
    #[error(transparent)]
    Labels(#[from] InvalidLabels),
    /// It has more series than `sample_limit`.
    #[error("the page has more series than the sample_limit of {0}")]
    SampleLimit(usize),
    /// A series has more labels than `label_limit`.
    #[error("a series has more labels than the label_limit of {0}")]
    LabelLimit(usize),
    /// A series has a label whose name is longer than `label_name_length_limit`.
    #[error("the name of a label is longer than the label_name_length_limit of {0}")]
    LabelNameLength(usize),
    /// A series has a label whose value is longer than `label_value_length_limit`.
    #[error("the value of a label is longer than the label_value_length_limit of {0}")]
    LabelValueLength(usize),
}

impl PageFailure {
    /// Whether a limit was exceeded; otherwise the page is malformed.
    pub fn is_limit(&self) -> bool {
        match self {
            Self::Unreadable(error) => error.is_limit,
            Self::Labels(_) => false,
            _ => true,
        }
    }
}

/// One value of the page, before anything is written: a page may fail with its last line.
#[derive(Debug)]
struct ScrapedValue {
    point: usize,
    part: PointPart,
    value: f64,
    /// Milliseconds since the Unix epoch.
    time: i64,
    created: Option<i64>,
    /// Its exemplars among those of the page.
    exemplars: (usize, usize),
    native: Option<Box<DenseHistogram>>,
    /// Whether it ends with a tombstone when it isn't shown any more.
    tracked: bool,
}

/// The series of one target, from page to page.
#[derive(Debug)]
pub struct ScrapedTarget {
    settings: ScrapedSettings,
    labels: Vec<(String, String)>,
    attributes: Vec<(String, String)>,
    families: Families,
    cache: SeriesCache,
    points: ScrapedPoints,
    /// How many pages there were.
    page: u32,
    values: Vec<ScrapedValue>,
}

/// How far ahead a value's time may be, as in Prometheus.
const AHEAD: i64 = 10 * 60 * 1000;

impl ScrapedTarget {
    /// A target that hasn't been scraped. `labels` are those that it has after relabelling, with
    /// `job` and `instance` and without those that begin with `__`.
    pub fn new(settings: ScrapedSettings, labels: Vec<(String, String)>) -> Self {
        Self {
            settings,
            labels,
            attributes: Vec::new(),
            families: Families::default(),
            cache: SeriesCache::default(),
            points: ScrapedPoints::default(),
            page: 0,
            values: Vec::new(),
        }
    }

    /// Further attributes of the target's resource, such as `server.address`.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Vec<(String, String)>) -> Self {
        self.attributes = attributes;
        self
    }

    /// Series that are remembered.
    pub fn series(&self) -> usize {
        self.cache.len()
    }

    /// Reads a page that was scraped at `at`, and writes its values and the ends of the series
    /// that it doesn't have any more, in resources of their own.
    ///
    /// The counts are those of the page up to where it failed, if it did.
    ///
    /// # Errors
    ///
    /// If the page fails. Then nothing is written, and the series that were live still are: who
    /// scrapes ends them with [`end`](Self::end), as Prometheus does.
    pub fn page(
        &mut self,
        page: &[u8],
        format: PageFormat,
        at: SystemTime,
        rules: &mut dyn MetricRelabelling,
        out: &mut MetricsWriter,
    ) -> (PageCounts, Result<(), PageFailure>) {
        self.page = self.page.wrapping_add(1);
        let mut counts = PageCounts::default();
        let mut exemplars = Vec::new();
        let read = self.read(page, format, millis(at), rules, &mut counts, &mut exemplars);
        match read {
            Ok(()) => self.write(&exemplars, millis(at), &mut counts, out),
            Err(_) => {
                let points = &mut self.points;
                self.cache.undo(self.page, |home| release(points, home));
                self.points.drop_unborn();
                self.families.undo(self.page);
                self.values.clear();
            }
        }
        (counts, read)
    }

    /// Ends all live series with tombstones of this time: after a failed scrape, or for a target
    /// that is gone. They are remembered, and live again with the next page that has them.
    pub fn end(&mut self, at: SystemTime, out: &mut MetricsWriter) -> u64 {
        self.end_all(millis(at), out)
    }

    fn read<'p>(
        &mut self,
        page: &'p [u8],
        format: PageFormat,
        at: i64,
        rules: &mut dyn MetricRelabelling,
        counts: &mut PageCounts,
        exemplars: &mut Vec<PageExemplar<'p>>,
    ) -> Result<(), PageFailure> {
        self.values.clear();
        // As in Prometheus, an answer without a byte has no series, in whatever format.
        if page.is_empty() {
            return Ok(());
        }
        let mut reader = PageReader::new(page, format, self.settings.limits).native_histograms(
            self.settings.native_histograms,
            self.settings.classic_histograms_too,
        );
        let mut place = 0;
        let mut appended = 0;
        loop {
            let known = self.families.changes();
            let expected = self.cache.expected(place, known);
            let (id, reading) = match reader.next(expected.map_or(b"", |(_, bytes)| bytes))? {
                None => break,
                Some(PageEntry::Metadata(said)) => {
                    self.families.note(said, self.page);
                    continue;
                }
                Some(PageEntry::Again(reading)) => {
                    // It was expected, or it wouldn't be called so.
                    let Some((id, _)) = expected else { continue };
                    counts.scraped += 1;
                    place += 1;
                    (id, reading)
                }
                Some(PageEntry::Series(series)) => {
                    counts.scraped += 1;
                    let found = self.cache.find(series.identity);
                    let current = found.filter(|id| {
                        self.cache
                            .get(*id)
                            .is_some_and(|found| found.known == known)
                    });
                    let id = match current {
                        Some(id) => {
                            place = self.cache.place_after(id);
                            id
                        }
                        None => {
                            let id = self.settle(found, &series, rules, counts)?;
                            place = match found {
                                Some(id) => self.cache.place_after(id),
                                None => place,
                            };
                            id
                        }
                    };
                    (id, series.reading)
                }
            };
            if self.take(id, &reading, at, counts, exemplars) {
                appended += 1;
            }
        }
        let limit = self.settings.sample_limit;
        if limit > 0 && appended > limit {
            return Err(PageFailure::SampleLimit(limit));
        }
        Ok(())
    }

    /// Finds the home of a series that is new, or of whose family something else is known now.
    fn settle(
        &mut self,
        found: Option<u32>,
        series: &PageSeries<'_, '_>,
        rules: &mut dyn MetricRelabelling,
        counts: &mut PageCounts,
    ) -> Result<u32, PageFailure> {
        let home = self.home(series, rules)?;
        if found.is_none() && home != SeriesHome::Dropped {
            counts.added += 1;
        }
        let old = found.and_then(|id| self.cache.get(id)).map(|old| old.home);
        let known = self.families.changes();
        let id = self
            .cache
            .settle(found, series.identity, home, known, self.page);
        if let Some(old) = old {
            release(&mut self.points, old);
        }
        Ok(id)
    }

    fn home(
        &mut self,
        series: &PageSeries<'_, '_>,
        rules: &mut dyn MetricRelabelling,
    ) -> Result<SeriesHome, PageFailure> {
        let mut labels = ScrapedLabels::of(series);
        labels.add_target(&self.labels, self.settings.honor_labels);
        if !rules.relabel(&mut labels) || labels.is_empty() {
            return Ok(SeriesHome::Dropped);
        }
        labels.check()?;
        self.settings.check(&labels)?;
        let of_target = |name: &str| {
            let found = self.labels.iter().find(|(found, _)| found == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let named = |name: &str| match labels.get(name) {
            "" => of_target(name).to_owned(),
            value => value.to_owned(),
        };
        let resource = self.points.resource_of(&named("job"), &named("instance"));
        let native = matches!(series.reading.value, Measured::Histogram(_));
        if labels.get(METRIC_NAME) == "target_info" && !native {
            let own = labels
                .iter()
                .filter(|(name, _)| !matches!(*name, METRIC_NAME | "job" | "instance"));
            let info = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let number = self.points.describe(resource, info.collect());
            return Ok(SeriesHome::TargetInfo { resource, number });
        }
        let meaning = self.families.meaning(&labels, native);
        let point = self.points.point_of(resource, &meaning, &labels);
        let part = meaning.part;
        Ok(SeriesHome::Point { point, part })
    }

    /// Takes a value. Returns whether it counts for the `sample_limit`.
    #[inline]
    fn take<'p>(
        &mut self,
        id: u32,
        reading: &PageValue<'p, '_>,
        at: i64,
        counts: &mut PageCounts,
        exemplars: &mut Vec<PageExemplar<'p>>,
    ) -> bool {
        let seen = self.cache.see(id, self.page);
        let Some(series) = self.cache.get(id) else {
            return false;
        };
        let (point, part) = match series.home {
            SeriesHome::Dropped => return false,
            SeriesHome::TargetInfo { .. } => {
                counts.kept += 1;
                return !seen;
            }
            SeriesHome::Point { point, part } => (point, part),
        };
        counts.kept += 1;
        let own = reading.timestamp.filter(|_| self.settings.honor_timestamps);
        if seen && own.is_none() {
            counts.duplicates += 1;
            return false;
        }
        let time = own.unwrap_or(at);
        if time > at.saturating_add(AHEAD) {
            counts.out_of_bounds += 1;
            return true;
        }
        let mut native = None;
        let value = match &reading.value {
            Measured::Number(value) => *value,
            Measured::Histogram(histogram) => match DenseHistogram::of(histogram) {
                Some(dense) => {
                    native = Some(Box::new(dense));
                    0.0
                }
                None => {
                    counts.inexpressible += 1;
                    return true;
                }
            },
        };
        let first = exemplars.len();
        exemplars.extend_from_slice(reading.exemplars);
        self.values.push(ScrapedValue {
            point,
            part,
            value,
            time,
            created: reading.created,
            exemplars: (first, exemplars.len()),
            native,
            tracked: own.is_none() || self.settings.track_timestamps_staleness,
        });
        true
    }
}

impl ScrapedSettings {
    fn check(&self, labels: &ScrapedLabels<'_>) -> Result<(), PageFailure> {
        let limit = self.label_limit;
        if limit > 0 && labels.len() > limit {
            return Err(PageFailure::LabelLimit(limit));
        }
        let (name, value) = (self.label_name_length_limit, self.label_value_length_limit);
        for (found, text) in labels.iter() {
            if name > 0 && found.len() > name {
                return Err(PageFailure::LabelNameLength(name));
            }
            if value > 0 && text.len() > value {
                return Err(PageFailure::LabelValueLength(value));
            }
        }
        Ok(())
    }
}

/// A series has left its home.
fn release(points: &mut ScrapedPoints, home: SeriesHome) {
    match home {
        SeriesHome::Dropped => {}
        SeriesHome::TargetInfo { resource, number } => points.undescribe(resource, number),
        SeriesHome::Point { point, .. } => points.release(point),
    }
}

/// Milliseconds since the Unix epoch.
fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// When the counting began, for OTLP. As in OpenMetrics, 0 says that nobody knows, and so does what
/// is no time.
fn start(created: Option<i64>) -> u64 {
    let known = created.filter(|millis| (1..i64::MAX).contains(millis));
    known.map_or(0, nanos)
}

/// Milliseconds as OTLP's nanoseconds. 0 would mean that the time is unknown.
fn nanos(millis: i64) -> u64 {
    u64::try_from(millis)
        .unwrap_or(0)
        .saturating_mul(1_000_000)
        .max(1)
}
